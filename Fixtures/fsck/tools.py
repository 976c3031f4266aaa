"""What the recipes share: foreign programs make and damage every image, never Glovebox."""

import contextlib
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import uuid

MIB = 1 << 20
RECIPES = {}

os.environ.update(LC_ALL="C", TZ="UTC", MKE2FS_CONFIG="/dev/null", MTOOLS_SKIP_CHECK="1",
                  E2FSPROGS_FAKE_TIME="1767225600",
                  PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")


def image(expected, known=""):
    """Registers a recipe: `expected` is what its author knows the image to be, by how it was made;
    `known` says where its checker is known to see something else."""
    def register(recipe):
        RECIPES[recipe.__name__.replace("_", "-")] = (recipe, expected, known)
        return recipe
    return register


def run(*command, stdin=None, allowed=(0,)):
    """Runs a program; shows what it said where it ends with another code than `allowed`."""
    done = subprocess.run([str(part) for part in command], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    if done.returncode not in allowed:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}")
    return done.stdout


def sparse(path, mebibytes):
    """An empty image."""
    path.unlink(missing_ok=True)
    with open(path, "wb") as file:
        file.truncate(mebibytes * MIB)
    return path


def identity(path):
    """The same UUID every time, another one for each image: kernels know file systems by it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"glovebox/fsck/{path.name}"))


def copy(source, target):
    run("cp", "--sparse=always", source, target)
    return target


def write(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def read(path, offset, count):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(count)


def flip(path, offset, mask=0xFF):
    write(path, offset, bytes([read(path, offset, 1)[0] ^ mask]))


def crc32c(data, crc=0xFFFFFFFF):
    """CRC-32C, for the checksums that no foreign tool recomputes for us."""
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def u32(value):
    return struct.pack("<I", value)


@contextlib.contextmanager
def mounted(path, *options):
    """The image mounted by this machine's kernel, writable."""
    point = pathlib.Path(tempfile.mkdtemp(prefix="fsck-fixture-"))
    try:
        run("mount", "-o", ",".join(("loop",) + options), path, point)
        try:
            yield point
        finally:
            run("umount", point)
    finally:
        point.rmdir()


def fill(root, files=120):
    """A small tree: directories, small files, one of several extents, a link and hard links."""
    (root / "etc").mkdir()
    (root / "home").mkdir()
    for number in range(files):
        (root / "home" / f"file-{number:03}").write_text(f"file {number}\n" * (number + 1))
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "data").write_bytes(bytes(range(256)) * 4096)
    os.link(root / "data", root / "hard")
    os.symlink("etc/hosts", root / "soft")


def crash(path, work, *options):
    """`work(root)` on the mounted image, then the power fails; the image keeps what was written."""
    with mounted(path, *options) as root:
        held = work(root)
        run("xfs_io", "-x", "-c", "shutdown -f", root)
        if held:
            held.close()


@contextlib.contextmanager
def tree(files=120):
    """A directory with `fill`'s tree, for mkfs tools that copy one."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="fsck-fixture-"))
    try:
        fill(directory, files)
        yield directory
    finally:
        shutil.rmtree(directory)
