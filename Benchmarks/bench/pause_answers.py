"""What was read of a guest that writes, and whether it can be right.

The guest numbers the lines of its log, and tells its console after how many of them an fsync has
returned: a reader who comes later finds at least those. All else in /etc and /var/log stays as it
is, and is compared with what this machine's kernel read while the guest was suspended.
"""

import hashlib
import re
import tarfile

from .pause_peers import LOG

LINE = re.compile(rb"line (\d+) up=[0-9.]+\n")
FSYNCED = re.compile(rb"^FSYNCED disk:p1:/var/log/writer\.log (\d+)\r?$", re.MULTILINE)
BLOCK = 4096


class Wrong(Exception):
    """What cannot be right in an answer."""


def fsynced(console):
    """How many lines of the log are certainly on the disk."""
    return max((int(number) for number in FSYNCED.findall(console.read_bytes())), default=0)


def lines_of(log):
    """How many whole lines the log has, which must be numbered from 1 without a gap.

    A file system that stands still in the middle of an append may know the new length and not the
    bytes yet: zeros at the end of the last block.
    """
    text = log.rstrip(b"\0")
    if len(log) - len(text) >= BLOCK:
        raise Wrong(f"{LOG} ends with {len(log) - len(text)} zeros")
    whole = text[: text.rfind(b"\n") + 1]
    count = 0
    for line in whole.splitlines(keepends=True):
        count += 1
        found = LINE.fullmatch(line)
        if not found or int(found[1]) != count:
            raise Wrong(f"line {count} of {LOG} is {line[:80]!r}")
    return count


def members(tar):
    """{path: what the tar says of it}, and the bytes of the log."""
    found, log = {}, b""
    with tarfile.open(tar) as archive:
        for member in archive:
            name = member.name.strip("./")
            if member.isreg() or member.islnk():
                data = archive.extractfile(member).read()
                if f"/{name}" == LOG:
                    # It grows.
                    log, content, mtime = data, "", 0
                else:
                    content, mtime = hashlib.sha256(data).hexdigest(), int(member.mtime)
                # Which of two names of a file comes first is nobody's to say.
                kind = "file"
            else:
                kind, content, mtime = member.type.decode(), member.linkname, int(member.mtime)
            found[name] = (kind, member.mode & 0o7777, member.uid, member.gid, mtime, content)
    return found, log


def judge(job, out, reference, fsynced_before):
    """Throws Wrong, or returns how many lines are lacking that were on the disk for certain."""
    if job == "cat":
        log = out.read_bytes()
    else:
        found, log = members(out)
        for name in sorted(found.keys() | reference.keys()):
            if found.get(name) != reference.get(name):
                raise Wrong(f"{name} is {found.get(name)}, and was {reference.get(name)}")
    return max(0, fsynced_before - lines_of(log))
