"""What the host sees of a run: what is opened, by whom, and the scripts around the program."""

import os
import re
import shutil
import subprocess

import pytest

import support
from support import GLOVEBOX, ROOT, ok, tool

OPENING = re.compile(r'open(?:at|at2)?\((?:AT_FDCWD|\d+[^,]*), "((?:[^"\\]|\\.)*)", (.*)')


def opened(tmp_path, *arguments):
    """(path, flags) of every file that a run opens, by strace."""
    trace = tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-f", "-s", "4096", "-e", "trace=open,openat,openat2,creat", "-o", trace,
         GLOVEBOX, *map(os.fspath, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    lines = trace.read_text().splitlines()
    return [match.groups() for match in map(OPENING.search, lines) if match]


@pytest.mark.parametrize(
    "arguments",
    [["disks"], ["ls", "-R"], ["find"], ["df"], ["cat", "/usr/lib/numbers"],
     ["extract", "/", "--to-tar", "-"]],
    ids=lambda arguments: arguments[0],
)
def test_nothing_but_the_audit_log_is_opened_for_writing(arguments, cloud, tmp_path):
    files = opened(tmp_path, arguments[0], cloud, *[a for a in arguments[1:] if a != "-R"])
    assert any(path.endswith("/disk") for path, _ in files)
    writing = [item for item in files if re.search(r"O_RDWR|O_WRONLY|O_CREAT", item[1])]
    assert [path for path, _ in writing if not path.startswith("/dev/")] == ["audit.jsonl"], writing


def test_each_container_is_opened_once(cloud, tmp_path):
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-y", "-s", "4096", "-e", "trace=open,openat,openat2", "-o", trace,
         GLOVEBOX, "cat", cloud, "/etc/fstab"],
        stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )
    # O_PATH only names a file; what is read is opened through that, and shown by its own path.
    found = re.findall(r"^.*\) = \d+<(.*)>$", trace.read_text(), re.M)
    named = re.findall(r"^.*O_PATH.*\) = \d+<(.*)>$", trace.read_text(), re.M)
    for path in named:
        found.remove(path)
    paths = [path for path in found if "/_base/" in path or path.endswith("/disk")]
    assert len(paths) == len(set(paths)) == 2, paths


@pytest.mark.needs_root
def test_no_root_is_needed_for_an_image_that_one_can_read(fixtures, tmp_path):
    # A place that nobody can reach, with what is below it.
    place = tmp_path / "open"
    image = fixtures.copy("qcow2-kinds/zlib", place / "disk")
    program = shutil.copy(GLOVEBOX, place / "glovebox")
    for path in (image, place):
        os.chmod(path, 0o755)
    for parent in place.parents:
        if parent.stat().st_mode & 0o001 == 0:
            os.chmod(parent, parent.stat().st_mode | 0o001)
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    assert tool(*user, program, "cat", image, "/etc/hostname") == b"web-1\n"
    tar = tool(*user, program, "extract", image, "/", "--to-tar", "-")
    assert support.archived(tar)[b"/etc/shadow"].mode == 0o640
    os.chmod(image, 0o600)
    done = subprocess.run([*user, program, "ls", image], capture_output=True)
    assert done.returncode == support.DAMAGED and b"ermission" in done.stderr, done


def test_find_swift_passes_over_what_is_no_compiler(tmp_path):
    client = tmp_path / "swift"
    client.write_text("#!/bin/sh\necho python-swiftclient 4.1.0\n")
    client.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    found = tool(ROOT / "Scripts/find-swift", env={**os.environ, "PATH": path})
    assert b"Swift version" in tool(found.decode().strip(), "--version")
    done = subprocess.run(
        [ROOT / "Scripts/find-swift"], env={**os.environ, "SWIFT": str(client)}, capture_output=True
    )
    assert done.returncode == 1 and b"not a Swift compiler" in done.stderr and not done.stdout


def test_what_is_installed_already_is_left_alone():
    assert tool(ROOT / "Scripts/install-packages", "demo") == b""
    done = subprocess.run([ROOT / "Scripts/install-packages", "nonsense"], capture_output=True)
    assert done.returncode == 2


def test_make_installs_and_uninstalls(tmp_path):
    release = ROOT / ".build/release"
    programs = [release / "glovebox", release / "glovebox-engine"]
    if not all(map(os.path.exists, programs)) or support.sha256(programs[0]) != support.sha256(GLOVEBOX):
        # What is installed is what stands at the usual place.
        return
    where = ["-C", ROOT, f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    tool("make", "install", *where)
    assert tool(tmp_path / "usr/bin/glovebox", "--version") == ok("--version").out
    engine = tmp_path / "usr/libexec/glovebox/glovebox-engine"
    assert b"not by hand" in subprocess.run([engine], capture_output=True).stderr
    units = tmp_path / "usr/lib/systemd/system"
    service = (units / "glovebox-recover.service").read_text()
    assert "ExecStart=/usr/bin/glovebox recover --quiet" in service and "@" not in service
    assert "ReadWritePaths=-/var/lib/glovebox" in service
    assert "OnBootSec" in (units / "glovebox-recover.timer").read_text()
    tool("make", "uninstall", *where)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_make_alone_says_what_there_is():
    text = tool("make", "-C", ROOT).decode()
    for target in ("demo", "test", "build", "install", "soak", "bench", "fuzz", "format-check"):
        assert re.search(rf"make {target}\b", text), target


def test_the_demo_runs_without_a_terminal(tmp_path):
    done = subprocess.run(
        [ROOT / "Scripts/demo"], env={**os.environ, "GLOVEBOX": GLOVEBOX, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL, capture_output=True,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    assert b"the same before and after" in done.stdout and b"\x1b" not in done.stdout
    assert not list(tmp_path.iterdir())
