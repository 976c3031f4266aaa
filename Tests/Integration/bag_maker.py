"""Makes evidence bags after docs/evidence.md, with none of the program's own code but the archive.

A bag is made of parts that can be changed before it is sealed: then digests, chain and signatures
fit, and only what the bag says is wrong. Signatures are ssh-keygen's.
"""

import base64
import copy
import hashlib
import io
import json
import pathlib
import sys
import tarfile

import support

INSTANCE = support.INSTANCE
ORDER = [
    "data/files.tar", "data/files.jsonl", "data/source.json", "data/approval.json",
    "data/approval.json.request.sig", "data/approval.json.approval.sig", "data/custody.jsonl",
    "report.html", "bag-info.txt", "bagit.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt",
    "tagmanifest-sha256.txt.sig",
]
TAGS = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "report.html"]
BEGUN, SEALED = "2026-02-01T10:00:00.000000000Z", "2026-02-01T10:00:09.500000000Z"


class Keys:
    """Keys of a requester, an approver, an operator and a stranger, and lists of them."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.names = {
            name: f"{name}@example.com" for name in ("requester", "approver", "operator", "stranger")
        }
        for name in self.names:
            support.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "",
                         "-f", self.directory / name)
            if name != "stranger":
                self.list(f"{name}s", name)

    def public(self, name):
        return (self.directory / f"{name}.pub").read_text().split()[:2]

    def list(self, file, *names, options=""):
        """Writes a list of signers and gives its path."""
        path = self.directory / file
        path.write_text("".join(
            " ".join([self.names[name], *([options] if options else []), *self.public(name)]) + "\n"
            for name in names
        ))
        return path

    def fingerprint(self, name):
        digest = hashlib.sha256(base64.b64decode(self.public(name)[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def sign(self, name, namespace, data):
        return support.tool("ssh-keygen", "-Y", "sign", "-q", "-n", namespace,
                            "-f", self.directory / name, input=data)

    @property
    def options(self):
        """What makes `verify` know them."""
        return [f"--{name}s={self.directory / name}s"
                for name in ("requester", "approver", "operator")]


def line(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def escaped(name):
    """As the program shows a name that is not UTF-8 and otherwise plain."""
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in name)


def text(member, name):
    """The members of a name: text, or a readable form and base64."""
    try:
        return {member: name.decode()}
    except UnicodeDecodeError:
        return {member: escaped(name), f"{member}_base64": base64.b64encode(name).decode()}


def time(member):
    """The time of a tar's member, with nine decimals."""
    import datetime

    seconds, _, fraction = str(member.pax_headers.get("mtime", int(member.mtime))).partition(".")
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{fraction:0<9}Z"


TYPES = {
    tarfile.REGTYPE: "file", tarfile.LNKTYPE: "hardlink", tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block", tarfile.DIRTYPE: "directory",
    tarfile.FIFOTYPE: "fifo", tarfile.GNUTYPE_SPARSE: "file",
}
ACL_TAGS = {"user": (1, 2), "group": (4, 8), "mask": (16, 16), "other": (32, 32)}


def access_list(entries):
    """The attribute of Linux for the text of an access list."""
    value = b"\2\0\0\0"
    for entry in entries.split(","):
        tag, who, bits = entry.split(":")
        number = int(who) if who else 0xFFFFFFFF
        mode = sum(bit for bit, letter in zip((4, 2, 1), bits) if letter != "-")
        value += ACL_TAGS[tag][bool(who)].to_bytes(2, "little") + mode.to_bytes(2, "little")
        value += number.to_bytes(4, "little")
    return value


def attributes(member):
    found = []
    for key, value in member.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            raw = value.encode("utf-8", "surrogateescape")
            found.append((key[13:].replace("%3D", "=").replace("%25", "%"), raw))
        elif key.startswith("SCHILY.acl."):
            found.append((f"system.posix_acl_{key[11:]}", access_list(value)))
    return [{"name": name, "value_base64": base64.b64encode(value).decode()}
            for name, value in found]


def record(archive, member, volume="disk:p1"):
    """The record of an entry, as a foreign reader sees it."""
    path = member.name.encode("utf-8", "surrogateescape")
    made = {
        **text("path", path), **text("guest_path", b"/" + path), "volume": volume,
        "inode": 12, "links": 1, "type": TYPES[member.type], "mode": f"{member.mode:04o}",
        "uid": member.uid, "gid": member.gid, "mtime": time(member), "ctime": BEGUN, "atime": BEGUN,
    }
    if made["type"] == "hardlink":
        return {**made, **text("link_to", member.linkname.encode("utf-8", "surrogateescape"))}
    if made["type"] == "file":
        content = archive.extractfile(member).read()
        made |= {"size": len(content), "sha256": sha256(content)}
    if made["type"] == "symlink":
        made |= text("target", member.linkname.encode("utf-8", "surrogateescape"))
    if found := attributes(member):
        made["xattrs"] = found
    if made["type"] in ("char", "block"):
        made["rdev"] = f"{member.devmajor}:{member.devminor}"
    return made


