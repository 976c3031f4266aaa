"""The ways to hold an instance, and the states in which it is not held, on real guests."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import support
from lab import LOCAL_LOG, ROOT_LOG, wait_until
from live import RESUMED, SUSPENDED
from test_live import lines_of, members

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("live")]

CUSTODY_ENGINE = pathlib.Path(
    os.environ.get("GLOVEBOX_CUSTODY_ENGINE") or support.ROOT / ".build/debug/custody-engine")
NO_KERNEL = re.compile(r"<(kernel|initrd|cmdline)>.*?</\1>", re.DOTALL)
FILE = "disk:p1:/etc/instance-id"


def refused(site, guest, *words, code=support.WRONG_STATE, **options):
    """It is not read, and with these words."""
    result = site.read("cat", guest, FILE, **options)
    assert result.code == code, str(result)
    for word in words:
        assert word in result.err.decode(), str(result)
    assert result.out == b""
    return result


@contextlib.contextmanager
def described(guest, change):
    """The guest as another description defines it; it must be off, and is off afterwards."""
    before = guest.virsh("dumpxml", "--inactive")
    after = change(before)
    assert after != before
    file = guest.lab.directory / "changed.xml"
    file.write_text(after)
    guest.lab.virsh("define", file)
    try:
        yield
    finally:
        if guest.state() != "shut off":
            guest.destroy()
        file.write_text(before)
        guest.lab.virsh("define", file)


@pytest.fixture(scope="module")
def idle_guest(lab):
    """One that is not booted: it is off, or was never let run."""
    return lab.guest("instance-00000009")


@pytest.fixture
def idle(idle_guest):
    yield idle_guest
    if idle_guest.state() != "shut off":
        idle_guest.destroy()


@pytest.fixture
def bare(idle):
    """A guest that runs without a system: its firmware finds nothing to start."""
    with described(idle, lambda xml: NO_KERNEL.sub("", xml)):
        idle.virsh("start")
        yield idle


# The modes


def test_a_point_in_time_stays_as_it_was_while_the_guest_goes_on_writing(site, guest, events):
    holding = site.hold(guest, "disk.local::/", "--pause=brief")
    said = guest.fsynced()
    assert guest.state() == "running" and guest.is_writing()
    assert len(site.exports()) == 5, site.exports()
    told = events.timed(guest)
    assert [what for _, what in told] == [SUSPENDED, RESUMED]
    stamps = [stamp for stamp, _ in told]
    wait_until(lambda: guest.fsynced()[ROOT_LOG] >= said[ROOT_LOG] + 20, "it writes on")
    later = guest.fsynced()
    code, tar, words = holding.finish()
    assert code == support.DONE, words
    files = members(tar)
    [log] = [content for name, content in files.items() if name.endswith("var/log/writer.log")]
    assert said[ROOT_LOG] - 20 <= lines_of(log) <= said[ROOT_LOG] + 10 < later[ROOT_LOG]
    assert seconds_between(*stamps) < 1
    record = holding.record()
    assert (record["mode"], record["ending"]) == ("brief", "finished")
    assert record["paused_ms"] < 1000
    assert holding.steps() == [
        "opened", "suspending", "suspended", "exporting", "exported", "resuming", "resumed",
        "connected", "mounted", "unmounted", "disconnected", "withdrawing", "withdrawn", "ended"]
    assert "None" in guest.virsh("domjobinfo") and site.exports() == []
    assert guest.is_writing()


def seconds_between(first, second):
    """Between two of virsh's stamps, such as 2026-01-31 12:00:00.123+0000."""
    def at(stamp):
        clock = re.search(r"(\d+):(\d+):(\d+\.\d+)", stamp)
        return float(clock[1]) * 3600 + float(clock[2]) * 60 + float(clock[3])
    return (at(second) - at(first)) % 86400


def test_a_point_in_time_and_a_suspended_instance_give_the_same_files(site, guest):
    paths = ["disk:p1:/usr", "disk:p1:/etc", "--to-tar", "-"]
    strict = site.read("extract", guest, *paths)
    brief = site.read("extract", guest, *paths, "--pause=brief")
    assert (strict.code, brief.code) == (0, 0), f"{strict}{brief}"
    assert members(strict.out) == members(brief.out) and len(members(strict.out)) > 5
    listed = [site.read("ls", guest, "-R", "--json", "disk:p1:/usr", *mode)
              for mode in ((), ("--pause=brief",))]
    lists = [result.lines for result in listed]
    suspended, point = [[line.pop("consistency") for line in lines] for lines in lists]
    assert set(suspended) == {"suspended"} and set(point) == {"point-in-time"}
    assert lists[0] == lists[1] and len(lists[0]) > 1


