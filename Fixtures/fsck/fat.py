"""FAT and exFAT: made by mkfs and mtools, damaged in their tables by the layout's own documents."""

import struct

from tools import flip, image, read, run, sparse, tree, write


def made(path, bits, size):
    sparse(path, size)
    run("mkfs.fat", "-F", bits, "-n", "FIXTURE", "-i", "5EED0001", path)
    with tree(40) as root:
        (root / "soft").unlink()
        run("mcopy", "-i", path, "-s", *sorted(root.iterdir()), "::")
    return path


def geometry(path):
    """(where the first FAT begins, bytes of a FAT, how many there are)"""
    boot = read(path, 0, 64)
    sector, = struct.unpack_from("<H", boot, 11)
    reserved, count = struct.unpack_from("<HB", boot, 14)
    short, = struct.unpack_from("<H", boot, 22)
    long, = struct.unpack_from("<I", boot, 36)
    return reserved * sector, (short or long) * sector, count


def link(path, cluster, value, width=4):
    """Sets a FAT entry in every copy."""
    start, size, count = geometry(path)
    for table in range(count):
        write(path, start + table * size + cluster * width, value.to_bytes(width, "little"))


def chain(path, name):
    """The clusters of a file."""
    said = run("mshowfat", "-i", path, f"::{name}")
    first, _, last = said.split("<")[1].split(">")[0].partition("-")
    return range(int(first), int(last or first) + 1)


@image("clean")
def fat12_clean(path):
    made(path, 12, 16)


@image("clean")
def fat16_clean(path):
    made(path, 16, 64)


@image("clean")
def fat32_clean(path):
    made(path, 32, 128)


@image("clean")
def fat16_dirty(path):
    made(path, 16, 64)
    write(path, 0x25, b"\x01")


@image("clean")
def fat32_dirty(path):
    made(path, 32, 128)
    write(path, 0x41, b"\x01")


@image("damaged")
def fat32_lost_chain(path):
    made(path, 32, 128)
    for cluster in range(60000, 60010):
        link(path, cluster, cluster + 1)
    link(path, 60010, 0x0FFFFFFF)


@image("damaged")
def fat32_cross_linked(path):
    made(path, 32, 128)
    link(path, chain(path, "data")[5], chain(path, "home/file-039")[0])


@image("damaged")
def fat32_dirty_and_lost_chain(path):
    fat32_lost_chain(path)
    write(path, 0x41, b"\x01")


@image("damaged")
def fat16_chain_to_free(path):
    made(path, 16, 64)
    link(path, chain(path, "data")[3], 0, width=2)


@image("damaged")
def fat16_chain_out_of_range(path):
    made(path, 16, 64)
    link(path, chain(path, "data")[3], 0xFFE0, width=2)


@image("damaged")
def fat16_copies_differ(path):
    made(path, 16, 64)
    start, size, _ = geometry(path)
    write(path, start + size + 400, b"\x77\x07" * 20)


@image("damaged", "fsck.fat calls it mostly harmless, leaves it alone and ends with 0")
def fat32_backup_boot_sector(path):
    made(path, 32, 128)
    flip(path, 6 * 512 + 0x47)


@image("damaged")
def fat32_boot_sector_lost(path):
    made(path, 32, 128)
    write(path, 0, bytes(512))


@image("damaged")
def fat32_free_count(path):
    made(path, 32, 128)
    write(path, 512 + 488, struct.pack("<I", 77))


@image("damaged")
def fat16_entry_size(path):
    made(path, 16, 64)
    start, size, count = geometry(path)
    root = start + size * count
    entries = read(path, root, 16384)
    place = entries.index(b"DATA       ") if b"DATA       " in entries else None
    write(path, root + place + 28, struct.pack("<I", 3 << 20))


def made_exfat(path):
    sparse(path, 64)
    run("mkfs.exfat", "-L", "FIXTURE", path)
    return path


def exfat_heap(path, cluster):
    boot = read(path, 0, 512)
    heap, = struct.unpack_from("<I", boot, 88)
    sector, shift = boot[108], boot[109]
    return (heap << sector) + ((cluster - 2) << sector + shift)


def exfat_root(path):
    return exfat_heap(path, struct.unpack_from("<I", read(path, 96, 4))[0])


@image("clean")
def exfat_clean(path):
    made_exfat(path)


@image("clean")
def exfat_dirty(path):
    made_exfat(path)
    flip(path, 106, 0x02)


@image("damaged", "fsck.exfat 1.2.0 does not see it")
def exfat_bitmap(path):
    made_exfat(path)
    root = exfat_root(path)
    entries = read(path, root, 4096)
    place = next(at for at in range(0, 4096, 32) if entries[at] == 0x81)
    cluster, = struct.unpack_from("<I", entries, place + 20)
    write(path, exfat_heap(path, cluster), bytes(4))


@image("damaged")
def exfat_boot_checksum(path):
    made_exfat(path)
    flip(path, 11 * 512)


@image("damaged")
def exfat_boot_sector_lost(path):
    made_exfat(path)
    write(path, 0, bytes(512))


@image("damaged")
def exfat_upcase_table(path):
    made_exfat(path)
    root = exfat_root(path)
    entries = read(path, root, 4096)
    place = next(at for at in range(0, 4096, 32) if entries[at] == 0x82)
    cluster, = struct.unpack_from("<I", entries, place + 20)
    flip(path, exfat_heap(path, cluster) + 100)
