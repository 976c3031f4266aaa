"""Makes crash images: ext4 under a write load, shut down by the kernel in the middle of it.

An image is what a guest's disk is after its host died. Nothing here looks at what is in the journal;
what belongs there is the kernel's business, and its own replay is the judge.
"""

import contextlib
import dataclasses
import os
import random
import re
import shutil
import subprocess
import tempfile
import threading
import time

MODERN = "extent,flex_bg,dir_nlink,extra_isize,huge_file"


@dataclasses.dataclass(frozen=True)
class Variant:
    """How a file system is made and mounted; the journal is small, so that it wraps."""

    features: str
    block: int = 4096
    mount: str = ""
    kind: str = "ext4"
    flush: bool = False

    def make(self, image, megabytes=48):
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        journal = max(1, self.block * 1100 >> 20) + (2 if "fast_commit" in self.features else 0)
        features = f"{MODERN},{self.features}" if self.kind == "ext4" else self.features
        tool("mke2fs", "-q", "-F", "-t", self.kind, "-b", str(self.block), "-N", "8192",
             "-O", features, "-J", f"size={journal}", image,
             env={**os.environ, "MKE2FS_CONFIG": "/dev/null"})


VARIANTS = {
    "no checksums": Variant("has_journal,^metadata_csum,^64bit"),
    "no checksums, 64bit, 1k": Variant("has_journal,^metadata_csum,64bit", 1024),
    "version 3": Variant("has_journal,metadata_csum,64bit"),
    "version 3, not 64bit, 1k": Variant("has_journal,metadata_csum,^64bit", 1024),
    "version 1": Variant("has_journal,^metadata_csum,^64bit", mount="journal_checksum"),
    "version 1, asynchronous, 1k": Variant(
        "has_journal,^metadata_csum,64bit", 1024, "journal_async_commit,data=writeback"),
    "version 3, asynchronous": Variant(
        "has_journal,metadata_csum,64bit", mount="journal_async_commit,data=writeback"),
    "data in the journal": Variant("has_journal,metadata_csum,64bit", mount="data=journal"),
    "data in the journal, no checksums, 1k": Variant(
        "has_journal,^metadata_csum,^64bit", 1024, "data=journal"),
    "ext3, 1k": Variant("has_journal,dir_index,filetype", 1024, kind="ext3", flush=True),
}


def tool(*command, check=True, **options):
    """Runs a foreign tool and gives its standard output as text."""
    done = subprocess.run([os.fspath(part) for part in command], stdin=subprocess.DEVNULL,
                          capture_output=True, **options)
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]!r}")
    return done.stdout.decode("utf-8", "replace")


def is_dirty(image):
    """Whether the kernel left word that the journal has to be replayed."""
    return "needs_recovery" in re.search(
        r"^Filesystem features:(.*)$", tool("dumpe2fs", "-h", image), re.M).group(1)


def has_revokes(image):
    """Whether debugfs sees revoke records in the part of the log that waits."""
    return "(revoke table)" in tool("debugfs", "-R", "logdump", image)


def copied(image, to):
    tool("cp", "--sparse=always", image, to)
    return to


class NotMounted(AssertionError):
    """The kernel refused to mount."""


@contextlib.contextmanager
def attached(image, options):
    """Mounts an image for writing; yields the mount point. Survives a file system shut down."""
    point = tempfile.mkdtemp(prefix="glovebox-crash-")
    try:
        try:
            tool("mount", "-o", f"loop,noatime,{options}".rstrip(","), image, point)
        except AssertionError as refusal:
            raise NotMounted(*refusal.args) from None
        try:
            yield point
        finally:
            for attempt in range(50):
                if subprocess.run(["umount", point], capture_output=True).returncode == 0:
                    break
                time.sleep(0.1)
            else:
                tool("umount", "-l", point)
    finally:
        os.rmdir(point)


def crashes(variant, image, moments, seed):
    """Yields `image` after each of some crashes; between them the kernel replays and goes on."""
    variant.make(image)
    chance = random.Random(seed)
    for moment in range(moments):
        options = ",".join(part for part in (variant.mount, "commit=1") if part)
        flush = variant.flush and moment % 2 == 1
        try:
            with attached(image, options) as point:
                crash(point, chance, flush)
        except NotMounted:
            # With fast commits the kernel refuses some of its own crash images.
            variant.make(image)
            with attached(image, options) as point:
                crash(point, chance, flush)
        yield moment


def crash(point, chance, flush):
    """Loads the file system, and shuts it down while the load runs."""
    loads = [Load(point, f"load{number}", chance.randrange(1 << 30)) for number in range(2)]
    threads = [threading.Thread(target=load.run) for load in loads]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.15, 0.9))
    # On a busy machine that may be too early for anything to be in the journal.
    patience = time.monotonic() + 10
    while sum(load.count for load in loads) < 60 and time.monotonic() < patience:
        time.sleep(0.02)
    tool("xfs_io", "-x", "-c", "shutdown -f" if flush else "shutdown", point)
    for load in loads:
        load.is_over = True
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for load in loads:
        if load.failure:
            raise load.failure


