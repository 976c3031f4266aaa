"""Runs of the program on a live guest that are killed, and what has to be right afterwards."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time

import pytest

import support
from kill_cases import MODES, Process, child
from lab import wait_until

NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
CUSTODY_ENGINE = pathlib.Path(
    os.environ.get("GLOVEBOX_CUSTODY_ENGINE") or support.ROOT / ".build/debug/custody-engine")
# libvirt 9 says so of a guest, for ever, when it was killed while it began a backup; QEMU itself
# has no job, and goes on.
LOST_TRACK = "backup job data missing"
# So many guests are at it at once.
GUESTS = 4
# How soon the instance is given back, whatever was killed.
SECONDS_MAX = 5
# After that a run hangs.
PATIENCE = 60


class Ward:
    """A guest with an installation of its own, among whose sessions are no other guest's."""

    def __init__(self, guest):
        self.guest = guest
        self.prefix = pathlib.Path(tempfile.mkdtemp(prefix="gbward", dir="/tmp"))
        self.prefix.chmod(0o755)
        self.engines = self.prefix / "libexec/glovebox"
        self.state_directory = self.prefix / "var/lib/glovebox"
        for source, place in ((support.GLOVEBOX, self.prefix / "bin"),
                              (support.ENGINE, self.engines), (CUSTODY_ENGINE, self.engines)):
            place.mkdir(parents=True, exist_ok=True)
            if os.access(source, os.X_OK):
                shutil.copy(source, place)
        self.glovebox = self.prefix / "bin/glovebox"
        self.directory = self.prefix / "run"
        self.survivors = []
        # Whether libvirt has lost track of it.
        self.is_spoilt = False
        # When an operator's recovery began, if there was one.
        self.recovered = 0

    def be_ready(self):
        """Runs, writes, and is nobody's whose approval is needed."""
        self.guest.be_running()
        self.guest.virsh("metadata", NOVA, "--remove", "--live", "--config", check=False)
        self.id = self.guest.id
        self.files = sorted(os.listdir(self.guest.directory))

    def be_unspoilt(self):
        """Starts it anew where libvirt has lost track of it; libvirtd as well, which else forgets
        nothing."""
        if self.is_spoilt:
            self.guest.destroy()
            self.guest.lab.restart_libvirtd()
            self.is_spoilt = False
            self.be_ready()

    def close(self):
        self.be_right()
        if self.guest.state() != "shut off":
            self.guest.destroy()
        shutil.rmtree(self.prefix)

    # What is run

    def run(self, *arguments):
        """A run of the program to its end, as an operator types it."""
        return subprocess.run([self.glovebox, *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def start(self, case, probed=True):
        """Starts the run of a case; `probed`, it notes its points and stops at that of the case."""
        if case.mode == "as-found" and self.guest.state() == "running":
            self.guest.suspend()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        self.recovered = 0
        (self.directory / "stop").write_text(case.point)
        # What stands in the program's environment is not the custodian's.
        engine = self.directory / "engine"
        engine.write_text(f'#!/bin/sh\nGLOVEBOX_PROBE={self.directory} '
                          f'exec {self.engines}/custody-engine "$@"\n')
        engine.chmod(0o755)
        archive = self.directory / "files.tar"
        command = {"cat": ["cat"], "extract": ["extract", "--to-tar", archive]}[case.command]
        path = {"cat": "disk:p1:/etc/hostname", "extract": "disk:p1:/"}[case.command]
        with open(self.directory / "out", "wb") as out, open(self.directory / "err", "wb") as err:
            self.started = time.monotonic()
            self.tool = subprocess.Popen(
                [self.glovebox, *command, "--connect", self.guest.lab.uri,
                 "--engine-path", engine if probed else self.engines / "glovebox-engine",
                 *MODES[case.mode], f"domain:{self.guest.name}", path],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
                preexec_fn=support.attend_signals)

    @property
    def reached(self):
        """The points so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "reached").read_text().split()
        return []

    def go_on(self):
        (self.directory / "go").touch()

    def wait_for(self, case):
        """Waits until the custodian has stopped at the point of the case."""
        end = time.monotonic() + PATIENCE
        while self.reached[-1:] != [case.point]:
            assert self.tool.poll() is None, f"it ended with {self.tool.returncode}: {self.said}"
            assert time.monotonic() < end, f"it never came to its point, but to {self.reached}"
            time.sleep(0.005)
        state = self.guest.state()
        paused = case.is_held or case.mode == "as-found"
        assert state == ("paused" if paused else "running"), f"it was {state} at its point"

    @property
    def said(self):
        return (self.directory / "err").read_text()

    @contextlib.contextmanager
    def stopped_qemu(self):
        """The guest's QEMU answers nobody meanwhile."""
        place = self.guest.lab.directory / f"host/run/libvirt/qemu/{self.guest.name}.pid"
        qemu = Process(int(place.read_text()))
        signal.pidfd_send_signal(qemu.handle, signal.SIGSTOP)
        try:
            yield
        finally:
            signal.pidfd_send_signal(qemu.handle, signal.SIGCONT)
            qemu.close()

    def is_at_work_in_libvirt(self):
        """Whether libvirt carries out a call."""
        return self.guest.virsh("domcontrol") != "ok"

    def kill(self, case):
        """Kills whom the case names; gives the moment, and remembers who is still at work."""
        custodian = child(self.tool.pid)
        assert custodian or not case.point, "there is no custodian"
        victims = {"tool": self.tool, "custodian": custodian}
        # The program first: it has no moment to see that its custodian has gone.
        moment = time.monotonic()
        for name, victim in victims.items():
            if name in case.victims and victim:
                victim.kill()
        self.go_on()
        if custodian:
            self.survivors.append(custodian)
        return moment

    # What comes of it

    def is_whole(self, case):
        """Whether what it wrote is all that it was to read."""
        if case.command == "cat":
            return (self.directory / "out").read_bytes() == b"web-1\n"
        with tarfile.open(self.directory / "files.tar") as archive:
            names = archive.getnames()
        return any(name.endswith("etc/hostname") for name in names)

    def finish(self, case, since):
        """Waits until everybody has ended and the guest is as it has to be; notes how long that
        took, where it was paused."""
        wanted = "paused" if case.mode == "as-found" else "running"
        disturbed, back = case.is_held, None
        while True:
            at_work = self.at_work()
            state = self.guest.virsh("domstate", check=False).stdout.strip()
            now = time.monotonic()
            if state != wanted:
                disturbed, back = True, None
            elif back is None:
                back = now
            if back and not at_work:
                break
            if now - since > PATIENCE:
                case.problems.append(f"after {PATIENCE} s: {state}, {at_work} at work")
                return
            time.sleep(0.01)
        if disturbed and wanted == "paused":
            case.problems.append("somebody else's pause was ended")
        if disturbed:
            case.seconds = back - since
            if case.seconds > SECONDS_MAX:
                case.problems.append(f"it ran after {case.seconds:.1f} s only")

    def at_work(self):
        """Whoever of this run has not ended."""
        return [name for name, has_ended in (
            ("glovebox", self.tool.poll() is not None),
            ("custodian", all(process.has_ended for process in self.survivors)),
        ) if not has_ended]

    def recover(self, case):
        """One `glovebox recover`, after which it has to run."""
        since = self.recovered = time.monotonic()
        done = self.run("recover", "--connect", self.guest.lab.uri)
        if done.returncode:
            case.problems.append(f"recover: {done.returncode} {done.stdout} {done.stderr}")
        self.finish(case, since)

    def kill_recovery(self, seconds):
        """A `glovebox recover` that is killed after so long, with all that it started."""
        recovery = subprocess.Popen(
            [self.glovebox, "recover", "--connect", self.guest.lab.uri], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        custodian = child(recovery.pid)
        recovery.kill()
        if custodian:
            custodian.kill()
            wait_until(lambda: custodian.has_ended, "the custodian has ended", 10)
            custodian.close()
        recovery.wait()

    def check(self, case):
        """Nothing is left, and the program ended as it should."""
        case.code = self.tool.wait()
        problem = case.problems.append
        try:
            wait_until(lambda: not self.processes(), "no process of ours", 10)
        except AssertionError:
            problem(f"processes are left: {self.processes()}")
        held = self.run("sessions", "--held")
        if held.returncode or len(held.stdout.splitlines()) != 1:
            problem(f"sessions are left: {held.stdout} {held.stderr}")
        unsound = [row["state"] for row in self.sessions() if row["state"] != "ended"]
        if unsound:
            problem(f"sessions are {unsound}")
        exports = self.state_directory / "exports"
        if exports.exists() and any(exports.iterdir()):
            problem(f"exports are left: {list(exports.rglob('*'))}")
        sockets = [path for path in self.prefix.rglob("*") if path.is_socket()]
        if sockets:
            problem(f"sockets are left: {sockets}")
        job = self.guest.virsh("domjobinfo", check=False)
        self.is_spoilt = LOST_TRACK in job.stderr
        if not self.is_spoilt and "None" not in job.stdout:
            problem(f"a job is left: {job.stdout} {job.stderr}")
        if sorted(os.listdir(self.guest.directory)) != self.files:
            problem(f"files are left: {os.listdir(self.guest.directory)}")
        if self.guest.id != self.id:
            problem("the guest was restarted")
        if case.mode == "as-found":
            if (self.guest.state(), self.guest.reason) != ("paused", "user"):
                problem(f"it is {self.guest.state()} ({self.guest.reason})")
            else:
                self.guest.resume()
                if self.guest.state() != "running":
                    problem("its operator could not resume it")
        if case.problems:
            case.problems.append(f"it said {self.said!r}")
            self.be_right()
        for process in self.survivors:
            process.close()
        self.survivors = []

    def processes(self):
        """{process: program} of this installation."""
        found = {}
        for process in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                words = pathlib.Path("/proc", process, "cmdline").read_bytes()
                program = os.readlink(f"/proc/{process}/exe")
                is_ours = pathlib.Path(program).is_relative_to(self.prefix)
                if is_ours or b"qemu-nbd" in words and os.fsencode(self.prefix) in words:
                    found[int(process)] = program
        return found

    def sessions(self):
        """What `glovebox sessions --json` says, the last first or last, as it comes."""
        said = self.run("sessions", "--json")
        assert said.returncode == 0, said.stderr
        return [json.loads(line) for line in said.stdout.splitlines()]

    def be_right(self):
        """Ends what a failed case left, so that the next one is about itself."""
        for process in self.processes():
            with contextlib.suppress(OSError):
                handle = Process(process)
                if process in self.processes():
                    handle.kill()
                handle.close()
        self.run("recover", "--connect", self.guest.lab.uri)
        self.guest.virsh("domjobabort", check=False)
        if self.guest.state() == "paused":
            self.guest.resume()

    def disks_are_sound(self):
        """The guest goes on writing, and between two of its writes the images are in order."""
        assert self.guest.is_writing(30), f"{self.guest.name} has stopped writing"
        self.guest.suspend()
        for disk in self.guest.disks.values():
            support.tool("qemu-img", "check", "-U", disk)
        self.guest.resume()


def each(function, things):
    """Does it with all of them at once."""
    with concurrent.futures.ThreadPoolExecutor(len(things)) as threads:
        return list(threads.map(function, things))


def with_problems(function, ward, case, *arguments):
    """What fails on the way is the case's, and the others go on."""
    try:
        return function(ward, case, *arguments)
    except Exception as error:  # noqa: BLE001
        case.problems.append(f"{type(error).__name__}: {error}")
        ward.be_right()
        return None


@pytest.fixture(scope="module")
def wards(lab):
    """Guests that run, each with an installation of its own."""
    made = [Ward(lab.guest(f"instance-000000a{number}")) for number in range(GUESTS)]
    try:
        each(Ward.be_ready, made)
        yield made
    finally:
        each(Ward.close, made)
