"""Evidence bags, judged by others: sha256sum, bagit.py, ssh-keygen, tar readers, Chromium."""

import hashlib
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

import pytest

import support
from browser import Browser
from support import DAMAGED, INTERRUPTED, USAGE, differences, mounted, ok, run, sha256, tool, walk

TAGS = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "report.html"]
PAYLOAD = ["data/files.tar", "data/files.jsonl", "data/source.json", "data/custody.jsonl"]
ORDER = [*PAYLOAD, "report.html", "bag-info.txt", "bagit.txt", "manifest-sha256.txt",
         "tagmanifest-sha256.txt", "tagmanifest-sha256.txt.sig"]
NAMES = [
    b"<script>document.title='owned'<", b"<img src=x onerror=document.title=1>", b"100% sure %s%n",
    b"two\nlines", b"cr\rhere", b"tab\there", b" leading", b"trailing ", b"-rf", b"quote'\"`$(id)",
    b"back\\slash", b"\xff\xfe\x80", b"half \xc3", "\u202egpj.exe".encode(), "e\u0301".encode(),
    "é".encode(), b"Case", b"case", b"CASE", b"a" * 255, b"\xe4" * 200, b"\x1b[31mred", b"&amp;",
    "漢字 größe".encode(), b"*?[]{}", b"data", b"files.tar", b"..hidden", b"...",
]


def fill(root):
    """Names that naive tools break on, and one of everything that a tar can hold."""
    root = os.fsencode(root)

    def write(path, content=b""):
        with open(os.path.join(root, path), "wb") as file:
            file.write(content)

    os.mkdir(os.path.join(root, b"names"))
    for number, name in enumerate(NAMES):
        write(b"names/" + name, b"content %d\n" % number)
    for name, target in {b"up": b"../../../../../etc/shadow", b"absolute": b"/etc/passwd",
                         b"to \xff": b"\xff\n<b>", b"long": b"x/" * 500}.items():
        os.symlink(target, os.path.join(root, b"names", b"link " + name))
    deep(root, 4000)
    generator = random.Random(4)
    write(b"long", generator.randbytes(5_000_001))
    write(b"empty")
    os.link(os.path.join(root, b"long"), os.path.join(root, b"names", b"long again"))
    os.link(os.path.join(root, b"long"), os.path.join(root, b"zz long"))
    for name, ranges in {b"sparse": [(0, 5000), (1 << 20, 100), (9 << 20, 70_000)],
                         b"sparse long": [(0, 4096), (200 << 20, 3 << 20)]}.items():
        with open(os.path.join(root, name), "wb") as file:
            for offset, length in ranges:
                file.seek(offset)
                file.write(generator.randbytes(length))
            file.truncate((210 << 20) if b"long" in name else 11 << 20)
    with open(os.path.join(root, b"all hole"), "wb") as file:
        file.truncate(3 << 20)
    os.mkfifo(os.path.join(root, b"pipe"))
    unix = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)
    unix.bind("socket")
    os.chdir(here)
    unix.close()
    write(b"attributes", b"a")
    for name, value in {b"user.plain": b"text", b"user.bytes": bytes(range(256)),
                        b"user.empty": b""}.items():
        os.setxattr(os.path.join(root, b"attributes"), name, value)
    tool("setfacl", "-m", "u:1234:rw,g:99:r", os.path.join(root, b"attributes"))
    os.mkdir(os.path.join(root, b"shared"))
    tool("setfacl", "-d", "-m", "u:77:rwx", os.path.join(root, b"shared"))
    write(b"old", b"o")
    os.utime(os.path.join(root, b"old"), ns=(1, 123_456_789_000_000_001))
    if support.is_root():
        os.mknod(os.path.join(root, b"null"), 0o20666, os.makedev(1, 3))
        os.mknod(os.path.join(root, b"disk"), 0o60660, os.makedev(259, 70_000))
        os.chown(os.path.join(root, b"old"), 4_000_000_000, 70_000)
        os.chmod(os.path.join(root, b"old"), 0o6711)
        os.setxattr(os.path.join(root, b"attributes"), b"trusted.second", b"\0")