def test_the_appliance_reads_a_suspended_guest_only_where_so_long_a_pause_is_accepted(site, guest):
    refused = site.read("cat", guest, FILE, "--engine", "guestfs")
    assert refused.code == support.WRONG_STATE and b"--accept-pause" in refused.err, str(refused)
    assert guest.is_writing()
    words = site.words("cat", guest, FILE, "--engine", "guestfs", "--accept-pause", "300")
    result = site.run(*words, timeout=320)
    assert result.code == support.DONE and result.out.split() == [guest.uuid.encode()], str(result)
    assert guest.is_writing()


def test_what_somebody_else_has_paused_is_read_and_left_paused(site, guest, events, tmp_path):
    guest.suspend()
    events.clear()
    bag = tmp_path / "found.bag"
    for mode in ((), ("--pause=brief",)):
        result = site.read("cat", guest, FILE, *mode)
        assert result.code == support.DONE and result.out.split() == [guest.uuid.encode()]
    said = guest.fsynced()
    result = site.read("extract", guest, "/var/log", "disk.local::/", "--to", bag, "--sign-key",
                       site.key("operator"))
    assert result.code == support.DONE, str(result)
    assert (guest.state(), guest.reason, events.since(guest)) == ("paused", "user", [])
    site.ok("verify", bag)
    files = members((bag / "data/files.tar").read_bytes())
    assert [lines_of(content) for name, content in files.items() if name.endswith("eph.log")][0] \
        >= said[LOCAL_LOG]
    assert json.loads((bag / "data/source.json").read_text())["consistency"] == "as-found-paused"
    assert {session["mode"] for session in site.sessions()} == {"as-found"}
    assert all("suspending" not in [step["step"] for step in session["steps"]]
               for session in site.sessions())
    assert site.recover().code == 0 and guest.state() == "paused"
    guest.resume()
    assert guest.is_writing()


