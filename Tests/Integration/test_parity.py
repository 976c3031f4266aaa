"""File systems of many mke2fs options, filled through the kernel: the kernel's view is the judge.

Not every kernel mounts blocks over 4 KiB, casefold or quota: there mke2fs fills (-d), and debugfs
and the source tree judge.
"""

import dataclasses
import os
import re
import shutil
import subprocess

import pytest

import filler
import support
from support import archived, differences, listed, mounted, ok, run, tool, walk

BASE = "has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize"


def ext4(features="", *options, size=160, tune=()):
    """Options over those of today's ext4; a feature with ^ is taken away."""
    wanted = BASE + ("," + features if features else "")
    if "-I" not in options:
        options += ("-I", "256")
    return (["-t", "ext4", "-O", wanted, *options], size, tune)


def plain(*options, size=160, tune=()):
    return (list(options), size, tune)


VARIANTS = {
    "default": ext4(),
    "block 1k": ext4("", "-b", "1024"),
    "block 2k": ext4("", "-b", "2048"),
    "block 4k": ext4("", "-b", "4096"),
    "ext2": plain("-t", "ext2"),
    "ext2 1k": plain("-t", "ext2", "-b", "1024"),
    "ext2 2k": plain("-t", "ext2", "-b", "2048"),
    "ext2 inode 128": plain("-t", "ext2", "-I", "128"),
    "ext2 revision 0 shape": plain("-t", "ext2", "-O", "none", "-I", "128"),
    "ext2 without filetype": plain("-t", "ext2", "-O", "^filetype"),
    "ext2 dir_index": plain("-t", "ext2", "-O", "dir_index,filetype,large_file"),
    "ext3": plain("-t", "ext3", "-O", "has_journal,dir_index,filetype,large_file"),
    "ext3 1k": plain("-t", "ext3", "-b", "1024", "-O", "has_journal,dir_index,filetype"),
    "ext3 inode 128": plain("-t", "ext3", "-I", "128", "-O", "has_journal,dir_index,filetype"),
    "no extents": ext4("^extent,^64bit"),
    "no extents 1k": ext4("^extent,^64bit", "-b", "1024"),
    "no extents 2k": ext4("^extent,^64bit", "-b", "2048"),
    "not 64bit": ext4("^64bit"),
    "not 64bit 1k": ext4("^64bit", "-b", "1024"),
    "no flex_bg": ext4("^flex_bg"),
    "flex_bg 1": ext4("", "-G", "1"),
    "flex_bg 2 1k": ext4("", "-G", "2", "-b", "1024"),
    "flex_bg 64": ext4("", "-G", "64", "-b", "1024"),
    "meta_bg": ext4("meta_bg,^resize_inode"),
    "meta_bg 1k": ext4("meta_bg,^resize_inode", "-b", "1024"),
    "meta_bg 1k not 64bit": ext4("meta_bg,^resize_inode,^64bit", "-b", "1024"),
    "meta_bg no flex_bg": ext4("meta_bg,^resize_inode,^flex_bg", "-b", "1024"),
    "bigalloc 16k": ext4("bigalloc", "-C", "16384"),
    "bigalloc 64k": ext4("bigalloc", "-C", "65536"),
    "bigalloc 1k 8k": ext4("bigalloc", "-b", "1024", "-C", "8192"),
    "bigalloc 256k": ext4("bigalloc", "-C", "262144", size=1100),
    "inline_data": ext4("inline_data"),
    "inline_data 1k": ext4("inline_data", "-b", "1024"),
    "inline_data inode 512": ext4("inline_data", "-I", "512"),
    "inline_data inode 1024": ext4("inline_data", "-I", "1024"),
    "inline_data no checksums": ext4("inline_data,^metadata_csum"),
    "inline_data ea_inode": ext4("inline_data,ea_inode", "-I", "512"),
    "large_dir": ext4("large_dir"),
    "large_dir 1k": ext4("large_dir", "-b", "1024"),
    "ea_inode": ext4("ea_inode"),
    "ea_inode 1k": ext4("ea_inode", "-b", "1024"),
    "ea_inode no checksums": ext4("ea_inode,^metadata_csum"),
    "no checksums": ext4("^metadata_csum"),
    "uninit_bg": ext4("^metadata_csum,uninit_bg"),
    "uninit_bg not 64bit 1k": ext4("^metadata_csum,uninit_bg,^64bit", "-b", "1024"),
    "metadata_csum_seed": ext4("metadata_csum_seed"),
    "metadata_csum_seed new uuid": ext4(
        "metadata_csum_seed", tune=(["-U", "0b7a3c1e-53a4-4c53-9f6e-4cf3a0d3a0ff"],)
    ),
    "no journal": ext4("^has_journal"),
    "no journal 1k": ext4("^has_journal", "-b", "1024"),
    "inode 128": ext4("^extra_isize", "-I", "128"),
    "inode 128 1k": ext4("^extra_isize", "-I", "128", "-b", "1024"),
    "inode 256": ext4("", "-I", "256"),
    "inode 512": ext4("", "-I", "512"),
    "inode 1024": ext4("", "-I", "1024"),
    "inode 2048": ext4("", "-I", "2048"),
    "sparse_super2": ext4("sparse_super2,^resize_inode,^sparse_super"),
    "no sparse_super": ext4("^sparse_super,^resize_inode", "-b", "1024"),
    "orphan_file": ext4("orphan_file"),
    "no dir_nlink": ext4("^dir_nlink"),
    "no dir_index": ext4("^dir_index"),
    "no huge_file": ext4("^huge_file"),
    "no extra_isize": ext4("^extra_isize"),
    "no filetype": ext4("^filetype"),
    "encrypt": ext4("encrypt"),
    "stable_inodes": ext4("stable_inodes,encrypt"),
    "verity": ext4("verity"),
    "hash legacy": ext4(tune=(["-E", "hash_alg=legacy"],)),
    "hash half_md4": ext4(tune=(["-E", "hash_alg=half_md4"],)),
    "hash tea": ext4(tune=(["-E", "hash_alg=tea"],)),
    "hash tea 1k": ext4("", "-b", "1024", tune=(["-E", "hash_alg=tea"],)),
    "packed_meta_blocks": ext4("", "-E", "packed_meta_blocks=1"),
    "small groups": ext4("", "-b", "1024", "-g", "1024", "-N", "8192"),
    "stride": ext4("", "-E", "stride=16,stripe_width=64"),
    "resize": ext4("", "-E", "resize=200000000", "-b", "1024"),
    "big journal": ext4("", "-J", "size=32"),
    "lazy": ext4("", "-E", "lazy_itable_init=1,lazy_journal_init=1"),
    "mmp": ext4("mmp"),
    "everything": ext4(
        "inline_data,ea_inode,large_dir,bigalloc,metadata_csum_seed,orphan_file,^resize_inode",
        "-C", "32768", "-I", "512",
    ),
}

