"""What no checker here can judge: NTFS, swap, LUKS, read-only formats, nothing at all."""

from tools import identity, image, read, run, sparse, tree, write

CLUSTER = 4096


def ntfs(path):
    sparse(path, 64)
    run("mkntfs", "-Q", "-q", "-F", "-L", "FIXTURE", "-c", CLUSTER, path)
    return path


def volume_flags(path):
    """Where $VOLUME_INFORMATION (type 0x70) of $Volume, record 3 of the MFT and of its mirror,
    keeps the flags."""
    boot = read(path, 0, 64)
    for table in (48, 56):
        record = int.from_bytes(boot[table:table + 8], "little") * CLUSTER + 3 * 1024
        at = record + int.from_bytes(read(path, record + 20, 2), "little")
        while int.from_bytes(read(path, at, 4), "little") != 0x70:
            at += int.from_bytes(read(path, at + 4, 4), "little")
        yield at + int.from_bytes(read(path, at + 20, 2), "little") + 10


@image("not checkable")
def ntfs_clean(path):
    ntfs(path)


@image("not checkable")
def ntfs_dirty(path):
    ntfs(path)
    for place in volume_flags(path):
        write(path, place, b"\x01\x00")


@image("not checkable")
def ntfs_master_file_table(path):
    ntfs(path)
    boot = read(path, 0, 512)
    write(path, int.from_bytes(boot[48:56], "little") * CLUSTER, b"\x5a" * 2048)


@image("not checkable")
def swap_space(path):
    run("mkswap", "-U", identity(path), sparse(path, 16))


@image("not checkable")
def luks_closed(path):
    sparse(path, 32)
    key = path.with_suffix(".key")
    key.write_text("fixture")
    run("cryptsetup", "luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
        "--uuid", identity(path), path, key)
    key.unlink()


@image("not checkable")
def iso9660_disc(path):
    with tree(10) as root:
        run("genisoimage", "-quiet", "-R", "-J", "-V", "config-2", "-o", path, root)


@image("not checkable")
def squashfs_image(path):
    path.unlink(missing_ok=True)
    with tree(10) as root:
        run("mksquashfs", root, path, "-quiet", "-no-progress")


@image("not checkable")
def udf_disc(path):
    run("mkudffs", sparse(path, 32))


@image("not checkable")
def nothing(path):
    sparse(path, 16)
