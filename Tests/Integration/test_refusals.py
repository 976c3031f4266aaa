"""What must not be opened is refused by name, and nothing of it comes out: each test has a canary.

The canary is a host file that could be read as a disk: were a trick to work, the commands would
show what is in it.
"""

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import time

import pytest

import support
from support import DAMAGED, DONE, REFUSED, USAGE, WRONG_STATE, ok, run, tool

TOKEN = b"CANARY-7c1f0e6b"
FORMAT_EXTENSION = bytes.fromhex("e2792aca")


@pytest.fixture
def canary(tmp_path):
    """A host file outside the image's directory: ext4, raw, holding /canary."""
    tree = tmp_path / "host/tree"
    tree.mkdir(parents=True)
    (tree / "canary").write_bytes(TOKEN * 300)
    image = tmp_path / "host/secret.raw"
    image.touch()
    os.truncate(image, 8 << 20)
    tool("mke2fs", "-q", "-F", "-L", TOKEN[:15].decode(), "-d", tree, image)
    return image


@pytest.fixture
def here(tmp_path):
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


def overlay(path, backing, format="raw"):
    tool("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", format, path, "8M")
    return path


def every_command(target, out):
    """The commands that could give something away."""
    yield ["disks", target]
    yield ["disks", "--json", "--verbose", target]
    yield ["ls", "-R", target, "/"]
    yield ["cat", target, "/canary"]
    yield ["find", "--json", target]
    yield ["extract", target, "/", "--to-tar", "-"]
    yield ["extract", target, "/", "--to-dir", out]


def assert_refused(target, tmp_path, codes=(REFUSED,), options=(), says=None):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    for command in every_command(target, out):
        result = run(command[0], *options, *command[1:], timeout=10)
        assert result.code in codes, str(result)
        assert TOKEN not in result.out + result.err, str(result)
        assert result.err
        if says:
            assert says.lower() in result.err.lower(), str(result)
    assert not [path for path in out.rglob("*") if path.is_file()]
    result = run("disks", "--json", *options, target, timeout=10)
    assert result.error["exit_code"] == result.code


@pytest.mark.parametrize(
    "backing",
    [
        'json:{{"driver":"raw","file":{{"driver":"file","filename":"{canary}"}}}}',
        "json:{{}}",
        "file:{canary}",
        "file:///{canary}",
        "nbd://192.0.2.1:10809/export",
        "nbd+unix:///export?socket=/run/none",
        "https://example.com/disk.raw",
        "ssh://user@example.com/disk.raw",
        "fat:/etc",
        "blkdebug::{canary}",
        "rbd:pool/image",
        "null-co://",
        "host_device:{canary}",
    ],
)
def test_a_backing_name_that_is_no_path_is_refused(backing, canary, here, tmp_path):
    image = overlay(here / "disk", backing.format(canary=canary))
    assert_refused(image, tmp_path)


@pytest.mark.parametrize(
    "backing",
    ["{canary}", "../host/secret.raw", "./../here/../host/secret.raw", "/dev/null",
     "/proc/self/mem", "/etc/shadow"],
)
def test_a_backing_file_outside_the_directories_is_refused(backing, canary, here, tmp_path):
    image = overlay(here / "disk", backing.format(canary=canary))
    assert_refused(image, tmp_path)


def test_a_backing_file_that_is_a_link_to_the_outside_is_refused(canary, here, tmp_path):
    os.symlink(canary, here / "base.raw")
    assert_refused(overlay(here / "disk", str(here / "base.raw")), tmp_path)


def test_a_backing_directory_that_is_a_link_to_the_outside_is_refused(canary, here, tmp_path):
    os.symlink(canary.parent, here / "bases")
    assert_refused(overlay(here / "disk", "bases/secret.raw"), tmp_path)


def test_a_directory_whose_name_merely_begins_alike_is_outside(canary, here, tmp_path):
    beside = tmp_path / "here-not"
    beside.mkdir()
    os.rename(canary, beside / "secret.raw")
    assert_refused(overlay(here / "disk", str(beside / "secret.raw")), tmp_path)


def test_allow_backing_opens_what_was_refused(canary, here):
    image = overlay(here / "disk", str(canary))
    result = ok("cat", "--allow-backing", canary.parent, image, "/canary")
    assert result.out == TOKEN * 300
    assert run("cat", "--allow-backing", here, image, "/canary").code == REFUSED


def test_a_backing_file_without_a_format_is_refused(canary, here, tmp_path):
    os.rename(canary, here / "base.raw")
    image = overlay(here / "disk", str(here / "base.raw"))
    content = image.read_bytes()
    assert content.count(FORMAT_EXTENSION) == 1
    image.write_bytes(content.replace(FORMAT_EXTENSION, b"\x11\x11\x11\x11"))
    assert_refused(image, tmp_path, says=b"format")


