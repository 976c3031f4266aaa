"""`glovebox fsck` through all of the engine; and its own answers without it."""

import json
import os
import re
import signal

import pytest

from running import ENGINE, Running
from support import DAMAGED, DONE, INTERRUPTED, MISSING, ROOT, run, sha256, tool

MIB = 1 << 20
# A launch without KVM on a busy host, twice.
LONG = 900
DISKS = {
    "disk": ["ext4-unattached", "ext4-dirty", "xfs-dirty", "fat32-lost-chain"],
    "disk.eph0": ["ext4-dirty", "fat32-dirty", "ext4-unattached"],
}

needs_engine = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not os.access(ENGINE, os.X_OK), reason="glovebox-engine is not built"),
    pytest.mark.xdist_group("fsck"),
]


def engine(test):
    """Marks a test as one that starts the appliance."""
    for mark in needs_engine:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    """Two disks with a GPT. The first copy of one is lost: Glovebox uses the second, the
    appliance's kernel sees no partition at all."""
    images = tmp_path_factory.mktemp("images")
    directory = tmp_path_factory.mktemp("instance")
    names = sorted({name for names in DISKS.values() for name in names})
    tool(ROOT / "Fixtures/fsck/make", images, *names)
    for disk, names in DISKS.items():
        partitioned(directory / disk, [images / name for name in names])
    with open(directory / "disk", "r+b") as file:
        file.seek(512)
        file.write(bytes(512))
    for disk in DISKS:
        os.chmod(directory / disk, 0o400)
    formats = {str(directory / disk): "raw" for disk in DISKS}
    (directory / "disk.info").write_text(json.dumps(formats))
    before = {disk: sha256(directory / disk) for disk in DISKS}
    yield directory
    assert {disk: sha256(directory / disk) for disk in DISKS} == before
    assert all(os.stat(directory / disk).st_mode & 0o777 == 0o400 for disk in DISKS)
    assert sorted(os.listdir(directory)) == ["disk", "disk.eph0", "disk.info"]


def partitioned(disk, images):
    """A disk with these images as its partitions."""
    start, rows = MIB, ["label: gpt"]
    for image in images:
        size = os.path.getsize(image)
        tool("dd", f"if={image}", f"of={disk}", "bs=1M", f"seek={start // MIB}",
             "conv=notrunc,sparse", "status=none")
        rows.append(f"start={start // 512}, size={size // 512}")
        start += size
    os.truncate(disk, start + MIB)
    tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk,
         input="\n".join(rows).encode())


@engine
def test_verdicts_and_rehearsals_of_partitions_that_the_kernel_sees_and_does_not(instance):
    result = run("fsck", "--json", "--rehearse", instance, timeout=LONG)
    assert result.code == 1, result
    reports = {report["volume"]: report for report in result.document["volumes"]}
    assert {volume: (report["type"], report["verdict"], report["dirty"])
            for volume, report in reports.items()} == {
        "disk:p1": ("ext4", "damaged", False),
        "disk:p2": ("ext4", "clean-after-replay", True),
        "disk:p3": ("xfs", "clean-after-replay", True),
        "disk:p4": ("vfat", "damaged", False),
        "disk.eph0:p1": ("ext4", "clean-after-replay", True),
        "disk.eph0:p2": ("vfat", "clean", True),
        "disk.eph0:p3": ("ext4", "damaged", False),
    }
    assert all(("rehearsal" in report) == (report["verdict"] == "damaged")
               for report in reports.values())
    for volume, device in (("disk:p1", r"/dev/loop\d+: "), ("disk.eph0:p3", r"/dev/sd[a-z]+3: ")):
        check, rehearsal = reports[volume]["steps"][-1], reports[volume]["rehearsal"]
        assert (check["command"], check["exit_code"]) == ("e2fsck -fn", 4)
        assert re.search("^" + device, check["text"], re.M), check
        assert rehearsal["outcome"] == "fixed-with-losses"
        assert rehearsal["moved"] == ["#12", "#14"] and rehearsal["moved_count"] == 2
    lost = reports["disk:p4"]["rehearsal"]
    assert lost["outcome"] == "fixed-with-losses" and lost["moved_count"] == 0
    said = result.err.decode().splitlines()
    assert all(f"glovebox: checking {volume}" in said for volume in reports), result
    assert "glovebox: rehearsing the repair of disk:p4" in said, result
    assert result.err.count(b"KVM does not work") <= 1, "the second appliance tries no KVM"
    assert any(line.startswith("glovebox: warning: disk: ") and "instead of the primary" in line
               for line in said), result


@engine
def test_what_is_only_dirty_is_said_in_a_line_and_ends_with_0(instance):
    result = run("fsck", instance, "disk:p2", "disk.eph0:p2", timeout=LONG)
    assert result.code == DONE, result
    first, second = result.text.splitlines()
    assert first.split() == ["disk:p2", "ext4", "clean", "after", "replay"]
    assert re.fullmatch(r"disk\.eph0:p2 +vfat +clean \(not shut down\): It was not unmounted; .*",
                        second)


@engine
def test_nothing_is_left_of_a_check_that_is_interrupted(instance, tmp_path):
    running = Running(tmp_path, [instance / disk for disk in DISKS], "fsck", instance)
    try:
        # The first of seven volumes.
        running.wait_until_it_says(b"checking disk:p1")
        os.killpg(running.process.pid, signal.SIGINT)
        code, error = running.finish()
        running.nothing_is_left()
    finally:
        running.close()
    # Ended by the signal: 130 for a shell.
    assert code in (INTERRUPTED, -signal.SIGINT), (code, error)


def test_a_disk_without_volumes_is_said_and_counts_where_it_is_named(tmp_path):
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, 4 * MIB)
    tool("sfdisk", "--quiet", disk, input=b"label: dos\n")
    report, = run("fsck", "--json", "--format", "raw", disk).document["volumes"]
    assert (report["volume"], report["verdict"]) == ("disk", "not-checkable")
    assert report["checkable"] is False and "without partitions" in report["reason"]
    assert run("fsck", "--format", "raw", disk).code == DONE
    assert run("fsck", "--format", "raw", disk, "disk").code == DAMAGED


def test_volumes_that_no_checker_knows_need_no_engine(fixtures):
    instance = fixtures.instance()
    result = run("fsck", "--json", instance, "disk.config")
    assert result.code == DAMAGED, result
    volume, = result.document["volumes"]
    assert (volume["type"], volume["verdict"]) == ("iso9660", "not-checkable")
    assert volume["checkable"] is False and volume["steps"] == []
    assert "Not checked: disk.config:" in result.error["message"]


def test_a_volume_that_is_not_there_is_named(fixtures):
    result = run("fsck", fixtures.instance(), "disk:p9")
    assert result.code == MISSING, result
    assert b"disk:p9" in result.err and b"disk:p1" in result.err


def test_the_help_has_examples_and_exit_codes():
    text = run("fsck", "--help").text
    assert "--rehearse" in text and "1 something is damaged" in text
