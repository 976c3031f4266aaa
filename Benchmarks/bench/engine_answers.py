"""What programs of libguestfs answer, compared with what this kernel says of the same volumes."""

import csv
import hashlib
import io
import json
import os

from .answers import MODE_TYPES, Verdict, compare, permission_bits, relative, wanted_files


def words(subject, stream, expected):
    """Whether what counts is in what a program printed."""
    text = stream.read().decode(errors="replace")
    wanted = {
        "stat": [str(expected["files"]["etc"]["inode"])],
        "uuids": [volume["uuid"] for volume in expected["disks"]],
        "clean": ["clean"],
    }[subject]
    verdict = Verdict([f"no {word!r}" for word in wanted if word not in text])
    if "damaged" in text:
        verdict.different.append("calls it damaged")
    return verdict


def usage(subject, stream, expected):
    """The sizes of both file systems, in the order of their partitions."""
    text = stream.read().decode(errors="replace")
    got = {"json": usage_json, "statvfs": usage_statvfs, "csv": usage_csv}[subject](text)
    wanted = [volume["usage"]["blocks"] // 1024 for volume in expected["volumes"]]
    return Verdict() if got == wanted else Verdict([f"{got} KiB for {wanted}"])


def usage_json(text):
    return [json.loads(line)["size"] // 1024 for line in text.splitlines()]


def usage_statvfs(text):
    pairs = [line.split(": ") for line in text.splitlines() if ": " in line]
    counts = [int(value) for name, value in pairs if name == "blocks"]
    units = [int(value) for name, value in pairs if name == "frsize"]
    return [count * unit // 1024 for count, unit in zip(counts, units)]


def usage_csv(text):
    return [int(row["1K-blocks"]) for row in csv.DictReader(io.StringIO(text))]


def from_ll(subject, stream, expected):
    """`ls -la` as guestfish's `ll` has it."""
    got = {}
    for line in stream.read().decode(errors="surrogateescape").splitlines():
        parts = line.split(None, 8)
        if len(parts) < 9 or parts[8] in (".", ".."):
            continue
        got[parts[8].partition(" -> ")[0]] = {
            "type": MODE_TYPES[parts[0][0]],
            "permissions": permission_bits(parts[0][:10]),
            "links": int(parts[1]),
            "uid": int(parts[2]),
            "gid": int(parts[3]),
            "size": int(parts[4]),
        }
    return compare(got, wanted_files(subject, expected))


def from_virtls(subject, stream, expected):
    """`virt-ls -lR --csv --uids --time-t`: type, mode, size, owners, three times, path, target."""
    got = {}
    text = stream.read().decode(errors="surrogateescape")
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        kind, mode, size, uid, gid, _, mtime, _, path = row[:9]
        entry = {
            "type": MODE_TYPES[kind],
            "permissions": int(mode, 8),
            "size": int(size),
            "uid": int(uid),
            "gid": int(gid),
            "mtime_ns": int(mtime) * 10**9,
        }
        got[relative(path, subject)] = entry | ({"target": row[9]} if len(row) > 9 else {})
    for self_entry in ("", subject, "/" + subject):
        got.pop(self_entry, None)
    return compare(got, wanted_files(subject, expected))


def from_names(subject, stream, expected):
    names = stream.read().split(b"\0")[:-1]
    got = {os.fsdecode(name): {} for name in names}
    return compare(got, wanted_files(subject, expected))


def slice_bytes(stream, expected):
    """Four files in a row."""
    content = stream.read()
    for number in range(4):
        file = expected["files"][f"tree/d{number:02}/f00"]
        piece, content = content[: file["size"]], content[file["size"] :]
        if hashlib.sha256(piece).hexdigest() != file["sha256"]:
            return Verdict(["other bytes"], unusable=True)
    return Verdict(["more bytes"] if content else [])
