"""What machine, which versions: without them a number means nothing."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

VERSIONS = {
    "debugfs": ["debugfs", "-V"],
    "7z": ["7z"],
    "qemu-nbd": ["qemu-nbd", "--version"],
    "nbdfuse": ["nbdfuse", "--version"],
    "nbdkit": ["nbdkit", "--version"],
    "The Sleuth Kit": ["fls", "-V"],
    "sfdisk": ["sfdisk", "--version"],
    "tar": ["tar", "--version"],
    "dissect": ["target-fs", "--version"],
    "guestfish": ["guestfish", "--version"],
}


def facts(glovebox):
    versions = {"glovebox": first_line([glovebox, "--version"])}
    for name, command in VERSIONS.items():
        if line := first_line(command):
            versions[name] = line
    return {
        "date": now(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": distribution(),
        "kernel": platform.release().split("-")[0],
        "load_average_before": os.getloadavg()[0],
        "versions": versions,
    }


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def first_line(command):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError:
        return ""
    lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines()]
    return next((line for line in lines if line), "")


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def distribution():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