def deep(root, length):
    """A file whose path is that long."""
    here = os.open(root, os.O_RDONLY)
    done = 0
    while length - done > 240:
        name = b"%03d-" % (done % 1000) + b"d" * 200
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        done += len(name) + 1
    with open(os.open(b"f" * (length - done), os.O_WRONLY | os.O_CREAT, dir_fd=here), "wb") as file:
        file.write(b"far down")
    os.close(here)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """The operator's key, and a list of who may sign."""
    path = tmp_path_factory.mktemp("key") / "operator"
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path)
    public = path.with_suffix(".pub").read_text().strip()
    path.with_suffix(".allowed").write_text(f"operator@example.com {public}\n")
    return path


@pytest.fixture(scope="module")
def image():
    """An ext4 that holds all of it; made through the kernel where that is allowed."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="glovebox-bag-"))
    path = directory / "disk.raw"
    path.touch()
    os.truncate(path, 300 << 20)
    options = ["-q", "-F", "-t", "ext4", "-O", "ea_inode", "-I", "256"]
    if support.is_root():
        tool("mke2fs", *options, path)
        with mounted(path, options="rw") as root:
            fill(root)
    else:
        (directory / "tree").mkdir()
        fill(directory / "tree")
        tool("mke2fs", *options, "-d", directory / "tree", path)
    before = sha256(path)
    yield path
    assert sha256(path) == before
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def bags(image, key, tmp_path_factory):
    """A bag of it as a directory, and what the tar form unpacks to."""
    place = tmp_path_factory.mktemp("bags")
    for name in ("CASE-17.bag", "CASE-17.tar"):
        ok("extract", "--format", "raw", image, "/", "--to", place / name, "--sign-key", key)
    (place / "unpacked").mkdir()
    tool("tar", "-C", place / "unpacked", "-xf", place / "CASE-17.tar")
    yield place
    shutil.rmtree(place)


def forms(place):
    return [place / "CASE-17.bag", place / "unpacked" / "CASE-17"]


# Whoever has no glovebox


def test_sha256sum_verifies_both_manifests(bags):
    for bag in forms(bags):
        for manifest, listed in {"manifest-sha256.txt": PAYLOAD, "tagmanifest-sha256.txt": TAGS}.items():
            said = tool("sha256sum", "--strict", "-c", manifest, cwd=bag).decode()
            assert said == "".join(f"{name}: OK\n" for name in listed)


def test_ssh_keygen_verifies_the_signature(bags, key):
    for bag in forms(bags):
        said = tool(
            "ssh-keygen", "-Y", "verify", "-f", key.with_suffix(".allowed"),
            "-I", "operator@example.com", "-n", "glovebox-bag",
            "-s", bag / "tagmanifest-sha256.txt.sig",
            input=(bag / "tagmanifest-sha256.txt").read_bytes(),
        )
        assert said.startswith(b'Good "glovebox-bag" signature for operator@example.com')


@pytest.fixture(scope="session")
def bagit(tmp_path_factory):
    """The program of the Library of Congress, from PyPI."""
    if found := shutil.which("bagit.py"):
        return [found]
    place = tmp_path_factory.mktemp("bagit")
    subprocess.run([sys.executable, "-m", "venv", place], check=True, capture_output=True)
    done = subprocess.run([place / "bin/pip", "install", "-q", "bagit==1.9.0"], capture_output=True)
    if done.returncode:
        pytest.skip(f"bagit.py cannot be had: {done.stderr[-300:]!r}")
    return [place / "bin/python", place / "bin/bagit.py"]


def test_bagit_verifies_the_bag(bags, bagit):
    for bag in forms(bags):
        tool(*bagit, "--validate", bag)
    broken = bags / "broken"
    shutil.copytree(bags / "CASE-17.bag", broken)
    with open(broken / "data/source.json", "ab") as file:
        file.write(b" ")
    assert subprocess.run([*bagit, "--validate", broken], capture_output=True).returncode
    shutil.rmtree(broken)


def test_both_forms_have_the_same_members(bags):
    directory, unpacked = forms(bags)
    with tarfile.open(bags / "CASE-17.tar") as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [f"CASE-17/{name}" for name in ORDER]
        assert all(
            (m.mode, m.uid, m.gid, m.mtime, m.type, m.uname) == (0o644, 0, 0, 0, b"0", "")
            for m in members
        )
    for bag in (directory, unpacked):
        found = [str(path.relative_to(bag)) for path in bag.rglob("*") if path.is_file()]
        assert sorted(found) == sorted(ORDER)
    for name in ("data/files.tar", "data/files.jsonl", "bagit.txt"):
        assert sha256(directory / name) == sha256(unpacked / name), name
    assert oct(directory.stat().st_mode)[-3:] == "700"
    assert {oct(path.stat().st_mode)[-3:] for path in directory.rglob("*") if path.is_file()} == {"600"}
    size = (bags / "CASE-17.tar").stat().st_size
    content = sum(512 + (m.size + 511) // 512 * 512 for m in members)
    assert size == content + 1024


def test_the_description_is_exact(bags):
    for bag in forms(bags):
        sizes = [(bag / name).stat().st_size for name in PAYLOAD]
        lines = (bag / "bag-info.txt").read_text().splitlines()
        assert re.fullmatch(r"Bag-Software-Agent: glovebox \d+\.\d+\.\d+", lines[0])
        assert re.fullmatch(r"Bagging-Date: \d{4}-\d\d-\d\d", lines[1])
        assert lines[2:] == ["Internal-Sender-Identifier: CASE-17",
                             f"Payload-Oxum: {sum(sizes)}.{len(sizes)}"]


def test_two_bags_have_the_same_files_and_records(image, bags, tmp_path):
    ok("extract", "--format", "raw", image, "/", "--to", tmp_path / "Another.bag")
    for name in ("files.tar", "files.jsonl"):
        again = tmp_path / "Another.bag/data" / name
        assert sha256(again) == sha256(bags / "CASE-17.bag/data" / name), name
    tar = tmp_path / "plain.tar"
    ok("extract", "--format", "raw", image, "/", "--to-tar", tar)
    assert sha256(tar) == sha256(bags / "CASE-17.bag/data/files.tar")


# What is in it


def records(bag):
    lines = (bag / "data/files.jsonl").read_bytes().splitlines()
    found = [json.loads(line) for line in lines]
    return [record for record in found if "path" in record], [r for r in found if "path" not in r]


@pytest.mark.needs_root
def test_the_records_are_what_the_kernel_says(image, bags):
    with mounted(image) as root:
        expected = walk(root)
    entries, remarks = records(bags / "CASE-17.bag")
    assert [remark for remark in remarks if remark.get("reason") != "socket"] == []
    assert [support.exact("skipped", remark) for remark in remarks] == [b"/socket"]
    expected.pop(b"/socket")
    found = {}
    for record in entries:
        path = b"/" + support.exact("path", record)
        assert support.exact("guest_path", record) == path and record["volume"] == "disk.raw:"
        assert path not in found and "missing" not in record
        entry = support.Entry(
            record["type"], record.get("size"), int(record["mode"], 8), record["uid"],
            record["gid"], record["links"], record["inode"],
            support.nanoseconds(record["mtime"]), support.nanoseconds(record["atime"]),
            support.nanoseconds(record["ctime"]), sha256=record.get("sha256"),
        )
        entry.xattrs = support.xattrs_of(record) if "xattrs" in record else {}
        if entry.type in ("char", "block"):
            entry.device = tuple(map(int, record["rdev"].split(":")))
        if entry.type == "symlink":
            entry.target = support.exact("target", record)
        if entry.type == "hardlink":
            other = found[b"/" + support.exact("link_to", record)]
            assert (other.type, other.inode) == ("file", entry.inode)
            entry.type, entry.size, entry.sha256 = other.type, other.size, other.sha256
            entry.xattrs = other.xattrs
        found[path] = entry
    assert len(found) > 50 and max(map(len, found)) == 4001
    for entry in expected.values():
        if entry.type != "file":
            entry.size = None
    fields = ["type", "size", "mode", "uid", "gid", "links", "inode", "mtime", "atime", "ctime",
              "device", "target", "sha256", "xattrs"]
    assert not differences(expected, found, fields), "\n".join(differences(expected, found, fields))
    assert all(expected[path].sha256 for path in expected if expected[path].type == "file")


@pytest.mark.needs_root
@pytest.mark.parametrize("reader", ["GNU tar", "bsdtar"])
def test_tar_readers_restore_the_source(reader, image, bags, tmp_path):
    out = pathlib.Path(tempfile.mkdtemp(prefix="gb-", dir="/var/tmp"))
    archive = bags / "unpacked/CASE-17/data/files.tar"
    if reader == "GNU tar":
        tool("tar", "-C", out, "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpSf",
             archive)
    else:
        tool("bsdtar", "-C", out, "--numeric-owner", "--xattrs", "--acls", "-xpSf", archive)
    try:
        restored = walk(os.fsencode(out))
        blocks = os.stat(out / "sparse long").st_blocks * 512
        assert blocks < 8 << 20, "holes became zeros"
        names = [out / "long", out / "names/long again", out / "zz long"]
        assert len({path.stat().st_ino for path in names}) == 1
    finally:
        shutil.rmtree(out)
    with mounted(image) as root:
        expected = walk(root)
    expected.pop(b"/socket")
    fields = ["type", "size", "mode", "uid", "gid", "links", "mtime", "device", "target", "sha256",
              "xattrs"]
    for tree in (expected, restored):
        for entry in tree.values():
            if entry.type != "file":
                entry.size = entry.links = None
    # libarchive's reader leaves this attribute of the kernel's own to root's own tools.
    if reader == "bsdtar":
        for tree in (expected, restored):
            for entry in tree.values():
                entry.xattrs.pop(b"trusted.second", None)
    assert not differences(expected, restored, fields), "\n".join(
        differences(expected, restored, fields)
    )


@pytest.mark.needs_root
def test_python_reads_the_archive_in_the_outer_tar(image, bags):
    with tarfile.open(bags / "CASE-17.tar") as outer:
        inner = outer.extractfile("CASE-17/data/files.tar").read()
    found = support.archived(inner)
    with mounted(image) as root:
        expected = walk(root)
    expected.pop(b"/socket")
    for path, entry in expected.items():
        entry.size = entry.size if entry.type == "file" else None
        entry.xattrs = {name: value for name, value in entry.xattrs.items()
                        if not name.startswith(b"system.posix_acl_")}
        if path == b"/attributes":
            entry.mode, found[path].mode = entry.mode & 0o7707, found[path].mode & 0o7707
    fields = ["type", "size", "mode", "uid", "gid", "mtime", "device", "target", "sha256", "xattrs"]
    assert not differences(expected, found, fields), "\n".join(differences(expected, found, fields))


def chained(path):
    """The events of a hash chain, which has to hold."""
    previous = "0" * 64
    events = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        event = json.loads(line)
        assert (event["seq"], event["prev"]) == (number, previous)
        previous = hashlib.sha256(line).hexdigest()
        events.append(event)
    return events


def test_custody_and_source_tell_the_story(image, bags, key):
    fingerprint = tool("ssh-keygen", "-lf", key).decode().split()[1]
    for bag in forms(bags):
        events = chained(bag / "data/custody.jsonl")
        assert [event["event"] for event in events] == [
            "unapproved", "opened", "read", "audit", "extracted", "sealed"
        ]
        assert sorted(event["time"] for event in events) == [event["time"] for event in events]
        entries, remarks = records(bag)
        taken = events[4]
        assert taken["records"] == len(entries) and taken["skipped"] == len(remarks) == 1
        assert taken["complete"] and taken["paths"] == [{"path": "/"}]
        assert events[5]["operator"] == fingerprint
        for member, name in {"files_tar": "files.tar", "files_jsonl": "files.jsonl",
                             "source": "source.json"}.items():
            assert events[5][member] == sha256(bag / "data" / name)
        source = json.loads((bag / "data/source.json").read_text())
        (disk,) = source["disks"]
        (layer,) = disk["layers"]
        status = os.stat(image)
        assert layer["path"] == str(image) and layer["size"] == status.st_size
        assert (layer["device"], layer["inode"]) == (status.st_dev, status.st_ino)
        assert layer["mtime_ns"] == status.st_mtime_ns
        assert disk["volumes"][0]["type"] == "ext4" and source["consistency"] == "offline"


def test_the_summary_names_the_seal(image, tmp_path):
    bag = tmp_path / "A.bag"
    said = ok("extract", "--json", "--format", "raw", image, "/names", "--to", bag).document
    assert said["bag"] == {
        "path": str(bag), "tagmanifest_sha256": sha256(bag / "tagmanifest-sha256.txt"),
        "files_tar_sha256": sha256(bag / "data/files.tar"), "signer": None,
    }
    assert not (bag / "tagmanifest-sha256.txt.sig").exists()


def test_a_bag_of_a_damaged_disk_is_sealed_and_says_what_is_missing(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    with open(tree / "scattered", "wb") as file:
        for number in range(0, 2000, 2):
            file.seek(number * 4096)
            file.write(b"block %d" % number)
    (tree / "whole").write_bytes(b"here")
    disk = tmp_path / "disk.raw"
    disk.touch()
    os.truncate(disk, 64 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", tree, disk)
    said = tool("debugfs", "-R", "stat /scattered", disk).decode()
    block = int(re.search(r"\(ETB0\):(\d+)", said).group(1))
    with open(disk, "r+b") as file:
        file.seek(block * 4096 + 12)
        file.write(b"\xee" * 64)
    bag = tmp_path / "A.bag"
    result = run("extract", "--json", "--format", "raw", disk, "/", "--to", bag)
    assert result.code == DAMAGED, str(result)
    assert not result.document["complete"]
    assert result.document["bag"]["tagmanifest_sha256"] == sha256(bag / "tagmanifest-sha256.txt")
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        tool("sha256sum", "--strict", "-c", manifest, cwd=bag)
    entries, remarks = records(bag)
    (record,) = [entry for entry in entries if entry["path"] == "scattered"]
    assert record["missing"] and record["size"] == (tree / "scattered").stat().st_size
    with tarfile.open(bag / "data/files.tar") as archive:
        content = archive.extractfile("scattered").read()
    assert hashlib.sha256(content).hexdigest() == record["sha256"]
    original = (tree / "scattered").read_bytes()
    lost = bytearray(original)
    for missing in record["missing"]:
        lost[missing["offset"]:missing["offset"] + missing["length"]] = bytes(missing["length"])
    assert content == bytes(lost) != original
    assert any(remark.get("problem") == "/scattered" for remark in remarks)
    (taken,) = [e for e in chained(bag / "data/custody.jsonl") if e["event"] == "extracted"]
    assert not taken["complete"] and taken["partial"] == 1 and taken["problems"] > 0
    page = (bag / "report.html").read_text()
    assert "Not complete" in page and "/scattered" in page
    assert page.index("What is missing, and why") < page.index("Who, why, when")


# Refusals


def test_a_key_that_cannot_sign_is_refused_before_anything_is_read(image, key, tmp_path):
    locked = tmp_path / "locked"
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", locked)
    junk = tmp_path / "junk"
    junk.write_text("no key\n")
    lone = tmp_path / "lone.pub"
    shutil.copy(key.with_suffix(".pub"), lone)
    for name in (locked, junk, lone, tmp_path / "missing", "/"):
        for bag in ("A.bag", "A.tar"):
            # A target that does not exist: whoever looked at it first would say that.
            result = run("extract", tmp_path / "no.raw", "/", "--to", tmp_path / bag, "--sign-key",
                         name, environment={"SSH_AUTH_SOCK": ""})
            assert result.code == USAGE and b"cannot sign" in result.err, str(result)
    assert sorted(os.listdir(tmp_path)) == ["junk", "locked", "locked.pub", "lone.pub"]


def test_nobody_is_asked_for_a_passphrase(image, tmp_path):
    """Not even where there is a terminal: hours may lie between the first signature and the last."""
    locked = tmp_path / "locked"
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", locked)
    process, terminal = pty.fork()
    if process == 0:
        os.execv(support.GLOVEBOX, [support.GLOVEBOX, "extract", str(image), "/", "--to",
                                    str(tmp_path / "A.bag"), "--sign-key", str(locked)])
    said = b""
    end = time.monotonic() + 20
    try:
        while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            said += os.read(terminal, 4096)
    except OSError:
        pass  # The end of a terminal is an error.
    asked = time.monotonic() >= end
    if asked:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert not asked and os.waitstatus_to_exitcode(status) == USAGE, said
    assert b"cannot sign" in said and b"Enter passphrase" not in said
    assert not (tmp_path / "A.bag").exists()


def test_an_agent_signs(image, key, tmp_path):
    socket_path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket_path], stdout=subprocess.DEVNULL)
    try:
        support.until(socket_path.exists)
        environment = {"SSH_AUTH_SOCK": str(socket_path)}
        tool("ssh-add", "-q", key, env={**os.environ, **environment})
        public = tmp_path / "operator.pub"
        shutil.copy(key.with_suffix(".pub"), public)
        bag = tmp_path / "A.bag"
        ok("extract", "--format", "raw", image, "/names", "--to", bag, "--sign-key", public,
           environment=environment)
        tool("ssh-keygen", "-Y", "verify", "-f", key.with_suffix(".allowed"), "-I",
             "operator@example.com", "-n", "glovebox-bag", "-s", bag / "tagmanifest-sha256.txt.sig",
             input=(bag / "tagmanifest-sha256.txt").read_bytes())
    finally:
        agent.kill()
        agent.wait()


def test_what_is_there_is_not_overwritten(image, tmp_path):
    (tmp_path / "A.bag").mkdir()
    (tmp_path / "A.tar").write_text("mine")
    (tmp_path / "B.bag.partial").mkdir()
    os.symlink("nowhere", tmp_path / "C.tar")
    before = sorted(os.listdir(tmp_path))
    for name in ("A.bag", "A.bag/", "A.tar", "B.bag", "C.tar"):
        result = run("extract", "--format", "raw", image, "/", "--to", f"{tmp_path}/{name}")
        assert result.code == USAGE and b"exists" in result.err, str(result)
    for name in ("case", "case.zip", ".bag", "a b.bag", "x" * 61 + ".tar"):
        result = run("extract", "--format", "raw", image, "/", "--to", tmp_path / name)
        assert result.code == USAGE and b"no name for a bag" in result.err, str(result)
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "A.tar").read_text() == "mine"


@pytest.mark.parametrize(
    "options", [["--to", "A.bag", "--to-tar", "-"], ["--to-tar", "x.tar", "--sign-key", "k"], []]
)
def test_options_that_make_no_sense_together_are_refused(options, image, tmp_path):
    assert run("extract", image, "/", *options, cwd=tmp_path).code == USAGE
    assert os.listdir(tmp_path) == []


# Interruptions


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Enough to be interrupted in."""
    directory = tmp_path_factory.mktemp("large")
    tree = directory / "tree"
    tree.mkdir()
    generator = random.Random(7)
    for number in range(3000):
        (tree / f"{number}").write_bytes(generator.randbytes(3000))
    (tree / "big").write_bytes(generator.randbytes(100 << 20))
    disk = directory / "disk.raw"
    disk.touch()
    os.truncate(disk, 250 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, disk)
    shutil.rmtree(tree)
    yield disk
    disk.unlink()


