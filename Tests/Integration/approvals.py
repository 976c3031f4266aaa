"""A host with a policy: the program in a prefix of its own, instances, keys, approvals.

Documents are written and signed here by ssh-keygen, not by the program that judges them.
"""

import datetime
import json
import os
import shutil
import subprocess
import time
import uuid

import support
from support import tool

TOKEN = b"CANARY-4be21c77"
OTHER = "0b6a3c1e-7d0f-4c52-8a39-51e0a1c7d9f4"
REQUEST, APPROVAL = "glovebox-request", "glovebox-approval"
REQUESTER, APPROVER = "asks@example.com", "allows@example.com"


def moment(seconds=0):
    """Now and so many seconds, as documents have it."""
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def guest(directory):
    """A guest's tree; what is not alice's holds the token."""
    files = {
        "etc/fstab": b"LABEL=root / ext4 defaults 0 1\nLABEL=data /home/alice/data ext4 defaults 0 2\n",
        "etc/shadow": TOKEN, "home/bob/secret": TOKEN, "home/\u0430lice/secret": TOKEN,
        "home/alicex/secret": TOKEN, "home/alice/note": b"note\n", "home/alice/a*b": b"star\n",
        "home/alice/docs/deep": b"deep\n", "home/alice/axb": TOKEN, "var/log/a.gz": b"log\n",
        "var/log/sub/b.gz": TOKEN,
    }
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (directory / "home/alice/data").mkdir()
    (directory / "home/alice/up").symlink_to("../bob/secret")
    (directory / "home/alice/absolute").symlink_to("/etc/shadow")
    (directory / "home/alice/tree").symlink_to("/home/bob")
    (directory / "home/alice/nothing").symlink_to("/etc/nothing-there")
    (directory / "home/alice/inside").symlink_to("docs/../note")
    return directory


def ext4(image, label, tree, mebibytes=8):
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()
    os.truncate(image, mebibytes << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", tree, image)


class Host:
    """A prefix with the program and a policy, two instances, and the keys of some people."""

    def __init__(self, directory):
        self.directory = directory
        self.prefix = directory / "prefix"
        self.settings = self.prefix / "etc/glovebox"
        self.instances = directory / "instances"
        self.instance = self.instances / support.INSTANCE
        self.loose = directory / "loose/image.raw"
        (self.prefix / "bin").mkdir(parents=True)
        self.program = shutil.copy(support.GLOVEBOX, self.prefix / "bin/glovebox")
        self._keys()
        self._disks()
        self.write_policy()

    def _keys(self):
        (self.directory / "keys").mkdir()
        for name in ("requester", "approver", "operator", "stranger", "revoked"):
            tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.key(name))

    def _disks(self):
        tree = guest(self.directory / "tree")
        data = self.directory / "data"
        data.mkdir()
        (data / "mounted").write_bytes(b"mounted\n")
        base = self.instances / "_base/base.raw"
        ext4(base, "root", tree)
        ext4(self.loose, "root", tree)
        for name in (support.INSTANCE, OTHER):
            ext4(self.instances / name / "disk.local", "data", data)
            tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw",
                 self.instances / name / "disk")

    def key(self, name):
        return self.directory / "keys" / name

    def public(self, name):
        return self.key(name).with_suffix(".pub").read_text()

    def write_policy(self, **changes):
        """The policy and its lists, as root would keep them."""
        shutil.rmtree(self.settings, ignore_errors=True)
        self.settings.mkdir(parents=True)
        policy = {
            "schema": "glovebox.policy/1", "approval": "instances",
            "instances_directories": [str(self.instances)], "requesters": "requesters.allowed",
            "approvers": "approvers.allowed", "operators": "operators.allowed",
            "revoked": "revoked", **changes,
        }
        self.write("policy.json", json.dumps(policy))
        self.write("requesters.allowed", f"{REQUESTER} {self.public('requester')}"
                   f"gone@example.com {self.public('revoked')}")
        self.write("approvers.allowed", f"{APPROVER} {self.public('approver')}"
                   f"gone@example.com {self.public('revoked')}")
        self.write("operators.allowed", f"op@example.com {self.public('operator')}")
        self.write("revoked", self.public("revoked"))

    def write(self, name, text):
        path = self.settings / name
        path.write_text(text)
        os.chmod(path, 0o644)

    def run(self, *arguments, **options):
        arguments = tuple(os.fspath(argument) for argument in arguments)
        begin = time.monotonic()
        done = subprocess.run(
            [self.program, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=options.pop("timeout", 120),
            **options,
        )
        return support.Result(
            arguments, done.returncode, done.stdout, done.stderr, time.monotonic() - begin
        )

    def ok(self, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.code == 0, str(result)
        return result

    def refused(self, *arguments, words, **options):
        """Refused, with these words, and nothing of the guest anywhere."""
        result = self.run(*arguments, **options)
        assert result.code == support.REFUSED, str(result)
        assert result.out == b"", str(result)
        assert TOKEN not in result.err, str(result)
        assert words in result.err.decode(), str(result)
        return result

    def document(self, **changes):
        """What an approval says; a member that is None is left out."""
        document = {
            "schema": "glovebox.approval/1", "id": str(uuid.uuid4()), "ticket": "INC-1234",
            "instance": support.INSTANCE, "scope": ["/"],
            "actions": ["list", "read", "extract", "check"], "requester": REQUESTER,
            "approver": APPROVER, "not_before": moment(-60), "expires": moment(3600),
            "reason": "lost files", **changes,
        }
        return {name: value for name, value in document.items() if value is not None}

    def approve(self, path, document=None, *, requester="requester", approver="approver",
                namespaces=(REQUEST, APPROVAL), **changes):
        """Writes an approval and signs it twice."""
        if document is None:
            document = json.dumps(self.document(**changes)).encode()
        path.write_bytes(document)
        self.sign(path, "request", requester, namespaces[0])
        self.sign(path, "approval", approver, namespaces[1])
        return path

    def sign(self, path, which, key, namespace):
        signature = tool("ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", self.key(key),
                         input=path.read_bytes())
        signature_path(path, which).write_bytes(signature)


def signature_path(path, which):
    return path.with_name(f"{path.name}.{which}.sig")
