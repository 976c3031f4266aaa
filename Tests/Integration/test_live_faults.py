"""What others do to an instance while it is held, and what becomes of it, on real guests."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import support
from lab import wait_until
from live import RESUMED, SUSPENDED, add_ballast
from test_live import members
from test_live_states import bare, idle, idle_guest  # noqa: F401

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("live")]

FILE = "disk:p1:/etc/instance-id"
HELD = 7


@pytest.fixture(scope="module")
def other_guest(lab):
    """A second one that runs."""
    found = lab.guest("instance-00000003")
    found.be_running()
    yield found
    if found.state() != "shut off":
        found.destroy()


def is_whole(tar):
    """Whether a tar has the end that those have which were written to theirs."""
    return tar.endswith(bytes(1024))


def ended(holding, code, *words):
    """How a hold ends that others have ended: with this code and these words, and no file is there
    with other content than the guest's that is not named as such."""
    got, tar, said = holding.finish()
    assert got == code, said
    for word in words:
        assert word in said, said
    document = next(json.loads(line) for line in said.splitlines() if '"schema"' in line)
    assert document["complete"] is False and document["hold"]["intact"] is False
    partial = {each["path"] for each in document["problems"]}
    for name, content in members(tar).items():
        if name.startswith("ballast/"):
            number = name.removeprefix("ballast/")
            original = (holding.site.lab.directory / "ballast" / number).read_bytes()
            assert content == original or f"/{number}" in partial, f"{name}: {said}"
    return said


# What operators do meanwhile


def test_somebody_s_resume_ends_the_hold_and_nobody_else_touches_the_guest(site, guest, events):
    holding = site.hold(guest)
    guest.resume()
    wait_until(lambda: "invalidated" in holding.steps(), "it is noticed")
    ended(holding, support.WRONG_STATE, "omebody else resumed it")
    assert events.since(guest) == [SUSPENDED, RESUMED]
    assert holding.record()["ending"] == "invalidated" and "resuming" not in holding.steps()
    assert guest.is_writing() and site.recover().code == 0


def test_a_resume_and_a_new_pause_by_somebody_leaves_the_guest_paused(site, guest, events):
    holding = site.hold(guest)
    guest.resume()
    guest.suspend()
    ended(holding, support.WRONG_STATE)
    time.sleep(0.5)
    assert events.since(guest) == [SUSPENDED, RESUMED, SUSPENDED]
    assert guest.state() == "paused" and site.recover().code == 0
    assert guest.state() == "paused"
    guest.resume()


@pytest.mark.parametrize("mode", ["strict", "brief"])
def test_a_guest_that_is_destroyed_and_started_meanwhile_is_left_alone(site, bare, events, mode):
    events.clear()
    holding = site.hold(bare, f"--pause={mode}")
    first = bare.id
    bare.destroy()
    bare.virsh("start", "--paused")
    assert bare.id != first
    ended(holding, support.WRONG_STATE, "stopped")
    time.sleep(0.5)
    # Somebody has started it paused, and nobody lets it run.
    told = events.since(bare)
    assert RESUMED not in told[told.index("Stopped Destroyed"):], told
    assert bare.state() == "paused" and site.recover().code == 0
    assert bare.state() == "paused"
    wait_until(lambda: site.exports() == [], "nothing of it is left")


def test_a_guest_that_is_destroyed_ends_the_hold(site, bare):
    holding = site.hold(bare)
    bare.destroy()
    ended(holding, support.WRONG_STATE, "stopped")
    assert bare.state() == "shut off" and holding.record()["ending"] == "invalidated"
    assert site.recover().code == 0


def test_a_reset_ends_the_hold_and_the_guest_runs_again(site, bare):
    holding = site.hold(bare)
    run = bare.id
    bare.virsh("reset")
    ended(holding, support.WRONG_STATE, "reset it")
    wait_until(lambda: bare.state() == "running", "it runs")
    assert bare.id == run


