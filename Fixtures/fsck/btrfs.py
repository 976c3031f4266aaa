"""btrfs: made by mkfs.btrfs, dirtied by the kernel, damaged in its tree blocks byte by byte."""

import os
import re

from tools import (copy, crc32c, flip, identity, image, mounted, read, run, sparse, tree, u32,
                   write)

SUPERBLOCK = 65536


def made(path, *options):
    sparse(path, 256)
    with tree() as root:
        run("mkfs.btrfs", "-q", "-f", "-U", identity(path), "-r", root, *options, path)
    return path


def copies(path, tree_name):
    """Where the copies of a tree's root block stand in the image."""
    said = run("btrfs", "inspect-internal", "dump-tree", "-t", tree_name, path)
    logical = re.search(r"^(?:node|leaf) (\d+) ", said, re.M)[1]
    said = run("btrfs-map-logical", "-l", logical, path)
    return [int(place) for place in re.findall(r"physical (\d+)", said)]


def damage(path, tree_name, every_copy=True):
    places = copies(path, tree_name)
    for place in places if every_copy else places[:1]:
        write(path, place + 200, b"\x5a" * 600)


def superblock(path, offset, value, size=4):
    """Changes a field of the superblock and its checksum."""
    block = bytearray(read(path, SUPERBLOCK, 4096))
    block[offset:offset + size] = value.to_bytes(size, "little")
    block[0:4] = u32(crc32c(bytes(block[32:])))
    write(path, SUPERBLOCK, bytes(block))


@image("clean")
def btrfs_clean(path):
    made(path)


@image("clean after replay")
def btrfs_dirty_log(path):
    """fsync writes a log tree; the copy is made before the transaction is committed."""
    live = path.with_suffix(".live")
    made(live)
    with mounted(live, "commit=3000") as root:
        for number in range(30):
            with open(root / f"synced-{number}", "w") as file:
                file.write("written\n" * 2000)
                file.flush()
                os.fsync(file.fileno())
        copy(live, path)
    live.unlink()


def with_damaged_tree(name, number):
    def recipe(path):
        damage(made(path), number)
    recipe.__name__ = f"btrfs_{name}_tree"
    image("damaged")(recipe)


with_damaged_tree("fs", "5")
with_damaged_tree("extent", "2")
with_damaged_tree("csum", "7")
with_damaged_tree("root", "1")
with_damaged_tree("chunk", "3")


@image("damaged", "btrfs check ends with 0; only its text tells, and only a scrub repairs")
def btrfs_one_copy(path):
    damage(made(path), "5", every_copy=False)


@image("damaged")
def btrfs_superblock(path):
    made(path)
    flip(path, SUPERBLOCK + 300)


@image("damaged")
def btrfs_superblock_lost(path):
    made(path)
    write(path, SUPERBLOCK, bytes(4096))


@image("damaged")
def btrfs_bytes_used(path):
    made(path)
    superblock(path, 0x78, 12345 * 4096, 8)


@image("too new")
def btrfs_too_new(path):
    made(path)
    superblock(path, 0xBC, 1 << 40 | int.from_bytes(read(path, SUPERBLOCK + 0xBC, 8), "little"), 8)