def test_an_external_data_file_is_refused(canary, here, tmp_path):
    image = here / "disk"
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-o",
         f"data_file={here}/data.raw,data_file_raw=on", image, "8M")
    (here / "data.raw").write_bytes(canary.read_bytes())
    assert_refused(image, tmp_path, (REFUSED, DAMAGED), says=b"data file")


def test_an_encrypted_image_is_refused(here, tmp_path):
    image = here / "disk"
    # qemu-img times itself to choose the rounds of its key, and gives up on a busy machine.
    for _ in range(20):
        tool("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o",
             "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10", image, "8M",
             check=False)
        if image.exists() and image.read_bytes()[32:36] == b"\0\0\0\2":
            break
    assert_refused(image, tmp_path, (REFUSED, DAMAGED), says=b"encrypt")


def test_a_chain_that_loops_is_refused(here, tmp_path):
    first, second = here / "first", here / "second"
    overlay(first, str(second), "qcow2")
    overlay(second, str(first), "qcow2")
    assert_refused(first, tmp_path, (REFUSED, DAMAGED))
    own = here / "own"
    tool("qemu-img", "create", "-q", "-f", "qcow2", own, "8M")
    tool("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", own, "-F", "qcow2", own)
    assert_refused(own, tmp_path, (REFUSED, DAMAGED))


def test_sixteen_layers_are_read_and_more_are_refused(canary, here, tmp_path):
    os.rename(canary, here / "layer-0")
    for number in range(1, 19):
        overlay(here / f"layer-{number}", str(here / f"layer-{number - 1}"),
                "raw" if number == 1 else "qcow2")
    assert ok("cat", here / "layer-14", "/canary").out.startswith(TOKEN)
    assert_refused(here / "layer-18", tmp_path, (REFUSED, DAMAGED))


@pytest.mark.parametrize("bit", [5, 6, 17, 40, 63])
def test_an_unknown_incompatible_bit_is_refused(bit, canary, here, tmp_path):
    os.rename(canary, here / "base.raw")
    image = overlay(here / "disk", str(here / "base.raw"))
    with open(image, "r+b") as file:
        file.seek(72)
        file.write(struct.pack(">Q", 1 << bit))
    assert_refused(image, tmp_path, (REFUSED, DAMAGED))


def test_an_unknown_compression_is_refused(fixtures, tmp_path, here):
    image = fixtures.copy("qcow2-kinds/zstd", here / "disk")
    with open(image, "r+b") as file:
        file.seek(104)
        file.write(b"\x07")
    assert_refused(image, tmp_path, (REFUSED, DAMAGED))


@pytest.mark.parametrize("kind", ["vmdk", "vdi", "vhdx", "vpc", "qed", "parallels"])
def test_other_containers_are_refused_by_name(kind, here, tmp_path):
    image = here / "disk"
    tool("qemu-img", "create", "-q", "-f", kind, image, "8M")
    assert_refused(image, tmp_path, (REFUSED, DAMAGED, USAGE))


@pytest.mark.needs_root
@pytest.mark.parametrize("kind", ["fifo", "socket", "char", "block", "null", "directory-link"])
def test_what_is_no_regular_file_is_refused_at_once(kind, here, tmp_path):
    image = here / "disk"
    if kind == "fifo":
        os.mkfifo(image)
    elif kind == "socket":
        listener = socket.socket(socket.AF_UNIX)
        os.chdir(here)
        listener.bind("disk")
        os.chdir("/")
    elif kind == "char":
        os.mknod(image, 0o20666, os.makedev(5, 0))
    elif kind == "block":
        os.mknod(image, 0o60666, os.makedev(7, 250))
    elif kind == "null":
        image = "/dev/null"
    else:
        os.symlink("/", image)
    for options in ([], ["--format", "raw"], ["--format", "qcow2"]):
        result = run("disks", *options, image, timeout=10)
        assert result.code in (REFUSED, DAMAGED, support.MISSING), str(result)
        assert result.err
    if kind != "null":
        # The same where it is found in an instance directory.
        assert run("disks", here, timeout=10).code in (REFUSED, DAMAGED, support.MISSING)


@pytest.mark.parametrize("kind", ["fifo", "char"])
@pytest.mark.needs_root
def test_a_backing_file_that_is_no_regular_file_is_refused_at_once(kind, here, tmp_path):
    base = here / "base"
    if kind == "fifo":
        os.mkfifo(base)
    else:
        os.mknod(base, 0o20666, os.makedev(1, 5))
    assert_refused(overlay(here / "disk", str(base)), tmp_path, (REFUSED, DAMAGED))