class Load:
    """Random changes of all kinds below one directory, until the file system is gone."""

    def __init__(self, point, name, seed):
        self.root = os.path.join(os.fsencode(point), os.fsencode(name))
        self.chance = random.Random(seed)
        self.is_over = False
        self.failure = None
        self.count = 0

    def run(self):
        try:
            os.makedirs(self.root, exist_ok=True)
            changes = [
                self.create, self.create, self.create, self.append, self.overwrite, self.cut,
                self.replace, self.move, self.remove, self.link, self.symlink, self.directory,
                self.fill, self.clear, self.attributes, self.mark, self.grow_and_drop, self.special,
                self.indirect,
            ]
            while not self.is_over:
                try:
                    self.chance.choice(changes)()
                except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
                    pass
                except OSError as error:
                    if error.errno == 28:  # full: make room
                        self.clear(all=True)
                    elif error.errno not in (22, 31, 39, 40, 95):
                        return  # shut down: EIO, EROFS
        except OSError:
            return
        except BaseException as error:
            self.failure = error

    def name(self):
        self.count += 1
        odd = self.chance.choice([b"", b"", b"", b"\xff\xfe", b" x", b"\n", "é".encode(), b"y" * 200])
        return b"%d-%d" % (self.count, self.chance.randrange(1000)) + odd

    def places(self, directories=False):
        found = [self.root]
        for directory in found:
            with os.scandir(directory) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            if len(found) > 60:
                break
        return found

    def new(self):
        return os.path.join(self.chance.choice(self.places()), self.name())

    def files(self):
        directory = self.chance.choice(self.places())
        with os.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_file(follow_symlinks=False)]

    def file(self):
        files = self.files()
        if not files:
            raise FileNotFoundError
        return self.chance.choice(files)

    def bytes(self, most=20000):
        size = self.chance.choice([0, 1, 59, 61, 1023, self.chance.randrange(most)])
        # Every block may begin with the magic number of the journal, which then escapes it.
        unit = b"\xc0\x3b\x39\x98" if self.chance.random() < 0.3 else self.chance.randbytes(4)
        return (unit + self.chance.randbytes(60)) * (size // 64) + self.chance.randbytes(size % 64)

    def written(self, path, data, flags=os.O_CREAT, at=0):
        descriptor = os.open(path, os.O_WRONLY | flags, 0o600 | self.chance.randrange(0o100))
        try:
            os.pwrite(descriptor, data, at)
            if self.chance.random() < 0.3:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def create(self):
        self.written(self.new(), self.bytes())

    def append(self):
        path = self.file()
        self.written(path, self.bytes(), at=os.path.getsize(path))

    def overwrite(self):
        path = self.file()
        self.written(path, self.bytes(), at=self.chance.randrange(100000))

    def cut(self):
        path = self.file()
        os.truncate(path, self.chance.choice([0, 1, os.path.getsize(path) // 2, 300000]))

    def replace(self):
        """What editors and package managers do: write anew, sync, rename over."""
        path = self.file()
        self.written(path + b".new", self.bytes())
        os.rename(path + b".new", path)

    def move(self):
        os.rename(self.chance.choice(self.places()[1:] or self.files() or [self.root]), self.new())

    def remove(self):
        for path in self.chance.sample(files := self.files(), min(len(files), 5)):
            os.unlink(path)

    def link(self):
        os.link(self.file(), self.new())

    def symlink(self):
        os.symlink(b"t" * self.chance.choice([5, 59, 60, 61, 300]), self.new())

    def directory(self):
        os.mkdir(self.new())

    def fill(self):
        """Many small files in one directory, which then gets an index."""
        path = self.new()
        os.mkdir(path)
        for number in range(self.chance.choice([10, 150])):
            with open(path + b"/small%d" % number, "wb") as file:
                file.write(b"%d" % number)

    def clear(self, all=False):
        """Removes a directory with all that is in it: its blocks are revoked."""
        for path in self.places()[1:]:
            if all or self.chance.random() < 0.15:
                shutil.rmtree(path, ignore_errors=True)

    def attributes(self):
        path = self.file()
        os.chmod(path, self.chance.randrange(0o10000))
        os.chown(path, self.chance.randrange(1 << 20), self.chance.randrange(1 << 20))
        os.utime(path, ns=(self.chance.randrange(1 << 61), self.chance.randrange(1 << 61)))

    def mark(self):
        os.setxattr(self.file(), b"user.note%d" % self.chance.randrange(5), self.bytes(300))

    def grow_and_drop(self):
        """A sparse file whose map takes blocks of its own, kept open while it is unlinked."""
        path = self.new()
        with open(path, "wb") as file:
            for number in range(60):
                file.seek(number * 30000)
                file.write(b"\xc0\x3b\x39\x98")
            os.fsync(file.fileno())
            if self.chance.random() < 0.5:
                os.unlink(path)
            else:
                file.truncate(self.chance.randrange(1000000))

    def indirect(self):
        """Blocks of a directory become blocks of a file: what revoke records are for."""
        path = self.new()
        os.mkdir(path)
        for number in range(40):
            os.mkdir(path + b"/d%d" % number)
        os.sync() if self.chance.random() < 0.2 else None
        shutil.rmtree(path)
        self.written(self.new(), self.bytes(100000), os.O_CREAT | os.O_SYNC)

    def special(self):
        os.mkfifo(self.new())
        os.mknod(self.new(), 0o060600, os.makedev(8, self.chance.randrange(100000)))
