"""Compare what a program answered with what is on the disk, and say in words what differs.

An answer is read as a stream. `different` is a wrong answer; `absent` is what the program does not
tell at all (a fact about the program, not a mistake). An answer that lacks more than one path in
a hundred, or has other bytes, is `unusable`: its time compares with nothing.
"""

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone

from . import tars


@dataclass
class Verdict:
    different: list = field(default_factory=list)
    absent: list = field(default_factory=list)
    unusable: bool = False


def judge(answer, stream, expected, sevenzip_order=()):
    """The verdict on `stream`, the answer of the format `answer` (the table at the end)."""
    kind, _, subject = answer.partition(".")
    try:
        return FORMATS[kind](subject, stream, expected, sevenzip_order)
    finally:
        while stream.read(1 << 20):
            pass


def unchecked(subject, stream, expected, _):
    return Verdict(absent=["its answer is not compared"])


def nothing(subject, stream, expected, _):
    return Verdict()


# One file's bytes ------------------------------------------------------------------------------


def file_bytes(subject, stream, expected, _):
    if subject == "slice":
        from .engine_answers import slice_bytes

        return slice_bytes(stream, expected)
    path = {"fstab": "etc/fstab", "big": "big.bin"}[subject]
    wanted = expected["files"][path]["sha256"]
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return Verdict() if digest.hexdigest() == wanted else Verdict(["other bytes"], unusable=True)


# Listings --------------------------------------------------------------------------------------

FIELDS = ("type", "permissions", "uid", "gid", "size", "mtime_ns", "links", "inode", "target")


def compare(got, wanted, what="paths"):
    """Two dictionaries of path -> fields: paths first, then each field that is in `got`."""
    verdict = Verdict()
    for label, paths in [("missing", wanted.keys() - got.keys()), ("extra", got.keys() - wanted)]:
        if paths:
            verdict.different.append(f"{len(paths)} {what} {label}, e.g. {min(paths)!r}")
    verdict.unusable = len(wanted.keys() - got.keys()) * 100 > len(wanted)
    given = set().union(*(entry.keys() for entry in got.values())) if got else set()
    for name in FIELDS:
        if name not in given:
            verdict.absent.append(name.removesuffix("_ns"))
            continue
        wrong = [p for p in got.keys() & wanted.keys() if not agree(name, got[p], wanted[p])]
        if wrong:
            p = min(wrong)
            pair = f"{got[p].get(name)!r} for {wanted[p].get(name)!r}"
            verdict.different.append(f"{name} of {len(wrong)}, e.g. {p!r}: {pair}")
    if "mtime_ns" in given and all(e.get("mtime_ns", 0) % 10**9 == 0 for e in got.values()):
        verdict.absent.append("times below a second")
    return verdict


def agree(name, got, wanted):
    if name not in got:
        return name == "target" or name == "size" and wanted["type"] != "file"
    if name == "size" and wanted["type"] != "file":
        return True
    if name == "mtime_ns" and got[name] % 10**9 == 0:
        return got[name] // 10**9 == wanted[name] // 10**9
    return got[name] == wanted.get(name)


def wanted_files(subject, expected):
    files = expected["files"]
    if subject == "all":
        return {path: entry for path, entry in files.items() if path}
    prefix = subject + "/"
    names = {p.removeprefix(prefix): e for p, e in files.items() if p.startswith(prefix)}
    whole = subject == "tree"
    return {name: entry for name, entry in names.items() if whole or "/" not in name}


def relative(path, subject):
    path = path.removeprefix("./").strip("/")
    return path if subject == "all" else path.removeprefix(subject + "/")


def from_json(subject, stream, expected, _):
    """The JSON lines of `glovebox ls` and `find` (docs/json.md)."""
    if subject == "disks":
        return disks_from_json(stream, expected)
    got = {}
    for line in stream:
        entry = json.loads(line)
        raw = entry.get("path_base64")
        path = os.fsdecode(base64.b64decode(raw)) if raw else entry["path"]
        entry["permissions"] = int(entry["permissions"], 8)
        entry["mtime_ns"] = from_iso8601(entry["mtime"])
        if "target_base64" in entry:
            entry["target"] = os.fsdecode(base64.b64decode(entry["target_base64"]))
        got[relative(path, subject)] = entry
    for self_entry in ("", subject):
        got.pop(self_entry, None)
    return compare(got, wanted_files(subject, expected))


def from_iso8601(text):
    whole, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0") or 0)


def from_find(subject, stream, expected, _):
    got = {}
    kinds = dict(f="file", d="directory", l="symlink", c="char", b="block", p="fifo", s="socket")
    for record in stream.read().split(b"\0")[:-1]:
        path, kind, mode, uid, gid, size, mtime, links, inode, target = record.split(b"\t")
        seconds, _, fraction = mtime.partition(b".")
        entry = {
            "type": kinds[kind.decode()],
            "permissions": int(mode, 8),
            "uid": int(uid),
            "gid": int(gid),
            "size": int(size),
            "mtime_ns": int(seconds) * 10**9 + int(fraction[:9].ljust(9, b"0")),
            "links": int(links),
            "inode": int(inode),
        }
        if target:
            entry["target"] = os.fsdecode(target)
        got[os.fsdecode(path)] = entry
    got.pop("", None)
    return compare(got, wanted_files(subject, expected))


