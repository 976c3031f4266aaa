"""The host is not as one would like it: libraries, hard links, locks or UTF-8 are missing."""

import base64
import contextlib
import os
import subprocess
import time

import pytest

import support
from support import DAMAGED, DONE, GLOVEBOX, MISSING, USAGE, ok, run, slowed, tool, until

# A root directory with /proc, the images, the program, and not one library.
BARE = """
mkdir "$ROOT/proc" "$ROOT/images" && mount --bind /proc "$ROOT/proc" &&
mount --bind "$IMAGES" "$ROOT/images" && cp "$GLOVEBOX" "$ROOT/glovebox" &&
exec chroot "$ROOT" /glovebox "$@"
"""


def bare(root, images, *arguments):
    """Runs glovebox where there is nothing besides."""
    root.mkdir()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", BARE, "sh", *arguments], stdin=subprocess.DEVNULL,
        env={**os.environ, "ROOT": root, "IMAGES": images, "GLOVEBOX": GLOVEBOX},
        capture_output=True,
    )
    return support.Result(tuple(arguments), done.returncode, done.stdout, done.stderr)


@pytest.mark.needs_root
@pytest.mark.parametrize("kind", ["zlib", "zstd"])
def test_the_program_needs_no_library_of_the_host(kind, fixtures, tmp_path):
    images = fixtures.path("qcow2-kinds")
    result = bare(tmp_path / "root", images, "cat", f"/images/{kind}", "/etc/hostname")
    assert result.out == b"web-1\n", str(result)
    tar = bare(tmp_path / "again", images, "extract", f"/images/{kind}", "/", "--to-tar", "-")
    assert tar.code == DONE, str(tar)
    expected = run("extract", images / kind, "/", "--to-tar", "-")
    assert tar.out == expected.out


@contextlib.contextmanager
def fuse(make, mount, tmp_path):
    """A new file system that is mounted by FUSE on a loop device; yields where."""
    image, point = tmp_path / "fuse.image", tmp_path / "fuse"
    tool("truncate", "-s", "48M", image)
    point.mkdir()
    device = tool("losetup", "--find", "--show", image).decode().strip()
    try:
        tool(*make, device)
        tool(*mount, device, point)
        try:
            yield point
        finally:
            for _ in range(20):
                if subprocess.run(["umount", point], capture_output=True).returncode == 0:
                    break
                time.sleep(0.1)
    finally:
        tool("losetup", "-d", device)


def exfat(tmp_path):
    return fuse(["mkfs.exfat"], ["mount.exfat-fuse"], tmp_path)


def ntfs(tmp_path):
    return fuse(["mkntfs", "-q", "-Q"], ["ntfs-3g"], tmp_path)


@pytest.mark.needs_root
@pytest.mark.parametrize("kind, has_links", [(exfat, False), (ntfs, True)], ids=["exfat", "ntfs"])
def test_a_tar_is_whole_where_files_cannot_be_unnamed(kind, has_links, fixtures, tmp_path):
    image = fixtures.path("qcow2-kinds") / "cluster512"
    expected = ok("extract", image, "/", "--to-tar", "-").out
    with kind(tmp_path) as place:
        (place / "one").write_bytes(b"")
        with contextlib.nullcontext() if has_links else pytest.raises(OSError):
            os.link(place / "one", place / "two")
        for name in ("one", "two"):
            (place / name).unlink(missing_ok=True)
        result = run("extract", image, "/", "--to-tar", place / "all.tar")
        assert result.code == DONE, str(result)
        assert [path.name for path in place.iterdir()] == ["all.tar"]
        assert (place / "all.tar").read_bytes() == expected
        # Nothing is overwritten here either.
        result = run("extract", image, "/etc", "--to-tar", place / "all.tar")
        assert result.code == USAGE and b"exists already" in result.err, str(result)
        assert (place / "all.tar").read_bytes() == expected


