"""ext2, ext3, ext4: made by mke2fs, dirtied by the kernel, damaged by debugfs."""

import os

from tools import crash, flip, identity, image, read, run, sparse, tree, write

BLOCK = 4096


def made(path, kind="ext4", *options, size=64, block=BLOCK):
    sparse(path, size)
    with tree() as root:
        run("mke2fs", "-q", "-F", "-t", kind, "-b", block, "-U", identity(path), "-d", root,
            *options, path, allowed=(0,))
    return path


def modern(path, *options, **sizes):
    features = ("has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize,"
                "dir_index,filetype,sparse_super,large_file")
    return made(path, "ext4", "-I", "256", "-O", features, *options, **sizes)


def debugfs(path, *commands):
    run("debugfs", "-w", "-f", "-", path, stdin="\n".join(commands) + "\n")


def block_of(path, name):
    """The first block of a file, or of the device where it is extents' own."""
    return int(run("debugfs", "-R", f"bmap {name} 0", path).splitlines()[-1])


def inode_place(path, number):
    said = run("debugfs", "-R", f"imap <{number}>", path)
    block, offset = said.split("located at block ")[1].split(", offset ")
    return int(block) * BLOCK + int(offset, 16)


def churn(root):
    """Work whose end stands only in the journal: made, removed, renamed, then synced."""
    for number in range(40):
        (root / "home" / f"new-{number}").write_text("new\n" * 3000)
    for number in range(0, 100, 3):
        (root / "home" / f"file-{number:03}").unlink()
    os.rename(root / "home" / "file-001", root / "etc" / "moved")
    with open(root / "etc" / "hosts", "a") as file:
        file.write("192.0.2.1 web-1.example.com\n")
        file.flush()
        os.fsync(file.fileno())


def orphan(root):
    """A file that is unlinked and still open: it is on the orphan list when the power fails."""
    held = open(root / "unlinked", "w")
    held.write("gone\n" * 100_000)
    held.flush()
    os.fsync(held.fileno())
    os.unlink(root / "unlinked")
    churn(root)
    return held


@image("clean")
def ext2_clean(path):
    made(path, "ext2")


@image("clean")
def ext3_clean(path):
    made(path, "ext3", "-O", "has_journal")


@image("clean")
def ext4_clean(path):
    modern(path)


@image("clean")
def ext4_clean_1k_blocks(path):
    modern(path, block=1024)


@image("clean")
def ext4_clean_64k_blocks(path):
    modern(path, size=128, block=65536)


@image("clean after replay")
def ext4_dirty(path):
    crash(modern(path), churn)


@image("clean after replay")
def ext3_dirty(path):
    crash(made(path, "ext3", "-O", "has_journal"), churn)


@image("clean after replay")
def ext4_dirty_orphan(path):
    crash(modern(path), orphan)


@image("clean after replay")
def ext4_dirty_orphan_file(path):
    modern(path, "-O", "orphan_file")
    crash(path, orphan)


@image("clean after replay")
def ext4_dirty_fast_commit(path):
    modern(path, "-O", "fast_commit")
    crash(path, churn)


@image("clean")
def ext2_not_unmounted(path):
    made(path, "ext2")
    debugfs(path, "set_super_value state 0")


@image("clean")
def ext4_error_flag(path):
    """The kernel once noted an error; nothing is wrong now."""
    modern(path)
    debugfs(path, "set_super_value state 3")


@image("damaged")
def ext4_inode_size(path):
    modern(path)
    debugfs(path, "set_inode_field /data size 100")


@image("damaged")
def ext4_inode_checksum(path):
    modern(path)
    number = int(run("debugfs", "-R", "stat /etc/hosts", path).split("Inode: ")[1].split()[0])
    flip(path, inode_place(path, number) + 2)


@image("damaged")
def ext4_block_bitmap(path):
    modern(path)
    debugfs(path, f"freeb {block_of(path, '/data')} 8")


@image("damaged")
def ext4_inode_bitmap(path):
    modern(path)
    debugfs(path, "freei /etc/hosts")


@image("damaged")
def ext4_entry_to_nothing(path):
    modern(path)
    debugfs(path, "link <4000> /etc/ghost")


@image("damaged")
def ext4_directory_block(path):
    modern(path)
    write(path, block_of(path, "/home") * BLOCK, b"\xa5" * 512)


@image("damaged")
def ext4_link_count(path):
    modern(path)
    debugfs(path, "set_inode_field /data links_count 7")


@image("damaged")
def ext4_unattached(path):
    """Its name is gone, it is not: e2fsck puts it into lost+found."""
    modern(path)
    debugfs(path, "unlink /data", "unlink /hard", "unlink /etc/hosts")


@image("damaged")
def ext4_block_claimed_twice(path):
    modern(path)
    block = block_of(path, "/home/file-100")
    debugfs(path, "set_inode_field /etc/hosts flags 0",
            f"set_inode_field /etc/hosts block[0] {block}",
            *(f"set_inode_field /etc/hosts block[{n}] 0" for n in range(1, 12)),
            "set_inode_field /etc/hosts block[IND] 0", "set_inode_field /etc/hosts block[DIND] 0",
            "set_inode_field /etc/hosts block[TIND] 0")


@image("damaged")
def ext4_superblock_lost(path):
    modern(path, size=256)
    write(path, 1024, bytes(1024))


@image("damaged")
def ext4_superblock_field(path):
    modern(path)
    debugfs(path, "set_super_value free_blocks_count 5")
    debugfs(path, "set_super_value first_ino 3")


@image("damaged")
def ext4_group_descriptor(path):
    modern(path, size=256)
    write(path, BLOCK, b"\xff" * 64)


@image("damaged")
def ext4_extent_tree(path):
    modern(path)
    debugfs(path, "set_inode_field /data block[0] 0x12345678")


@image("damaged")
def ext4_root_gone(path):
    modern(path)
    debugfs(path, "clri <2>")


@image("damaged")
def ext4_journal_superblock(path):
    modern(path)
    write(path, block_of(path, "<8>") * BLOCK, bytes(64))


@image("damaged")
def ext4_dirty_and_damaged(path):
    """The damage is where the journal has nothing newer."""
    crash(modern(path), churn)
    write(path, block_of(path, "/lost+found") * BLOCK, b"\xa5" * 512)


@image("clean after replay")
def ext4_dirty_damage_in_journal(path):
    """What was damaged, the journal holds anew: the replay puts it right."""
    crash(modern(path), churn)
    number = int(run("debugfs", "-R", "stat /soft", path).split("Inode: ")[1].split()[0])
    flip(path, inode_place(path, number) + 4)


@image("damaged")
def ext4_dirty_journal_damaged(path):
    """Dirty, and the log itself is not what was written: its superblock has a wrong checksum."""
    crash(modern(path), churn)
    flip(path, block_of(path, "<8>") * BLOCK + 0xFC)


@image("too new")
def ext4_too_new(path):
    modern(path)
    debugfs(path, "set_super_value feature_incompat 0x800002c2")


@image("too new")
def ext4_too_new_read_only(path):
    modern(path)
    debugfs(path, "set_super_value feature_ro_compat 0x8000046b")


@image("damaged")
def ext3_link_count(path):
    made(path, "ext3", "-O", "has_journal")
    debugfs(path, "set_inode_field /data links_count 9")


@image("damaged")
def ext2_lost_blocks(path):
    made(path, "ext2")
    debugfs(path, "clri /data")