MODE_TYPES = {
    **{"-": "file", "r": "file", "d": "directory", "l": "symlink"},
    **{"c": "char", "b": "block", "p": "fifo", "s": "socket", "h": "socket"},
}


def from_body(subject, stream, expected, _):
    """The Sleuth Kit's body file: MD5|name|inode|mode|uid|gid|size|atime|mtime|ctime|crtime."""
    got = {}
    for line in stream.read().split(b"\n"):
        parts = line.split(b"|")
        if len(parts) < 11 or b"$OrphanFiles" in line:
            continue
        name = os.fsdecode(b"|".join(parts[1:-9]))
        inode, mode, uid, gid, size, _, mtime = parts[-9:-2]
        name, arrow, target = name.partition(" -> ")
        entry = {
            "type": MODE_TYPES.get(mode.decode()[2:3]),
            "uid": int(uid),
            "gid": int(gid),
            "size": int(size),
            "mtime_ns": int(mtime) * 10**9,
            "inode": int(inode.split(b"-")[0]),
        }
        got[relative(name, subject)] = entry | ({"target": target} if arrow else {})
    return compare(got, wanted_files(subject, expected))


def from_ls(subject, stream, expected, _):
    """`ls -ln --time-style=+%s`."""
    got = {}
    for line in stream.read().decode(errors="surrogateescape").splitlines():
        words = line.split(None, 6)
        if len(words) < 7:
            continue
        name, arrow, target = words[6].partition(" -> ")
        entry = {
            "type": MODE_TYPES[words[0][0]],
            "links": int(words[1]),
            "uid": int(words[2]),
            "gid": int(words[3]),
            "size": int(words[4]),
            "mtime_ns": int(words[5]) * 10**9,
        }
        got[name] = entry | ({"target": target} if arrow else {})
    return compare(got, wanted_files(subject, expected))


def from_debugfs(subject, stream, expected, _):
    """`debugfs ls -l`: inode, mode, (type), uid, gid, size, date, time, name."""
    got = {}
    for line in stream.read().decode(errors="surrogateescape").splitlines():
        words = line.split(None, 8)
        if len(words) < 9 or words[8] in (".", ".."):
            continue
        entry = {
            "permissions": int(words[1], 8) & 0o7777,
            "uid": int(words[3]),
            "gid": int(words[4]),
            "size": int(words[5]),
            "inode": int(words[0]),
        }
        got[words[8]] = entry
    verdict = compare(got, wanted_files(subject, expected))
    verdict.absent[verdict.absent.index("mtime")] = "times below a minute"
    return verdict


def sevenzip_entries(listing):
    """The `name = value` blocks of `7z l -slt -ba`."""
    for block in re.split(rb"\r?\n\r?\n", listing):
        lines = (line.partition(b" = ") for line in block.split(b"\n"))
        values = {name.decode(errors="replace"): value for name, _, value in lines}
        if "Path" in values:
            yield values


def from_7z(subject, stream, expected, _):
    got = {}
    for values in sevenzip_entries(stream.read()):
        entry = {"size": int(values.get("Size") or 0)}
        mode = values.get("Mode", b"").decode()
        if len(mode) == 10:
            entry["type"] = MODE_TYPES.get(mode[0])
            entry["permissions"] = permission_bits(mode)
        for name, key in [("uid", "User ID"), ("gid", "Group ID"), ("links", "Links")]:
            if values.get(key):
                entry[name] = int(values[key])
        if values.get("iNode"):
            entry["inode"] = int(values["iNode"])
        if values.get("Modified"):
            entry["mtime_ns"] = from_iso8601(values["Modified"].decode().replace(" ", "T"))
        if values.get("Symbolic Link"):
            entry["target"] = os.fsdecode(values["Symbolic Link"])
        got[relative(os.fsdecode(values["Path"]), subject)] = entry
    return compare(got, wanted_files(subject, expected))


def permission_bits(mode):
    """`-rwsr-x--T` as a number."""
    bits = 0
    for index, letter in enumerate(mode[1:10]):
        if letter not in "-ST":
            bits |= 0o400 >> index
        if letter in "sStT":
            bits |= {2: 0o4000, 5: 0o2000, 8: 0o1000}[index]
    return bits


# Disks -----------------------------------------------------------------------------------------


def disks_from_json(stream, expected):
    report = json.load(stream)
    got = {}
    for volume in report["disks"][0]["volumes"]:
        content = volume.get("content") or {}
        got[volume["start"]] = {
            "start": volume["start"],
            "size": volume["size"],
            "partition_uuid": str(volume.get("partition_uuid", "")).lower(),
            "type": content.get("type") or "",
            "uuid": (content.get("uuid") or "").lower(),
            "label": content.get("label") or "",
        }
    verdict = Verdict()
    for wanted in expected["disks"]:
        found = got.pop(wanted["start"], {})
        for name, value in wanted.items():
            other = found.get(name)
            if name == "type" and value == "vfat" and str(other).startswith(("vfat", "fat")):
                continue
            if other != value:
                verdict.different.append(f"{name} at {wanted['start']}: {other!r} for {value!r}")
    verdict.different += [f"extra volume at {start}" for start in got]
    return verdict