def test_an_ended_backup_job_of_ours_fails_the_reading_and_is_not_ended_twice(
    site, guest, events
):
    holding = site.hold(guest, "--pause=brief")
    guest.virsh("domjobabort")
    code, tar, said = holding.finish()
    assert code == support.WRONG_STATE, said
    assert guest.is_writing() and site.exports() == [] and site.recover().code == 0


# libvirt goes away


@pytest.mark.parametrize("mode", ["strict", "brief"])
def test_a_killed_libvirtd_ends_the_hold_and_the_guest_runs_once_it_is_back(
    site, lab, guest, mode
):
    holding = site.hold(guest, f"--pause={mode}")
    run = guest.id
    lab.kill_libvirtd()
    wait_until(lambda: "invalidated" in holding.steps(), "it is noticed")
    lab.start_libvirtd()
    ended(holding, support.WRONG_STATE, "libvirt")
    wait_until(lambda: guest.state() == "running", "it runs again")
    assert guest.id == run and guest.is_writing()
    wait_until(lambda: site.exports() == [], "nothing of it is left")
    assert "None" in guest.virsh("domjobinfo")
    assert site.recover().code == 0


def test_a_libvirtd_that_hangs_for_ten_seconds_keeps_nobody_s_guest(site, lab, guest):
    holding = site.hold(guest)
    stopped = libvirtd(lab)
    os.kill(stopped, signal.SIGSTOP)
    try:
        time.sleep(10)
    finally:
        os.kill(stopped, signal.SIGCONT)
    code, tar, said = holding.finish()
    assert code in (support.DONE, support.WRONG_STATE), said
    assert code == support.WRONG_STATE or is_whole(tar)
    wait_until(lambda: guest.state() == "running", "it runs again")
    assert guest.is_writing() and site.sessions("--held") == []


def libvirtd(lab):
    """The process of the lab's libvirtd."""
    settings = (lab.directory / "host/etc/libvirt").stat()
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if ((place / "comm").read_text() == "libvirtd\n"
                    and os.path.samestat((place / "root/etc/libvirt").stat(), settings)):
                return int(place.name)
    raise AssertionError("no libvirtd")


# The longest pause


@pytest.mark.parametrize("state", ["stuck", "stopped"])
def test_at_the_longest_pause_the_guest_runs_whatever_the_program_does(
    site, guest, events, state
):
    holding = site.hold(guest, "--max-pause=3")
    if state == "stopped":
        holding.send(signal.SIGSTOP)
    time.sleep(1)
    assert guest.state() == "paused"
    wait_until(lambda: guest.state() == "running", "it runs", 10)
    wait_until(lambda: holding.record()["state"] == "ended", "it is over", 10)
    record = holding.record()
    assert record["ending"] == "limited" and 2_500 <= record["paused_ms"] < 7_000, record
    assert events.since(guest) == [SUSPENDED, RESUMED] and guest.is_writing()
    if state == "stopped":
        # One that does not even answer cannot be trusted to read no more.
        holding.send(signal.SIGCONT)
        code, tar, said = holding.finish()
        assert code == -signal.SIGKILL and not is_whole(tar)
    else:
        ended(holding, support.WRONG_STATE, "longest pause of 3 s")


def test_a_bag_that_was_cut_short_by_the_longest_pause_is_not_there_or_says_so(
    site, guest, tmp_path
):
    bag = tmp_path / "short.bag"
    add_ballast(guest)
    words = site.words("extract", guest, "disk:p1:/", "ballast::/", "--to", bag, "--sign-key",
                       site.key("operator"), "--max-pause=2")
    run = subprocess.Popen([site.program, *map(str, words)], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: guest.state() == "paused", "it is held")
    os.kill(run.pid, signal.SIGSTOP)
    time.sleep(2.2)
    os.kill(run.pid, signal.SIGCONT)
    out, said = run.communicate(timeout=60)
    assert run.returncode in (support.WRONG_STATE, -signal.SIGKILL), said
    wait_until(lambda: guest.state() == "running", "it runs", 10)
    if bag.exists():
        checked = json.loads(site.run("verify", "--json", bag).out)
        assert checked.get("complete") is not True, checked