# A guest that writes a qcow2 header into its raw disk


def hostile_raw(path, canary):
    """A disk whose guest wrote a header that names a host file as its backing file."""
    overlay(path, str(canary))
    os.truncate(path, 8 << 20)
    return path


def test_disk_info_decides_that_a_disk_is_raw(canary, here):
    instance = here / "instances/5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77"
    instance.mkdir(parents=True)
    hostile_raw(instance / "disk", canary)
    (instance / "disk.info").write_text(json.dumps({f"{instance}/disk": "raw"}))
    result = ok("disks", "--json", instance)
    (disk,) = result.document["disks"]
    assert disk["format"] == "raw" and len(disk["layers"]) == 1
    assert TOKEN not in result.out + result.err
    for command in (["cat", instance, "/canary"], ["ls", "-R", instance, "/"]):
        result = run(*command)
        assert result.code != DONE and TOKEN not in result.out + result.err


@pytest.mark.parametrize(
    "entry",
    [b"[]", b"{", b'{"disk": 7}', b'{"/x/disk": "qcow2", "/x/disk": "raw"}',
     b'{"/x/disk": "vmdk"}', b"\xff\xfe", b"{}" + b" " * (2 << 20)],
    ids=["array", "torn", "number", "twice", "vmdk", "not UTF-8", "large"],
)
def test_a_disk_info_that_makes_no_sense_decides_nothing(entry, canary, here):
    hostile_raw(here / "disk", canary)
    (here / "disk.info").write_bytes(entry)
    for command in every_command(here, here / "out"):
        result = run(*command, timeout=10)
        assert TOKEN not in result.out + result.err, str(result)
        assert result.code in support.DOCUMENTED, str(result)


def test_a_loose_file_with_a_whole_header_is_refused_for_its_backing(canary, here, tmp_path):
    assert_refused(hostile_raw(here / "image", canary), tmp_path)


def test_format_raw_reads_a_loose_file_as_raw(canary, here):
    image = hostile_raw(here / "image", canary)
    result = ok("disks", "--json", "--format", "raw", image)
    (disk,) = result.document["disks"]
    assert disk["format"] == "raw" and len(disk["layers"]) == 1 and TOKEN not in result.out


def test_a_loose_file_with_half_a_header_is_refused(here, tmp_path):
    image = here / "image"
    image.write_bytes(b"QFI\xfb" + struct.pack(">I", 3) + bytes(500) + b"x" * 65536)
    assert_refused(image, tmp_path, (REFUSED, DAMAGED))


def test_it_is_said_when_a_loose_file_is_taken_for_qcow2(fixtures):
    result = ok("disks", fixtures.path("separate-volumes") / "disk")
    assert b"qcow2" in result.err.lower() + result.out.lower()


# Images in use