@pytest.mark.needs_root
def test_a_tar_that_does_not_fit_leaves_nothing_where_files_cannot_be_unnamed(fixtures, tmp_path):
    image = fixtures.path("qcow2-kinds") / "cluster512"
    with exfat(tmp_path) as place:
        free = os.statvfs(place)
        (place / "filler").write_bytes(b"\1" * (free.f_bavail * free.f_frsize - (64 << 10)))
        result = run("extract", image, "/", "--to-tar", place / "all.tar")
        assert result.code == DAMAGED and b"space" in result.err, str(result)
        assert [path.name for path in place.iterdir()] == ["filler"]


@pytest.mark.needs_root
def test_a_name_that_somebody_takes_meanwhile_is_not_overwritten(fixtures, tmp_path):
    image = fixtures.path("qcow2-kinds") / "cluster512"
    with exfat(tmp_path) as place:
        command = [GLOVEBOX, "extract", image, "/", "--to-tar", place / "all.tar"]
        process = slowed("fsync:delay_enter=1500000", command)
        until(lambda: (place / "all.tar.partial").exists())
        (place / "all.tar").write_bytes(b"of somebody else")
        _, error = process.communicate(timeout=20)
        assert process.returncode == DAMAGED and b"File exists" in error, error
        assert [path.name for path in place.iterdir()] == ["all.tar"]
        assert (place / "all.tar").read_bytes() == b"of somebody else"


@pytest.mark.needs_root
def test_where_locks_of_others_may_not_show_that_is_said(fixtures, tmp_path):
    with ntfs(tmp_path) as place:
        # It fits as it is on ext4, compressed.
        image = fixtures.copy("qcow2-kinds/zlib", place / "disk")
        says = b"whether a running instance writes to it is unknown: its file system is FUSE"
        result = ok("cat", image, "/etc/hostname")
        assert result.out == b"web-1\n" and says in result.err, str(result)
        # Also where the command fails, for that may be the reason.
        result = run("cat", image, "/no/such")
        assert result.code == MISSING and says in result.err, str(result)
        result = run("ls", "--json", image, "/no/such")
        assert result.error["exit_code"] == MISSING and says in result.err, str(result)
        [disk] = ok("disks", "--json", image).document["disks"]
        assert any("is FUSE" in warning for warning in disk["warnings"])
        with open(image, "r+b") as file:
            file.seek(32)
            file.write(b"\0\0\0\2")
        result = run("cat", "--format", "qcow2", image, "/etc/hostname")
        assert result.code == DAMAGED and b"encrypted" in result.err, str(result)
        assert says in result.err, "the disk itself could not be used"


ODD = b"d\xefsk-\xff\xc3(.img"


@pytest.fixture
def oddly_named(fixtures, tmp_path):
    """An image whose name is not UTF-8, beside others that it could be taken for."""
    image = fixtures.copy("qcow2-kinds/cluster512", tmp_path / "plain")
    place = os.path.join(os.fsencode(tmp_path), b"pl\xe4ce")
    os.mkdir(place)
    os.rename(image, os.path.join(place, ODD))
    carried = "".join(
        character if ord(character) < 0x80 else chr(0x10FE00 + ord(character))
        for character in ODD.decode("latin-1")
    )
    for other in (ODD.decode("utf-8", "replace"), ODD.decode("utf-8", "ignore"), carried):
        with open(os.path.join(place, other.encode()), "wb") as file:
            file.write(b"not this one")
    return os.path.join(place, ODD)