# Whoever runs it goes away


@pytest.mark.parametrize("sign, code", [
    (signal.SIGINT, support.INTERRUPTED), (signal.SIGTERM, 143), (signal.SIGHUP, 129),
    (signal.SIGKILL, -signal.SIGKILL),
], ids=["INT", "TERM", "HUP", "KILL"])
@pytest.mark.parametrize("mode", ["strict", "brief"])
def test_a_signal_gives_the_guest_back(site, guest, events, sign, code, mode):
    holding = site.hold(guest, f"--pause={mode}")
    before = time.monotonic()
    holding.send(sign)
    wait_until(lambda: holding.record()["state"] == "ended", "it is over", 10)
    assert time.monotonic() - before < 3
    got, tar, said = holding.finish()
    assert got in (code, support.INTERRUPTED, -sign), (got, said)
    assert sign != signal.SIGINT or got == support.INTERRUPTED
    assert not is_whole(tar)
    assert guest.state() == "running" and events.since(guest) == [SUSPENDED, RESUMED]
    assert site.exports() == [] and "None" in guest.virsh("domjobinfo")
    assert guest.is_writing()


def test_a_terminal_s_interrupt_does_not_reach_the_custodian(site, guest):
    holding = site.hold(guest)
    custodian = holding.custodian
    assert os.getsid(custodian) == custodian != os.getsid(holding.process.pid)
    for sign in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE):
        os.kill(custodian, sign)
    time.sleep(0.3)
    assert guest.state() == "paused"
    code, tar, said = holding.finish()
    assert code == support.DONE and guest.state() == "running", said


# No room for the journal


@pytest.fixture
def full(site):
    """A directory of state on a file system without room."""
    shutil.rmtree(site.state, ignore_errors=True)
    site.state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=64,mode=0755", "tmpfs", site.state],
                   check=True)
    try:
        yield site.state
    finally:
        subprocess.run(["umount", site.state], check=True)


def test_where_the_journal_has_no_room_nothing_is_suspended(site, full, guest, events):
    with contextlib.suppress(OSError), open(full / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    for mode in ((), ("--pause=brief",)):
        result = site.read("cat", guest, FILE, *mode)
        assert result.code not in (0, HELD) and result.out == b"", str(result)
        assert b"No space left" in result.err, str(result)
    assert events.since(guest) == [] and guest.state() == "running"
    (full / "filler").unlink()


# Several at once


def test_a_second_session_on_an_instance_is_refused_and_named(site, guest, events):
    holding = site.hold(guest)
    for mode in ((), ("--pause=brief",)):
        result = site.read("cat", guest, FILE, *mode)
        assert result.code == support.WRONG_STATE, str(result)
        assert holding.session in result.err.decode(), str(result)
    assert site.recover().code == 0 and guest.state() == "paused"
    code, tar, said = holding.finish()
    assert code == support.DONE, said
    assert events.since(guest) == [SUSPENDED, RESUMED]


def test_a_second_session_during_a_point_in_time_is_refused(site, guest, events):
    holding = site.hold(guest, "--pause=brief")
    result = site.read("cat", guest, FILE)
    assert result.code == support.WRONG_STATE, str(result)
    code, tar, said = holding.finish()
    assert code == support.DONE, said
    assert guest.is_writing() and events.since(guest) == [SUSPENDED, RESUMED]


def test_two_instances_are_held_at_the_same_time(site, guest, other_guest, events):
    first, second = site.hold(guest), site.hold(other_guest)
    assert {guest.state(), other_guest.state()} == {"paused"}
    result = second.finish()
    assert result[0] == support.DONE and other_guest.state() == "running", result[2]
    assert guest.state() == "paused"
    result = first.finish()
    assert result[0] == support.DONE and guest.state() == "running", result[2]
    for each in (guest, other_guest):
        assert events.since(each) == [SUSPENDED, RESUMED] and each.is_writing()
