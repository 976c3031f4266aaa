"""Checks in the appliance: the runner, and the command's own answers without it."""

import hashlib
import json
import os
import subprocess

import pytest

from support import DAMAGED, MISSING, ROOT, run

DRIVER = ROOT / ".build/debug/check-driver"
MIB = 1 << 20
NAMES = ["ext4-dirty", "ext4-unattached", "xfs-dirty", "fat32-dirty", "fat32-lost-chain"]

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fsck")
    subprocess.run([ROOT / "Fixtures/fsck/make", directory, *NAMES], check=True)
    return directory


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def driven(*arguments):
    """What the runner says of volumes, all in one launch for checks and one for rehearsals."""
    environment = dict(os.environ, LIBGUESTFS_BACKEND="direct")
    if not os.access("/dev/kvm", os.W_OK) or os.environ.get("GLOVEBOX_TCG", "1") == "1":
        environment["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    done = subprocess.run([DRIVER, *map(str, arguments)], env=environment, check=True,
                          stdout=subprocess.PIPE, timeout=1200)
    return [json.loads(line) for line in done.stdout.splitlines()]


def placed(images, target, parts):
    """A disk with these images as partitions, at these places; its table tells of the first only."""
    with open(target, "wb") as file:
        file.truncate(700 * MIB)
    for name, start in parts.items():
        subprocess.run(["dd", f"if={images / name}", f"of={target}", "bs=1M",
                        f"seek={start // MIB}", "conv=notrunc,sparse", "status=none"], check=True)
    name, start = next(iter(parts.items()))
    size = os.path.getsize(images / name)
    subprocess.run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", target],
                   input=f"label: dos\nstart={start // 512}, size={size // 512}, type=83\n",
                   text=True, check=True, stdout=subprocess.DEVNULL)
    return target


def test_verdicts_rehearsals_and_an_untouched_image(images, tmp_path):
    """Partitions that the kernel sees, and ranges that only Glovebox does; nothing is written."""
    parts = {"ext4-unattached": 2 * MIB, "ext4-dirty": 100 * MIB, "xfs-dirty": 200 * MIB,
             "fat32-lost-chain": 520 * MIB}
    disk = placed(images, tmp_path / "disk", parts)
    os.chmod(disk, 0o400)
    before = digest(disk)
    types = {"ext4": "ext4", "xfs": "xfs", "fat32": "vfat"}
    asked = [f"{types[name.split('-')[0]]}@{start}+{os.path.getsize(images / name)}:{disk}"
             for name, start in parts.items()]
    reports = driven("--rehearse", *asked)
    assert [report["verdict"] for report in reports] == [
        "damaged", "clean-after-replay", "clean-after-replay", "damaged"]
    assert [report["dirty"] for report in reports] == [False, True, True, False]
    first, last = reports[0]["rehearsal"], reports[3]["rehearsal"]
    assert first["outcome"] == "fixed-with-losses" and first["moved"] == ["#12", "#14"]
    assert last["outcome"] == "fixed-with-losses" and last["moved_count"] == 0
    assert digest(disk) == before


def test_an_export_is_checked_like_a_file(images, tmp_path):
    socket = tmp_path / "nbd"
    image = images / "fat32-dirty"
    server = subprocess.Popen(["qemu-nbd", "-r", "-t", "-e", "0", "-A", "-f", "raw", "-k", socket,
                               image])
    try:
        while not socket.exists():
            assert server.poll() is None
        size = os.path.getsize(image)
        report, = driven("--nbd", f"vfat@0+{size}:{socket}")
        assert report["verdict"] == "clean" and report["dirty"]
    finally:
        server.terminate()
        server.wait()


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
