"""Who may read an instance, and what of it: each refusal has words of its own, and shows nothing."""

import json
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile

import pytest

import approvals
import support
from approvals import APPROVAL, APPROVER, OTHER, REQUEST, REQUESTER, TOKEN, moment, signature_path
from support import INSTANCE, MISSING, tool

pytestmark = [
    pytest.mark.skipif(not support.is_root(), reason="needs root: a policy has to be root's"),
    pytest.mark.skipif(
        not os.access("/usr/bin/ssh-keygen", os.X_OK), reason="needs ssh-keygen (openssh-client)"
    ),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return approvals.Host(tmp_path_factory.mktemp("host"))


@pytest.fixture
def host(made):
    made.write_policy()
    return made


@pytest.fixture
def paper(tmp_path):
    return tmp_path / "case.json"


def commands(target, out, file="/etc/shadow"):
    """Every command that reads a guest."""
    yield ["disks", target]
    yield ["disks", "--json", "--verbose", target]
    yield ["ls", target]
    yield ["ls", "-l", target, "/etc"]
    yield ["ls", "-R", "--json", target]
    yield ["stat", target, file]
    yield ["cat", target, file]
    yield ["cat", "--reason", "because", target, file]
    yield ["find", target]
    yield ["df", target]
    yield ["extract", target, file, "--to-tar", "-"]
    yield ["extract", target, file, "--to-dir", out]
    yield ["fsck", target]


# Which targets are instances.


def test_an_instance_is_refused_by_every_command(host, tmp_path):
    for arguments in commands(host.instance, tmp_path / "out"):
        result = host.refused(*arguments, words=f"is of Nova's instance {INSTANCE}")
        if arguments[0] == "disks" and "--json" in arguments:
            assert result.error["exit_code"] == support.REFUSED
        else:
            assert b"glovebox approve request" in result.err
    assert not (tmp_path / "out").exists()


def test_a_loose_image_needs_none(host, tmp_path):
    assert host.ok("cat", host.loose, "/etc/shadow").out == TOKEN
    assert host.ok("cat", "--reason", "a test", host.loose, "/etc/shadow").out == TOKEN
    copy = tmp_path / "copy"
    shutil.copy(host.instance / "disk.local", copy)
    assert host.ok("cat", copy, "/mounted").out == b"mounted\n"


def test_an_instance_is_known_by_whatever_name(host, tmp_path):
    (tmp_path / "directory").symlink_to(host.instance)
    (tmp_path / "parent").symlink_to(host.instances)
    (tmp_path / "link").symlink_to(host.instance / "disk.local")
    os.link(host.instance / "disk.local", tmp_path / "hard")
    os.link(host.instance / "disk", host.instances.parent / "hard-overlay")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "disk").symlink_to(host.loose)
    (mixed / "disk.local").symlink_to(host.instance / "disk.local")
    names = [
        host.instance, f"{host.instance}/", f"{host.instance}/../{INSTANCE}", host.instance / "disk",
        host.instance / "disk.local", tmp_path / "directory", tmp_path / "parent" / INSTANCE / "disk",
        tmp_path / "link", tmp_path / "hard", mixed, host.instances.parent / "hard-overlay",
        os.path.relpath(host.instance),
    ]
    for name in names:
        host.refused("disks", name, words=f"is of Nova's instance {INSTANCE}")
    (host.instances.parent / "hard-overlay").unlink()


def test_a_base_and_what_stands_on_it_belong_to_instances(host, tmp_path):
    base = host.instances / "_base/base.raw"
    overlay = tmp_path / "overlay"
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
    hard = tmp_path / "hard-base"
    os.link(base, hard)
    words = "has files in a directory of Nova's instances"
    for target in (base, hard, overlay):
        host.refused("disks", "--allow-backing", base.parent, target, words=words)
    hard.unlink()


def test_an_overlay_on_an_instances_disk_is_the_instances(host, tmp_path):
    overlay = tmp_path / "overlay"
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", host.instance / "disk.local", "-F", "raw",
         overlay)
    host.refused("disks", "--allow-backing", host.instance, overlay,
                 words=f"is of Nova's instance {INSTANCE}")


