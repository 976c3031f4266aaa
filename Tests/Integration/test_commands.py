"""Every command on the fixtures, and foreign tools as judges of what it says."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import unicodedata

import pytest

import support
from support import (
    DAMAGED, DONE, MISSING, USAGE, debugfs, differences, entry_from, exact, listed, mounted,
    nanoseconds, ok, run, tool, walk,
)

COMMANDS = ["disks", "ls", "stat", "cat", "find", "df", "extract"]
ROOT_OFFSET, ROOT_SIZE = 262144 * 512, 256 << 20
METADATA = ["type", "mode", "uid", "gid", "links", "inode", "mtime", "ctime", "device", "target"]


def only_disk(document):
    (disk,) = document["disks"]
    return disk


# The program itself


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example(command):
    text = ok(command, "--help").text
    assert re.search(rf"glovebox {command} \S", text.split("USAGE")[0] + text), text
    assert re.search(r"(?i)example", text), text


def test_version_is_a_number():
    assert re.fullmatch(r"(glovebox )?\d+\.\d+\.\d+\S*\n", ok("--version").text)


def test_help_names_every_command():
    text = ok("--help").text
    for command in COMMANDS:
        assert re.search(rf"^\s+{command}\b", text, re.M), command


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["ls"],
        ["disks", "--no-such-option", "x"],
        ["cat", "{image}"],
        ["extract", "{image}", "/"],
        ["extract", "{image}", "/", "--to-dir", "a", "--to-tar", "b"],
        ["find", "{image}", "--size", "huge"],
        ["find", "{image}", "--type", "q"],
        ["find", "{image}", "--newer", "yesterdayish"],
        ["ls", "{image}", "no-disk:p1:/"],
        ["ls", "--format", "vhdx", "{image}"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_usage_errors_end_with_2(arguments, strange, tmp_path):
    result = run(*[part.format(image=strange) for part in arguments], cwd=tmp_path)
    assert result.code == USAGE, str(result)
    assert result.out == b""
    assert result.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["disks", "{directory}/gone"],
        ["ls", "{cloud}", "/no/such"],
        ["stat", "{cloud}", "/etc/fstab/below"],
        ["cat", "{cloud}", "disk:p9:/etc/fstab"],
        ["find", "{cloud}", "/gone"],
        ["extract", "{cloud}", "/gone", "--to-tar", "-"],
        ["ls", "{directory}"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_what_is_not_there_ends_with_4(arguments, cloud, tmp_path):
    arguments = [part.format(cloud=cloud, directory=tmp_path) for part in arguments]
    result = run(*arguments)
    assert result.code == MISSING, str(result)
    assert result.out == b""
    result = run(*arguments, "--json")
    assert result.code == MISSING
    assert result.error["exit_code"] == MISSING and result.error["message"]


def test_a_file_system_that_is_only_recognised_ends_with_5(cloud):
    result = run("ls", "--engine", "native", cloud, "disk.config::/")
    assert result.code == DAMAGED, str(result)
    assert b"iso9660" in result.err.lower()


def test_nothing_is_left_on_standard_error_when_all_is_well(cloud):
    for arguments in (["disks"], ["ls"], ["ls", "-l"], ["df"]):
        result = ok(arguments[0], *arguments[1:], cloud)
        assert result.err == b"", str(result)
    assert ok("find", cloud, "disk:p1:/").err == b""


def test_a_mount_that_is_not_read_is_said_where_a_listing_comes_to_it(cloud):
    for arguments in (["ls", "-R", cloud, "/"], ["find", cloud, "/boot"], ["ls", cloud, "/boot"]):
        assert ok(*arguments).err.count(b"/boot/efi: disk:p15 holds vfat") == 1, arguments


# disks


def blkid(image, offset=0, size=None):
    place = ["-O", str(offset)] + (["-S", str(size)] if size else [])
    said = tool("blkid", "-p", "-o", "export", *place, image, check=False).decode()
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


# Where another name stands for the same: glovebox's for blkid's.
ALIASES = {
    "crypto_LUKS": {"luks1", "luks2", "luks", "crypto_LUKS"},
    "LVM2_member": {"lvm2", "LVM2_member"},
    "linux_raid_member": {"mdraid", "linux_raid_member"},
}


def unescaped(text):
    return re.sub(r"\\(.)", r"\1", text)


def agrees_with_blkid(content, said):
    wanted = said.get("TYPE")
    if wanted is None:
        assert content is None or content.get("type") is None, content
        return
    assert content["type"] in ALIASES.get(wanted, {wanted}), (content, said)
    assert (content.get("label") or "") == unescaped(said.get("LABEL", "")), (content, said)
    if "UUID" in said:
        assert content["uuid"] == unescaped(said["UUID"]), (content, said)
    if "USAGE" in said:
        assert content["usage"] == said["USAGE"], (content, said)


def agrees_with_sfdisk(disk, raw, table_type):
    said = json.loads(tool("sfdisk", "--json", raw))["partitiontable"]
    assert said["label"] == {"gpt": "gpt", "mbr": "dos"}[table_type]
    table = disk["partition_table"]
    assert table["type"] == table_type and table["sector_size"] == said["sectorsize"]
    partitions = [
        part for part in said["partitions"] if part["type"].lower() not in ("5", "f", "85")
    ]
    assert len(partitions) == len(disk["volumes"])
    for part, volume in zip(partitions, disk["volumes"]):
        number = int(re.search(r"(\d+)$", part["node"]).group(1))
        assert volume["number"] == number and volume["name"] == f"p{number}"
        assert volume["start"] == part["start"] * 512
        assert volume["size"] == part["size"] * 512
        if table_type == "gpt":
            assert volume["partition_type"].upper() == part["type"].upper()
            assert volume["partition_uuid"].upper() == part["uuid"].upper()
            assert volume.get("partition_name", "") == part.get("name", "")
        else:
            assert int(volume["partition_type"], 16) == int(part["type"], 16)
            assert volume["bootable"] == part.get("bootable", False)
    return said


@pytest.mark.parametrize("name", ["nova-instance", "nova-instance-qcow2-base"])
def test_disks_agrees_with_sfdisk_and_blkid_on_a_cloud_image(fixtures, name):
    instance = fixtures.instance(name)
    document = ok("disks", "--json", instance).document
    assert document["schema"] == "glovebox.disks/1"
    assert [disk["name"] for disk in document["disks"]] == ["disk", "disk.local", "disk.config"]
    disk = document["disks"][0]
    raw = fixtures.raw(instance / "disk")
    said = agrees_with_sfdisk(disk, raw, "gpt")
    assert disk["partition_table"]["uuid"].upper() == said["id"].upper()
    assert disk["partition_table"]["problems"] == []
    for volume in disk["volumes"]:
        agrees_with_blkid(volume.get("content"), blkid(raw, volume["start"], volume["size"]))
    root = next(volume for volume in disk["volumes"] if volume["name"] == "p1")["content"]
    assert root["reader"] == "native" and root["journal"] == "clean" and root["problems"] == []
    local, config = document["disks"][1:]
    assert local["partition_table"]["type"] == "none"
    assert local["volumes"][0]["name"] == ""
    agrees_with_blkid(local["volumes"][0]["content"], blkid(fixtures.raw(instance / "disk.local")))
    agrees_with_blkid(config["volumes"][0]["content"], blkid(instance / "disk.config"))


@pytest.mark.parametrize("name", ["nova-instance", "nova-instance-qcow2-base"])
def test_disks_shows_the_chain_that_qemu_img_shows(fixtures, name):
    disk = ok("disks", "--json", fixtures.instance(name)).document["disks"][0]
    chain = json.loads(
        tool("qemu-img", "info", "-U", "--backing-chain", "--output", "json",
             fixtures.instance(name) / "disk")
    )
    assert len(disk["layers"]) == len(chain)
    for layer, said in zip(disk["layers"], chain):
        assert os.path.realpath(layer["path"]) == os.path.realpath(said["filename"])
        assert layer["format"] == said["format"]
        assert layer["size"] == said["virtual-size"]
        assert layer["file_size"] == os.path.getsize(said["filename"])
    assert disk["size"] == chain[0]["virtual-size"] and disk["format"] == "qcow2"


def test_disks_agrees_with_sfdisk_and_blkid_on_logical_partitions(fixtures):
    image = fixtures.path("mbr-logical") / "disk.raw"
    disk = only_disk(ok("disks", "--json", "--format", "raw", image).document)
    agrees_with_sfdisk(disk, image, "mbr")
    for volume in disk["volumes"]:
        agrees_with_blkid(volume.get("content"), blkid(image, volume["start"], volume["size"]))


SIGNATURES = ["xfs", "btrfs", "ext2", "ext3", "fat12", "fat16", "fat32", "exfat", "ntfs", "udf",
              "squashfs", "iso9660", "config-fat", "swap", "luks1", "luks2", "lvm2"]


@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_signature_is_told_as_blkid_tells_it(fixtures, kind):
    image = fixtures.path("signatures") / kind
    disk = only_disk(ok("disks", "--json", "--format", "raw", image).document)
    assert disk["partition_table"]["type"] == "none", disk
    agrees_with_blkid(disk["volumes"][0]["content"], blkid(image))


@pytest.mark.parametrize("kind", ["primary-lost", "backup-lost", "entries-damaged"])
def test_a_damaged_gpt_is_read_and_reported(fixtures, kind):
    image = fixtures.path("gpt-damaged") / kind
    sound = fixtures.path("gpt-damaged") / "sound"
    disk = only_disk(ok("disks", "--json", "--format", "raw", image).document)
    expected = only_disk(ok("disks", "--json", "--format", "raw", sound).document)
    assert disk["partition_table"]["problems"] != []
    assert expected["partition_table"]["problems"] == []
    assert disk["volumes"] == expected["volumes"]
    assert ok("cat", "--format", "raw", image, f"{kind}:p1:/hello").out == b"hello\n"


# ls, stat, cat: against the kernel


@pytest.mark.needs_root
def test_listing_and_reading_a_cloud_root_agree_with_the_kernel(fixtures, cloud):
    with mounted(fixtures.raw(cloud / "disk"), ROOT_OFFSET, ROOT_SIZE) as root:
        expected = walk(root)
    actual = listed(cloud, "disk:p1:/")
    assert not differences(expected, actual, METADATA + ["size", "atime"])
    for path, entry in expected.items():
        if entry.type == "file":
            content = ok("cat", cloud, b"disk:p1:" + path).out
            assert hashlib.sha256(content).hexdigest() == entry.sha256, path


@pytest.mark.needs_root
def test_a_whole_disk_of_strange_files_agrees_with_the_kernel(strange):
    with mounted(strange) as root:
        expected = walk(root)
        expected_usage = os.statvfs(root)
    actual = listed(strange)
    assert not differences(expected, actual, METADATA + ["size", "atime"])
    (usage,) = ok("df", "--json", strange).lines
    assert usage["available"] == expected_usage.f_bavail * expected_usage.f_frsize
    assert usage["inodes"] == expected_usage.f_files
    assert usage["inodes_used"] == expected_usage.f_files - expected_usage.f_ffree
    # Names that the command line has to bring through unchanged, whatever their bytes.
    for path in expected:
        if path.startswith((b"/names/", b"/attributes/", b"/owners/", b"/times/")):
            (record,) = ok("stat", "--json", strange, path).lines
            assert exact("path", record) == path
            entry = entry_from(record)
            fields = METADATA + ["size", "xattrs"]
            found = differences({path: expected[path]}, {path: entry}, fields)
            assert not found
            if entry.type == "file":
                content = ok("cat", strange, path).out
                assert hashlib.sha256(content).hexdigest() == expected[path].sha256


@pytest.mark.parametrize("path", ["/etc/fstab", "/usr/lib/numbers", "/var/log/syslog"])
def test_cat_agrees_with_debugfs(fixtures, cloud, path):
    image = f"{fixtures.raw(cloud / 'disk')}?offset={ROOT_OFFSET}"
    assert ok("cat", cloud, path).out == tool("debugfs", "-R", f"cat {path}", image)


def test_both_layers_of_an_overlay_are_read(cloud):
    assert ok("cat", cloud, "/etc/written-later").out == b"written by the guest\n"
    assert b"nginx" in ok("cat", cloud, "/var/log/syslog").out
    numbers = ok("cat", cloud, "/usr/lib/numbers").out
    assert numbers == b"".join(b"%d\n" % number for number in range(1, 200001))
    assert ok("cat", cloud, "disk.local::/note").out == b"the ephemeral disk\n"


def test_stat_says_where_it_does_not_list_all_extents(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    # Each pair of blocks is data and a hole: two extents.
    for name, pairs in (("few", 500), ("many", 50_500)):
        (tree / name).write_bytes((b"\1" + bytes(2047)) * pairs)
    image = tmp_path / "disk.raw"
    image.touch()
    os.truncate(image, 192 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", "-d", tree, image)
    shutil.rmtree(tree)
    few = ok("stat", "--json", "--format", "raw", image, "/few").document
    assert few["extents_complete"] is True and len(few["extents"]) == 1000
    many = ok("stat", "--json", "--format", "raw", image, "/many").document
    assert many["extents_complete"] is False and len(many["extents"]) == 100_000
    assert many["extents"][-1]["offset"] == 99_999 * 1024
    root = ok("stat", "--json", "--format", "raw", image, "/").document
    assert root["extents_complete"] is True and root["extents"] == []
    image.unlink()


FAILING = {
    "cat": ["cat", "{}", "/no/such"],
    "ls": ["ls", "{}", "/no/such"],
    "ls without the short way": ["ls", "-R", "{}", "/no/such"],
    "find": ["find", "{}", "/no/such"],
    "stat": ["stat", "{}", "/no/such"],
    "extract": ["extract", "{}", "/no/such", "--to-tar", "-"],
}


@pytest.mark.parametrize("command", FAILING.values(), ids=FAILING)
def test_warnings_about_the_target_come_also_where_the_command_fails(command, fixtures):
    command = [part.format(fixtures.path("qcow2-kinds") / "cluster512") for part in command]
    says = b"read as qcow2 because it begins with a valid qcow2 header"
    result = run(*command)
    assert result.code == MISSING and result.err.count(says) == 1, str(result)
    assert b"does not exist" in result.err.splitlines()[-1], "the error comes last"
    dirty = fixtures.path("dirty") / "disk.raw"
    command[command.index(str(fixtures.path("qcow2-kinds") / "cluster512"))] = str(dirty)
    result = run(*command, "--format", "raw", "--verbose")
    assert result.code == MISSING and b"journal replayed in memory" in result.err, str(result)
    result = run(*command, "--format", "raw", "--no-replay")
    assert result.code == MISSING and b"the journal was not replayed" in result.err, str(result)


@pytest.mark.parametrize("command", ["disks", "df", "ls"])
def test_warnings_come_also_where_the_disk_cannot_be_used(command, fixtures, tmp_path):
    image = tmp_path / "disk"
    tool("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "gone", "-F", "raw", image, "8M")
    result = run(command, image)
    assert result.code == MISSING and b"gone" in result.err, str(result)
    assert result.err.count(b"read as qcow2 because") == 1, str(result)


def test_stat_gives_extents_that_lead_to_the_content(strange):
    (record,) = ok("stat", "--json", strange, "/shapes/fragments").lines
    extents = record["extents"]
    position = 0
    content = bytearray()
    with open(strange, "rb") as image:
        for extent in extents:
            assert extent["offset"] == position
            position += extent["length"]
            if extent["content"] == "data":
                image.seek(extent["disk_offset"])
                content += image.read(extent["length"])
            else:
                assert extent["content"] in ("hole", "unwritten") and "disk_offset" not in extent
                content += bytes(extent["length"])
    assert position == record["size"]
    assert content == ok("cat", strange, "/shapes/fragments").out
    assert sum(extent["content"] == "data" for extent in extents) >= 100


def test_a_long_listing_has_a_line_an_entry(cloud):
    lines = ok("ls", "-l", cloud, "/etc").text.splitlines()
    assert len(lines) == len(ok("ls", "--json", cloud, "/etc").lines)
    (fstab,) = [line for line in lines if line.endswith(" fstab")]
    assert fstab.startswith("-rw-r--r--") and "2026-01-01T00:00:00" in fstab.replace(" ", "T")
    (release,) = [line for line in lines if "os-release" in line]
    assert release.endswith("os-release -> ../usr/lib/os-release")


def test_ls_of_a_directory_gives_whole_paths_in_json(cloud):
    records = ok("ls", "--json", cloud, "/etc").lines
    assert all(record["path"].startswith("/etc/") for record in records)
    assert {record["volume"] for record in records} == {"disk:p1"}


def test_json_times_are_utc_with_nanoseconds(strange):
    (record,) = ok("stat", "--json", strange, "/times/before").lines
    assert record["mtime"] == "1969-01-01T00:00:00.000000000Z"
    (record,) = ok("stat", "--json", strange, "/times/1970").lines
    assert record["mtime"] == "1970-01-01T00:00:00.000000000Z"


@pytest.mark.parametrize("zone", ["America/St_Johns", "UTC"])
def test_times_do_not_depend_on_where_one_is(cloud, zone):
    assert ok("ls", "-l", cloud, "/etc", environment={"TZ": zone}).text == ok(
        "ls", "-l", cloud, "/etc", environment={"TZ": "UTC"}
    ).text


@pytest.mark.parametrize("locale", ["C", "de_DE.UTF-8"])
def test_json_does_not_depend_on_the_locale(strange, locale):
    here = ok("ls", "--json", strange, "/names")
    assert ok("ls", "--json", strange, "/names", environment={"LC_ALL": locale}).out == here.out


# find


@pytest.mark.needs_root
@pytest.mark.parametrize(
    "options, judge",
    [
        (["--name", "*.log"], ["-name", "*.log"]),
        (["--name", "s*[gd]*"], ["-name", "s*[gd]*"]),
        (["--name", "pass??"], ["-name", "pass??"]),
        (["--type", "d"], ["-type", "d"]),
        (["--type", "l"], ["-type", "l"]),
        (["--type", "f", "--size", "+10k"], ["-type", "f", "-size", "+10240c"]),
        (["--type", "f", "--size", "-100"], ["-type", "f", "-size", "-100c"]),
        (["--size", "+1M"], ["-size", "+1048576c"]),
        (["--newer", "2025-12-31T23:59:59Z"], ["-newermt", "2025-12-31T23:59:59Z"]),
        (["--newer", "2026-01-02"], ["-newermt", "2026-01-02T00:00:00Z"]),
        (["--type", "f", "--name", "*log*"], ["-type", "f", "-name", "*log*"]),
    ],
    ids=lambda part: " ".join(part),
)
def test_find_finds_what_gnu_find_finds(fixtures, cloud, options, judge):
    with mounted(fixtures.raw(cloud / "disk"), ROOT_OFFSET, ROOT_SIZE) as root:
        said = tool("find", os.fsdecode(root), "-mindepth", "1", *judge, "-printf", "/%P\\0")
    expected = {path for path in said.split(b"\0") if path}
    records = ok("find", "--json", cloud, "disk:p1:/", *options).lines
    assert {exact("path", record) for record in records} - {b"/"} == expected
    plain = ok("find", cloud, "disk:p1:/", *options).out.splitlines()
    assert len(plain) == len(records)


def test_find_below_a_directory_stays_below_it(cloud):
    paths = [record["path"] for record in ok("find", "--json", cloud, "/var/log").lines]
    assert paths and all(path.startswith("/var/log") for path in paths)


# The guest's own tree


def test_fstab_decides_what_a_bare_path_means(fixtures):
    disk = fixtures.path("separate-volumes") / "disk"
    assert ok("cat", disk, "/etc/hostname").out == b"web-1\n"
    assert ok("cat", disk, "/var/log/where").out == b"on the var partition\n"
    assert ok("cat", disk, "/home/somebody/where").out == b"on the home partition\n"
    assert ok("cat", disk, "disk:p3:/var/log/where").out == b"hidden below /var\n"
    (record,) = ok("stat", "--json", disk, "/var/log/where").lines
    assert record["volume"] == "disk:p1"
    records = ok("df", "--json", disk).lines
    mounts = {record["volume"]: record.get("mounted_at") for record in records}
    assert mounts["disk:p3"] == "/" and mounts["disk:p1"] == "/var" and mounts["disk:p2"] == "/home"


def test_a_recursive_listing_crosses_into_mounted_volumes(fixtures):
    disk = fixtures.path("separate-volumes") / "disk"
    found = {
        record["path"]: record["volume"] for record in ok("ls", "-R", "--json", disk, "/").lines
    }
    assert found["/var/log/where"] == "disk:p1"
    assert found["/home/somebody/where"] == "disk:p2"
    assert found["/etc/fstab"] == "disk:p3"


def test_logical_partitions_are_reached_by_name_and_by_fstab(fixtures):
    image = fixtures.path("mbr-logical") / "disk.raw"
    options = ["--format", "raw"]
    assert ok("cat", *options, image, "disk.raw:p5:/log/where").out == b"on a logical partition\n"
    assert ok("cat", *options, image, "/var/log/where").out == b"on a logical partition\n"
    assert ok("cat", *options, image, "/etc/hostname").out == b"web-1\n"


def test_disk_info_of_another_node_still_tells_the_formats(fixtures):
    instance = fixtures.instance("nova-instance-qcow2-base")
    document = ok("disks", "--json", instance).document
    assert [disk["format"] for disk in document["disks"]] == ["qcow2", "qcow2", "raw"]
    assert ok("cat", instance, "/etc/written-later").out == b"written by the guest\n"


def partitioned(path, *volumes):
    """A disk with an MBR and these volumes one after the other."""
    script, data, sector = [], [], 2048
    for volume in volumes:
        size = volume.stat().st_size // 512
        script.append(f"start={sector}, size={size}, type=83")
        data.append((sector * 512, volume.read_bytes()))
        sector += (size + 2047) // 2048 * 2048
    with open(path, "wb") as disk:
        disk.truncate(sector * 512)
    tool("sfdisk", "-q", "--label", "dos", path, input="\n".join(script).encode())
    with open(path, "r+b") as disk:
        for offset, content in data:
            disk.seek(offset)
            disk.write(content)
    return path


def ext4(directory, label, fstab=None, files=(), links=(), options=()):
    """A small ext4 with some files, each with its own path as content."""
    tree = directory / f"{label}.tree"
    for name in ("etc/fstab", *files):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "etc/fstab").unlink()
    if fstab:
        (tree / "etc/fstab").write_text(fstab)
    for name, target in links:
        os.symlink(target, tree / name)
    image = directory / f"{label}.ext4"
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-L", label, *options, "-d", tree, image, "8M")
    return image


def test_a_readable_volume_is_not_the_root_because_the_root_cannot_be_read(tmp_path):
    root = tmp_path / "root.xfs"
    tool("mkfs.xfs", "-q", "-d", f"file,name={root},size=320m")
    boot = ext4(tmp_path, "boot", files=["vmlinuz"])
    disk = partitioned(tmp_path / "disk.raw", root, boot)
    result = run("ls", "--engine", "native", disk, "/")
    assert result.code == DAMAGED and not result.out, str(result)
    assert b"disk.raw:p1 holds xfs" in result.err
    assert "vmlinuz" in ok("ls", disk, "disk.raw:p2:/").text


def test_a_mount_point_behind_a_symbolic_link_is_where_mount_puts_it(tmp_path):
    fstab = "LABEL=outer / ext4 defaults 0 1\nLABEL=inner /data ext4 defaults 0 2\n"
    root = ext4(tmp_path, "outer", fstab, ["srv/data/below"], [("data", "srv/data")])
    disk = partitioned(tmp_path / "disk.raw", root, ext4(tmp_path, "inner", files=["above"]))
    assert ok("cat", disk, "/data/above").text == "above"
    assert ok("cat", disk, "/srv/data/above").text == "above"
    assert run("cat", disk, "/data/below").code == MISSING
    names = ok("find", disk, "/").text.splitlines()
    assert "/srv/data/above" in names and "/srv/data/below" not in names
    archive = ok("extract", disk, "/", "--to-tar", "-").out
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getmember("srv/data/above").isfile()
        assert tar.getmember("data").issym()
        assert "srv/data/below" not in tar.getnames()


def test_an_extraction_names_what_is_mounted_but_not_at_hand(tmp_path):
    fstab = "LABEL=alone / ext4 defaults 0 1\nLABEL=gone /home ext4 defaults 0 2\n"
    disk = ext4(tmp_path, "alone", fstab, ["home/below"])
    result = run("extract", "--json", disk, "/", "--to-dir", tmp_path / "out")
    assert "LABEL=gone on /home" in result.document["not_mounted"][0]
    assert result.code == DAMAGED and result.document["complete"] is False
    for arguments in (["ls", "-R"], ["find"]):
        assert run(*arguments, disk, "/").code == DAMAGED
    document = ok("extract", "--json", disk, "/etc", "--to-dir", tmp_path / "etc").document
    assert document["not_mounted"] == []


def test_what_the_guest_does_not_mount_by_itself_is_not_missed(tmp_path):
    fstab = (
        "LABEL=quiet / ext4 defaults 0 1\n/dev/sr0 /media/cdrom udf,iso9660 user,noauto 0 0\n"
        "//files.example.com/x /mnt/x cifs defaults 0 0\n/srv /mnt/y auto bind 0 0\n"
    )
    disk = ext4(tmp_path, "quiet", fstab, ["media/cdrom/x", "mnt/x/x", "mnt/y/x"])
    result = ok("find", disk, "/")
    assert b"mounts" not in result.err, str(result)


def test_an_fstab_without_end_does_not_hold_anybody_up(tmp_path):
    fstab = "LABEL=many / ext4 defaults 0 1\n" + "LABEL=many /a ext4\n" * 8000
    disk = ext4(tmp_path, "many", fstab, ["a/b"])
    result = run("extract", disk, "/", "--to-tar", tmp_path / "a.tar", timeout=20)
    assert result.code == DAMAGED and b"more than 256" in result.err, str(result)


def test_df_misses_a_file_system_that_it_cannot_read(tmp_path):
    instance = tmp_path / "instance"
    instance.mkdir()
    shutil.copy(ext4(tmp_path, "good", "LABEL=good / ext4 defaults 0 1\n"), instance / "disk")
    bad = ext4(tmp_path, "bad", options=["-O", "^metadata_csum"])
    with open(bad, "r+b") as file:
        file.seek(1024 + 0x63)
        file.write(b"\x40")
    shutil.copy(bad, instance / "disk.local")
    result = run("df", instance)
    assert result.code == DAMAGED and b"disk.local" in result.err, str(result)
    assert b"good" not in result.err and b"ext4" in result.out


def test_a_directory_with_the_name_of_a_disk_is_none(tmp_path):
    instance = tmp_path / "instance"
    (instance / "disk.old").mkdir(parents=True)
    shutil.copy(ext4(tmp_path, "disk", "LABEL=disk / ext4 defaults 0 1\n"), instance / "disk")
    ok("df", instance)
    assert ok("ls", instance, "/etc").text == "fstab\n"


def test_a_backing_name_cannot_act_on_a_terminal(tmp_path):
    instance = tmp_path / "instance"
    instance.mkdir()
    shutil.copy(ext4(tmp_path, "disk", "LABEL=disk / ext4 defaults 0 1\n"), instance / "disk")
    name = "/\u009b31m\u202e".encode()
    tool("qemu-img", "create", "-q", "-f", "qcow2", instance / "disk.local", "1M")
    with open(instance / "disk.local", "r+b") as file:
        file.seek(8)
        file.write((0x200).to_bytes(8, "big") + len(name).to_bytes(4, "big"))
        file.seek(0x200)
        file.write(name)
    result = run("disks", instance)
    assert b"31m" in result.out and b"\xc2\x9b" not in result.out, str(result)
    assert b"\xe2\x80\xae" not in result.out + result.err


GUEST_PASSWD = b"root:x:0:0:the guest:/root:/bin/bash"


@pytest.mark.parametrize("path", ["/srv/absolute", "/srv/upwards", "/../../../etc/passwd",
                                  "/srv/etc/passwd", "/etc/../../../etc/passwd", "/etc//passwd/."])
def test_links_and_dots_stay_inside_the_guest(cloud, path):
    if path.endswith("/."):
        assert run("cat", cloud, path).code in (DONE, MISSING)
        return
    assert ok("cat", cloud, path).out.startswith(GUEST_PASSWD)


@pytest.mark.parametrize("path", ["/srv/loop-a", "/srv/self", "/srv/loop-a/below"])
def test_a_link_loop_ends_with_an_error_that_says_so(cloud, path):
    result = run("cat", cloud, path)
    assert result.code in (MISSING, DAMAGED), str(result)
    assert re.search(rb"(?i)symbolic link|symlink|loop", result.err), str(result)


def test_a_dangling_link_is_not_there_but_can_be_looked_at(cloud):
    assert run("cat", cloud, "/srv/dangling").code == MISSING
    (record,) = ok("stat", "--json", cloud, "/srv/dangling").lines
    assert record["type"] == "symlink" and record["target"] == "nowhere"


def test_as_many_links_are_followed_as_linux_follows(strange):
    assert ok("cat", strange, "/links/chain-30").out == b"one file, three names\n"
    assert ok("cat", strange, "/links/slow").out == b"one file, three names\n"
    assert run("cat", strange, "/links/loop").code in (MISSING, DAMAGED)


# qcow2


KINDS = ["zlib", "zstd", "zstd-64k-extended", "version2", "version2-zlib", "cluster512",
         "cluster4k-zlib", "cluster2m", "cluster2m-zlib", "extended-l2", "preallocated", "lazy",
         "refcount1", "snapshot", "longer"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_qcow2_reads_as_qemu_reads_it(fixtures, kind):
    image = fixtures.path("qcow2-kinds") / kind
    expected = listing_of_files(fixtures.path("qcow2-kinds") / "raw", "--format", "raw")
    assert listing_of_files(image) == expected
    tar = ok("extract", image, "/", "--to-tar", "-").out
    raw = fixtures.raw(image)
    assert digests_in(tar) == digests_in(
        ok("extract", "--format", "raw", raw, "/", "--to-tar", "-").out
    )
    assert len(digests_in(tar)) >= 15


def listing_of_files(image, *options):
    records = ok("ls", "-R", "--json", *options, image, "/").lines
    for record in records:
        del record["volume"]
    return records


def digests_in(tar):
    return {path: entry.sha256 for path, entry in support.archived(tar).items()}


# A dirty journal, and damage


def test_a_dirty_journal_is_replayed_in_memory(fixtures):
    image = fixtures.path("dirty") / "disk.raw"
    before = support.sha256(image)
    replayed = ok("cat", "--format", "raw", image, "/state").out
    assert replayed == tool("debugfs", "-R", "cat /state", fixtures.path("dirty") / "replayed.raw")
    assert replayed.startswith(b"new")
    content = only_disk(ok("disks", "--json", "--format", "raw", image).document)["volumes"][0]
    assert content["content"]["journal"] == "replayed"
    assert support.sha256(image) == before


def test_a_lost_superblock_is_found_by_its_copies(fixtures):
    sound, damaged = (fixtures.path("corrupt") / name for name in ("sound", "superblock"))
    result = ok("ls", "-R", "--json", "--format", "raw", damaged, "/")
    assert result.err, "a lost superblock has to be reported"
    records = ok("ls", "-R", "--json", "--format", "raw", sound).lines
    expected = {record["path"] for record in records}
    assert {record["path"] for record in result.lines} == expected
    content = only_disk(ok("disks", "--json", "--format", "raw", damaged).document)
    assert content["volumes"][0]["content"]["problems"]


@pytest.mark.parametrize("damage", ["directory", "inode", "checksum", "entry", "cycle"])
def test_damage_costs_what_it_belongs_to_and_no_more(fixtures, damage, tmp_path):
    image = fixtures.path("corrupt") / damage
    sound = fixtures.path("corrupt") / "sound"
    result = run("extract", "--json", "--format", "raw", image, "/", "--to-tar", tmp_path / "tar")
    assert result.code == DAMAGED, str(result)
    assert result.document["problems"] and result.document["complete"] is False
    assert all("damaged" in problem["path"] for problem in result.document["problems"])
    expected = support.archived(ok("extract", "--format", "raw", sound, "/", "--to-tar", "-").out)
    found = support.archived((tmp_path / "tar").read_bytes())
    untouched = {
        path: entry for path, entry in expected.items() if not path.startswith(b"/damaged")
    }
    found_there = {path: entry for path, entry in found.items() if not path.startswith(b"/damaged")}
    assert not differences(untouched, found_there, ["type", "size", "mode", "sha256", "target"])
    # Listing meets all of them but the extents of a file.
    for arguments in (["ls", "-R"], ["find"]):
        code = run(*arguments, "--format", "raw", image, "/").code
        assert code == (DONE if damage == "inode" else DAMAGED), arguments


def test_damage_to_one_file_leaves_its_neighbours(fixtures):
    image = fixtures.path("corrupt") / "inode"
    assert ok("cat", "--format", "raw", image, "/damaged/3").out == b"file 3\n"
    # Its length is known and its content is not: zeros, which is said.
    result = run("cat", "--format", "raw", image, "/damaged/2")
    assert result.code == DAMAGED and result.out.strip(b"\0") == b"", str(result)
    assert result.out == b"" or b"zeros" in result.err
    assert re.search(rb"\d", result.err), "an error names its place"


# extract


def test_extraction_to_a_directory_gives_names_contents_and_times(cloud, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    document = ok("extract", "--json", cloud, "/var/log", "/etc/ssh", "--to-dir", out).document
    assert document["schema"] == "glovebox.extract/1" and document["complete"] is True
    assert document["problems"] == [] and document["skipped"] == []
    files = {path: entry for path, entry in walk(out).items() if entry.type == "file"}
    assert document["files"] == len(files)
    assert document["bytes"] == sum(entry.size for entry in files.values())
    (syslog,) = [path for path in files if path.endswith(b"/var/log/syslog")]
    content = ok("cat", cloud, "/var/log/syslog").out
    assert files[syslog].sha256 == hashlib.sha256(content).hexdigest()
    (record,) = ok("stat", "--json", cloud, "/etc/ssh/sshd_config").lines
    (config,) = [path for path in files if path.endswith(b"/etc/ssh/sshd_config")]
    assert files[config].mtime == nanoseconds(record["mtime"])


def test_extraction_to_a_directory_leaves_out_what_could_do_harm(strange, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    result = run("extract", "--json", strange, "/", "--to-dir", out)
    assert result.code in (DONE, DAMAGED), str(result)
    tree = walk(out)
    assert not [path for path, entry in tree.items() if entry.type in ("char", "block")]
    modes = {path: entry.mode for path, entry in tree.items() if entry.type != "symlink"}
    assert not [path for path, mode in modes.items() if mode & 0o6000]
    skipped = {item["path"] for item in result.document["skipped"]}
    assert any("nodes/null" in path for path in skipped), skipped
    names = {path.rsplit(b"/", 1)[1] for path in tree}
    assert {b"not-utf8-\xff\xfe\x80", b"new\nline", b"n" * 255, b"\xff" * 255} <= names
    # Sparse stays sparse: 64 MiB of which 4 KiB are data.
    (sparse,) = [path for path in tree if path.endswith(b"/shapes/sparse")]
    assert os.stat(os.fsencode(out) + sparse).st_blocks * 512 < 1 << 20
    # Links stand as they were; nothing was written through them.
    assert b"/etc/passwd" in {entry.target for entry in tree.values()}


@pytest.mark.needs_root
def test_extraction_to_a_directory_agrees_with_the_kernel(strange, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    run("extract", strange, "/", "--to-dir", out)
    with mounted(strange) as root:
        expected = {
            path: entry for path, entry in walk(root).items()
            if entry.type in ("file", "directory", "symlink")
        }
    actual = {path: entry for path, entry in walk(out).items() if path in expected}
    wanted = {path: entry for path, entry in expected.items()}
    found = differences(wanted, actual, ["type", "sha256", "target"])
    assert not found
    files = {path: entry for path, entry in expected.items() if entry.type == "file"}
    assert not differences(files, {path: actual[path] for path in files}, ["size", "mtime"])


def test_extraction_never_writes_through_a_link_that_is_there_already(cloud, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "log").mkdir()
    out = tmp_path / "out"
    out.mkdir()
    os.symlink(outside, out / "var")
    result = run("extract", cloud, "/var/log", "--to-dir", out)
    assert [path for path in outside.rglob("*") if path.name != "log"] == [], str(result)
    assert result.code != 0 or (out / "var").is_symlink()


def test_extraction_reports_what_is_in_the_way(cloud, tmp_path):
    ok("extract", cloud, "/etc/hostname", "--to-dir", tmp_path)
    (place,) = [path for path in tmp_path.rglob("hostname")]
    place.write_text("mine\n")
    result = run("extract", cloud, "/etc/hostname", "--to-dir", tmp_path)
    assert result.code != DONE, str(result)
    assert place.read_text() == "mine\n"


@pytest.mark.needs_root
@pytest.mark.parametrize(
    "reader",
    [
        ["tar", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf", "-"],
        ["bsdtar", "--acls", "--xattrs", "--numeric-owner", "-xpf", "-"],
    ],
    ids=["GNU tar", "bsdtar"],
)
def test_foreign_tar_restores_what_the_kernel_shows(strange, tmp_path, reader):
    tar = run("extract", strange, "/", "--to-tar", "-").out
    target = tmp_path / "restored"
    target.mkdir()
    done = subprocess.run([*reader, "-C", target], input=tar, capture_output=True)
    assert done.returncode == 0, done.stderr[-2000:]
    with mounted(strange) as root:
        expected = walk(root)
    actual = walk(target)
    if reader[0] == "bsdtar":
        # It composes accents as it reads names that are UTF-8.
        actual = {composed(path): entry for path, entry in actual.items()}
        expected = {composed(path): entry for path, entry in expected.items()}
    # A tar has no sockets.
    expected.pop(b"/nodes/socket")
    fields = ["type", "mode", "uid", "gid", "mtime", "device", "target", "sha256", "xattrs"]
    assert not differences(expected, actual, fields)
    for path, entry in expected.items():
        if entry.type == "file":
            assert actual[path].size == entry.size
            if entry.links > 1:
                assert actual[path].links == entry.links, path


def composed(path):
    try:
        return unicodedata.normalize("NFC", path.decode()).encode()
    except UnicodeDecodeError:
        return path


def test_a_tar_on_standard_output_is_followed_by_a_document_on_standard_error(cloud):
    result = ok("extract", "--json", cloud, "/etc", "--to-tar", "-")
    document = json.loads(result.err.splitlines()[-1])
    assert document["complete"] is True
    with tarfile.open(fileobj=io.BytesIO(result.out)) as archive:
        files = [member for member in archive if member.isfile()]
    assert document["files"] == len(files)


def test_extraction_of_a_volume_and_of_several_paths_gives_each_once(cloud):
    tar = ok("extract", cloud, "/etc", "disk.local::/", "/etc/ssh", "--to-tar", "-").out
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names)), "a path stands in the archive twice"
    assert any(name.endswith("note") for name in names)
    assert any(name.endswith("etc/fstab") for name in names)
    assert not any(name.startswith("/") or ".." in name.split("/") for name in names)


def test_a_listing_of_many_batches_is_whole_in_order_and_told_the_same_in_every_form(tmp_path):
    tree = tmp_path / "tree"
    names = [f"many/{number:03d}-{'x' * (number % 90)}" for number in range(700)]
    (tree / "many").mkdir(parents=True)
    (tree / "few").mkdir()
    for name in names:
        (tree / name).write_text(name)
    (tree / "many/000-link").symlink_to("elsewhere")
    image = tmp_path / "many.img"
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image, "16M")
    below = sorted(["many/000-link", *names])
    paths = [f"/{path}" for path in ["few", "lost+found", "many", *below]]
    assert ok("find", image).text.splitlines() == ["/", *paths]
    assert ok("ls", "-R", image).text.splitlines() == paths
    assert ok("ls", image, "/many").text.split() == [name[len("many/"):] for name in below]
    found = [json.loads(line) for line in ok("ls", "-R", "--json", image).text.splitlines()]
    assert [entry["path"] for entry in found] == paths
    assert all(e["size"] == len(e["path"]) - 1 for e in found if e["type"] == "file")
    assert [e["target"] for e in found if e["type"] == "symlink"] == ["elsewhere"]
    long = ok("ls", "-l", image, "/many").text.splitlines()
    assert [line.split(" -> ")[0].split()[-1] for line in long] == [n[5:] for n in below]
    with open("/dev/full", "wb") as full:
        assert run("find", image, "--json", stdout=full).code == DAMAGED
