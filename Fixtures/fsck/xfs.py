"""XFS: made by mkfs.xfs, dirtied by the kernel, damaged by xfs_db."""

import re

from ext import churn, orphan
from tools import crash, crc32c, fill, identity, image, mounted, read, run, sparse, u32, write

# Somebody else may have the image of another run mounted; the UUID of both is the same.
SAME = "nouuid"


def made(path):
    sparse(path, 300)
    run("mkfs.xfs", "-q", "-m", f"uuid={identity(path)}", "-d", "agcount=4", path)
    with mounted(path, SAME) as root:
        fill(root)
    return path


def xfs_db(path, *commands):
    return run("xfs_db", "-x", *sum((["-c", command] for command in commands), []), path)


def field(path, *commands):
    """The number that xfs_db prints last."""
    return int(xfs_db(path, *commands).split("=")[-1].strip(), 0)


def data_inode(path):
    with mounted(path, "ro", "norecovery", SAME) as root:
        return (root / "data").stat().st_ino, (root / "home").stat().st_ino


@image("clean")
def xfs_clean(path):
    made(path)


@image("clean")
def xfs_clean_v4(path):
    """Without checksums, as old instances have it; the tree is left out, for this kernel's sake."""
    sparse(path, 300)
    run("mkfs.xfs", "-q", "-m", f"crc=0,uuid={identity(path)}", path)


@image("clean after replay")
def xfs_dirty(path):
    crash(made(path), churn, SAME)


@image("clean after replay")
def xfs_dirty_unlinked(path):
    crash(made(path), orphan, SAME)


@image("damaged")
def xfs_superblock_lost(path):
    made(path)
    write(path, 0, bytes(512))


@image("damaged")
def xfs_free_space_header(path):
    made(path)
    xfs_db(path, "agf 1", "write -d freeblks 17")


@image("damaged")
def xfs_free_space_header_torn(path):
    made(path)
    write(path, 512 + 16, b"\xa5" * 64)


@image("damaged")
def xfs_inode_header(path):
    made(path)
    xfs_db(path, "agi 0", "write count 9999")


@image("damaged")
def xfs_inode_core(path):
    made(path)
    number, _ = data_inode(path)
    xfs_db(path, f"inode {number}", "write core.nblocks 77777")


@image("damaged")
def xfs_inode_checksum(path):
    made(path)
    number, _ = data_inode(path)
    xfs_db(path, f"inode {number}", "write -c core.size 5")


@image("damaged")
def xfs_link_count(path):
    made(path)
    number, _ = data_inode(path)
    xfs_db(path, f"inode {number}", "write core.nlinkv2 9")


@image("damaged")
def xfs_free_space_btree(path):
    """Its checksum is right: only the comparison with what is in use shows it."""
    made(path)
    xfs_db(path, "agf 0", "addr bnoroot", "write recs[2].blockcount 7")


@image("damaged")
def xfs_free_space_btree_torn(path):
    made(path)
    write(path, field(path, "agf 0", "print bnoroot") * 4096 + 56, b"\xa5" * 600)


@image("damaged")
def xfs_inode_btree(path):
    made(path)
    xfs_db(path, "agi 0", "addr root", "write recs[1].freecount 63")


@image("damaged")
def xfs_directory_block(path):
    made(path)
    _, number = data_inode(path)
    said = xfs_db(path, f"inode {number}", "dblock 0", "daddr")
    write(path, int(re.search(r"(?:daddr is|current daddr is) (\d+)", said)[1]) * 512 + 80,
          b"\x5a" * 500)


@image("damaged")
def xfs_root_inode(path):
    made(path)
    root = field(path, "sb 0", "print rootino")
    xfs_db(path, f"inode {root}", "write core.mode 0")


@image("damaged")
def xfs_dirty_and_damaged(path):
    crash(made(path), churn, SAME)
    xfs_db(path, "agf 2", "write -d freeblks 3")


@image("damaged")
def xfs_dirty_log_damaged(path):
    crash(made(path), churn, SAME)
    start = field(path, "sb 0", "print logstart")
    blocks = field(path, "sb 0", "print agblocks")
    log = field(path, "sb 0", "print agblklog")
    place = ((start >> log) * blocks + (start & (1 << log) - 1)) * 4096
    for sector in range(0, 4096 * 64, 512):
        if read(path, place + sector, 4) == b"\xfe\xed\xba\xbe":
            write(path, place + sector + 32, b"\x5a" * 300)


@image("too new")
def xfs_too_new(path):
    """A bit that no kernel knows, in every copy of the superblock, their checksums right."""
    made(path)
    group = field(path, "sb 0", "print agblocks") * 4096
    for number in range(4):
        sector = bytearray(read(path, number * group, 512))
        sector[219] |= 0x40
        sector[224:228] = bytes(4)
        sector[224:228] = u32(crc32c(bytes(sector)))
        write(path, number * group, bytes(sector))