@pytest.mark.parametrize("form", ["bag", "tar"])
@pytest.mark.parametrize(
    "name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name
)
def test_a_bag_that_is_cut_short_leaves_nothing(name, form, large, key, tmp_path):
    command = [support.GLOVEBOX, "extract", "--format", "raw", str(large), "/", "--sign-key",
               str(key), "--to"]
    started = time.monotonic()
    subprocess.run([*command, tmp_path / f"Whole.{form}"], check=True, capture_output=True)
    whole = time.monotonic() - started
    tool("rm", "-r", tmp_path / f"Whole.{form}")
    generator = random.Random(f"{name}{form}")
    cut = 0
    for moment in range(30 if support.SOAK else 6):
        place = tmp_path / f"{moment}"
        place.mkdir()
        bag = place / f"CASE.{form}"
        process = subprocess.Popen(
            [*command, bag], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, cwd=place, preexec_fn=support.attend_signals,
        )
        time.sleep(generator.uniform(0.002, whole))
        process.send_signal(name)
        _, said = process.communicate(timeout=60)
        left = os.listdir(place)
        if process.returncode == 0:
            assert left == [bag.name]
        else:
            cut += 1
            expected = -signal.SIGKILL if name == signal.SIGKILL else INTERRUPTED
            # Before it attends to signals, any of them ends it.
            assert process.returncode in (expected, -name), said
            assert left in ([], ["CASE.bag.partial"] if name == signal.SIGKILL else []), left
        shutil.rmtree(place)
    assert cut, "no signal came in time"


