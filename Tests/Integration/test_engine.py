"""Every command on volumes that only the engine opens; each run of the program is one launch."""

import json
import os

import pytest

import support
from support import archived, differences, ok, run, walk

KEYS = ("secret1", "secret2")
# A launch without KVM on a busy host.
LONG = 900

ENGINE = support.ENGINE

pytestmark = [
    pytest.mark.skipif(not os.access(ENGINE, os.X_OK), reason="glovebox-engine is not built"),
    pytest.mark.xdist_group("engine"),
]

# Each costs a launch; the worker's own tests show nearly the same.
soak = pytest.mark.soak


@pytest.fixture(scope="module")
def instance(fixtures):
    return fixtures.instance("engine")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Options that give both passphrases; a newline at the end of one does not count."""
    directory = tmp_path_factory.mktemp("keys")
    options = []
    for index, key in enumerate(KEYS):
        file = directory / str(index)
        file.write_text(key + "\n" * index)
        options += ["--key-file", file]
    return options


def source(fixtures, name):
    """The directory that a volume was filled from; the tar that did it holds no sockets.

    An archive has ACLs in a form of its own: test_worker.py compares them.
    """
    tree = walk(fixtures.path("engine") / name)
    for entry in tree.values():
        for acl in (b"system.posix_acl_access", b"system.posix_acl_default"):
            entry.xattrs.pop(acl, None)
    return {path: entry for path, entry in tree.items() if entry.type != "socket"}


VOLUMES = {
    # volume: where it is in the archive, the source, and what the file system cannot hold of it
    "disk.eph0:p2:/": ("simple", ("type", "size", "sha256")),
    "disk.eph0:p3:/": ("simple", ("type", "size", "sha256")),
    "disk.eph0:p4:/": ("simple", ("type", "size", "sha256")),
    "disk.eph0:p5:/": ("simple", ("type", "size", "sha256")),
    "disk.eph0:p6:/": ("plain", ("type", "size", "mode", "target", "sha256")),
    "disk.eph0:p7.luks:/": ("plain", None),
    "disk.eph0:inner/deep:/": ("plain", None),
    "disk.eph0:md127:/": ("plain", None),
    "disk.eph0:p1:/@": ("strange", None),
    "disk:vg/data:/@data": ("plain", None),
}
ALL = ("type", "size", "mode", "uid", "gid", "mtime", "device", "target", "xattrs", "sha256")


def test_one_launch_takes_out_what_all_volumes_hold(fixtures, instance, keys, tmp_path):
    tar = tmp_path / "all.tar"
    result = run("extract", "--json", *keys, instance, "/", "disk.eph1::/", *VOLUMES,
                 "--to-tar", tar, timeout=LONG)
    assert result.code == 0, result
    assert result.document["complete"]
    assert result.err.count(b"the appliance boots") <= 2, result
    found = archived(tar.read_bytes())
    for volume, (name, fields) in VOLUMES.items():
        disk, part, path = volume.split(":")
        prefix = "/".join(["", disk, part] + [step for step in path.split("/") if step]).encode()
        part_of_it = {
            path[len(prefix):]: entry
            for path, entry in found.items()
            if path.startswith(prefix + b"/") and not path.startswith(prefix + b"/lost+found")
        }
        assert not differences(source(fixtures, name), part_of_it, fields or ALL), volume
    strange = {path[len(b"/disk.eph1"):]: entry for path, entry in found.items()
               if path.startswith(b"/disk.eph1/")}
    assert not differences(source(fixtures, "strange"), strange, ALL)


def test_the_guests_own_tree_spans_lvm_btrfs_and_ext4(fixtures, instance):
    """The root is XFS in a volume group; its fstab mounts the rest, a subvolume among it."""
    lines = ok("ls", "-R", "--json", instance, "/", timeout=LONG).lines
    by_path = {line["path"]: line for line in lines if "path_base64" not in line}
    assert by_path["/etc/fstab"]["volume"] == "disk:vg/root"
    assert by_path["/boot/vmlinuz"]["volume"] == "disk:p1"
    assert by_path["/srv/data/hello.txt"]["volume"] == "disk:vg/data"
    assert by_path["/mnt/third"]["volume"] == "disk.eph1:"
    links = [by_path[f"/srv/data/{name}"] for name in ("hello.txt", "second")]
    assert links[0]["inode"] == links[1]["inode"] and links[0]["links"] == 2
    root = {os.fsencode(path): line for path, line in by_path.items()
            if line["volume"] == "disk:vg/root"}
    expected = source(fixtures, "root")
    # What is mounted stands in the place of these.
    assert set(root) == expected.keys() - {b"/boot", b"/boot/efi", b"/mnt", b"/srv/data"}


def test_both_engines_list_an_ext4_alike(instance):
    native = ok("ls", "-R", "--json", "--engine", "native", instance, "disk.local::/").lines
    foreign = ok("ls", "-R", "--json", "--engine", "guestfs", instance, "disk.local::/",
                 timeout=LONG).lines
    for line in native:
        # The time of creation is not in what stat gives.
        line.pop("btime", None)
    assert foreign == native


def test_native_volumes_start_nothing(instance):
    result = run("ls", instance, "disk:p1:/")
    assert result.code == 0 and b"engine" not in result.err
    result = run("disks", "--engine", "native", instance)
    assert result.code == 0 and b"appliance" not in result.err and b"vg/root" not in result.out


def test_without_the_engine_it_is_refused_by_name(instance):
    result = run("ls", "--engine", "native", instance, "disk.eph1::/")
    assert result.code == support.DAMAGED and b"xfs" in result.err
    result = run("ls", "--engine-path", "/no/such/program", instance, "disk.eph1::/")
    assert result.code == support.DAMAGED and b"/no/such/program" in result.err


def test_disks_and_stat_say_which_reader_it_was(instance, keys):
    document = ok("disks", "--json", *keys, instance, timeout=LONG).document
    volumes = {
        f"{disk['name']}:{volume['name']}": volume
        for disk in document["disks"] for volume in disk["volumes"]
    }
    assert volumes["disk:p1"]["content"]["reader"] == "native"
    assert volumes["disk:vg/root"]["content"]["reader"] == "guestfs"
    assert volumes["disk:vg/root"]["inner"]
    assert volumes["disk:vg/root"]["content"]["free"] > 0
    assert volumes["disk.eph0:p8.luks"]["content"]["type"] == "LVM2_member"
    assert volumes["disk.eph0:inner/deep"]["content"]["label"] == "engine-deep"
    assert "content" not in volumes["disk:vg/thin"]


@soak
def test_stat_invents_no_extents(instance):
    record = json.loads(ok("stat", "--json", instance, "disk.eph1::/attributes/file",
                           timeout=LONG).out)
    assert record["extents_known"] is False and "extents" not in record
    assert {item["name"] for item in record["xattrs"]} >= {"user.note", "user.binary"}
    record = json.loads(ok("stat", "--json", instance, "disk.local::/attributes/file").out)
    assert record["extents_known"] is True and record["extents"]


@soak
def test_a_wrong_key_unlocks_nothing(instance, tmp_path):
    key = tmp_path / "key"
    key.write_text("no such passphrase\n")
    result = run("ls", "--key-file", key, instance, "disk.eph0:p7.luks:/", timeout=LONG)
    assert result.code == support.MISSING, result
    assert b"no such passphrase" not in result.err


def test_an_encrypted_volume_is_never_taken_for_empty(instance):
    result = run("ls", instance, "disk.eph0:p7:/")
    assert result.code == support.DAMAGED
    assert b"crypto_LUKS" in result.err and b"--key-file" in result.err