def records(tar, volume="disk:p1"):
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        return [record(archive, member, volume) for member in archive]


class Bag:
    """A bag that is not sealed yet."""

    def __init__(self, keys, tar, name="case-17", approved=True):
        self.keys, self.name = keys, name
        self.files = tar
        self.records = records(tar)
        self.notes = [{"skipped": "/run/socket", "reason": "socket"}]
        self.document = {
            "schema": "glovebox.approval/1", "id": "0b3ff1c2-6a8e-4a4e-9d3c-2f3e8f2c1a77",
            "ticket": "INC-1234", "instance": INSTANCE, "scope": ["/"], "actions": ["extract"],
            "requester": keys.names["requester"], "approver": keys.names["approver"],
            "not_before": "2026-02-01T09:00:00Z", "expires": "2026-02-02T09:00:00Z",
            "reason": "The customer asked for the logs.",
        } if approved else None
        self.signers = {"request": "requester", "approval": "approver", "bag": "operator"}
        self.namespaces = {name: f"glovebox-{name}" for name in self.signers}
        self.source = {
            "schema": "glovebox.source/1", "target": "/var/lib/nova/instances/" + INSTANCE,
            "instance": INSTANCE if approved else None, "reason": None, "host": "host.example.com",
            "consistency": "offline", "engine": [{"volume": "disk:p1", "reader": "native"}],
            "program": "glovebox 0.1.0", "libraries": [{"name": "libarchive", "version": "3.6.2"}],
            "disks": [{"name": "disk", "layers": [], "table": "gpt", "partitions": [],
                       "volumes": []}],
        }
        self.times = {"begin": BEGUN, "sealed": SEALED}
        self.paths = ["/"]
        self.events = None
        self.report = b"<!DOCTYPE html><title>case-17</title>\n"
        self.date = "2026-02-01"
        self.after = {}
        self.extra = lambda parts: None

    def make_events(self, parts):
        """The events of custody.jsonl without seq and prev."""
        keys = self.keys
        if self.document:
            begin = {
                "event": "approval", "time": self.times["begin"], "id": self.document["id"],
                "ticket": self.document["ticket"], "document": sha256(parts["data/approval.json"]),
                "policy": sha256(b"policy"),
                **{who: {"principal": keys.names[self.signers[kind]],
                         "key": keys.fingerprint(self.signers[kind])}
                   for who, kind in (("requester", "request"), ("approver", "approval"))},
                "reason": self.document["reason"],
            }
        else:
            begin = {"event": "unapproved", "time": self.times["begin"], "reason": "a test"}
        kinds = [one["type"] for one in self.records]
        others = sum(kind not in ("file", "hardlink", "directory") for kind in kinds)
        signer = self.signers["bag"]
        return [
            begin,
            {"event": "opened", "time": BEGUN, "target": self.source["target"], "disks": []},
            {"event": "read", "time": BEGUN, "volumes": []},
            {"event": "audit", "time": BEGUN, "sequence": 7, "sha256": sha256(b"log")},
            {"event": "extracted", "time": SEALED, "paths": [{"path": one} for one in self.paths],
             "records": len(kinds), "files": kinds.count("file") + kinds.count("hardlink"),
             "directories": kinds.count("directory"), "other": others, "bytes": 0, "partial": 0,
             "skipped": 1, "problems": 0, "not_mounted": [], "complete": True,
             "ending": "finished"},
            {"event": "sealed", "time": self.times["sealed"],
             "files_tar": sha256(parts["data/files.tar"]),
             "files_jsonl": sha256(parts["data/files.jsonl"]),
             "source": sha256(parts["data/source.json"]),
             "operator": keys.fingerprint(signer) if signer else None},
        ]

    @staticmethod
    def chain(events):
        """The lines of a hash chain."""
        text, previous = b"", "0" * 64
        for number, event in enumerate(events, 1):
            one = line({"seq": number, "prev": previous, **event})
            text, previous = text + one, sha256(one)
        return text

    def seal(self):
        """All files of the bag; each part's change in `after` comes before what depends on it."""
        parts = {"data/files.tar": self.files}

        def put(name, data):
            parts[name] = self.after.get(name, lambda same: same)(data)

        put("data/files.jsonl", b"".join(map(line, self.records + self.notes)))
        put("data/source.json", line(self.source))
        if self.document:
            put("data/approval.json", line(self.document))
            for kind in ("request", "approval"):
                put(f"data/approval.json.{kind}.sig",
                    self.keys.sign(self.signers[kind], self.namespaces[kind],
                                   parts["data/approval.json"]))
        events = self.make_events(parts)
        put("data/custody.jsonl", self.chain(self.events(events) if self.events else events))
        put("report.html", self.report)
        payload = [name for name in ORDER if name.startswith("data/") and name in parts]
        ticket = [f"External-Identifier: {self.document['ticket']}"] if self.document else []
        put("bag-info.txt", "".join(f"{one}\n" for one in [
            "Bag-Software-Agent: glovebox 0.1.0", f"Bagging-Date: {self.date}", *ticket,
            f"Internal-Sender-Identifier: {self.name}",
            f"Payload-Oxum: {sum(len(parts[one]) for one in payload)}.{len(payload)}",
        ]).encode())
        put("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
        put("manifest-sha256.txt", self.manifest(parts, payload))
        put("tagmanifest-sha256.txt", self.manifest(parts, TAGS))
        if self.signers["bag"]:
            put("tagmanifest-sha256.txt.sig", self.keys.sign(
                self.signers["bag"], self.namespaces["bag"], parts["tagmanifest-sha256.txt"]))
        self.extra(parts)
        return {name: parts[name] for name in sorted(parts, key=self.place)}

    @staticmethod
    def place(name):
        return ORDER.index(name) if name in ORDER else len(ORDER)

    @staticmethod
    def manifest(parts, names):
        return "".join(f"{sha256(parts[name])}  {name}\n" for name in names).encode()

    def copy(self):
        """Another bag that can be changed."""
        other = copy.copy(self)
        for name in ("records", "notes", "document", "source", "signers", "namespaces", "times",
                     "paths", "after"):
            setattr(other, name, copy.deepcopy(getattr(self, name)))
        return other


def header(name, size, /, **changes):
    """A header of the outer tar, with some of its fields changed."""
    length = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    fields = {
        "name": name.encode().ljust(100, b"\0"), "mode": b"0000644\0", "uid": b"0000000\0",
        "gid": b"0000000\0", "size": length, "mtime": b"00000000000\0", "sum": b" " * 8,
        "type": b"0", "link": bytes(100), "magic": b"ustar\0", "version": b"00",
        "owners": bytes(64), "major": b"0000000\0", "minor": b"0000000\0", "rest": bytes(167),
        **changes,
    }
    block = b"".join(fields.values())
    assert len(block) == 512
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data):
    return data + bytes(-len(data) % 512)


