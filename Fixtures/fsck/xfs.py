"""XFS: made by mkfs.xfs, dirtied by the kernel, damaged by xfs_db."""

from ext import churn, orphan
from tools import MIB, crash, fill, identity, image, mounted, read, run, sparse, write


def made(path, *options, size=300):
    sparse(path, size)
    run("mkfs.xfs", "-q", "-m", f"uuid={identity(path)}" + "".join(
        f",{o}" for o in options if "=" in o and not o.startswith("-")),
        "-d", "agcount=4", path)
    with mounted(path) as root:
        fill(root)
    return path


def xfs_db(path, *commands):
    return run("xfs_db", "-x", *sum((["-c", command] for command in commands), []), path)


def field(path, *commands):
    """The number that xfs_db prints last."""
    return int(xfs_db(path, *commands).split("=")[-1].strip(), 0)


def data_inode(path):
    with mounted(path, "ro", "norecovery") as root:
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
    crash(made(path), churn)


@image("clean after replay")
def xfs_dirty_unlinked(path):
    crash(made(path), orphan)


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
    made(path)
    root = field(path, "agf 0", "print bnoroot")
    xfs_db(path, f"fsblock {root}", "type bnobt", "blocktrash -n 40 -s 1 -x 32 -y 64")


@image("damaged")
def xfs_inode_btree(path):
    made(path)
    root = field(path, "agi 0", "print root")
    xfs_db(path, f"fsblock {root}", "type inobt", "blocktrash -n 40 -s 2 -x 32 -y 64")


@image("damaged")
def xfs_directory_block(path):
    made(path)
    _, number = data_inode(path)
    block = int(xfs_db(path, f"inode {number}", "bmap 0 1").split("block ")[1].split()[0])
    xfs_db(path, f"fsblock {block}", "type dir3", "blocktrash -n 400 -s 3 -x 32 -y 64")


@image("damaged")
def xfs_root_inode(path):
    made(path)
    root = field(path, "sb 0", "print rootino")
    xfs_db(path, f"inode {root}", "write core.mode 0")


@image("damaged")
def xfs_dirty_and_damaged(path):
    crash(made(path), churn)
    xfs_db(path, "agf 2", "write -d freeblks 3")


@image("damaged")
def xfs_dirty_log_damaged(path):
    crash(made(path), churn)
    start = field(path, "sb 0", "print logstart")
    blocks = field(path, "sb 0", "print agblocks")
    log = field(path, "sb 0", "print agblklog")
    place = ((start >> log) * blocks + (start & (1 << log) - 1)) * 4096
    for sector in range(0, 4096 * 64, 512):
        if read(path, place + sector, 4) == b"\xfe\xed\xba\xbe":
            write(path, place + sector + 32, b"\x5a" * 300)


@image("too new")
def xfs_too_new(path):
    made(path)
    value = field(path, "sb 0", "print features_incompat")
    for group in range(4):
        xfs_db(path, f"sb {group}", f"write features_incompat {value | 1 << 30:#x}")