@pytest.mark.needs_root
def test_a_bind_mount_hides_no_instance(host, tmp_path):
    file, directory, parent = tmp_path / "file", tmp_path / "directory", tmp_path / "parent"
    file.touch()
    directory.mkdir()
    parent.mkdir()
    done = in_mount_namespace(
        'mount --bind "$1/disk.local" "$2"; mount --bind "$1" "$3"; mount --bind "$1/.." "$4"; '
        'for t in "$2" "$3" "$3/disk" "$4/$6"; do "$5" disks "$t" || echo $? >&2; done',
        host.instance, file, directory, parent, host.program, INSTANCE,
    )
    assert done.stdout == b"", done.stdout
    assert done.stderr.count(f"is of Nova's instance {INSTANCE}".encode()) == 4, done.stderr
    assert [line for line in done.stderr.splitlines() if line.isdigit()] == [b"3"] * 4


def in_mount_namespace(script, *arguments):
    """Runs a shell script that mounts what nobody else sees."""
    if subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("no mount namespaces here")
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", *map(os.fspath, arguments)],
        capture_output=True,
    )


@pytest.mark.needs_root
def test_the_usual_directory_counts_without_a_policy(host):
    shutil.rmtree(host.settings)
    assert host.ok("cat", host.loose, "/etc/shadow").out == TOKEN
    done = in_mount_namespace(
        "mount -t tmpfs none /var/lib; mkdir -p /var/lib/nova/instances/$2; "
        "cp $1 /var/lib/nova/instances/$2/disk; $3 cat /var/lib/nova/instances/$2 /etc/shadow",
        host.loose, INSTANCE, host.program,
    )
    assert (done.returncode, done.stdout) == (support.REFUSED, b""), done
    assert f"is of Nova's instance {INSTANCE}".encode() in done.stderr
    assert b"there is no policy that says who approves" in done.stderr


def test_who_cannot_tell_is_refused(tmp_path):
    """A user who may not look into the instances directory might hold a file of one."""
    with tempfile.TemporaryDirectory(prefix="glovebox-") as open_to_all:
        os.chmod(open_to_all, 0o755)
        host = approvals.Host(pathlib.Path(open_to_all))
        user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        command = [*user, host.program, "cat", host.loose, "/etc/shadow"]
        assert subprocess.run(command, capture_output=True).stdout == TOKEN
        os.chmod(host.instance, 0o700)
        done = subprocess.run(command, capture_output=True)
        assert (done.returncode, done.stdout) == (support.REFUSED, b""), done
        assert b"Whether this is an instance of Nova cannot be told" in done.stderr


def test_without_a_policy_nobody_can_approve(host, paper):
    host.approve(paper)
    shutil.rmtree(host.settings)
    host.refused("cat", "--approval", paper, host.instance, "/home/alice/note",
                 words="there is no policy that says who approves")


def test_always_means_every_target(host, paper, tmp_path):
    host.write_policy(approval="always")
    for arguments in commands(host.loose, tmp_path / "out"):
        host.refused(*arguments, words="demands an approval for every target")
    digest = support.sha256(host.loose)
    host.approve(paper, instance=None, image={"layers": [digest]})
    assert host.ok("cat", "--approval", paper, host.loose, "/etc/shadow").out == TOKEN
    host.approve(paper)
    host.refused("cat", "--approval", paper, host.loose, "/etc/shadow",
                 words="is of no instance by itself")


# What an approval allows.


def test_each_action_with_its_approval(host, paper, tmp_path):
    everything = {
        "list": [["disks"], ["ls", "/home"], ["stat", "/etc/shadow"], ["find", "/"], ["df"]],
        "read": [["cat", "/home/alice/note"], ["cat", "disk:" + ":/home/alice/note"]],
        "extract": [["extract", "/home/alice", "--to-tar", "-"]],
        "check": [["fsck", "disk.swap"]],
    }
    swap = host.instance / "disk.swap"
    swap.touch()
    os.truncate(swap, 1 << 20)
    tool("mkswap", swap)
    try:
        for allowed in everything:
            host.approve(paper, actions=[allowed], scope=["/", "*:*:/"])
            for action, calls in everything.items():
                for name, *paths in calls:
                    arguments = [name, "--approval", paper, host.instance, *paths]
                    if action != allowed:
                        host.refused(*arguments, words=f"allows {allowed}, but not {action}")
                    elif action == "check":
                        # Swap space is not checked; the words are the checker's, not the gate's.
                        result = host.run(*arguments)
                        assert result.code != support.REFUSED and b"disk.swap" in result.out
                    else:
                        host.ok(*arguments)
    finally:
        swap.unlink()


