"""The engine as its users meet it: a front process that serves disks, and what is left of it."""

import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time

import support

BUILD = support.ROOT / ".build/debug"
DRIVER = pathlib.Path(os.environ.get("GLOVEBOX_ENGINE_DRIVER") or BUILD / "engine-driver")
ENGINE = DRIVER.parent / "glovebox-engine"


class Front:
    """A front process with an engine of its own, told from others by the path of its program."""

    def __init__(self, tmp_path, *disks, pause=False, user=(), driver=DRIVER, place=None):
        self.place = place or pathlib.Path(tempfile.mkdtemp(prefix="gb", dir="/tmp"))
        os.chmod(self.place, 0o777)
        self.engine = tmp_path / "glovebox-engine"
        if not self.engine.exists():
            # A copy and not a link: what a link resolves to is the same for all.
            self.engine.write_bytes(ENGINE.read_bytes())
            self.engine.chmod(0o755)
        self.images = {os.path.realpath(disk.split(":", 1)[1]) for disk in disks}
        self.process = subprocess.Popen(
            [*user, driver, "--engine", self.engine, *["--pause"] * pause, *disks],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.place)}, start_new_session=True,
            preexec_fn=support.attend_signals,
        )

    def line(self, seconds=60):
        """The next line that it says; None where it ends before."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        assert ready, "the front says nothing"
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ready(self):
        """Its exports, once they answer."""
        assert self.line() == {"attached": True}
        said = self.line()
        assert said, self.process.communicate()[1].decode()
        return said

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self):
        """Ends it in an orderly way."""
        self.say("end")
        return self.finish()

    def finish(self, seconds=20):
        """Waits for its end: its exit code, and what it says then. Its input stays open."""
        code = self.process.wait(seconds)
        return code, self.process.stderr.read().decode()

    def helpers(self):
        """{process: command} of all that runs of this engine."""
        found = {}
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                program = os.readlink(f"/proc/{process}/exe")
                if program == str(self.engine) or self.holds_image(process):
                    command = pathlib.Path(f"/proc/{process}/cmdline").read_bytes()
                    if int(process) != self.process.pid:
                        found[int(process)] = command.replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def holds_image(self, process):
        files = f"/proc/{process}/fd"
        return any(os.readlink(f"{files}/{file}") in self.images for file in os.listdir(files))

    def helper(self, part, seconds=5):
        """The process of the helper whose command has `part`; None where it does not come."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for process, command in self.helpers().items():
                if part in command:
                    return process
            if self.process.poll() is not None:
                return None
        return None

    def nothing_is_left(self, seconds=5, directory=True):
        """Fails where something is, after a while."""
        end = time.monotonic() + seconds
        while True:
            helpers = self.helpers()
            left = list(self.place.iterdir()) if directory else []
            if not helpers and not left:
                break
            assert time.monotonic() < end, (helpers, left)
            time.sleep(0.02)
        mounts = pathlib.Path("/proc/mounts").read_text()
        assert str(self.place) not in mounts

    def close(self):
        """What a failed test must not leave behind either."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        for process in self.helpers():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["rm", "-rf", self.place], check=True)


def content(export):
    """The bytes that an export serves, read by qemu-img."""
    with tempfile.NamedTemporaryFile() as out:
        support.tool(
            "qemu-img", "convert", "-f", "raw", "-O", "raw",
            f"nbd+unix:///?socket={export['socket']}", out.name,
        )
        return pathlib.Path(out.name).read_bytes()


def status(process):
    """/proc/PID/status as a dictionary."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)
