"""A run of the program whose engine can be told from all others, to look for what is left of it."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import support

ENGINE = pathlib.Path(support.GLOVEBOX).parent / "glovebox-engine"

HELPERS = {
    "guardian": "glovebox-engine guardian",
    "worker": "glovebox-engine worker",
    "server": "qemu-nbd",
    "appliance": "-kernel",
}


class Running:
    """`glovebox COMMAND ARGUMENTS…` on these images, with a copy of the engine in `directory`."""

    def __init__(self, directory, images, command, *arguments, place=None):
        self.images = {str(image) for image in images}
        self.engine = directory / "glovebox-engine"
        if not self.engine.exists():
            shutil.copy(ENGINE, self.engine)
        self.place = place or pathlib.Path(tempfile.mkdtemp(prefix="gb", dir="/tmp"))
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [support.GLOVEBOX, command, "--engine-path", self.engine, *arguments],
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
        return any(os.readlink(file) in self.images for file in (place / "fd").iterdir())

    def helper(self, name):
        """The process of one of HELPERS, or of the front itself, once it is there."""
        if name == "front":
            return self.process.pid
        while time.monotonic() - self.started < 120:
            for process, command in self.helpers().items():
                if HELPERS[name] in command:
                    return process
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.02)
        raise AssertionError(f"no {name} among {self.helpers()}")

    def wait_until_it_says(self, text):
        """Reads what it says on standard error until a line has `text`."""
        said = b""
        for line in self.process.stderr:
            said += line
            if text in line:
                return
        raise AssertionError(f"it never said {text!r}: {said!r}")

    def finish(self):
        code = self.process.wait(30)
        return code, self.process.stderr.read().decode()

    def nothing_is_left(self, directory=True):
        end = time.monotonic() + 5
        while self.helpers() or directory and any(self.place.iterdir()):
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
