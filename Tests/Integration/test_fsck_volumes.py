"""Checks of file systems that lie in other volumes or over several disks, and what only a journal has.

Every run of the program that needs the engine is a launch; so each test asks for much.
"""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time

import pytest

import support
from support import DAMAGED, DONE, ROOT, mounted, run

LONG = 1800
KEYS = ("open sesame", "of the group")
ENGINE = support.ENGINE

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
    before = states(directory)
    yield directory
    assert states(directory) == before


def states(directory):
    """Size and times of all files: no write leaves the time of change as it was."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns, path.stat().st_ctime_ns)
            for path in files}


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
        "disk:vg/nested": ("partition_table", "not-checkable"),
        "disk:p3.luks": ("ext4", "damaged"),
        "disk:inner/deep": ("ext4", "clean-after-replay"),
        "disk.eph0:md127": ("ext4", "damaged"),
        "disk.eph1:": ("btrfs", "clean"),
        "disk.eph3:": ("btrfs", "damaged"),
    }
    assert {name: report["checked_as"] for name, report in found.items()
            if "checked_as" in report} == {
        "disk:p2": ["disk:vg/nested", "disk:vg/root", "disk:vg/var-log"],
        "disk:p3": ["disk:p3.luks"],
        "disk:p4": ["disk:p4.luks"],
        "disk:p4.luks": ["disk:inner/deep"],
        "disk.eph0:p1": ["disk.eph0:md127"],
        "disk.eph0:p2": ["disk.eph0:md127"],
        "disk.eph2:": ["disk.eph1:"],
        "disk.eph4:": ["disk.eph3:"],
    }
    assert found["disk:vg/nested"]["checkable"]
    assert found["disk.eph1:"]["devices"] == found["disk.eph4:"]["devices"] == 2
    rehearsals = {name: report["rehearsal"] for name, report in found.items()
                  if "rehearsal" in report}
    # Of the btrfs, only a scrub over both devices writes the bad copy anew.
    assert {name: rehearsal["outcome"] for name, rehearsal in rehearsals.items()} == {
        "disk:p3.luks": "fixed-with-losses",
        "disk.eph0:md127": "fixed",
        "disk.eph3:": "fixed",
    }
    assert rehearsals["disk:p3.luks"]["moved"] == ["#12", "#14"]
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
    result = run("fsck", "--format", "raw", volumes / "closed")
    assert result.code == DAMAGED, result
    assert b"--key-file" in result.out and b"closed:luks" in result.out
    assert b"appliance" not in result.err


class Terminal:
    """Runs glovebox at a terminal of its own, with pipes for its output; used as a context."""

    def __init__(self, *arguments):
        self.shown = b""
        # The program opens its end when it asks: without another one, reading would fail till then.
        self.leader, self.follower = pty.openpty()
        self.process = subprocess.Popen(
            [support.GLOVEBOX, *map(os.fspath, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=self.sit_down,
        )

    def sit_down(self):
        support.attend_signals()
        os.setsid()
        fcntl.ioctl(self.follower, termios.TIOCSCTTY, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        os.close(self.leader)
        os.close(self.follower)

    def answer(self, prompt, line):
        """Waits for a prompt that stands at the end, and types a line."""
        end = time.monotonic() + LONG
        while not self.shown.endswith(prompt):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, self.shown
            if select.select([self.leader], [], [], 1)[0]:
                self.shown += os.read(self.leader, 4096)
        # Nobody may read along.
        assert not termios.tcgetattr(self.leader)[3] & termios.ECHO
        self.shown += b"<"
        os.write(self.leader, line + b"\n")

    def finish(self):
        """Its exit code, and all that it said: standard output, standard error, the terminal."""
        out, err = self.process.communicate(timeout=LONG)
        while select.select([self.leader], [], [], 0)[0]:
            self.shown += os.read(self.leader, 4096)
        return self.process.returncode, out, err, self.shown


def test_a_passphrase_is_asked_for_again_after_a_wrong_one(volumes):
    """What it opens needs its journal: the file's name stands there alone."""
    command = ("cat", "--format", "raw", volumes / "closed", "closed:luks:/etc/moved")
    with Terminal(*command) as terminal:
        terminal.answer(b"Passphrase of closed:: ", b"not this one")
        terminal.answer(b"Passphrase of closed:: ", KEYS[0].encode())
        code, out, err, shown = terminal.finish()
    assert code == DONE, err
    assert out == b"file 1\nfile 1\n"
    assert KEYS[0].encode() not in shown + err and b"not this one" not in shown + err


def test_no_passphrase_leaves_the_volume_unchecked(volumes):
    command = ("fsck", "--format", "raw", volumes / "closed", "closed:")
    with Terminal(*command) as terminal:
        for _ in range(3):
            terminal.answer(b"Passphrase of closed:: ", b"not this one")
        code, out, err, shown = terminal.finish()
    assert code == DAMAGED, err
    assert b"--key-file" in out and b"not this one" not in out + err + shown


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