def disks_from_text(subject, stream, expected, _):
    """Whether each start and identifier of the expectation is in what the tools printed."""
    text = stream.read().decode(errors="replace").lower()
    if subject == "sleuthkit":
        return disks_from_sleuthkit(text, expected)
    verdict = Verdict()
    for volume in expected["disks"]:
        for word in (str(volume["start"] // 512), volume["partition_uuid"], volume["uuid"]):
            if word not in text:
                verdict.different.append(f"no {word!r}")
    return verdict


def disks_from_sleuthkit(text, expected):
    verdict = Verdict(absent=["UUIDs of partitions", "file systems other than the root's"])
    for volume in expected["disks"]:
        if f"{volume['start'] // 512:010d}" not in text:
            verdict.different.append(f"no partition at {volume['start']}")
    return verdict


# Archives --------------------------------------------------------------------------------------


def from_tar(subject, stream, expected, _):
    got = tars.read(stream, subject)
    wanted = {p: e for p, e in wanted_files(subject, expected).items() if e["type"] != "socket"}
    got.pop("", None)
    verdict = compare(got, wanted)
    for absent in ("links", "inode"):
        if absent in verdict.absent:
            verdict.absent.remove(absent)
    for name in ("sha256", "xattrs"):
        both = [p for p in got.keys() & wanted.keys() if name in got[p] and name in wanted[p]]
        wrong = [p for p in both if got[p][name] != wanted[p][name]]
        if wrong:
            verdict.different.append(f"{name} of {len(wrong)}, e.g. {min(wrong)!r}")
    return verdict


def from_7z_stream(subject, stream, expected, order):
    """The contents alone, one after the other, in the order of 7z's own listing."""
    verdict = Verdict(absent=["names and metadata: bare contents in a row"])
    prefix = "" if subject == "all" else subject + "/"
    files = {p for p, e in expected["files"].items() if e["type"] == "file"}
    # 7z prints a newline in a name as something else, so that name cannot be looked up.
    missing = {p for p in files if p.startswith(prefix) and "\n" not in p}
    held, place = b"", 0
    for item in order:
        if not item.path.startswith(prefix):
            continue
        while len(held) - place < item.size and (block := stream.read(max(1 << 20, item.size))):
            held, place = held[place:] + block, 0
        content = memoryview(held)[place : place + item.size]
        if item.sha256 in (None, hashlib.sha256(content).hexdigest()):
            place += item.size
            missing.discard(item.path)
    if missing:
        verdict.different.append(f"{len(missing)} files missing, e.g. {min(missing)!r}")
        verdict.unusable = len(missing) * 100 > len(files)
    if place < len(held) or stream.read(1):
        verdict.different.append("bytes that belong to no file")
    return verdict


@dataclass
class StreamItem:
    """What 7z writes for one entry: a file's content, a link's target; `sha256` where known."""

    path: str
    size: int
    sha256: str | None


def sevenzip_order(listing, expected):
    """The entries in the order in which `7z l -slt -ba` lists, and 7z extracts, them."""
    order = []
    for values in sevenzip_entries(listing):
        path = os.fsdecode(values["Path"])
        known = expected["files"].get(path)
        if known is None:
            if values.get("Folder") == b"-":
                order.append(StreamItem(path, int(values.get("Size") or 0), None))
        elif known["type"] == "file":
            order.append(StreamItem(path, known["size"], known["sha256"]))
        elif known["type"] == "symlink":
            target = os.fsencode(known["target"])
            order.append(StreamItem(path, len(target), hashlib.sha256(target).hexdigest()))
    return order


def of_engine(name):
    """A comparison of engine_answers.py, which itself needs this module."""

    def judge_it(subject, stream, expected, _=()):
        from . import engine_answers

        return getattr(engine_answers, name)(subject, stream, expected)

    return judge_it


FORMATS = {
    "words": of_engine("words"),
    "usage": of_engine("usage"),
    "unchecked": unchecked,
    "nothing": nothing,
    "file": file_bytes,
    "etc": lambda subject, *rest: LISTINGS[subject]("etc", *rest),
    "all": lambda subject, *rest: LISTINGS[subject]("all", *rest),
    "disks": lambda subject, *rest: (from_json if subject == "json" else disks_from_text)(
        "disks" if subject == "json" else subject, *rest
    ),
    "tar": from_tar,
    "stream": from_7z_stream,
}

LISTINGS = {
    "json": from_json,
    "find": from_find,
    "body": from_body,
    "ls": from_ls,
    "debugfs": from_debugfs,
    "7z": from_7z,
    "ll": of_engine("from_ll"),
    "virtls": of_engine("from_virtls"),
    "names": of_engine("from_names"),
}
