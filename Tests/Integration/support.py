"""Runs the program, and looks at disks with foreign tools. Paths within a guest are bytes."""

import base64
import contextlib
import ctypes
import dataclasses
import datetime
import hashlib
import io
import json
import os
import pathlib
import resource
import stat
import signal
import subprocess
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLOVEBOX = os.path.abspath(os.environ.get("GLOVEBOX") or ROOT / ".build/release/glovebox")
SOAK = bool(os.environ.get("GLOVEBOX_SOAK"))
INSTANCE = "5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77"

DONE, USAGE, REFUSED, MISSING, DAMAGED, WRONG_STATE, INTERRUPTED = 0, 2, 3, 4, 5, 6, 130
DOCUMENTED = {DONE, 1, USAGE, REFUSED, MISSING, DAMAGED, WRONG_STATE, 7}

os.environ["PATH"] += ":/usr/sbin:/sbin"
# The judges speak C; the program is to be right under any locale.
os.environ["LC_ALL"] = "C.UTF-8"


@dataclasses.dataclass
class Result:
    """What a run of the program gave."""

    arguments: tuple
    code: int
    out: bytes
    err: bytes
    seconds: float = 0
    peak: int = 0

    @property
    def text(self):
        return self.out.decode()

    @property
    def lines(self):
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The error object that a failed run with --json leaves on standard error."""
        return json.loads(self.err.splitlines()[-1])["error"]

    def __str__(self):
        command = " ".join(os.fsdecode(argument) for argument in self.arguments)
        said = f"out: {self.out[-2000:]!r}\nerr: {self.err[-2000:]!r}"
        return f"{command!r} ended with {self.code}\n{said}"


def run(*arguments, timeout=60, environment=None, **options):
    """Runs glovebox to its end."""
    arguments = tuple(os.fspath(argument) for argument in arguments)
    started = time.monotonic()
    done = subprocess.run(
        [GLOVEBOX, *arguments],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
        **options,
    )
    spent = time.monotonic() - started
    return Result(arguments, done.returncode, done.stdout or b"", done.stderr, spent)


def ok(*arguments, **options):
    """Runs glovebox, and expects it to succeed."""
    result = run(*arguments, **options)
    assert result.code == DONE, str(result)
    return result


def measured(*arguments, timeout=30):
    """Runs glovebox and takes its peak memory; what it would write into a pipe is not kept."""
    arguments = tuple(os.fspath(argument) for argument in arguments)
    with open(os.devnull, "wb") as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(
            [GLOVEBOX, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        pause = 0.001
        while True:
            identifier, status, usage = os.wait4(process.pid, os.WNOHANG)
            if identifier:
                break
            if time.monotonic() - started > timeout:
                process.kill()
                os.wait4(process.pid, 0)
                raise AssertionError(f"still running after {timeout} s: {arguments}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
        spent = time.monotonic() - started
        err.seek(0)
        return Result(
            arguments, process.returncode, b"", err.read(1 << 20), spent,
            usage.ru_maxrss * 1024,
        )


def slowed(how, command, **options):
    """Starts a program of which strace delays some system call; the process is the program."""
    trace = ["strace", "-D", "-f", "-o", os.devnull, "-e", f"inject={how}"]
    return subprocess.Popen(
        [*trace, *map(os.fspath, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, **options,
    )


def until(condition, seconds=10):
    """Waits for a condition that has to come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def attend_signals():
    """For a child: signals end it, even where this run was started with some of them ignored."""
    for name in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)


def tool(*command, check=True, **options):
    """Runs a foreign tool and gives its standard output as bytes."""
    done = subprocess.run(
        [os.fspath(part) for part in command],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        capture_output=True,
        **options,
    ) if "input" not in options else subprocess.run(
        [os.fspath(part) for part in command], capture_output=True, **options
    )
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]!r}")
    return done.stdout


def debugfs(image, *requests):
    """The answers of debugfs to some requests, as bytes."""
    return tool("debugfs", "-f", "-", image, input="\n".join(requests).encode() + b"\n")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def has_landlock():
    """Whether the kernel has what confines the engine's processes (landlock_create_ruleset(2))."""
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0


def is_root():
    return os.geteuid() == 0