FIELDS = ["type", "size", "mode", "uid", "gid", "links", "inode", "mtime", "atime", "ctime",
          "device", "target"]


def made(image, options, size, tune=()):
    with open(image, "wb") as file:
        file.truncate(size << 20)
    command = ["mke2fs", "-q", "-F", *(["-N", "8192"] if "-N" not in options else []), *options,
               str(image)]
    environment = {**os.environ, "MKE2FS_CONFIG": "/dev/null"}
    done = subprocess.run(command, capture_output=True, env=environment)
    if done.returncode:
        raise LookupError(done.stderr.decode())
    for change in tune:
        tool("tune2fs", *change, image)


def block_size(image):
    said = tool("dumpe2fs", "-h", image).decode()
    return int(re.search(r"Block size: +(\d+)", said).group(1))


@pytest.mark.needs_root
@pytest.mark.parametrize("name", VARIANTS)
def test_the_kernel_and_glovebox_see_the_same(name, tmp_path):
    image = tmp_path / "ext.img"
    try:
        try:
            made(image, *VARIANTS[name])
        except LookupError as error:
            if re.search(r"Invalid filesystem option set|Bad options? specified", str(error)):
                pytest.xfail(f"this mke2fs does not know it: {error}")
            raise
        with mounted(image, options="rw,noatime,user_xattr,acl") as root:
            filler.fill(root, block_size(image))
        with mounted(image) as root:
            expected = walk(root)
        compare(image, expected)
    finally:
        image.unlink(missing_ok=True)


def compare(image, expected):
    assert len(expected) > 3500
    target = ["--format", "raw", image]
    records = listed(target[2], "/", *target[:2])
    found = differences(expected, records, FIELDS)
    assert not found, "\n".join(found)
    compare_attributes(image, expected)
    tar = run("extract", *target, "/", "--to-tar", "-")
    assert tar.code in (0, support.DAMAGED), str(tar)
    actual = archived(tar.out)
    without = {path: entry for path, entry in expected.items() if entry.type != "socket"}
    # In a tar only files have a size. ACLs stand apart from other attributes, and libarchive gives
    # the group's entry where the mode has the mask; a tar that restores ACLs restores that as well.
    for path, entry in without.items():
        if b"system.posix_acl_access" in entry.xattrs:
            entry.mode, actual[path].mode = entry.mode & 0o7707, actual[path].mode & 0o7707
        entry.size = entry.size if entry.type == "file" else None
        entry.xattrs = {
            name: value for name, value in entry.xattrs.items()
            if not name.startswith(b"system.posix_acl_")
        }
    common = ["type", "size", "mode", "uid", "gid", "mtime", "device", "target", "sha256", "xattrs"]
    found = differences(without, actual, common)
    assert not found, "\n".join(found)


def compare_attributes(image, expected):
    """stat, for those that have attributes, and some that have none."""
    paths = [path for path, entry in expected.items() if entry.xattrs]
    assert len(paths) > 5 or not any(path.startswith(b"/xattrs/many") for path in paths)
    paths += [path for path, entry in expected.items() if not entry.xattrs][:5]
    for path in paths:
        (record,) = ok("stat", "--json", "--format", "raw", image, path).lines
        assert support.xattrs_of(record) == expected[path].xattrs, path