def test_a_target_whose_name_is_not_utf8_is_that_very_file(oddly_named):
    assert ok("cat", oddly_named, "/etc/hostname").out == b"web-1\n"
    volume = ODD + b":"
    assert ok("cat", oddly_named, ODD + b"::/etc/hostname").out == b"web-1\n"
    assert b"hostname\n" in ok("ls", oddly_named, "/etc").out
    document = ok("disks", "--json", oddly_named).document
    assert support.exact("target", document) == oddly_named
    [disk] = document["disks"]
    assert support.exact("name", disk) == ODD and support.exact("path", disk) == oddly_named
    assert support.exact("path", disk["layers"][0]) == oddly_named
    assert r"d\xefsk-\xff\xc3(.img" in disk["name"]
    for command in (["ls", "--json", oddly_named, "/etc"], ["df", "--json", oddly_named],
                    ["stat", "--json", oddly_named, "/etc"]):
        for record in ok(*command).lines:
            assert base64.b64decode(record["volume_base64"]) == volume
    assert rb"d\xefsk-\xff\xc3(.img" in ok("disks", oddly_named).out
    result = run("cat", oddly_named, "/no")
    assert result.code == MISSING and rb"d\xefsk-\xff\xc3(.img" in result.err, str(result)
    result = run("cat", "--json", oddly_named, "/no")
    assert r"d\xefsk-\xff\xc3(.img" in result.error["message"]


def test_a_character_that_carries_bytes_is_itself_when_it_is_in_a_name(oddly_named, tmp_path):
    place = tmp_path / "itself"
    place.mkdir()
    image = place / "\U0010feff"
    os.rename(oddly_named, image)
    (place / "x").write_bytes(b"")
    os.rename(place / "x", os.path.join(os.fsencode(place), b"\xff"))
    assert ok("cat", image, "/etc/hostname").out == b"web-1\n"
    assert run("cat", os.path.join(os.fsencode(place), b"\xff"), "/etc/hostname").code != DONE
    # Nor does a header that names the one get the other.
    overlay = place / "overlay"
    tool("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "\U0010feff", "-F", "qcow2", overlay,
         "96M")
    assert ok("cat", overlay, "/etc/hostname").out == b"web-1\n"


def test_an_instance_directory_may_hold_any_names(oddly_named, tmp_path):
    directory = os.path.join(os.fsencode(tmp_path), b"inst\xe4nce")
    os.mkdir(directory)
    os.rename(oddly_named, os.path.join(directory, b"disk.\xfe"))
    assert ok("cat", directory, "/etc/hostname").out == b"web-1\n"
    assert ok("cat", directory, b"disk.\xfe::/etc/hostname").out == b"web-1\n"


def test_destinations_may_have_any_names(oddly_named, tmp_path):
    root = os.fsencode(tmp_path)
    out, tar = os.path.join(root, b"out-\xff"), os.path.join(root, b"tar-\xff")
    ok("extract", oddly_named, "/etc/hostname", "--to-dir", out)
    with open(os.path.join(out, b"etc/hostname"), "rb") as file:
        assert file.read() == b"web-1\n"
    ok("extract", oddly_named, "/etc/hostname", "--to-tar", tar)
    with open(tar, "rb") as file:
        assert b"/etc/hostname" in support.archived(file.read())
    assert run("extract", oddly_named, "/etc", "--to-tar", tar).code == USAGE
    assert sorted(os.listdir(root)) == sorted([b"out-\xff", b"tar-\xff", b"pl\xe4ce"])
    # The name of the disk is a directory where several trees were asked for.
    both = os.path.join(root, b"both")
    ok("extract", oddly_named, "/etc/hostname", ODD + b"::/etc/hosts", "--to-dir", both)
    assert os.path.exists(os.path.join(both, ODD, b"etc/hosts"))


def test_a_backing_file_is_found_beside_an_image_with_any_name(oddly_named, tmp_path):
    place = os.path.dirname(oddly_named)
    base = os.path.join(place, b"base")
    os.rename(oddly_named, base)
    overlay = tmp_path / "overlay"
    tool("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "base", "-F", "qcow2", overlay, "96M")
    os.rename(overlay, os.path.join(place, b"\xfd"))
    assert ok("cat", os.path.join(place, b"\xfd"), "/etc/hostname").out == b"web-1\n"
    os.rename(base, os.path.join(os.fsencode(tmp_path), b"base"))
    result = run("cat", os.path.join(place, b"\xfd"), "/etc/hostname")
    assert result.code == MISSING and b"base" in result.err, str(result)