@contextlib.contextmanager
def writer(image, format="qcow2"):
    """QEMU's own writer, which holds the image as a running instance does."""
    process = subprocess.Popen(
        ["qemu-io", "-f", format, str(image)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    try:
        wait_for_lock(image)
        yield process
    finally:
        process.stdin.close()
        process.wait(timeout=10)


def wait_for_lock(image):
    with open(image, "rb") as file:
        for _ in range(200):
            # struct flock for F_OFD_GETLK: would a write lock on byte 101 be free?
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 101, 1, 0)
            with open(image, "r+b") as writable:
                answer = fcntl.fcntl(writable, 36, asked)
            if struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK:
                return
            time.sleep(0.02)
    raise AssertionError("qemu-io took no lock")


def test_an_image_that_a_writer_holds_is_left_alone(fixtures, here):
    image = fixtures.copy("qcow2-kinds/cluster4k-zlib", here / "disk")
    with writer(image):
        for command in (["disks", image], ["ls", image], ["cat", image, "/etc/fstab"]):
            result = run(*command)
            assert result.code == WRONG_STATE, str(result)
            assert b"use" in result.err or b"writ" in result.err, str(result)
            assert result.out == b""
        result = run("ls", "--json", image)
        assert result.error["exit_code"] == WRONG_STATE
    ok("ls", image)


def test_a_raw_image_that_a_writer_holds_is_left_alone(fixtures, here):
    image = fixtures.copy("qcow2-kinds/raw", here / "disk.raw")
    with writer(image, "raw"):
        assert run("ls", "--format", "raw", image).code == WRONG_STATE
    ok("ls", "--format", "raw", image)


def test_a_base_that_a_writer_holds_is_left_alone(canary, here):
    os.rename(canary, here / "base.raw")
    image = overlay(here / "disk", str(here / "base.raw"))
    with writer(here / "base.raw", "raw"):
        assert run("ls", image).code == WRONG_STATE


def test_another_reader_is_no_obstacle(fixtures, here):
    image = fixtures.copy("qcow2-kinds/cluster4k-zlib", here / "disk")
    process = subprocess.Popen(
        ["qemu-io", "-r", "-f", "qcow2", str(image)], stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(0.3)
    try:
        ok("ls", image)
    finally:
        process.stdin.close()
        process.wait(timeout=10)


@pytest.mark.parametrize("kind, format", [("cluster4k-zlib", "qcow2"), ("raw", "raw")])
def test_nobody_can_write_while_it_is_read(fixtures, here, kind, format):
    image = fixtures.copy(f"qcow2-kinds/{kind}", here / "disk")
    # 1.3 MB do not fit into the pipe: the reader waits for us, with the image open.
    reader = subprocess.Popen(
        [support.GLOVEBOX, "cat", "--format", format, image, "/usr/lib/numbers"],
        stdout=subprocess.PIPE,
    )
    try:
        assert reader.stdout.read(1)
        done = subprocess.run(
            ["qemu-io", "-f", format, "-c", "write 0 512", str(image)], capture_output=True
        )
        assert done.returncode != 0 and b"lock" in done.stderr, done
        rest = reader.stdout.read()
        assert reader.wait(timeout=10) == 0 and len(rest) == 1288894
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()
    tool("qemu-io", "-f", format, "-c", "write 64M 512", image)


# Encrypted files


FS_IOC_ADD_ENCRYPTION_KEY = 3 << 30 | 80 << 16 | 0x66 << 8 | 23
FS_IOC_SET_ENCRYPTION_POLICY = 2 << 30 | 12 << 16 | 0x66 << 8 | 19


def encrypt(directory):
    """Gives a directory a fscrypt v2 policy, with a key that leaves with the mount."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        argument = bytearray(struct.pack("<II32sII32x", 2, 0, b"", 64, 0) + bytes(range(64)))
        fcntl.ioctl(descriptor, FS_IOC_ADD_ENCRYPTION_KEY, argument)
        policy = struct.pack("<BBBBB3x16s", 2, 1, 4, 3, 0, bytes(argument[8:24]))
        fcntl.ioctl(descriptor, FS_IOC_SET_ENCRYPTION_POLICY, policy)
    finally:
        os.close(descriptor)


@pytest.mark.needs_root
def test_encrypted_files_are_named_and_refused_one_by_one(tmp_path):
    image = tmp_path / "disk.raw"
    image.touch()
    os.truncate(image, 32 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-O", "encrypt", image)
    with support.mounted(image, options="rw") as root:
        os.mkdir(root + b"/secret")
        with open(root + b"/open", "wb") as file:
            file.write(b"in the open\n")
        encrypt(root + b"/secret")
        with open(root + b"/secret/document", "wb") as file:
            file.write(TOKEN * 300)
        os.symlink(b"document", root + b"/secret/link")
    options = ["--format", "raw"]
    assert ok("cat", *options, image, "/open").out == b"in the open\n"
    assert "secret" in [r["path"].strip("/") for r in ok("ls", "--json", *options, image).lines]
    # Its names are encrypted as well, so the directory is what is named.
    result = run("ls", "-R", "--json", *options, image, "/")
    assert result.code == DAMAGED, str(result)
    assert b"/secret" in result.err and b"encrypt" in result.err
    assert not [r for r in result.lines if r["path"].startswith("/secret/")]
    for path in ("/secret/document", "/secret"):
        result = run("cat", *options, image, path)
        assert result.code not in (DONE, 70) and result.out == b"", str(result)
    result = run("extract", "--json", *options, image, "/", "--to-tar", tmp_path / "out.tar")
    assert result.code == DAMAGED, str(result)
    report = json.dumps([result.document["skipped"], result.document["problems"]])
    assert "/secret" in report and "encrypt" in report.lower()
    archive = support.archived((tmp_path / "out.tar").read_bytes())
    assert archive[b"/open"].size == 12
    assert not [path for path in archive if path.startswith(b"/secret/")]


def test_a_disk_info_of_many_paths_does_not_hold_anybody_up(tmp_path):
    names = ",".join(f'"/{number}":"raw"' for number in range(60_000))
    (tmp_path / "disk.info").write_text("{" + names + "}")
    tool("mke2fs", "-q", "-F", tmp_path / "disk", "8M")
    assert ok("ls", tmp_path / "disk", timeout=15).text == "lost+found\n"
