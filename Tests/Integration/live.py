"""An installation whose approvals allow to read live guests, and holds that last as one likes."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

import approvals
import support
from lab import wait_until

MARKER = "5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1aff"
EVENT = re.compile(r"^(\S+ \S+): event 'lifecycle' for domain '?([^':]+)'?: (.+)$", re.MULTILINE)
PATIENCE = 60
BALLAST_MIB = 40


class Site(approvals.Host):
    """A compute node: the programs in a prefix, a policy, keys, and approvals for its guests."""

    def __init__(self, lab):
        # QEMU, which is not root, has to get to the sockets of a point in time.
        directory = pathlib.Path(tempfile.mkdtemp(prefix="gbsite", dir="/tmp"))
        directory.chmod(0o755)
        self.lab = lab
        super().__init__(directory)
        engines = self.prefix / "libexec/glovebox"
        engines.mkdir(parents=True)
        self.engine = shutil.copy(support.ENGINE, engines)
        self.state = self.prefix / "var/lib/glovebox"
        self.holdings = []

    def _disks(self):
        """Those of the lab."""
        self.instances = self.lab.instances

    def paper(self, guest, **changes):
        """An approval of everything for a guest, or of less; made once."""
        digest = hashlib.sha256(repr(sorted(changes.items())).encode()).hexdigest()[:8]
        path = self.directory / f"{guest.uuid}-{digest}.json"
        if not path.exists():
            self.approve(path, **{"instance": guest.uuid, "scope": ["/", "*:*:/"], **changes})
        return path

    def words(self, command, guest, *arguments, paper=None, target=None):
        return [command, "--connect", self.lab.uri, "--approval", paper or self.paper(guest),
                target or f"domain:{guest.uuid}", *arguments]

    def read(self, command, guest, *arguments, **options):
        """`glovebox COMMAND domain:UUID ARGUMENTS…` to its end, with an approval."""
        return self.run(*self.words(command, guest, *arguments, **options))

    def hold(self, guest, *options, **changes):
        """A hold of the guest that lasts until its tar is read, and is under way."""
        holding = Holding(self, guest, *options, **changes)
        self.holdings.append(holding)
        return holding

    def recover(self, *arguments):
        return self.run("recover", "--connect", self.lab.uri, *arguments)

    def sessions(self, *arguments):
        """All of them, oldest first."""
        return self.ok("sessions", "--json", *arguments).lines

    def forget(self):
        """Every session, and what there may be of it, is gone."""
        for holding in self.holdings:
            holding.close()
        self.holdings.clear()
        for place in ("sessions", "exports"):
            shutil.rmtree(self.state / place, ignore_errors=True)

    def exports(self):
        """What lies where points in time are served."""
        place = self.state / "exports"
        return sorted(place.rglob("*")) if place.exists() else []

    def close(self):
        self.forget()
        shutil.rmtree(self.directory)


def add_ballast(guest):
    """Gives a guest that runs a disk `ballast`, with more than a run takes in before its tar is read."""
    if "ballast" in guest.virsh("domblklist"):
        return
    image = guest.directory / "ballast"
    if not image.exists():
        tree = guest.lab.directory / "ballast"
        if not tree.exists():
            tree.mkdir()
            for number in range(BALLAST_MIB):
                (tree / f"{number:02}").write_bytes(os.urandom(1 << 20))
        approvals.ext4(image, "ballast", tree, mebibytes=BALLAST_MIB + 16)
    guest.virsh("attach-disk", image, "vdz", "--live", "--subdriver", "raw")


class Holding:
    """`glovebox extract … --to-tar -` whose tar nobody reads: it reads the guest until `drain`."""

    def __init__(self, site, guest, *options, wait=True, stdin=subprocess.DEVNULL, **changes):
        self.site, self.guest = site, guest
        add_ballast(guest)
        before = {session["session"] for session in site.sessions()}
        words = site.words("extract", guest, "disk:p1:/usr", "disk:p1:/var", "ballast::/",
                           "--to-tar", "-", "--json", *options, **changes)
        self.process = subprocess.Popen(
            [site.program, *map(os.fspath, words)], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, preexec_fn=support.attend_signals)
        self.taken = {}
        if wait:
            self.session = wait_until(lambda: self.begun(before), "it is held", PATIENCE)

    def begun(self, before):
        """The session, as soon as its guest is being read."""
        assert self.process.poll() is None, self.finish()
        for session in self.site.sessions():
            steps = [step["step"] for step in session["steps"]]
            if session["session"] not in before and "mounted" in steps:
                return session["session"]
        return None

    @property
    def custodian(self):
        """The process that sees to the hold."""
        place = pathlib.Path(f"/proc/{self.process.pid}/task")
        found = " ".join((task / "children").read_text() for task in place.iterdir()).split()
        assert len(found) == 1, found
        command = pathlib.Path(f"/proc/{found[0]}/cmdline").read_bytes()
        assert b"custodian" in command, command
        return int(found[0])

    def record(self):
        """What is on record about it."""
        return next(each for each in self.site.sessions() if each["session"] == self.session)

    def steps(self):
        return [step["step"] for step in self.record()["steps"]]

    def send(self, sign):
        self.process.send_signal(sign)

    def drain(self):
        """Takes what it gives, from now on."""
        def take(name, pipe):
            self.taken[name] = pipe.read()
        self.threads = [threading.Thread(target=take, args=(name, pipe), daemon=True)
                        for name, pipe in (("out", self.process.stdout),
                                           ("err", self.process.stderr))]
        for thread in self.threads:
            thread.start()

    def finish(self, drain=True, seconds=PATIENCE):
        """How it ended: code, tar, and what it said."""
        if drain:
            self.drain()
        code = self.process.wait(seconds)
        if not drain:
            self.drain()
        for thread in self.threads:
            thread.join(10)
        return code, self.taken["out"], self.taken["err"].decode()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        # Its custodian ends by itself, and with it the session.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.site.sessions("--held"), "its custodian ends", 5)
        for pipe in (self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()


class Events:
    """What libvirt tells of all its domains, in order."""

    def __init__(self, lab):
        self.lab = lab
        self.file = tempfile.NamedTemporaryFile(prefix="gbevents")
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "virsh", "-c", lab.uri, "event", "--event", "lifecycle", "--loop",
             "--timestamp"], stdin=subprocess.DEVNULL, stdout=self.file, stderr=subprocess.STDOUT)
        self.marker = lab.directory / "marker.xml"
        self.marker.write_text(f"<domain type='qemu'><name>marker</name><uuid>{MARKER}</uuid>"
                               "<memory>1024</memory><os><type>hvm</type></os></domain>")
        self.seen = 0
        self.sync()

    def all(self):
        """[(when, domain, what)]."""
        text = pathlib.Path(self.file.name).read_text()
        return [(stamp, name, what) for stamp, name, what in EVENT.findall(text)]

    def marks(self):
        return sum(name == "marker" for _, name, _ in self.all())

    def sync(self):
        """Everything that has happened by now is told when this returns."""
        before = self.marks()
        for _ in range(100):
            self.lab.virsh("define", self.marker)
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                if self.marks() > before:
                    return
                time.sleep(0.01)
        raise AssertionError("libvirt tells nothing")

    def clear(self):
        self.sync()
        self.seen = len(self.all())

    def since(self, guest):
        """What happened to a guest since `clear`, such as ["Suspended Paused"]."""
        return [what for _, what in self.timed(guest)]

    def timed(self, guest):
        self.sync()
        return [(stamp, what) for stamp, name, what in self.all()[self.seen:] if name == guest.name]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.file.close()
        self.lab.virsh("undefine", "marker", check=False)


SUSPENDED, RESUMED = "Suspended Paused", "Resumed Unpaused"


@pytest.fixture(scope="session")
def live_site(lab):
    made = Site(lab)
    yield made
    made.close()


@pytest.fixture
def site(live_site):
    """The installation, in which nobody has held anything yet."""
    live_site.forget()
    yield live_site
    live_site.forget()


@pytest.fixture
def events(lab):
    told = Events(lab)
    told.clear()
    yield told
    told.close()