def test_a_guest_that_is_off_is_read_under_locks_and_cannot_be_started_meanwhile(site, idle):
    result = site.read("cat", idle, "disk:p1:/etc/hostname")
    assert result.code == support.DONE, str(result)
    words = site.words("extract", idle, "disk:p1:/", "--to-tar", "-")
    reading = subprocess.Popen([site.program, *map(str, words)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reading.stdout.read(1)
    started = idle.virsh("start", check=False)
    assert started.returncode != 0 and "lock" in started.stderr, started.stderr
    tar, said = reading.communicate(timeout=60)
    assert reading.returncode == support.DONE, said
    assert site.sessions() == [] and idle.state() == "shut off"
    idle.virsh("start", "--paused")


# The states


def boots(guest, code):
    """A change by which the guest starts from these machine instructions, and nothing else."""
    disk = guest.directory / "boot.raw"
    disk.write_bytes(code.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))

    def change(xml):
        xml = NO_KERNEL.sub("", xml)
        xml = re.sub(r"<disk .*</disk>", f"""<disk type='file' device='disk'>
            <driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
            </disk>""", xml, flags=re.DOTALL)
        xml = re.sub(r"<on_crash>\w+<", "<on_crash>preserve<", xml)
        xml = xml.replace("</devices>", "<panic model='isa'/></devices>")
        return xml.replace("</clock>", "</clock><pm><suspend-to-mem enabled='yes'/></pm>") \
            if "</clock>" in xml else re.sub(
                r"(<clock[^>]*/>)", r"\1<pm><suspend-to-mem enabled='yes'/></pm>", xml)
    return change


# mov dx, PORT; mov a, VALUE; out dx, a; hlt and over again.
PANICS = bytes.fromhex("ba0505 b001 ee f4 ebfd")
SLEEPS = bytes.fromhex("ba0406 b80024 ef f4 ebfd")


@pytest.mark.parametrize("code, state, words", [
    (PANICS, "crashed", ("has crashed", "Stop it")),
    (SLEEPS, "pmsuspended", ("put to sleep", "dompmwakeup")),
], ids=["crashed", "asleep"])
def test_a_guest_that_has_crashed_or_sleeps_is_named_and_left_so(
    site, idle, events, code, state, words
):
    with described(idle, boots(idle, code)):
        idle.virsh("start")
        wait_until(lambda: idle.state() == state, f"it is {state}", 30)
        events.clear()
        for mode in ((), ("--pause=brief",)):
            result = site.read("disks", idle, *mode)
            assert result.code == support.WRONG_STATE and result.out == b"", str(result)
            assert all(word in result.err.decode() for word in words), str(result)
        assert idle.state() == state and events.since(idle) == [] and site.sessions() == []


def test_a_guest_that_was_started_paused_is_left_paused(site, idle, events):
    idle.virsh("start", "--paused")
    events.clear()
    result = site.read("cat", idle, "disk:p1:/etc/hostname")
    # libvirt gives no other reason for it than for a pause on request.
    assert result.code == support.DONE, str(result)
    assert idle.state() == "paused" and events.since(idle) == []


def test_a_saved_guest_is_not_taken_for_one_that_is_off(site, idle):
    idle.virsh("start", "--paused")
    idle.virsh("managedsave")
    try:
        refused(site, idle, "memory was saved", "virsh start")
        shown = site.ok("instances", "--connect", site.lab.uri, idle.name, "--json").document
        assert (shown["state"], shown["managed_save"]) == ("shut-off", True)
    finally:
        idle.virsh("managedsave-remove")


def test_a_guest_under_a_backup_of_somebody_else_waits_for_it(site, guest, events):
    directory = guest.lab.directory / "backup"
    directory.mkdir(exist_ok=True)
    directory.chmod(0o777)
    job = guest.lab.directory / "backup.xml"
    job.write_text(f"""<domainbackup mode='pull'><server transport='unix' socket='{directory}/s'/>
        <disks><disk name='vda' type='file'><scratch file='{directory}/scratch'/></disk>
        <disk name='vdb' backup='no'/></disks></domainbackup>""")
    guest.virsh("backup-begin", job)
    events.clear()
    try:
        for mode in ((), ("--pause=brief",)):
            result = site.read("cat", guest, FILE, *mode)
            assert result.code == support.WRONG_STATE, str(result)
            assert "A backup of it is under way" in result.err.decode()
            assert "virsh domjobinfo" in result.err.decode()
        assert "Backup" in guest.virsh("domjobinfo") and events.since(guest) == []
    finally:
        guest.virsh("domjobabort")
    assert site.read("cat", guest, FILE).code == support.DONE


def test_disks_that_are_not_files_are_named_with_what_to_do(site, idle):
    disks = """<disk type='network' device='disk'><driver name='qemu' type='raw'/>
        <source protocol='rbd' name='volumes/volume-1'><host name='192.0.2.1' port='6789'/></source>
        <target dev='vdc' bus='virtio'/></disk>
        <disk type='block' device='disk'><driver name='qemu' type='raw'/>
        <source dev='/dev/mapper/nothing-there'/><target dev='vdd' bus='virtio'/></disk>
        <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
        </devices>"""
    with described(idle, lambda xml: xml.replace("</devices>", disks)):
        shown = site.ok("instances", "--connect", site.lab.uri, idle.name).text
        for words in ("rbd snap create volumes/volume-1@glovebox", "/dev/mapper/nothing-there",
                      "lvcreate --snapshot", "a drive without a medium"):
            assert words in shown, shown
        # What can be read is read, and the rest is named.
        result = site.read("disks", idle)
        assert result.code in (support.DONE, support.DAMAGED), str(result)
        assert "disk.local" in result.text and "vdc" in (result.out + result.err).decode()
        assert site.read("cat", idle, "disk:p1:/etc/hostname").code == support.DONE
    only = re.compile(r"<disk type='file' device='disk'>.*</disk>", re.DOTALL)
    network = disks.split("<disk type='block'")[0]
    with described(idle, lambda xml: only.sub(network.replace("vdc", "vda"), xml)):
        refused(site, idle, "rbd export", code=support.REFUSED)


def test_a_rescued_guest_is_named_and_not_held(site, idle, events):
    rescue = idle.directory / "disk.rescue"
    support.tool("qemu-img", "create", "-q", "-f", "qcow2", rescue, "1M")
    disks = f"""<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
        <source file='{rescue}'/><target dev='vdr' bus='virtio'/></disk></devices>"""
    with described(idle, lambda xml: xml.replace("</devices>", disks)):
        idle.virsh("start", "--paused")
        events.clear()
        refused(site, idle, "rescue")
        assert events.since(idle) == [] and site.sessions() == []
    rescue.unlink()


def test_a_guest_whose_disk_is_raw_cannot_make_it_a_qcow2(site, idle, tmp_path):
    """The guest wrote a header into its raw disk that names a file of the host."""
    secret = idle.lab.directory / "secret"
    secret.write_bytes(b"HOST-SECRET\n" * 4096)
    disk = idle.disks["disk.local"]
    kept = disk.read_bytes()
    header = idle.lab.directory / "header.qcow2"
    support.tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", header)
    disk.write_bytes(header.read_bytes().ljust(8 << 20, b"\0"))
    part = re.compile(r"(type=')qcow2('[^>]*>\s*<source file='[^']*disk.local')")
    try:
        with described(idle, lambda xml: part.sub(r"\1raw\2", xml)):
            idle.virsh("start", "--paused")
            for command in (["disks"], ["extract", "disk.local::/", "--to-tar", "-"],
                            ["extract", "--pause=brief", "disk.local::/", "--to-tar", "-"]):
                result = site.read(command[0], idle, *command[1:])
                assert b"HOST-SECRET" not in result.out + result.err, str(result)
                assert command[0] == "disks" or result.code != support.DONE
            shown = site.ok("instances", "--connect", site.lab.uri, idle.name, "--json").document
            [local] = [each for each in shown["disks"] if each["target"] == "vdb"]
            assert [layer["format"] for layer in local["layers"]] == ["raw"]
            assert local["size"] == 8 << 20
            assert site.read("cat", idle, "disk:p1:/etc/hostname").code == support.DONE
    finally:
        disk.write_bytes(kept)


@contextlib.contextmanager
def other_base(guest):
    """Turns the overlay of a guest into one on another file, and back; gives both contents."""
    disk = guest.disks["disk"]
    kept, base = disk.read_bytes(), guest.chain()[1]
    other = base.with_name(base.name[:-1] + "x")
    subprocess.run(["cp", "--sparse=always", base, other], check=True)
    changed = kept.replace(bytes(base), bytes(other))
    assert changed != kept
    try:
        yield changed, other
    finally:
        guest.destroy()
        disk.write_bytes(kept)
        other.unlink()


def test_where_headers_and_description_differ_the_disk_is_refused(site, idle):
    """The overlay names another base than libvirt gave the guest that runs."""
    idle.virsh("start", "--paused")
    with other_base(idle) as (changed, other):
        idle.disks["disk"].write_bytes(changed)
        refused(site, idle, other.name, "by the description of the running domain",
                code=support.REFUSED)
        # The other disk is as it was described.
        assert site.read("ls", idle, "disk.local::/").code == support.DONE


@pytest.mark.skipif(not os.access(CUSTODY_ENGINE, os.X_OK),
                    reason="custody-engine is not built: swift build --product custody-engine")
@pytest.mark.parametrize("what", ["chain", "description"])
def test_what_changes_between_the_first_look_and_the_hold_is_refused(site, idle, what):
    idle.virsh("start", "--paused")
    run = Stopped(site, idle, "after:opened")
    if what == "chain":
        # A file of the same name and content, which nobody has looked at.
        disk = idle.disks["disk"]
        twin = disk.with_name("twin")
        twin.write_bytes(disk.read_bytes())
        twin.rename(disk)
    else:
        extra = idle.lab.directory / "extra.raw"
        extra.write_bytes(bytes(1 << 20))
        idle.virsh("attach-disk", extra, "vdz", "--live", "--subdriver", "raw")
    code, out, said = run.go_on()
    assert (code, out) == (support.WRONG_STATE, b""), said
    assert "Between the first look and the suspend" in said, said
    assert idle.state() == "paused"
    assert [session["ending"] for session in site.sessions()] == ["finished"]


class Stopped:
    """A reading run whose custodian waits at a point of its journal."""

    def __init__(self, site, guest, point):
        self.directory = site.directory / "probe"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        (self.directory / "stop").write_text(point)
        engine = self.directory / "engine"
        engine.write_text(f'#!/bin/sh\nGLOVEBOX_PROBE={self.directory} '
                          f'exec {CUSTODY_ENGINE} "$@"\n')
        engine.chmod(0o755)
        words = site.words("cat", guest, FILE)
        self.process = subprocess.Popen(
            [site.program, *map(str, words), "--engine-path", engine], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: self.is_there(point), f"it is at {point}")

    def is_there(self, point):
        assert self.process.poll() is None, self.process.stderr.read()
        reached = self.directory / "reached"
        return reached.exists() and reached.read_text().split()[-1:] == [point]

    def go_on(self):
        (self.directory / "go").touch()
        out, said = self.process.communicate(timeout=60)
        return self.process.returncode, out, said.decode()
