"""Read a tar as a stream: paths, metadata and digests of contents."""

import hashlib
import tarfile

KINDS = {
    **{tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.GNUTYPE_SPARSE: "file"},
    **{tarfile.LNKTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink"},
    **{tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block", tarfile.FIFOTYPE: "fifo"},
}
XATTR_PREFIX = "SCHILY.xattr."


def read(stream, subject):
    """Path -> fields of each member; hard links get the fields of the member that they name."""
    found = {}
    with tarfile.open(
        fileobj=stream, mode="r|", bufsize=1 << 20, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for member in tar:
            path = relative(member.name, subject)
            if member.islnk():
                found[path] = found.get(relative(member.linkname, subject), {"type": "file"})
                continue
            found[path] = describe(tar, member)
            tar.members = []
    return found


def describe(tar, member):
    entry = {
        "type": KINDS.get(member.type, "unknown"),
        "permissions": member.mode,
        "uid": member.uid,
        "gid": member.gid,
        "size": member.size,
        "mtime_ns": nanoseconds(member),
    }
    if member.issym():
        entry["target"] = member.linkname
    if member.isreg() or member.issparse():
        digest = hashlib.sha256()
        content = tar.extractfile(member)
        while block := content.read(1 << 20):
            digest.update(block)
        entry["sha256"] = digest.hexdigest()
        entry["xattrs"] = {
            name.removeprefix(XATTR_PREFIX): value.encode("utf-8", "surrogateescape").hex()
            for name, value in member.pax_headers.items()
            if name.startswith(XATTR_PREFIX) and "posix_acl" not in name
        }
    return entry


def nanoseconds(member):
    """The time to the nanosecond; a float would round it."""
    text = member.pax_headers.get("mtime")
    if text is None:
        return int(member.mtime) * 10**9
    whole, _, fraction = text.partition(".")
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)


def relative(path, subject):
    path = path.removeprefix("./").strip("/")
    if path in (".", subject):
        return ""
    return path if subject == "all" else path.removeprefix(subject + "/")