def write_tar(path, parts, name="case-17", headers={}, end=bytes(1024)):
    """The tar form; `headers` changes fields of the header of a file."""
    with open(path, "wb") as file:
        for one, data in parts.items():
            file.write(header(f"{name}/{one}", len(data), **headers.get(one, {})) + padded(data))
        file.write(end)
    return path


def write_directory(path, parts):
    """The directory form."""
    for name, data in parts.items():
        file = pathlib.Path(path) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def pax(name, size=0, type=b"0", records=(), **fields):
    """The blocks before the content of an entry of files.tar."""
    blocks = b""
    if records:
        body = b"".join(map(pax_record, records))
        blocks = header("PaxHeader/x", len(body), type=b"x") + padded(body)
    return blocks + header(name, size, type=type, **fields)


def pax_record(pair):
    key, value = (part if isinstance(part, bytes) else part.encode() for part in pair)
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def end_of_archive(entries):
    """Two blocks of zeros, and more up to 10,240 bytes."""
    data = entries + bytes(1024)
    return data + bytes(-len(data) % 10240)


def small(directory):
    """A bag with a bit of everything, in both forms, as DIRECTORY/case-17.tar and .bag; lists of
    signers beside them."""
    directory = pathlib.Path(directory)
    body = padded(b"1\n4096\n512\n")
    content = b"island".ljust(512, b".")
    acl = "user::rw-,user:1000:r--,group::r--,mask::rw-,other::---"
    blocks = b"".join([
        pax("home/", type=b"5"),
        pax("home/a", 6, records=[("mtime", "1700000000.5"), ("SCHILY.xattr.user.n", "v"),
                                  ("SCHILY.acl.access", acl)]) + padded(b"notes\n"),
        pax("home/b", type=b"1", link=b"home/a".ljust(100, b"\0")),
        pax("home/c", type=b"2", link=b"a".ljust(100, b"\0")),
        pax("home/GNUSparseFile.0/s", len(body) + len(content), records=[
            ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "home/s"),
            ("GNU.sparse.realsize", "8192")]) + body + content,
    ])
    bag = Bag(Keys(directory), end_of_archive(blocks))
    bag.document["scope"] = ["/home"]
    parts = bag.seal()
    write_tar(directory / "case-17.tar", parts)
    write_directory(directory / "case-17.bag", parts)


if __name__ == "__main__":
    small(sys.argv[1])
