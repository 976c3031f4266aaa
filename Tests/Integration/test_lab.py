"""The lab in which live guests are opened does what it is for, and leaves nothing behind."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from lab import LOCAL_LOG, PROGRAM, ROOT_LOG, wait_until

pytestmark = [pytest.mark.xdist_group("live")]


def living(directory):
    """The processes that live in the lab of that directory, or speak of it."""
    settings = directory / "host/etc/libvirt"
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        place = pathlib.Path("/proc", process)
        try:
            words = (place / "cmdline").read_bytes()
            seen = (place / "root/etc/libvirt").stat()
        except OSError:
            continue
        inside = settings.exists() and os.path.samestat(seen, settings.stat())
        if inside or os.fsencode(directory) in words:
            found.append(int(process))
    return found


def test_a_guest_boots_and_writes_to_both_disks(guest):
    assert guest.state() == "running"
    assert set(guest.fsynced()) == {ROOT_LOG, LOCAL_LOG}
    assert guest.is_writing()
    said = guest.console.read_text()
    assert f"GUEST-BOOTED uuid={guest.uuid} load=light" in said and "GUEST-FAILED" not in said


def test_a_suspended_guest_writes_no_more_until_it_is_resumed(guest):
    guest.suspend()
    assert (guest.state(), guest.reason) == ("paused", "user")
    before = guest.digests(guest.disks.values())
    assert not guest.is_writing(seconds=2)
    assert guest.digests(guest.disks.values()) == before
    guest.resume()
    assert guest.is_writing()


def test_a_killed_libvirtd_finds_the_same_run_of_its_guest_again(lab, guest):
    run = guest.id
    lab.kill_libvirtd()
    assert lab.virsh("list", check=False).returncode != 0
    assert guest.is_writing()
    lab.start_libvirtd()
    assert (guest.id, guest.state()) == (run, "running")


def test_the_host_s_own_libvirt_is_not_seen_and_not_touched(lab, guest):
    assert "/etc/libvirt" not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert not (pathlib.Path("/run/libvirt/qemu") / f"{guest.name}.pid").exists()
    assert (lab.directory / f"host/run/libvirt/qemu/{guest.name}.pid").exists()


def test_a_second_guest_shares_the_base(lab, guest):
    other = lab.guest("instance-00000002", load="heavy")
    other.start()
    try:
        assert set(other.chain()) & set(guest.chain())
        size = lambda: other.disks["disk"].stat().st_blocks  # noqa: E731
        before = size()
        wait_until(lambda: size() > before, "clusters are allocated")
        assert other.is_writing() and guest.is_writing()
    finally:
        other.destroy()


def test_a_lab_whose_owner_is_killed_goes_down_and_leaves_nothing(lab):
    script = ("import sys, lab\nfound = lab.Lab()\nfound.guest().start()\n"
              "print(found.directory, flush=True)\nsys.stdin.read()")
    owner = subprocess.Popen(["/usr/bin/python3", "-c", script], cwd=os.path.dirname(__file__),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    directory = pathlib.Path(owner.stdout.readline().strip())
    assert directory.is_dir() and len(living(directory)) >= 3
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_until(lambda: not directory.exists(), "the directory is removed")
    wait_until(lambda: not living(directory), "its processes are gone")
    assert str(directory) not in pathlib.Path("/proc/mounts").read_text()
    assert lab.virsh("list") and living(lab.directory), "another lab was ended with it"


def test_a_start_that_is_killed_half_way_is_taken_down(lab):
    directory = lab.directory.with_name(lab.directory.name + "b")
    for seconds in (0.15, 0.3, 0.6):
        start = subprocess.Popen([PROGRAM, "up", directory], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        start.kill()
        start.wait()
        for _ in range(2):
            subprocess.run([PROGRAM, "down", directory], check=True)
        assert not directory.exists() and not living(directory)


def test_a_directory_that_is_no_lab_is_not_removed(lab, tmp_path):
    (tmp_path / "mine").write_text("mine")
    for command in ("up", "down"):
        refused = subprocess.run([PROGRAM, command, tmp_path], capture_output=True, text=True)
        assert refused.returncode == 1 and "not a lab" in refused.stderr
    assert (tmp_path / "mine").read_text() == "mine"
