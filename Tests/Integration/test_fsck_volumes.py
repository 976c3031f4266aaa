"""Checks of file systems that lie in other volumes or over several disks, and what only a journal has.

Every run of the program that needs the engine is a launch; so each test asks for much.
"""

import contextlib
import fcntl
import os
import pathlib
import pty
import select
import subprocess
import termios
import time

import pytest

import support
from support import DAMAGED, DONE, ROOT, mounted, run, sha256

LONG = 1800
KEYS = ("open sesame", "of the group")
ENGINE = pathlib.Path(support.GLOVEBOX).parent / "glovebox-engine"

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not os.access(ENGINE, os.X_OK), reason="glovebox-engine is not built"),
    pytest.mark.xdist_group("fsck-volumes"),
]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """The instances; in the end none of their disks may have changed."""
    directory = tmp_path_factory.mktemp("fsck-volumes")
    subprocess.run([ROOT / "Fixtures/fsck/volumes", directory], check=True)
    before = digests(directory)
    yield directory
    assert digests(directory) == before


def digests(directory):
    return {path: sha256(path) for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    options = []
    for index, key in enumerate(KEYS):
        file = tmp_path_factory.mktemp("keys") / str(index)
        file.write_text(key + "\n" * index)
        options += ["--key-file", file]
    return options


def reports(result):
    return {report["volume"]: report for report in result.document["volumes"]}


def test_volumes_within_others_are_checked_and_repairs_rehearsed(volumes, keys):
    """LVM, LUKS, LVM in LUKS, an array, btrfs over two disks: one launch, and one for rehearsals."""
    result = run("fsck", "--json", "--rehearse", *keys, volumes / "layers", timeout=LONG)
    assert result.code == 1, result
    found = reports(result)
    assert {name: (report["type"], report["verdict"]) for name, report in found.items()
            if "checked_as" not in report and report["type"]} == {
        "disk:vg/root": ("xfs", "clean-after-replay"),
        "disk:vg/var-log": ("ext4", "clean-after-replay"),
        "disk:p3.luks": ("ext4", "damaged"),
        "disk:inner/deep": ("ext4", "clean-after-replay"),
        "disk.eph0:md127": ("ext4", "damaged"),
        "disk.eph1:": ("btrfs", "clean"),
        "disk.eph3:": ("btrfs", "damaged"),
    }
    assert {name: report["checked_as"] for name, report in found.items()
            if "checked_as" in report} == {
        "disk:p2": ["disk:vg/root", "disk:vg/var-log"],
        "disk:p3": ["disk:p3.luks"],
        "disk:p4": ["disk:p4.luks"],
        "disk:p4.luks": ["disk:inner/deep"],
        "disk.eph0:p1": ["disk.eph0:md127"],
        "disk.eph0:p2": ["disk.eph0:md127"],
        "disk.eph2:": ["disk.eph1:"],
        "disk.eph4:": ["disk.eph3:"],
    }
    assert found["disk.eph1:"]["devices"] == found["disk.eph4:"]["devices"] == 2
    rehearsals = {name: report["rehearsal"] for name, report in found.items()
                  if "rehearsal" in report}
    assert set(rehearsals) == {"disk:p3.luks", "disk.eph0:md127", "disk.eph3:"}
    assert rehearsals["disk:p3.luks"]["outcome"] == "fixed-with-losses"
    assert rehearsals["disk:p3.luks"]["moved"] == ["#12", "#14"]
    assert rehearsals["disk.eph0:md127"]["outcome"] == "fixed"
    # Only a scrub over both devices writes the bad copy anew.
    assert rehearsals["disk.eph3:"]["outcome"] == "fixed"
    for key in KEYS:
        assert key.encode() not in result.out + result.err


def test_what_is_missing_is_named_and_hides_nothing_else(volumes):
    """One of two disks: a btrfs cannot be checked, an array can, of a group what lies on it whole."""
    result = run("fsck", "--json", volumes / "parts", timeout=LONG)
    assert result.code == 1, result
    found = reports(result)
    verdicts = {name: report["verdict"] for name, report in found.items()
                if "checked_as" not in report}
    assert verdicts == {
        "disk:": "not-checkable",
        "disk.eph0:half/torn": "not-checkable",
        "disk.eph0:half/whole": "clean-after-replay",
        "disk.eph1:md127": "damaged",
        "disk.eph2:": "not-checkable",
    }
    assert "It spans 2 devices, and device 2 is missing." in found["disk:"]["reason"]
    assert "missing" in found["disk.eph0:half/torn"]["reason"]
    assert found["disk.eph0:"]["checked_as"] == ["disk.eph0:half/torn", "disk.eph0:half/whole"]
    assert "--key-file" in found["disk.eph2:"]["reason"]
    assert all(found[name]["checkable"] for name in verdicts)


def test_a_closed_volume_starts_nothing_and_says_how_to_open_it(volumes):
    result = run("fsck", volumes / "closed")
    assert result.code == DAMAGED, result
    assert b"--key-file" in result.out and b"closed:luks" in result.out
    assert b"appliance" not in result.err


@contextlib.contextmanager
def terminal(*arguments):
    """Runs glovebox at a terminal of its own, with pipes for its output."""
    leader, follower = pty.openpty()

    def sit_down():
        os.setsid()
        fcntl.ioctl(follower, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [support.GLOVEBOX, *map(os.fspath, arguments)], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=sit_down,
    )
    os.close(follower)
    try:
        yield process, leader
    finally:
        process.kill()
        process.wait(30)
        os.close(leader)


def answer(leader, prompt, line):
    """Waits for the prompt on the terminal, and types a line; gives what stood there."""
    shown = b""
    end = time.monotonic() + LONG
    while not shown.endswith(prompt):
        ready, _, _ = select.select([leader], [], [], max(0, end - time.monotonic()))
        assert ready, shown
        shown += os.read(leader, 4096)
    # Nobody may read along.
    assert not termios.tcgetattr(leader)[3] & termios.ECHO
    os.write(leader, line + b"\n")
    return shown


def rest(leader):
    shown = b""
    while select.select([leader], [], [], 0)[0]:
        try:
            shown += os.read(leader, 4096)
        except OSError:
            break
    return shown


def test_a_passphrase_is_asked_for_again_after_a_wrong_one(volumes):
    """What it opens needs its journal: the file's name stands there alone."""
    prompt = b"Passphrase of closed:: "
    with terminal("cat", volumes / "closed", "closed:luks:/etc/moved") as (process, leader):
        shown = answer(leader, prompt, b"not this one")
        shown += answer(leader, prompt, KEYS[0].encode())
        out, err = process.communicate(timeout=LONG)
        shown += rest(leader)
    assert process.returncode == DONE, err
    assert out == b"file 1\nfile 1\n"
    assert KEYS[0].encode() not in shown + err and b"not this one" not in shown + err


def test_no_passphrase_leaves_the_volume_unchecked(volumes):
    with terminal("fsck", volumes / "closed", "closed:") as (process, leader):
        for _ in range(3):
            answer(leader, b"Passphrase of closed:: ", b"not this one")
        out, err = process.communicate(timeout=LONG)
    assert process.returncode == DAMAGED, err
    assert b"--key-file" in out and b"not this one" not in out + err


def test_a_guest_on_btrfs_shows_what_only_its_journals_have(volumes):
    """The root is a subvolume by the guest's fstab, its log tree not replayed; nor is the XFS's."""
    guest = volumes / "guest"
    result = run("cat", "--verbose", guest, "/etc/hostname", "/etc/only-in-log", "/home/note",
                 "disk.eph0::/etc/moved", timeout=LONG)
    assert result.code == DONE, result
    assert result.out == b"web-1\nwritten and synced\nof the home\nfile 1\nfile 1\n"
    for disk in (b"disk:", b"disk.eph0:"):
        assert disk + b": journal replayed by the appliance, into a throw-away layer" in result.err
    with mounted(guest / "disk", options="ro,rescue=nologreplay") as root:
        assert os.path.exists(root + b"/@/etc/hostname")
        assert not os.path.exists(root + b"/@/etc/only-in-log")
    with mounted(guest / "disk.eph0", options="ro,norecovery") as root:
        assert os.path.exists(root + b"/etc/hosts") and not os.path.exists(root + b"/etc/moved")