# What kernels need not mount


def debugfs_times(image, inodes):
    """mtime, owner and size by inode number, as debugfs prints them."""
    requests = [f"stat <{inode}>" for inode in inodes]
    said = support.debugfs(image, *requests).decode("utf-8", "replace")
    found = {}
    for part in re.split(r"^debugfs: +stat <", said, flags=re.M)[1:]:
        inode = int(part.split(">")[0])
        seconds, extra = re.search(r"mtime: 0x([0-9a-f]+)(?::([0-9a-f]+))?", part).groups()
        low = int(seconds, 16)
        low -= (low & 0x80000000) << 1
        extra = int(extra or "0", 16)
        # Owners are printed as signed numbers.
        user, group = (
            int(number) & 0xFFFFFFFF
            for number in re.search(r"User: +(-?\d+) +Group: +(-?\d+)", part).groups()
        )
        size = int(re.search(r"Size: (\d+)", part).group(1))
        found[inode] = ((low + ((extra & 3) << 32)) * 10**9 + (extra >> 2), user, group, size)
    return found


OTHERS = {
    "block 8k": ext4("", "-b", "8192"),
    "block 16k": ext4("", "-b", "16384"),
    "block 32k": ext4("", "-b", "32768"),
    "block 64k": ext4("", "-b", "65536", size=400),
    "block 64k no extents": ext4("^extent,^64bit", "-b", "65536", size=400),
    "block 8k bigalloc": ext4("bigalloc", "-b", "8192", "-C", "65536"),
    "block 16k inline_data": ext4("inline_data", "-b", "16384"),
    "block 64k no checksums": ext4("^metadata_csum", "-b", "65536", size=400),
    "block 64k ext2": plain("-t", "ext2", "-b", "65536", size=400),
    "casefold": ext4("casefold", "-E", "encoding=utf8"),
    "quota": ext4("quota"),
    "quota project": ext4("quota,project"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("source") / "tree"
    directory.mkdir()
    filler.fill(directory, 4096)
    # A host's tmpfs holds attributes that most of these have no room for; its ext4 does not either.
    for path in (directory / "xattrs").glob("length-?0000"):
        if "user.value" in os.listxattr(path):
            os.removexattr(path, "user.value")
    # mke2fs has no sockets; and it does not copy what was never written.
    yield directory, walk(directory)
    shutil.rmtree(directory)


@pytest.mark.needs_root
@pytest.mark.parametrize("name", OTHERS)
def test_what_mke2fs_wrote_is_read(name, source, tmp_path):
    directory, expected = source
    image = tmp_path / "ext.img"
    options, size, tune = OTHERS[name]
    made(image, [*options, "-d", str(directory)], size, tune)
    try:
        if name == "casefold":
            tool("debugfs", "-w", "-R", "set_inode_field /many flags 0x40080000", image)
        records = listed(image, "/", "--format", "raw")
        fold = records.pop(b"/lost+found", None)
        assert fold is not None
        for path in [path for path, entry in expected.items() if entry.type == "socket"]:
            records.pop(path, None)
        here = {
            path: dataclasses.replace(entry)
            for path, entry in expected.items()
            if entry.type != "socket"
        }
        assert not differences(here, records, ["type", "mode", "links", "device", "target"])
        judged = debugfs_times(image, [entry.inode for entry in records.values()])
        for path, entry in records.items():
            size = judged[entry.inode][3] if entry.device else entry.size
            assert (entry.mtime, entry.uid, entry.gid, size) == judged[entry.inode], path
        tar = archived(ok("extract", "--format", "raw", image, "/", "--to-tar", "-").out)
        tar.pop(b"/lost+found", None)
        # mke2fs leaves out a hole at the end of a file, so that some are shorter.
        for path, entry in here.items():
            if entry.type == "file" and records[path].size != entry.size:
                entry.sha256 = None
        assert not differences(here, tar, ["type", "target", "sha256"])
        dump_agrees(image, records, tmp_path)
    finally:
        image.unlink()


def dump_agrees(image, records, tmp_path):
    """Contents against debugfs as well, for the files whose names its command line can carry."""
    out = tmp_path / "dump"
    out.mkdir()
    tool("debugfs", "-R", f"rdump /boundaries /allocations {out}", image)
    for part in ("boundaries", "allocations"):
        for path, entry in walk(out / part).items():
            content = ok("cat", "--format", "raw", image, b"/" + part.encode() + path).out
            assert len(content) == records[b"/" + part.encode() + path].size
            with open(os.fsencode(out / part) + path, "rb") as file:
                dumped = file.read()
            # debugfs leaves out the hole behind inline data, which the kernel reads as zeros.
            assert content.startswith(dumped) and not any(content[len(dumped):]), path


def test_there_are_at_least_sixty_variants():
    assert len(VARIANTS) >= 60