@contextlib.contextmanager
def mounted(image, offset=0, size=None, options="ro,noatime"):
    """Mounts a raw image by the kernel; yields the mount point as bytes."""
    point = tempfile.mkdtemp(prefix="glovebox-mount-")
    loop = f"loop,offset={offset}" + (f",sizelimit={size}" if size else "")
    for attempt in range(5):
        # Two mounts at once may race for the same free loop device.
        done = subprocess.run(
            ["mount", "-o", f"{loop},{options}", os.fspath(image), point], capture_output=True
        )
        if done.returncode == 0:
            break
        time.sleep(0.1 * (attempt + 1))
    else:
        os.rmdir(point)
        raise AssertionError(f"mount {image}: {done.stderr!r}")
    try:
        yield os.fsencode(point)
    finally:
        for attempt in range(20):
            if subprocess.run(["umount", point], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", point])
        os.rmdir(point)


@dataclasses.dataclass
class Entry:
    """A file as one reader sees it; None stands for what that reader does not say."""

    type: str
    size: int = None
    mode: int = None
    uid: int = None
    gid: int = None
    links: int = None
    inode: int = None
    mtime: int = None
    atime: int = None
    ctime: int = None
    device: tuple = None
    target: bytes = None
    xattrs: dict = None
    sha256: str = None


TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def entry_of(path, contents=True):
    """What the kernel says of a file."""
    status = os.lstat(path)
    kind = TYPES[stat.S_IFMT(status.st_mode)]
    entry = Entry(
        kind, status.st_size, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid,
        status.st_nlink, status.st_ino, status.st_mtime_ns, status.st_atime_ns, status.st_ctime_ns,
    )
    if kind in ("char", "block"):
        entry.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if kind == "symlink":
        entry.target = os.readlink(path)
    entry.xattrs = {
        os.fsencode(name): os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    if kind == "file" and contents:
        entry.sha256 = sha256(path)
    return entry


def walk(root, contents=True):
    """Every file below a directory, by its path within it: {b"/etc/fstab": Entry}."""
    root = os.fsencode(root).rstrip(b"/")
    found = {}
    pending = [b""]
    while pending:
        directory = pending.pop()
        for name in os.listdir((root + directory) or b"/"):
            path = directory + b"/" + name
            found[path] = entry_of(root + path, contents)
            if found[path].type == "directory":
                pending.append(path)
    return found


EPOCH = datetime.datetime(1970, 1, 1)


def nanoseconds(text):
    """A time of the program's, such as 2026-01-31T12:00:00.123456789Z, since 1970."""
    assert text.endswith("Z") and text[-11] == ".", text
    moment = datetime.datetime.strptime(text[:-11], "%Y-%m-%dT%H:%M:%S")
    delta = moment - EPOCH
    return (delta.days * 86400 + delta.seconds) * 10**9 + int(text[-10:-1])


def exact(member, record):
    """The bytes of a member of a JSON object that may be text, base64, or both."""
    if member + "_base64" in record:
        return base64.b64decode(record[member + "_base64"], validate=True)
    return record[member].encode()


def entry_from(record):
    """A file object of docs/json.md."""
    assert "error" not in record, record
    entry = Entry(
        record["type"], record["size"], int(record["permissions"], 8), record["uid"], record["gid"],
        record["links"], record["inode"], nanoseconds(record["mtime"]),
        nanoseconds(record["atime"]), nanoseconds(record["ctime"]),
    )
    if entry.type in ("char", "block"):
        entry.device = (record["major"], record["minor"])
    if entry.type == "symlink":
        entry.target = exact("target", record)
    if "xattrs" in record:
        entry.xattrs = xattrs_of(record)
    return entry


def xattrs_of(record):
    return {
        exact("name", item): base64.b64decode(item["value_base64"], validate=True)
        for item in record["xattrs"]
    }


def listed(target, path="/", *options):
    """What `glovebox ls -R --json` says, by path."""
    records = ok("ls", "-R", "--json", *options, target, path).lines
    found = {exact("path", record): entry_from(record) for record in records}
    assert len(found) == len(records), "a path was listed twice"
    return found


def archived(tar):
    """What a tar archive holds, by path, links resolved to what they link to."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for member in archive:
            path = b"/" + member.name.encode("utf-8", "surrogateescape").strip(b"/")
            if path == b"/" or path == b"/.":
                continue
            if member.islnk():
                target = b"/" + member.linkname.encode("utf-8", "surrogateescape").strip(b"/")
                found[path] = found[target]
                continue
            found[path] = archived_entry(archive, member)
    return found


def archived_entry(archive, member):
    kind = next(
        kind
        for kind, matches in {
            "file": member.isreg(), "directory": member.isdir(), "symlink": member.issym(),
            "char": member.ischr(), "block": member.isblk(), "fifo": member.isfifo(),
        }.items()
        if matches
    )
    entry = Entry(kind, mode=member.mode, uid=member.uid, gid=member.gid)
    whole, _, fraction = member.pax_headers.get("mtime", str(member.mtime)).partition(".")
    entry.mtime = pax_time(whole, fraction)
    entry.xattrs = {
        name.removeprefix("SCHILY.xattr.").encode("utf-8", "surrogateescape"):
            value.encode("utf-8", "surrogateescape")
        for name, value in member.pax_headers.items()
        if name.startswith("SCHILY.xattr.")
    }
    if kind == "file":
        entry.size = member.size
        digest = hashlib.sha256()
        content = archive.extractfile(member)
        while piece := content.read(1 << 20):
            digest.update(piece)
        entry.sha256 = digest.hexdigest()
    if kind == "symlink":
        entry.target = member.linkname.encode("utf-8", "surrogateescape")
    if kind in ("char", "block"):
        entry.device = (member.devmajor, member.devminor)
    return entry


def pax_time(whole, fraction):
    """Decimal seconds as nanoseconds: -1.5 is -1500000000."""
    magnitude = abs(int(whole)) * 10**9 + int((fraction or "0").ljust(9, "0")[:9])
    return -magnitude if whole.startswith("-") else magnitude


def differences(expected, actual, fields, limit=12):
    """The differences between two trees in some fields, as lines for a person to read."""
    found = []
    for path in sorted(expected.keys() - actual.keys()):
        found.append(f"missing: {path!r}")
    for path in sorted(actual.keys() - expected.keys()):
        found.append(f"not there: {path!r}")
    for path in sorted(expected.keys() & actual.keys()):
        for field in fields:
            wanted, given = getattr(expected[path], field), getattr(actual[path], field)
            if wanted is not None and given is not None and wanted != given:
                found.append(f"{path!r} {field}: {given!r}, expected {wanted!r}"[:400])
    return found[:limit] + ([f"and {len(found) - limit} more"] if len(found) > limit else [])


def limit_memory(limit):
    """For preexec_fn: no more address space than this."""
    def apply():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return apply