def test_an_instance_is_read_by_any_of_its_names(host, paper, tmp_path):
    host.approve(paper)
    (tmp_path / "link").symlink_to(host.instance / "disk")
    os.link(host.instance / "disk.local", tmp_path / "hard")
    for target in (host.instance, host.instance / "disk", tmp_path / "link"):
        result = host.ok("cat", "--allow-backing", host.instances, "--approval", paper, target,
                         "/home/alice/note")
        assert result.out == b"note\n"
    (tmp_path / "hard").unlink()


def test_an_image_is_approved_by_its_digests(host, paper, tmp_path):
    base = host.instances / "_base/base.raw"
    overlay = tmp_path / "overlay"
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
    layers = [support.sha256(overlay), support.sha256(base)]
    host.approve(paper, instance=None, image={"layers": layers})
    read = ["cat", "--approval", paper, "--allow-backing", base.parent, overlay, "/etc/shadow"]
    assert host.ok(*read).out == TOKEN
    for wrong in (layers[::-1], layers[:1], layers[1:], [layers[0]] * 2):
        host.approve(paper, instance=None, image={"layers": wrong})
        host.refused(*read, words="is not the image that was approved")
    host.approve(paper, instance=None, image={"layers": layers})
    tool("qemu-io", "-c", "write 7M 512", overlay)
    host.refused(*read, words="is not the image that was approved")
    host.refused("disks", "--approval", paper, host.instance, words="has 2 disks")


def test_an_approval_that_is_given_binds_a_loose_image_too(host, paper):
    host.approve(paper)
    host.refused("cat", "--approval", paper, host.loose, "/etc/shadow",
                 words="is of no instance by itself")
    host.approve(paper, instance=None, image={"layers": [support.sha256(host.loose)]},
                 scope=["/home/alice"])
    host.refused("cat", "--approval", paper, host.loose, "/etc/shadow",
                 words="is outside the scope")


# What does not count.


def append(path, text):
    path.write_bytes(path.read_bytes() + text)


def swapped(host, path):
    request, approval = (signature_path(path, which) for which in ("request", "approval"))
    first, second = request.read_bytes(), approval.read_bytes()
    request.write_bytes(second)
    approval.write_bytes(first)


