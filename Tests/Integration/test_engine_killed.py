"""Whatever of the running engine is killed, at whatever moment: a sentence, and nothing is left."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import support
from support import DAMAGED, INTERRUPTED, tool

ENGINE = support.ENGINE
MOMENTS = 20 if support.SOAK else 1
# With KVM that works the appliance is up in three seconds; without, in twenty.
LATEST = 30

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not os.access(ENGINE, os.X_OK), reason="glovebox-engine is not built"),
    pytest.mark.xdist_group("killed"),
]

VICTIMS = {
    "front": "",
    "guardian": "glovebox-engine guardian",
    "worker": "glovebox-engine worker",
    "server": "qemu-nbd",
    "appliance": "-kernel",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """XFS with a file that takes minutes to read, though nothing of it is stored."""
    directory = tmp_path_factory.mktemp("killed")
    path, point = directory / "disk", directory / "mounted"
    path.touch()
    os.truncate(path, 320 << 20)
    tool("mkfs.xfs", "-q", path)
    point.mkdir()
    tool("mount", "-o", "loop", path, point)
    (point / "long").touch()
    os.truncate(point / "long", 64 << 30)
    tool("umount", point)
    return path


class Reading:
    """`glovebox cat` of the long file, with helpers that can be told from all others."""

    def __init__(self, image, directory):
        self.image = str(image)
        self.engine = directory / "glovebox-engine"
        if not self.engine.exists():
            shutil.copy(ENGINE, self.engine)
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="gb", dir="/tmp"))
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [support.GLOVEBOX, "cat", "--engine-path", self.engine, image, f"{image.name}::/long"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.place)}, start_new_session=True,
            preexec_fn=support.attend_signals,
        )

    def helpers(self):
        """{process: command} of all that works for this front, however it is called."""
        found = {}
        for process in filter(str.isdigit, os.listdir("/proc")):
            place = pathlib.Path("/proc", process)
            try:
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if self.is_ours(place) and int(process) != self.process.pid:
                    found[int(process)] = command
            except OSError:
                continue
        return found

    def is_ours(self, place):
        if os.readlink(place / "exe") == str(self.engine):
            return True
        if str(self.place).encode() in (place / "environ").read_bytes():
            return True
        return any(os.readlink(file) == self.image for file in (place / "fd").iterdir())

    def victim(self, name):
        """The process to kill, once it is there."""
        if name == "front":
            return self.process.pid
        while time.monotonic() - self.started < 120:
            for process, command in self.helpers().items():
                if VICTIMS[name] in command:
                    return process
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.02)
        raise AssertionError(f"no {name} among {self.helpers()}")

    def finish(self):
        code = self.process.wait(30)
        return code, self.process.stderr.read().decode()

    def nothing_is_left(self):
        end = time.monotonic() + 5
        while self.helpers() or any(self.place.iterdir()):
            assert time.monotonic() < end, (self.helpers(), list(self.place.rglob("*")))
            time.sleep(0.05)
        assert str(self.place) not in pathlib.Path("/proc/mounts").read_text()

    def close(self):
        for process in [*self.helpers(), self.process.pid]:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process.stderr.close()
        shutil.rmtree(self.place, ignore_errors=True)


@pytest.mark.parametrize("name", VICTIMS)
def test_nothing_is_left_when_it_is_killed(name, image, tmp_path):
    generator = random.Random(name)
    for _ in range(MOMENTS):
        reading = Reading(image, tmp_path)
        try:
            reading.victim(name)
            time.sleep(generator.uniform(0, LATEST))
            # A first appliance, with KVM that does not work, has gone by itself.
            os.kill(reading.victim(name), signal.SIGKILL)
            code, error = reading.finish()
            reading.nothing_is_left()
        finally:
            reading.close()
        if name == "front":
            assert code == -signal.SIGKILL
            continue
        assert code == DAMAGED, (code, error)
        assert error.splitlines()[-1].startswith("glovebox: ") and error.endswith("\n"), error


def test_nothing_is_left_of_what_is_interrupted(image, tmp_path):
    generator = random.Random(2)
    for _ in range(MOMENTS):
        reading = Reading(image, tmp_path)
        try:
            reading.victim("worker")
            time.sleep(generator.uniform(0, LATEST))
            os.killpg(reading.process.pid, signal.SIGINT)
            code, error = reading.finish()
            reading.nothing_is_left()
            assert code in (INTERRUPTED, -signal.SIGINT), (code, error)
        finally:
            reading.close()
