"""A guest of Fixtures/lab that is paused, and when QEMU says that it was."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

LAB = Path(__file__).resolve().parents[2] / "Fixtures/lab/lab"
UUID = "5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a01"
DOMAIN = "instance-00000001"
NOVA = "http://openstack.org/xmlns/libvirt/nova/1.1"
EVENT = re.compile(r"event (STOP|RESUME) at (\d+)\.(\d{6}) for domain")


class Failure(Exception):
    """What went wrong, for whoever called."""


class Lab:
    """The lab with one guest that runs; `close` takes it down, and so does the end of this process.

    It carries no metadata of Nova's, so that no approval is asked for.
    """

    def __init__(self, directory, load):
        self.directory = directory
        self.instance = directory / "instances" / UUID
        self.disk = self.instance / "disk"
        self.console = self.instance / "console.log"
        self.uri = self.run("up").strip()
        self.keeper = subprocess.Popen(
            [LAB, "keep", directory], stdin=subprocess.PIPE, start_new_session=True
        )
        try:
            self.run("define", UUID, DOMAIN, "--load", load)
            self.virsh("metadata", DOMAIN, NOVA, "--remove", "--config")
            self.run("start", DOMAIN)
        except BaseException:
            self.close()
            raise

    def run(self, command, *arguments):
        return self.ask([LAB, command, self.directory, *arguments])

    def virsh(self, *arguments):
        return self.ask(["virsh", "-q", "-c", self.uri, *arguments])

    def ask(self, words):
        # In a session of its own: what Ctrl-C ends is this program, which then cleans up.
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True
        )
        if done.returncode:
            raise Failure(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def facts(self):
        """The root partition's place, and the layers that it lies on."""
        information = ["qemu-img", "info", "-U", "--output=json", "--backing-chain", self.disk]
        layers = json.loads(self.ask(information))
        base = layers[-1]["filename"]
        table = json.loads(self.ask(["sfdisk", "--json", base]))["partitiontable"]
        nodes = (f"{base}1", f"{base}p1")
        root = next(part for part in table["partitions"] if part["node"] in nodes)
        return {
            "DISK": str(self.disk),
            "BASE": base,
            "DISK_BYTES": str(layers[0]["virtual-size"]),
            "START": str(root["start"] * table["sectorsize"]),
            "SIZE": str(root["size"] * table["sectorsize"]),
        }

    def versions(self):
        """Of libvirt and the hypervisor."""
        said = dict(line.split(":", 1) for line in self.virsh("version").splitlines() if ":" in line)
        return ", ".join(said[key].strip() for key in ("Using library", "Running hypervisor"))

    def close(self):
        # A second Ctrl-C is not to leave half of it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.run("down")
            self.keeper.stdin.close()
            self.keeper.wait(30)
        finally:
            signal.signal(signal.SIGINT, before)


class Pauses:
    """Every pause of the guest, by QEMU's own clock: its events STOP and RESUME.

    libvirt's lifecycle events tell the same later, when libvirtd has come to send them.
    """

    def __init__(self, lab):
        self.changed = threading.Condition()
        self.events = []
        words = ["virsh", "-c", lab.uri, "qemu-monitor-event", DOMAIN, "--loop"]
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if found := EVENT.match(line):
                moment = int(found[2]) * 1_000_000 + int(found[3])
                with self.changed:
                    self.events.append((found[1], moment))
                    self.changed.notify()

    def wait_until_listening(self, lab):
        """Suspends and resumes until that is heard, and nothing of it is still to come."""
        end = time.monotonic() + 20
        while not self.events:
            if time.monotonic() > end:
                raise Failure("virsh qemu-monitor-event tells nothing of a suspend")
            lab.virsh("suspend", DOMAIN)
            lab.virsh("resume", DOMAIN)
            time.sleep(0.2)
        time.sleep(1)
        self.forget()

    def forget(self):
        with self.changed:
            self.events.clear()

    def take(self, seconds=10):
        """For how long the guest was paused since `forget`, in seconds, and how often.

        Waits until it runs again.
        """
        with self.changed:
            self.changed.wait_for(
                lambda: self.events and self.events[-1][0] == "RESUME", timeout=seconds
            )
            events, self.events = self.events, []
        kinds = [kind for kind, _ in events]
        if not kinds or kinds != ["STOP", "RESUME"] * (len(kinds) // 2):
            raise Failure(f"QEMU told of {kinds or 'no pause'} during a run")
        moments = [moment for _, moment in events]
        return (sum(moments[1::2]) - sum(moments[::2])) / 1e6, len(events) // 2

    def close(self):
        self.process.terminate()
        self.process.wait(10)


def clean_up(directory):
    """Takes away what a script that was killed has left below its directory."""
    place = str(directory)
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        point = line.split()[1]
        if point.startswith(f"{place}/"):
            subprocess.run(["umount", "--lazy", point], stderr=subprocess.DEVNULL)
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            is_ours = file.read_text().startswith(f"{place}/")
        except OSError:
            continue
        if is_ours:
            subprocess.run(["losetup", "-d", f"/dev/{file.parts[3]}"], stderr=subprocess.DEVNULL)
    for file in directory.glob("*/pid"):
        end_by_number(file, place)


def end_by_number(file, place):
    """Ends the process of a pid file, if it still is the one that works below `place`."""
    try:
        pid = int(file.read_text())
        if place in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError):
        pass