REFUSALS = {
    "expired": (dict(not_before=moment(-7200), expires=moment(-1)), "has expired at"),
    "early": (dict(not_before=moment(3600), expires=moment(7200)), "is not valid yet"),
    "other instance": (dict(instance=OTHER), f"is for instance {OTHER}, but"),
    "unknown requester": (dict(requester_key="stranger"), "on no list of requesters"),
    "unknown approver": (dict(approver_key="stranger"), "on no list of approvers"),
    "operator approves": (dict(approver_key="operator"), "on no list of approvers"),
    "requester approves": (dict(approver_key="requester"), "on no list of approvers"),
    "revoked requester": (
        dict(requester="gone@example.com", requester_key="revoked"),
        "The requester's signature is by a key of gone@example.com that is revoked",
    ),
    "revoked approver": (
        dict(approver="gone@example.com", approver_key="revoked"),
        "The approver's signature is by a key of gone@example.com that is revoked",
    ),
    "other requester": (dict(requester="x@example.com"), "but the document names x@example.com"),
    "other approver": (dict(approver="x@example.com"), "but the document names x@example.com"),
    "request namespace": (
        dict(namespaces=("file", APPROVAL)), "requester's signature was made for file, not for"
    ),
    "approval namespace": (
        dict(namespaces=(REQUEST, "glovebox-bag")),
        "approver's signature was made for glovebox-bag, not for",
    ),
    "unknown member": (dict(more=1), 'has "more", which means nothing here'),
    "missing member": (dict(ticket=None), 'lacks "ticket"'),
    "both subjects": (dict(image={"layers": ["0" * 64]}), 'neither just an "instance"'),
    "no subject": (dict(instance=None), 'neither just an "instance"'),
    "parent in scope": (dict(scope=["/home/alice/../bob"]), "has . or .. in it"),
    "parent by escape": (dict(scope=["/home/\\x2e\\x2e"]), "has . or .. in it"),
    "unseen in scope": (dict(scope=["/home/\u200balice"]), "cannot be seen"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_is_said(host, paper, name):
    changes, words = REFUSALS[name]
    changes = dict(changes)
    keys = {key: changes.pop(f"{key}_key") for key in ("requester", "approver")
            if f"{key}_key" in changes}
    options = {"namespaces": changes.pop("namespaces", (REQUEST, APPROVAL))}
    document = host.document(**changes)
    host.approve(paper, json.dumps(document).encode(),
                 requester=keys.get("requester", "requester"),
                 approver=keys.get("approver", "approver"), **options)
    for command in (["cat", "/etc/shadow"], ["disks"], ["extract", "/", "--to-tar", "-"]):
        host.refused(command[0], "--approval", paper, host.instance, *command[1:], words=words)
    host.refused("approve", "check", paper, host.instance, words=words)


def test_every_refusal_has_its_own_words(host, paper):
    """No two reasons are told by the same sentence."""
    said = {}
    for name, (changes, words) in REFUSALS.items():
        said.setdefault(words, []).append(name)
    alike = [names for names in said.values() if len(names) > 1]
    assert alike == [["unknown approver", "operator approves", "requester approves"],
                     ["other requester", "other approver"],
                     ["both subjects", "no subject"],
                     ["parent in scope", "parent by escape"]]


DAMAGE = {
    "swapped signatures": (swapped, "requester's signature was made for glovebox-approval"),
    "document byte": (
        lambda host, path: path.write_bytes(path.read_bytes().replace(b"INC-1234", b"INC-1235")),
        "does not fit the document",
    ),
    "document blank": (lambda host, path: append(path, b"\n"), "does not fit the document"),
    "junk after armour": (
        lambda host, path: append(signature_path(path, "approval"), b"more\n"),
        "approver's signature is not exactly what ssh-keygen writes",
    ),
    "junk after request": (
        lambda host, path: append(signature_path(path, "request"), b"\n"),
        "requester's signature is not exactly what ssh-keygen writes",
    ),
    "two signatures": (
        lambda host, path: append(
            signature_path(path, "approval"), signature_path(path, "request").read_bytes()
        ),
        "is not exactly what ssh-keygen writes",
    ),
    "no request": (lambda host, path: signature_path(path, "request").unlink(), "nobody's request"),
    "no approval": (
        lambda host, path: signature_path(path, "approval").unlink(), "has not been approved"
    ),
    "no document": (lambda host, path: path.unlink(), "There is no approval"),
    "a directory": (lambda host, path: (path.unlink(), path.mkdir()), "it is a directory"),
    "a FIFO": (lambda host, path: (path.unlink(), os.mkfifo(path)), "it is a FIFO"),
    "too long": (
        lambda host, path: append(path, b" " * (64 << 10)), "it has more than 65536 bytes"
    ),
    "another's signature": (
        lambda host, path: (
            host.approve(path.with_name("other.json"), ticket="INC-9"),
            shutil.copy(path.with_name("other.json.approval.sig"), signature_path(path, "approval")),
        ),
        "approver's signature by allows@example.com does not fit the document",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_was_tampered_with_does_not_count(host, paper, name):
    damage, words = DAMAGE[name]
    host.approve(paper)
    assert host.ok("cat", "--approval", paper, host.instance, "/home/alice/note").out == b"note\n"
    damage(host, paper)
    host.refused("cat", "--approval", paper, host.instance, "/home/alice/note", words=words)


def test_a_member_twice_is_refused(host, paper):
    text = json.dumps(host.document())
    host.approve(paper, text.replace("{", '{"scope":["/"],', 1).encode())
    host.refused("disks", "--approval", paper, host.instance, words='"scope" occurs twice')


def test_one_key_under_two_names_approves_nothing(host, paper):
    both = host.public("requester")
    host.write("approvers.allowed", f"{APPROVER} {both}")
    host.approve(paper, approver="requester")
    host.refused("disks", "--approval", paper, host.instance, words="signed with the same key")


def test_one_name_with_two_keys_approves_nothing(host, paper):
    host.write("approvers.allowed", f"{REQUESTER} {host.public('approver')}")
    document = json.dumps(host.document(approver=REQUESTER)).encode()
    host.approve(paper, document)
    host.refused("disks", "--approval", paper, host.instance,
                 words=f"Requester and approver are both {REQUESTER}")


def test_a_key_counts_only_while_its_line_says(host, paper):
    host.write("approvers.allowed", f'{APPROVER} valid-before="20200101" {host.public("approver")}')
    host.approve(paper)
    host.refused("disks", "--approval", paper, host.instance, words="expired")


def test_a_window_has_its_bound(host, paper):
    host.write_policy(approval_hours_max=1)
    host.approve(paper, not_before=moment(-60), expires=moment(3540))
    host.ok("disks", "--approval", paper, host.instance)
    host.approve(paper, not_before=moment(-60), expires=moment(3541 + 60))
    host.refused("disks", "--approval", paper, host.instance,
                 words="longer than the 1 hours that the policy allows")


def test_operators_may_ask_where_no_requesters_are_named(host, paper):
    host.write_policy(requesters=None)
    policy = json.loads((host.settings / "policy.json").read_text())
    del policy["requesters"]
    host.write("policy.json", json.dumps(policy))
    host.approve(paper, json.dumps(host.document(requester="op@example.com")).encode(),
                 requester="operator")
    host.ok("disks", "--approval", paper, host.instance)
    host.approve(paper)
    host.refused("disks", "--approval", paper, host.instance, words="on no list of requesters")


# The policy.


def lists_with(line):
    return lambda host: host.write("approvers.allowed", line(host))


FLAWS = {
    "group may write the policy": (
        lambda host: os.chmod(host.settings / "policy.json", 0o664), "mode 0664"
    ),
    "others may write the policy": (
        lambda host: os.chmod(host.settings / "policy.json", 0o646), "mode 0646"
    ),
    "others may write the directory": (lambda host: os.chmod(host.settings, 0o777), "mode 0777"),
    "somebody's policy": (
        lambda host: os.chown(host.settings / "policy.json", 65534, 0), "belongs to user 65534"
    ),
    "somebody's directory": (
        lambda host: os.chown(host.settings, 65534, 0), "belongs to user 65534"
    ),
    "a link for a policy": (
        lambda host: (
            (host.settings / "policy.json").rename(host.settings / "real"),
            (host.settings / "policy.json").symlink_to("real"),
        ),
        "is a symbolic link",
    ),
    "a link for a directory": (
        lambda host: (
            shutil.rmtree(host.settings.with_name("real"), ignore_errors=True),
            host.settings.rename(host.settings.with_name("real")),
            host.settings.symlink_to("real"),
        ),
        "is not a directory, or a symbolic link",
    ),
    "no JSON": (lambda host: host.write("policy.json", "{"), "is not a policy"),
    "an unknown member": (
        lambda host: host.write(
            "policy.json", (host.settings / "policy.json").read_text().replace("{", '{"x":1,', 1)
        ),
        'has "x", which means nothing here',
    ),
    "an unknown demand": (
        lambda host: host.write(
            "policy.json",
            (host.settings / "policy.json").read_text().replace('"instances",', '"never",', 1),
        ),
        'neither "instances" nor "always"',
    ),
    "an empty policy": (lambda host: host.write("policy.json", ""), "is not a policy"),
}

LIST_FLAWS = {
    "group may write a list": (
        lambda host: os.chmod(host.settings / "approvers.allowed", 0o664), "mode 0664"
    ),
    "somebody's list": (
        lambda host: os.chown(host.settings / "requesters.allowed", 65534, 0),
        "belongs to user 65534",
    ),
    "a link for a list": (
        lambda host: (
            (host.settings / "approvers.allowed").rename(host.settings / "real"),
            (host.settings / "approvers.allowed").symlink_to("real"),
        ),
        "is a symbolic link",
    ),
    "a missing list": (
        lambda host: (host.settings / "approvers.allowed").unlink(), "approvers.allowed is missing"
    ),
    "a missing revocation list": (
        lambda host: (host.settings / "revoked").unlink(), "revoked is missing"
    ),
    "a wildcard": (
        lists_with(lambda host: f"*@example.com {host.public('approver')}"),
        "line 1: a wildcard in the principal",
    ),
    "two principals": (
        lists_with(lambda host: f"a@example.com,{APPROVER} {host.public('approver')}"),
        "line 1: more than one principal",
    ),
    "one key under two names": (
        lists_with(lambda host: f"{APPROVER} {host.public('approver')}"
                   f"b@example.com {host.public('approver')}"),
        "line 2: the key of line 1 once more",
    ),
    "an authority": (
        lists_with(lambda host: f"{APPROVER} cert-authority {host.public('approver')}"), "line 1:"
    ),
    "no list at all": (lists_with(lambda host: "hello\n"), "line 1:"),
}


@pytest.fixture
def mended(host):
    yield host
    if host.settings.is_symlink():
        host.settings.unlink()


@pytest.mark.parametrize("name", FLAWS)
def test_a_policy_that_is_wrong_opens_nothing(mended, paper, name):
    host, (spoil, words) = mended, FLAWS[name]
    host.approve(paper)
    spoil(host)
    host.refused("cat", host.loose, "/etc/shadow", words=words)
    host.refused("cat", "--approval", paper, host.instance, "/home/alice/note", words=words)
    host.refused("approve", "check", paper, words=words)


@pytest.mark.parametrize("name", LIST_FLAWS)
def test_a_list_that_is_wrong_approves_nothing(host, paper, name):
    spoil, words = LIST_FLAWS[name]
    host.approve(paper)
    spoil(host)
    host.refused("cat", "--approval", paper, host.instance, "/home/alice/note", words=words)
    assert host.ok("cat", host.loose, "/etc/shadow").out == TOKEN


# The scope.


OUTSIDE = [
    ("/etc/shadow", "is outside the scope"),
    ("/home/bob/secret", "is outside the scope"),
    ("/home/alicex/secret", "is outside the scope"),
    ("/home/\u0430lice/secret", "is outside the scope"),
    ("/", "is outside the scope"),
    ("/home", "is outside the scope"),
    ("/home/alice/../bob/secret", "leads outside the scope"),
    ("/home/alice/docs/../../bob/secret", "leads outside the scope"),
    ("/home/alice/up", "leads outside the scope"),
    ("/home/alice/absolute", "leads outside the scope"),
    ("/home/alice/tree/secret", "leads outside the scope"),
    ("/home/alice/tree/none", "leads outside the scope"),
    ("/home/alice/nothing", "leads outside the scope"),
    ("/etc/none", "is outside the scope"),
    ("/etc/shadow/none", "is outside the scope"),
    ("disk::/home/alice/note", "is outside the scope"),
    ("disk::/etc/shadow", "is outside the scope"),
    ("disk.local::/mounted", "is outside the scope"),
]


@pytest.mark.parametrize("path,words", OUTSIDE)
def test_nothing_outside_is_read(host, paper, path, words):
    host.approve(paper, scope=["/home/alice"])
    for name in ("cat", "stat", "ls", "find"):
        if name == "stat" and path in ("/home/alice/up", "/home/alice/absolute",
                                       "/home/alice/nothing"):
            # A link in the last place is shown itself, and it is inside.
            assert host.run(name, "--approval", paper, host.instance, path).code == 0
            continue
        host.refused(name, "--approval", paper, host.instance, path, words=words)


def test_what_is_inside_is_read(host, paper):
    host.approve(paper, scope=["/home/alice"])
    approved = ["--approval", paper, host.instance]
    for path in ("/home/alice/note", "/home/alice/inside", "/home/alice/docs/../note",
                 "/home/bob/../alice/note", "//home/./alice//note"):
        assert host.ok("cat", *approved, path).out == b"note\n"
    assert host.ok("cat", *approved, "/home/alice/data/mounted").out == b"mounted\n"
    assert host.run("cat", *approved, "/home/alice/none").code == MISSING
    listed = host.ok("ls", "-R", *approved, "/home/alice").out.decode().splitlines()
    assert "/home/alice/data/mounted" in listed and TOKEN.decode() not in "".join(listed)


def test_a_directory_on_the_way_may_be_missing(host, paper):
    host.approve(paper, scope=["/home/carol/docs"])
    result = host.run("cat", "--approval", paper, host.instance, "/home/carol/docs/a")
    assert result.code == MISSING and b"/home/carol does not exist" in result.err, str(result)


def test_globs_mean_what_they_say(host, paper):
    host.approve(paper, scope=["/var/log/*.gz", "/home/alice/a\\*b"])
    approved = ["--approval", paper, host.instance]
    assert host.ok("cat", *approved, "/var/log/a.gz").out == b"log\n"
    assert host.ok("cat", *approved, "/home/alice/a*b").out == b"star\n"
    for path in ("/var/log/sub/b.gz", "/home/alice/axb", "/var/log", "/home/alice/note"):
        host.refused("cat", *approved, path, words="is outside the scope")
    host.refused("extract", *approved, "/var/log", "--to-tar", "-", words="is outside the scope")


def test_an_extraction_is_within_as_a_whole(host, paper, tmp_path):
    host.approve(paper, scope=["/home/alice"])
    approved = ["extract", "--approval", paper, host.instance]
    host.refused(*approved, "/home/alice", "/etc", "--to-dir", tmp_path / "out",
                 words="is outside the scope")
    assert not (tmp_path / "out").exists()
    found = support.archived(host.ok(*approved, "/home/alice", "--to-tar", "-").out)
    assert b"/home/alice/data/mounted" in found, "what is mounted beneath is covered, too"
    assert all(path.startswith(b"/home/alice") for path in found if path != b"/home"), found
    assert found[b"/home/alice/absolute"].type == "symlink"


def test_a_volume_is_covered_by_its_name_only(host, paper, tmp_path):
    approved = ["--approval", paper, host.instance]
    host.approve(paper, scope=["disk::/home"])
    assert host.ok("cat", *approved, "disk::/home/alice/note").out == b"note\n"
    assert host.ok("cat", *approved, "/home/alice/note").out == b"note\n"
    host.refused("cat", *approved, "disk.local::/mounted", words="is outside the scope")
    # The other volume, mounted beneath, is not the one that was named.
    host.refused("cat", *approved, "/home/alice/data/mounted", words="outside the scope")
    for command in (["ls", "-R"], ["find"]):
        result = host.run(*command, *approved, "/home/alice")
        assert b"mounted\n" not in result.out and b"data is outside the scope" in result.err
    result = host.run("extract", *approved, "/home/alice", "--to-dir", tmp_path / "out")
    assert result.code == support.DAMAGED and b"data is outside the scope" in result.err
    assert not (tmp_path / "out/home/alice/data/mounted").exists()
    host.approve(paper, scope=["*:*:/mounted"])
    assert host.ok("cat", *approved, "/home/alice/data/mounted").out == b"mounted\n"
    host.refused("cat", *approved, "/home/alice/note", words="is outside the scope")


def test_a_hostile_scope_costs_no_time(host, paper):
    host.approve(paper, scope=["/**/a*a*a*a*a*a*a*a*a*a*a*b" + "/**/*" * 500] * 12)
    # It ends at all: one that tried every way to divide the path would not.
    host.refused("cat", "--approval", paper, host.instance, "/home" + "/a" * 1500,
                 words="is outside the scope")


# The commands.


def ask(host, paper, *more, target=None, key="requester"):
    return host.run(
        "approve", "request", target or host.instance, "--ticket", "INC-1234", "--scope",
        "/home/alice", "--actions", "list,read", "--approver", APPROVER, "--expires", "8h",
        "--reason", "lost files", "--key", host.key(key), "-o", paper, *more,
    )


def test_request_sign_show_check_and_read(host, paper):
    assert ask(host, paper).code == 0
    host.refused("cat", "--approval", paper, host.instance, "/home/alice/note",
                 words="has not been approved")
    document = json.loads(paper.read_text())
    assert document["instance"] == INSTANCE and document["requester"] == REQUESTER
    signed = host.ok("approve", "sign", paper, "--key", host.key("approver"), "--yes")
    for shown in (INSTANCE, "INC-1234", "/home/alice", "list, read", "lost files", REQUESTER):
        assert shown in signed.err.decode()
    for which, key, name in (("request", "requester", REQUESTER), ("approval", "approver", APPROVER)):
        tool("ssh-keygen", "-Y", "verify", "-n", f"glovebox-{which}", "-I", name,
             "-f", host.settings / f"{key}s.allowed", "-s", signature_path(paper, which),
             input=paper.read_bytes())
    assert b"INC-1234" in host.ok("approve", "show", paper).out
    shown = host.ok("approve", "show", "--json", paper).document
    assert shown["schema"] == "glovebox.approve-show/1"
    assert shown["sha256"] == support.sha256(paper)
    assert shown["approval_signature"]["fingerprint"].startswith("SHA256:")
    assert host.ok("approve", "check", paper, host.instance, "--json").document["allowed"] is True
    assert host.ok("cat", "--approval", paper, host.instance, "/home/alice/note").out == b"note\n"


def test_check_says_as_json_why_not(host, paper):
    host.approve(paper, instance=OTHER)
    result = host.run("approve", "check", "--json", paper, host.instance)
    assert result.code == support.REFUSED
    assert result.document["allowed"] is False and OTHER in result.document["reason"]
    assert host.ok("approve", "check", "--json", paper).document["allowed"] is True


def test_a_request_names_an_instance_however_it_is_given(host, tmp_path):
    for index, target in enumerate([INSTANCE, INSTANCE.upper(), host.instance / "disk.local"]):
        paper = tmp_path / f"{index}.json"
        assert ask(host, paper, target=target).code == 0
        assert json.loads(paper.read_text())["instance"] == INSTANCE
    paper = tmp_path / "image.json"
    assert ask(host, paper, target=host.loose).code == 0
    assert json.loads(paper.read_text())["image"] == {"layers": [support.sha256(host.loose)]}


def test_nothing_is_overwritten(host, paper):
    paper.write_text("mine")
    result = ask(host, paper)
    assert result.code == support.USAGE and paper.read_text() == "mine"
    assert not signature_path(paper, "request").exists()


@pytest.mark.parametrize("options", [
    ["--scope", "/home/../etc"], ["--scope", "etc"], ["--actions", "write"], ["--expires", "soon"],
    ["--expires", "2020-01-01"], ["--ticket", "a\nb"], ["--approver", "*"],
])
def test_what_cannot_be_asked_for_is_a_usage_error(host, paper, options):
    result = ask(host, paper, *options)
    assert result.code == support.USAGE, str(result)
    assert not paper.exists()


def test_a_key_that_may_not_ask_is_said_before_anybody_signs(host, paper):
    assert ask(host, paper, key="stranger").code == support.REFUSED
    assert not paper.exists()


def test_nobody_signs_what_they_asked_for_or_was_changed(host, paper):
    assert ask(host, paper).code == 0
    host.refused("approve", "sign", paper, "--key", host.key("requester"), "--yes",
                 words="signed with the same key")
    host.refused("approve", "sign", paper, "--key", host.key("approver"), words="Nothing was signed")
    paper.write_bytes(paper.read_bytes().replace(b"alice", b"bob"))
    host.refused("approve", "sign", paper, "--key", host.key("approver"), "--yes",
                 words="does not fit the document")
    assert not signature_path(paper, "approval").exists()


def typed(host, text, *arguments):
    """Runs the program on a terminal of its own; what it showed, and its exit code."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(host.program, [os.fspath(part) for part in (host.program, *arguments)])
    os.write(terminal, text)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    return shown, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.parametrize("answer,code", [(b"yes", 0), (b"no", 3), (b"", 3), (b"yes please", 3)])
def test_signing_asks_on_the_terminal(host, paper, answer, code):
    assert ask(host, paper).code == 0
    shown, ended = typed(host, answer + b"\n", "approve", "sign", paper, "--key",
                         host.key("approver"))
    assert ended == code, shown
    assert b"Approve this? Type yes:" in shown and b"lost files" in shown
    assert signature_path(paper, "approval").exists() == (code == 0)


def test_a_request_is_signed_where_no_policy_is(host, paper):
    assert ask(host, paper).code == 0
    shutil.rmtree(host.settings)
    signed = host.ok("approve", "sign", paper, "--key", host.key("approver"), "--yes")
    assert b"nobody vouches for here" in signed.err
    host.write_policy()
    host.ok("approve", "check", paper, host.instance)


def test_an_agent_signs(host, paper):
    agent = tool("ssh-agent", "-s").decode()
    variables = dict(part.strip().split("=", 1) for line in agent.splitlines()
                     for part in [line.split(";")[0]] if "=" in part)
    environment = {**os.environ, **variables}
    try:
        tool("ssh-add", "-q", host.key("requester"), env=environment)
        public = shutil.copy(host.key("requester").with_suffix(".pub"), paper.with_name("only.pub"))
        result = host.run(
            "approve", "request", INSTANCE, "--ticket", "INC-1", "--scope", "/", "--actions", "list",
            "--approver", APPROVER, "--expires", "1h", "--reason", "agent", "--key", public, "-o",
            paper, env=environment,
        )
        assert result.code == 0, str(result)
    finally:
        os.kill(int(variables["SSH_AGENT_PID"]), 15)
    host.sign(paper, "approval", "approver", APPROVAL)
    host.ok("approve", "check", paper, host.instance)


def test_letters_that_look_alike_are_spelled_out(host, paper):
    host.approve(paper, scope=["/home/\u0430lice", "/home/alice"])
    shown = host.ok("approve", "show", paper).out.decode()
    assert shown.count("not ASCII") == 1 and "/home/\\xd0\\xb0lice" in shown


def test_no_ssh_keygen_runs_and_no_list_is_read_for_a_loose_image(host):
    if not shutil.which("strace"):
        pytest.skip("needs strace")
    trace = subprocess.run(
        ["strace", "-f", "-e", "trace=execve,openat,openat2", host.program, "cat", host.loose,
         "/home/alice/note"],
        capture_output=True,
    )
    assert trace.stdout == b"note\n"
    text = trace.stderr.decode()
    assert "policy.json" in text and "ssh-keygen" not in text and ".allowed" not in text
