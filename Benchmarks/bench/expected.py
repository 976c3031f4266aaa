"""What is on the disk, as the kernel's ext4, sfdisk and blkid see it: the measure of every answer.

Kept beside the corpus, with the ready-made tars that the limits are measured with.
"""

import hashlib
import json
import os
import stat
import subprocess
import tempfile
from pathlib import Path

TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def load(corpus):
    """The expectation for `corpus` (its facts), made the first time."""
    directory = Path(corpus["flat"]).parent
    kept = directory / "expected.json"
    if not kept.exists():
        expected = {
            "disks": disks(corpus["flat"]),
            "files": files_and_tars(corpus["flat_root"], directory),
        }
        unfinished = kept.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(expected))
        unfinished.rename(kept)
    expected = json.loads(kept.read_text())
    expected["big_sha256"] = corpus["big_sha256"]
    return expected


def disks(flat):
    table = subprocess.run(["sfdisk", "--json", flat], check=True, stdout=subprocess.PIPE).stdout
    found = []
    for entry in json.loads(table)["partitiontable"]["partitions"]:
        start, size = entry["start"] * 512, entry["size"] * 512
        probe = ["blkid", "-p", "-o", "export", "-O", str(start), "-S", str(size), flat]
        text = subprocess.run(probe, stdout=subprocess.PIPE, text=True).stdout
        tags = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        found.append(
            {
                "start": start,
                "size": size,
                "partition_uuid": entry["uuid"].lower(),
                "type": tags.get("TYPE", ""),
                "uuid": tags.get("UUID", "").lower(),
                "label": tags.get("LABEL", ""),
            }
        )
    return found


def files_and_tars(flat_root, directory):
    mount_point = tempfile.mkdtemp(prefix="expected-")
    subprocess.run(["mount", "-o", "ro,noload,loop", flat_root, mount_point], check=True)
    try:
        for name, member in [("small.tar", "small"), ("root.tar", ".")]:
            tar = ["tar", "--format=pax", "--numeric-owner", "--xattrs", "--acls", "--sparse"]
            with open(directory / name, "wb") as file:
                subprocess.run([*tar, "-cf", "-", member], cwd=mount_point, stdout=file, check=True)
        return walk(mount_point)
    finally:
        subprocess.run(["umount", mount_point], check=True)
        os.rmdir(mount_point)


def walk(root):
    """Every path below `root`, relative to it, with its metadata and the digest of its content."""
    found, unseen = {"": describe(root)}, [root]
    while unseen:
        with os.scandir(unseen.pop()) as entries:
            for entry in entries:
                found[os.path.relpath(entry.path, root)] = describe(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    unseen.append(entry.path)
    return found


def describe(path):
    info = os.lstat(path)
    kind = TYPES[stat.S_IFMT(info.st_mode)]
    description = {
        "type": kind,
        "permissions": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
        "size": info.st_size,
        "mtime_ns": info.st_mtime_ns,
        "links": info.st_nlink,
        "inode": info.st_ino,
        "allocated": info.st_blocks * 512,
    }
    if kind == "symlink":
        description["target"] = os.readlink(path)
    if kind == "file":
        with open(path, "rb") as file:
            description["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        attributes = {n: os.getxattr(path, n) for n in os.listxattr(path)}
        description["xattrs"] = {n: v.hex() for n, v in attributes.items() if is_plain(n)}
    return description


def is_plain(attribute):
    """ACLs travel in a form of their own in a tar."""
    return not attribute.startswith("system.")