@pytest.mark.needs_root
@pytest.mark.parametrize("form", ["bag", "tar"])
def test_a_full_disk_is_said_and_leaves_nothing(form, large, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    # Too small for the archive, for the records beside it, for what comes last.
    for size in ("64k", "1m", "50m"):
        tool("mount", "-t", "tmpfs", "-o", f"size={size}", "none", place)
        try:
            result = run("extract", "--format", "raw", large, "/", "--to", place / f"A.{form}")
            assert result.code == DAMAGED, str(result)
            assert b"ENOSPC" in result.err and b"space" in result.err, str(result)
            assert os.listdir(place) == []
        finally:
            tool("umount", place)


# The report


@pytest.fixture(scope="module")
def chromium():
    if not Browser.program():
        pytest.skip("needs Chromium")


@pytest.fixture(scope="module")
def page(bags, chromium):
    with Browser() as browser:
        browser.open(bags / "CASE-17.bag/report.html")
        yield browser


def test_the_report_opens_without_complaint(page):
    assert page.evaluate("document.title") == "Evidence bag CASE-17"
    assert page.said() == []
    assert len(page.requests()) == 1, page.requests()
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.querySelectorAll('img,link,iframe,object,embed').length") == 0


def test_names_in_the_report_are_text(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = page.evaluate("document.body.innerText")
    assert "<script>document.title='owned'<" in text
    assert "<img src=x onerror=document.title=1>" in text
    assert r"\xe2\x80\xaegpj.exe" in text and "\u202e" not in text
    assert r"\xff\xfe\x80" in text and r"two\x0alines" in text and r"\x1b[31mred" in text
    assert "漢字 größe" in text
    assert page.evaluate("document.title") == "Evidence bag CASE-17"
    # Nothing of it is wider than the page.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_script_in_the_page_would_not_run(page, bags, tmp_path):
    """Should an escape be forgotten one day, the policy in the page still stands."""
    content = (bags / "CASE-17.bag/report.html").read_text()
    hostile = "<script>document.title='owned'</script><img src='http://192.0.2.1/x' " \
              "onerror=\"document.title='owned'\">"
    (tmp_path / "page.html").write_text(content.replace("</main>", hostile + "</main>"))
    with Browser() as browser:
        browser.open(tmp_path / "page.html")
        assert browser.evaluate("document.title") == "Evidence bag CASE-17"
        assert any("Content Security Policy" in json.dumps(event) for event in browser.said())


# Size


def many(directory, files, kilobytes):
    """An ext4 with that many files, of real data, and first of all one with a long path."""
    disk = directory / f"many-{files}.raw"
    disk.touch()
    os.truncate(disk, (files * (kilobytes + 5) << 10) + (64 << 20))
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-N", str(files + 5000), disk)
    block = random.Random(3).randbytes(kilobytes << 10)
    with mounted(disk, options="rw,noatime") as root:
        os.makedirs(os.path.join(root, *[b"!" * 250] * 14))
        for number in range(files):
            if number % 1000 == 0:
                place = os.path.join(root, b"%d" % (number // 1000))
                os.mkdir(place)
            with open(os.path.join(place, b"file %d" % number), "wb") as file:
                file.write(b"%d" % number)
                file.write(block)
    return disk


def peak_of(*arguments):
    """The most memory that a run of glovebox takes.

    Asked for by a small process in between: what a child has before it executes counts as its own.
    """
    between = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    said = tool(sys.executable, "-S", "-c", between, support.GLOVEBOX, *arguments)
    return int(said.splitlines()[-1]) * 1024


@pytest.mark.needs_root
def test_a_bag_takes_no_memory_for_its_files(tmp_path):
    """There are buffers and pages of the disk, whatever the number and the paths of the files."""
    for files in (10_000, 40_000):
        disk = many(tmp_path, files, 1)
        peaks = []
        for option, name in {"--to-tar": "plain.tar", "--to": "A.tar"}.items():
            peaks.append(peak_of("extract", "--format", "raw", disk, "/", option, tmp_path / name))
            (tmp_path / name).unlink()
        disk.unlink()
        assert peaks[1] < peaks[0] + (40 << 20) and peaks[1] < 100 << 20, (files, peaks)


@pytest.mark.soak
@pytest.mark.needs_root
@pytest.mark.parametrize("files, kilobytes", [(200_000, 25), (800_000, 1)])
def test_a_bag_of_many_files_takes_128_mebibytes(tmp_path, files, kilobytes):
    disk = many(tmp_path, files, kilobytes)
    bag = tmp_path / "A.tar"
    assert peak_of("extract", "--format", "raw", disk, "/", "--to", bag) < 128 << 20
    disk.unlink()
    tool("tar", "-C", tmp_path, "-xf", bag)
    bag.unlink()
    tool("sha256sum", "--strict", "--quiet", "-c", "manifest-sha256.txt", cwd=tmp_path / "A")
