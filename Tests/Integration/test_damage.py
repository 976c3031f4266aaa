"""Truncated and corrupted images: a documented exit code, within 10 s and 512 MiB."""

import os
import random
import shutil

import pytest

import support
from support import measured, tool

SECONDS_MAX = 10
MEMORY_MAX = 512 << 20
ROUNDS = 40 if support.SOAK else 1
GROUPS = 8


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small disk of each kind: damage meets a structure more often than content."""
    directory = tmp_path_factory.mktemp("small")
    tree = directory / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/fstab").write_text("LABEL=small / ext4 defaults 0 1\n")
    (tree / "dir").mkdir()
    for number in range(150):
        (tree / "dir" / f"entry-{number}").write_bytes(b"%d\n" % number * number)
    os.symlink("etc/fstab", tree / "link")
    os.symlink("x" * 200, tree / "slow-link")
    with open(tree / "sparse", "wb") as file:
        for block in range(0, 900, 2):
            file.seek(block * 1024)
            file.write(b"block")
    for name in ("dir/entry-3", "etc/fstab"):
        for number in range(8):
            os.setxattr(tree / name, f"user.a{number}", b"value" * 20)
    made = {}
    for name, options in {
        "ext4": ["-t", "ext4", "-O", "metadata_csum,64bit,inline_data", "-I", "256", "-J", "size=1"],
        "ext4-nocsum": ["-t", "ext4", "-O", "^metadata_csum", "-I", "256", "-J", "size=1"],
        "ext2": ["-t", "ext2", "-b", "1024"],
    }.items():
        made[name] = directory / name
        with open(made[name], "wb") as file:
            file.truncate(6 << 20)
        tool("mke2fs", "-q", "-F", "-L", "small", "-d", tree, *options, made[name])
    for name, options in {
        "qcow2": [], "qcow2-zlib": ["-c"], "qcow2-512": ["-o", "cluster_size=512"],
        "qcow2-extended": ["-o", "extended_l2=on"],
        "qcow2-zstd": ["-c", "-o", "compression_type=zstd"],
    }.items():
        made[name] = directory / name
        tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, made["ext4-nocsum"],
             made[name])
    for name, table in {
        "gpt": "label: gpt\n2048,4096,L\n6144,2048,L\n,,L\n",
        "mbr": "label: dos\n1: start=2048, size=4096, type=83\n"
        "2: start=6144, size=8192, type=5\n5: start=8192, size=1000, type=83\n"
        "6: start=12288, size=1000, type=83\n3: start=16384, type=82\n",
    }.items():
        made[name] = directory / name
        shutil.copy(made["ext2"], directory / "part")
        with open(made[name], "wb") as file:
            file.truncate(16 << 20)
        tool("sfdisk", "-q", "--no-reread", made[name], input=table.encode())
        with open(made[name], "r+b") as file:
            file.seek(2048 * 512)
            file.write((directory / "part").read_bytes()[: 4096 * 512])
    shutil.rmtree(tree)
    return made


def structures(name, image):
    """Where the structures of a disk are, as byte ranges; damage goes there."""
    size = os.path.getsize(image)
    if name.startswith("qcow2"):
        return [range(0, min(size, 1 << 16)), range(0, size)]
    if name in ("gpt", "mbr"):
        return [
            range(0, 2048),
            range(6144 * 512, 6144 * 512 + 512),
            range(8192 * 512 - 512, 8192 * 512 + 1024),
            range(size - 17 * 1024, size),
            range(2048 * 512, 2048 * 512 + 65536),
        ]
    found = [range(1024, 2048), range(2048, 8192)]
    block = 1024
    for line in tool("dumpe2fs", image, check=False).decode().splitlines():
        if line.strip().startswith("Inode table at"):
            first, last = line.split()[3].rstrip(",").split("-")
            found.append(range(int(first) * block, int(first) * block + 160 * 256))
            del last
    for path in ("/dir", "/etc", "/", "/sparse"):
        for number in debugfs_blocks(image, path):
            found.append(range(number * block, (number + 1) * block))
    return found


def debugfs_blocks(image, path):
    said = tool("debugfs", "-R", f"stat {path}", image).decode("utf-8", "replace")
    numbers = []
    for token in said.split("EXTENTS:")[-1].split("BLOCKS:")[-1].replace(",", " ").split():
        last = token.rsplit(":", 1)[-1].split("-")[0]
        if last.isdigit() and int(last) < 6144:
            numbers.append(int(last))
    return numbers[:12]


VALUES = [0x00, 0xFF, 0x7F, 0x80, 0x01]


def damaged(content, ranges, generator):
    """A few bytes changed: a bit, an extreme value, a whole field."""
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        place = generator.choice(ranges)
        at = generator.randrange(place.start, min(place.stop, len(content)))
        kind = generator.randrange(4)
        if kind == 0:
            content[at] ^= 1 << generator.randrange(8)
        elif kind == 1:
            content[at] = generator.choice(VALUES)
        else:
            width = generator.choice((2, 4, 8))
            at -= at % width
            extreme = bytes([generator.choice(VALUES)]) * width
            field = extreme if kind == 2 else generator.randbytes(width)
            content[at : at + width] = field[: len(content) - at]
    return content


def commands(name, image):
    options = ["--format", "qcow2" if name.startswith("qcow2") else "raw"]
    yield ["disks", "--json", *options, image]
    whole = f"{image.name}:p1:/" if name in ("gpt", "mbr") else "/"
    yield ["ls", "-R", "-l", *options, image, whole]
    yield ["extract", *options, image, whole, "--to-tar", "-"]


def assert_survives(name, image, what):
    for command in commands(name, image):
        result = measured(*command, timeout=SECONDS_MAX)
        assert result.code in support.DOCUMENTED, f"{what}: {result}"
        assert result.peak < MEMORY_MAX, f"{what}: {result.peak >> 20} MiB: {result}"
        if result.code:
            assert result.err, f"{what}: no message: {result}"


KINDS = ["ext4", "ext4-nocsum", "ext2", "qcow2", "qcow2-zlib", "qcow2-512", "qcow2-extended",
         "qcow2-zstd", "gpt", "mbr"]


@pytest.mark.parametrize("name", KINDS)
def test_an_undamaged_one_is_read(name, small):
    for command in commands(name, small[name]):
        result = measured(*command)
        assert result.code in ((0, 5) if name in ("gpt", "mbr") else (0,)), str(result)


@pytest.mark.parametrize("name", KINDS)
def test_truncated_images_end_with_a_documented_code(name, small, tmp_path):
    size = os.path.getsize(small[name])
    generator = random.Random(name)
    points = {0, 1, 3, 4, 72, 104, 511, 512, 513, 1023, 1024, 1025, 1536, 2047, 2048}
    points |= {size - 1, size - 512}
    points |= {generator.randrange(size) for _ in range(12 * ROUNDS)}
    points |= {generator.randrange(min(size, 1 << 17)) for _ in range(6 * ROUNDS)}
    image = tmp_path / "disk"
    for point in sorted(point for point in points if 0 <= point < size):
        shutil.copyfile(small[name], image)
        os.truncate(image, point)
        assert_survives(name, image, f"{name} cut at {point}")


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.parametrize("name", KINDS)
def test_corrupted_images_end_with_a_documented_code(name, group, small, tmp_path):
    original = small[name].read_bytes()
    ranges = structures(name, small[name])
    image = tmp_path / "disk"
    for number in range(5 * ROUNDS):
        seed = f"{name}-{group}-{number}"
        content = damaged(bytearray(original), ranges, random.Random(seed))
        image.write_bytes(content)
        try:
            assert_survives(name, image, f"seed {seed}")
        except AssertionError:
            kept = os.environ.get("GLOVEBOX_KEEP")
            if kept:
                shutil.copyfile(image, os.path.join(kept, seed))
            raise


def test_a_sparse_giant_is_no_burden(tmp_path):
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 1 << 40)
    result = measured("disks", "--json", "--format", "raw", image, timeout=SECONDS_MAX)
    assert result.code in support.DOCUMENTED and result.peak < MEMORY_MAX, str(result)
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", tmp_path / "q", "1P")
    result = measured("disks", "--json", tmp_path / "q", timeout=SECONDS_MAX)
    assert result.code in support.DOCUMENTED and result.peak < MEMORY_MAX, str(result)


def test_a_file_of_sixteen_tebibytes_of_hole_is_packed_at_once(tmp_path):
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, 16 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", image)
    (tmp_path / "small").write_text("small\n")
    debugfs_said = tool("debugfs", "-w", "-f", "-", image, input=(
        f"write {tmp_path}/small giant\nset_inode_field giant size 0xffffffff000\n".encode()))
    assert b"giant" in debugfs_said
    command = ["extract", "--format", "raw", image, "/", "--to-tar", "-"]
    result = measured(*command, timeout=SECONDS_MAX)
    assert result.code in support.DOCUMENTED and result.peak < MEMORY_MAX, str(result)


