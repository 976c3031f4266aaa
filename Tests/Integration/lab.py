"""A private libvirtd with guests that write to their disks: Fixtures/lab, as tests use it.

One lab serves all tests of a run; they carry `pytest.mark.xdist_group("live")`, so that one worker
has it to itself.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import uuid as uuids

import pytest

import support

PROGRAM = support.ROOT / "Fixtures/lab/lab"
FIRST = "5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a01"
FSYNCED = re.compile(rb"^FSYNCED (\S+) (\d+)\r?\n", re.MULTILINE)
ROOT_LOG, LOCAL_LOG = "disk:p1:/var/log/writer.log", "disk.local::/eph.log"


def lacking():
    """What this machine lacks for a lab, in a word; None where one can be had."""
    check = subprocess.run([PROGRAM, "check"], capture_output=True, text=True)
    return check.stderr.strip() or f"lab: {check.returncode}" if check.returncode else None


def wait_until(true, what, seconds=30):
    """Waits for what is to become true, and returns it."""
    end = time.monotonic() + seconds
    while not (now := true()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return now


class Lab:
    """The lab in a directory of its own; taken down by `close`, or when this process dies."""

    def __init__(self, directory=None, *options):
        # Short, for the sockets in it; and QEMU, which is not root, must get in.
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="gblab"))
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o755)
        self.instances = self.directory / "instances"
        self.guests = {}
        self.uri = self.run("up", *options).strip()
        self.keeper = subprocess.Popen([PROGRAM, "keep", self.directory], stdin=subprocess.PIPE,
                                       start_new_session=True)

    def run(self, command, *arguments):
        """`lab COMMAND DIRECTORY ARGUMENTS…`, which must succeed."""
        words = [PROGRAM, command, self.directory, *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def virsh(self, *arguments, check=True):
        """What virsh says; where `check` is off, all of the run."""
        words = ["virsh", "-q", "-c", self.uri, *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if not check:
            return done
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def kill_libvirtd(self):
        """By SIGKILL; guests run on."""
        self.run("kill-libvirtd")

    def start_libvirtd(self):
        self.run("start-libvirtd")

    def restart_libvirtd(self):
        """Killed by SIGKILL and started: it finds its guests again."""
        self.kill_libvirtd()
        self.start_libvirtd()

    def guest(self, name="instance-00000001", uuid=None, **options):
        """The guest of that name; made, but not started, where it is not there yet.

        Options are those of `lab define`: memory, load, base, cache, display.
        """
        if name not in self.guests:
            uuid = uuid or (FIRST if not self.guests else str(uuids.uuid4()))
            words = [word for key, value in options.items() for word in (f"--{key}", value)]
            self.run("define", uuid, name, *words)
            self.guests[name] = Guest(self, name, uuid)
        return self.guests[name]

    def close(self):
        self.run("down")
        self.keeper.stdin.close()
        self.keeper.wait(30)


class Guest:
    """A guest of a lab: what libvirt says of it, and what it says itself on its console."""

    def __init__(self, lab, name, uuid):
        self.lab, self.name, self.uuid = lab, name, uuid
        self.directory = lab.instances / uuid
        self.console = self.directory / "console.log"
        self.disks = {"disk": self.directory / "disk", "disk.local": self.directory / "disk.local"}

    def virsh(self, command, *arguments, check=True):
        return self.lab.virsh(command, self.uuid, *arguments, check=check)

    def state(self):
        return self.virsh("domstate")

    @property
    def reason(self):
        """Why it is in its state, as virsh has it: `user`, `migrating`, `I/O error` …"""
        return re.search(r"\((.*)\)", self.virsh("domstate", "--reason"))[1]

    @property
    def id(self):
        """The number of its run; None where it is shut off."""
        said = self.virsh("domid")
        return None if said == "-" else int(said)

    def fsynced(self):
        """{file as Glovebox names it: how many of its lines are certainly on the disk}."""
        said = self.console.read_bytes()
        return {name.decode(): int(number) for name, number in FSYNCED.findall(said)}

    def wait_booted(self):
        both = {ROOT_LOG, LOCAL_LOG}
        wait_until(lambda: both <= self.fsynced().keys(), "writes on both disks", 120)

    def is_writing(self, seconds=10):
        """Whether it goes on with both its files within so many seconds."""
        before = self.fsynced()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.fsynced()
            if all(now[name] > before[name] for name in (ROOT_LOG, LOCAL_LOG)):
                return True
            time.sleep(0.05)
        return False

    def start(self):
        self.lab.run("start", self.name)

    def suspend(self):
        self.virsh("suspend")

    def resume(self):
        self.virsh("resume")

    def destroy(self):
        self.virsh("destroy")

    def be_running(self):
        """Whatever a test before left it in."""
        if self.state() == "paused":
            self.virsh("domjobabort", check=False)
            self.resume()
        elif self.state() != "running":
            self.start()
        self.wait_booted()

    def chain(self):
        """Every file that its disks are made of, overlays before what they lie on."""
        return [pathlib.Path(layer["filename"])
                for disk in self.disks.values()
                for layer in json.loads(support.tool(
                    "qemu-img", "info", "-U", "--backing-chain", "--output=json", disk))]

    def digests(self, files=None):
        """{file: sha256} of the chain, or of some files: the same later, if the guest was held.

        The shared images are 1.4 GB of holes, which takes seconds.
        """
        return {path: file_digest(path) for path in files or self.chain()}


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="session")
def lab():
    if lacks := lacking():
        pytest.skip(lacks)
    started = Lab()
    yield started
    started.close()
    assert not os.path.exists(started.directory)


@pytest.fixture
def guest(lab):
    """A running guest that writes to both its disks."""
    found = lab.guest()
    found.be_running()
    return found
