"""Fills a mounted file system with what its features make of files: tree.py's tree, and more."""

import ctypes
import os
import sys

from support import ROOT

sys.path.insert(0, str(ROOT / "Fixtures"))

import tree  # noqa: E402

libc = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16


def fallocate(descriptor, mode, offset, length):
    done = libc.fallocate(
        descriptor, mode, ctypes.c_long(offset), ctypes.c_long(length)
    )
    if done:
        raise OSError(ctypes.get_errno(), "fallocate")


def patterned(seed, length):
    unit = b"%08x:" % (seed * 2654435761 % 2**32)
    return (unit * (length // len(unit) + 1))[:length]


def boundaries(root, block):
    """Sizes at which the shape of a file changes: inline, one block, indirect blocks."""
    directory = os.path.join(root, b"boundaries")
    os.mkdir(directory)
    pointers = block // 4
    sizes = {60, 100, 130, 156, 160, 200, 400, 900}
    for blocks in (1, 2, 12, 13, 12 + pointers, 13 + pointers):
        for off in (-1, 0, 1):
            sizes.add(blocks * block + off)
    for size in sorted(size for size in sizes if size <= 6 << 20):
        tree.write(os.path.join(directory, b"%d" % size), patterned(size, size))
    # One block far out, behind double and triple indirect blocks where they are small.
    for name, position in ((b"far", 20 << 20), (b"very-far", 70 << 20)):
        with open(os.path.join(directory, name), "wb") as file:
            file.seek(position)
            file.write(patterned(position, 3 * block + 7))


def allocations(root, block):
    """Unwritten, punched, preallocated past the end."""
    directory = os.path.join(root, b"allocations")
    os.mkdir(directory)

    def make(name, *steps):
        with open(os.path.join(directory, name), "wb") as file:
            for step in steps:
                tree.maybe(step, file)
                file.flush()

    def fill(offset, length):
        return lambda file: (file.seek(offset), file.write(patterned(offset, length)))

    def call(mode, offset, length):
        return lambda file: fallocate(file.fileno(), mode, offset, length)

    unit = max(block, 4096) * 16
    make(b"unwritten", call(0, 0, 8 * unit))
    make(b"written-within", call(0, 0, 8 * unit), fill(2 * unit + 5, unit), fill(6 * unit, 1))
    make(b"past-the-end", fill(0, 100), call(KEEP_SIZE, 0, 8 * unit))
    make(b"punched", fill(0, 8 * unit), call(PUNCH_HOLE | KEEP_SIZE, unit, 2 * unit))
    make(b"punched-oddly", fill(0, 8 * unit), call(PUNCH_HOLE | KEEP_SIZE, 100, 3 * unit))
    make(b"zeroed", fill(0, 8 * unit), call(ZERO_RANGE, unit, 2 * unit))
    make(b"cut", fill(0, 8 * unit), lambda file: file.truncate(3 * unit + 77))
    make(b"grown", fill(0, 50), lambda file: file.truncate(5 * unit))


def extents(root, block):
    """Alternate blocks, so many that the extent tree gets a level or two."""
    path = os.path.join(root, b"extents")
    with open(path, "wb") as file:
        for number in range(0, 1400, 2):
            file.seek(number * block)
            file.write(b"extent %08d" % number)
            if number % 100 == 0:
                file.flush()
                os.fsync(file.fileno())


def attributes(root):
    """Attributes in the inode, in a block, in inodes of their own, shared between files."""
    directory = os.path.join(root, b"xattrs")
    os.mkdir(directory)
    for number in range(12):
        path = os.path.join(directory, b"shared-%d" % number)
        tree.write(path, b"shared\n")
        tree.maybe(os.setxattr, path, b"user.same", b"s" * 300)
    for length in (0, 1, 3, 4, 30, 60, 100, 300, 700, 3000, 20000, 60000):
        path = os.path.join(directory, b"length-%d" % length)
        tree.write(path, b"attributes\n")
        tree.maybe(os.setxattr, path, b"user.value", patterned(length, length))
        tree.maybe(os.setxattr, path, b"trusted.second", b"2")
    path = os.path.join(directory, b"many")
    tree.write(path, b"")
    for number in range(40):
        tree.maybe(os.setxattr, path, b"user.number-%02d" % number, b"%d" % number)
    tree.maybe(os.removexattr, path, b"user.number-20")
    tree.maybe(os.setxattr, os.path.join(root, b"xattrs"), b"user.on-a-directory", b"yes")


def directories(root):
    """Directories that grew and shrank, from inline to hashed."""
    directory = os.path.join(root, b"directories")
    os.mkdir(directory)
    for count in (1, 3, 5, 60, 700):
        place = os.path.join(directory, b"%d" % count)
        os.mkdir(place)
        for number in range(count):
            tree.write(os.path.join(place, b"e%d" % number), b"")
    place = os.path.join(directory, b"thinned")
    os.mkdir(place)
    for number in range(600):
        tree.write(os.path.join(place, b"entry-number-%d" % number), b"")
    for number in range(600):
        if number % 7:
            os.unlink(os.path.join(place, b"entry-number-%d" % number))
    deep = directory
    for level in range(60):
        deep = os.path.join(deep, b"level-%02d" % level)
        os.mkdir(deep)
    tree.write(os.path.join(deep, b"bottom"), b"deep down\n")


def fill(root, block):
    root = os.fsencode(root)
    tree.fill(root)
    boundaries(root, block)
    allocations(root, block)
    extents(root, block)
    attributes(root)
    directories(root)
