"""Evidence bags that somebody else made: good ones pass, and each lie is named."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile

import pytest

import bag_maker
import support
from bag_maker import Bag, header, padded, pax, pax_record, end_of_archive

OTHER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return bag_maker.Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """files.tar of a small disk, as the program writes it."""
    place = tmp_path_factory.mktemp("taken")
    tree = place / "tree"
    (tree / "home/alice").mkdir(parents=True)
    (tree / "home/alice/notes").write_text("notes\n")
    (tree / "home/alice/empty").write_text("")
    (tree / "home/alice/again").hardlink_to(tree / "home/alice/notes")
    (tree / "home/alice/link").symlink_to("notes")
    (tree / "home/bob").mkdir()
    (tree / "home/bob/diary").write_text("dear diary\n")
    os.mkfifo(tree / "home/fifo")
    with open(tree / "home/sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"island")
    (tree / os.fsdecode(b"home/not-\xff-utf8")).write_text("x")
    (tree / ("home/" + "long" * 40)).write_text("long\n")
    os.utime(tree / "home/alice/notes", ns=(0, 1_700_000_000_123_456_700))
    image = place / "disk.raw"
    support.tool("mke2fs", "-q", "-F", "-t", "ext4", "-I", "256", "-d", tree, image, "4M")
    acl = place / "acl"
    acl.write_bytes(bag_maker.access_list("user::rw-,user:1000:r--,group::r--,mask::rw-,other::---"))
    support.tool("debugfs", "-w", "-f", "-", image, input=(
        f"ea_set home/bob/diary user.note value\nea_set home/bob/diary user.a=b%c value\n"
        f"ea_set -f {acl} home/alice/notes system.posix_acl_access\n"
        "rm lost+found\n").encode())
    tar = place / "files.tar"
    support.ok("extract", "--format", "raw", image, "/home", "--to-tar", tar)
    return tar.read_bytes()


@pytest.fixture(scope="module")
def good(keys, taken):
    return Bag(keys, taken)


def verify(path, keys, *options):
    return support.run("verify", path, *keys.options, *options, timeout=120)


def fault(result):
    """The check that failed and what it says; everything after it was not done."""
    document = result.document
    states = [check["status"] for check in document["checks"]]
    at = states.index("failed")
    assert "failed" not in states[:at] and set(states[at + 1:]) <= {"not-done"}, states
    assert document["verified"] is False and result.code == 1, str(result)
    return document["checks"][at]


def refused(path, keys, check, words, *options):
    """Expects a bag to be refused by a check, with words; also without --json."""
    result = verify(path, keys, "--json", *options)
    assert result.code == 1, str(result)
    found = fault(result)
    assert found["check"] == check, found
    assert re.search(words, found["detail"]), found
    shown = verify(path, keys, *options)
    assert shown.code == 1 and "NOT verified" in shown.text, str(shown)
    assert all(c.isprintable() or c == "\n" for c in shown.text), repr(shown.text)
    return found


@pytest.mark.parametrize("form", ["tar", "directory"])
@pytest.mark.parametrize("approved", [True, False])
def test_a_bag_made_by_foreign_tools_is_verified(tmp_path, keys, taken, form, approved):
    parts = Bag(keys, taken, approved=approved).seal()
    path = tmp_path / "case-17"
    (bag_maker.write_tar if form == "tar" else bag_maker.write_directory)(path, parts)
    result = verify(path, keys, "--json")
    assert result.code == 0, str(result)
    document = result.document
    assert document["schema"] == "glovebox.verify/1" and document["verified"] is True
    assert document["form"] == form and document["name"] == "case-17"
    assert document["operator"] == {"principal": "operator@example.com",
                                    "key": keys.fingerprint("operator")}
    assert [check["check"] for check in document["checks"]] == [
        "form", "information", "tag-files", "payload", "records", "source", "custody", "approval",
        "scope", "seal", "trust"]
    assert document["entries"] == taken_entries(taken)
    if approved:
        assert document["approval"]["approver"]["principal"] == "approver@example.com"
        assert {check["status"] for check in document["checks"]} == {"ok"}
    else:
        assert document["reason"] == "a test" and "approval" not in document
    shown = verify(path, keys)
    assert shown.code == 0 and shown.text.endswith(f"Verified: {path}.\n"), str(shown)


def taken_entries(tar):
    import io
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        return len(archive.getnames())


def change(**members):
    """Changes members of the record of a path."""
    path = members.pop("of", "home/bob/diary")

    def apply(bag):
        next(one for one in bag.records if one["path"] == path).update(members)
    return apply


def of(bag, path):
    return next(one for one in bag.records if one["path"] == path)


def drop_record(bag):
    bag.records = [one for one in bag.records if one["path"] != "home/bob/diary"]


def one_more_record(bag):
    bag.records.append({**of(bag, "home/bob/diary"), "path": "home/bob/more",
                        "guest_path": "/home/bob/more"})


def repeated_record(bag):
    at = bag.records.index(of(bag, "home/bob/diary"))
    bag.records.insert(at, dict(bag.records[at]))


def swapped_records(bag):
    bag.records[-1], bag.records[-2] = bag.records[-2], bag.records[-1]


def without(path, member):
    return lambda bag: of(bag, path).pop(member)


def document(**members):
    return lambda bag: bag.document.update(members)


def instance(bag):
    bag.source["instance"] = OTHER


def image(bag):
    del bag.document["instance"]
    bag.document["image"] = {"layers": ["ab" * 32]}
    bag.source["disks"][0]["layers"] = [{"path": "x", "sha256": "cd" * 32}]


def at(begin):
    def apply(bag):
        bag.date = begin[:10]
        bag.times.update(begin=begin, sealed=begin[:10] + "T23:00:00.000000000Z")
    return apply


def events(edit):
    """Changes the list of events before the chain is made."""
    def apply(bag):
        bag.events = edit
    return apply


def renamed(path, guest_path):
    def apply(bag):
        of(bag, path)["guest_path"] = guest_path
    return apply


def signer(**names):
    return lambda bag: bag.signers.update(names)


def namespace(**names):
    return lambda bag: bag.namespaces.update(names)


def after(file, edit):
    return lambda bag: bag.after.update({file: edit})


def line_removed(number):
    def edit(text):
        lines = text.splitlines(keepends=True)
        return b"".join(lines[:number] + lines[number + 1:])
    return edit


def line_twice(text):
    lines = text.splitlines(keepends=True)
    return b"".join(lines[:2] + lines[1:])


def lines_moved(text):
    lines = text.splitlines(keepends=True)
    return b"".join([lines[0], lines[2], lines[1], *lines[3:]])


def crlf(text):
    return text.replace(b"\n", b"\r\n", 1)


def unsigned(bag):
    bag.signers["bag"] = None


def extracted(**members):
    def edit(found):
        found[4].update(members)
        return found
    return events(edit)


def sealed(**members):
    def edit(found):
        found[5].update(members)
        return found
    return events(edit)


def approved(**members):
    def edit(found):
        found[0].update(members)
        return found
    return events(edit)


SIGNATURE = "tagmanifest-sha256.txt.sig"
APPROVED = "data/approval.json.approval.sig"
LIES = {
    # files.jsonl against files.tar
    "a file without a record": (drop_record, "records", "describes .*, but files.tar has home/bob/diary"),
    "a record without a file": (one_more_record, "records", "what it describes is not in files.tar"),
    "a record twice": (repeated_record, "records", "describes home/bob/diary, but files.tar has"),
    "records in another order": (swapped_records, "records", "describes .*, but files.tar has"),
    "another path": (change(path="home/bob/Diary"), "records", "describes home/bob/Diary, but files.tar has home/bob/diary here"),
    "a path that looks alike": (change(path="home/bob/di\u0430ry"), "records", "but files.tar has home/bob/diary"),
    "another type": (change(type="fifo", of="home/alice/link"), "records", "target"),
    "another mode": (change(mode="0600"), "records", "its mode is 0600, but 0644 in files.tar"),
    "another owner": (change(uid=1), "records", "its owner is 1, but 0"),
    "another group": (change(gid=1), "records", "its group is 1, but 0"),
    "another time": (change(mtime="2026-02-01T10:00:00.000000000Z"), "records", "its time is 2026-02-01"),
    "another fraction": (change(of="home/alice/notes", mtime="2023-11-14T22:13:20.123456701Z"), "records", "its time is"),
    "another size": (change(size=10), "records", "its size is 10, but 11"),
    "another digest": (change(sha256="00" * 32), "records", "does not have the digest"),
    "the digest of ranges": (lambda bag: of(bag, "home/bob/diary").update(data_sha256=of(bag, "home/bob/diary").pop("sha256")), "records", "its digest has to be sha256"),
    "no digest": (without("home/bob/diary", "sha256"), "records", "the digest of a file is missing"),
    "another target": (change(of="home/alice/link", target="/etc/shadow"), "records", "where it leads is /etc/shadow, but notes"),
    "another first name": (change(of="home/alice/notes", link_to="home/bob/diary"), "records", "where it leads|link_to"),
    "no attributes": (without("home/bob/diary", "xattrs"), "records", "files.tar has SCHILY.xattr.user"),
    "another attribute": (change(xattrs=[{"name": "user.note", "value_base64": "eA=="}]), "records", "its attribute user.note is not the one"),
    "another access list": (change(of="home/alice/again", xattrs=[{"name": "system.posix_acl_access", "value_base64": "AgAAAAEABgD/////"}]), "records", "its access list system.posix_acl_access is not the one"),
    "an unknown member": (change(comment="x"), "records", '"comment", which means nothing here'),
    "a missing range outside": (change(missing=[{"offset": 8, "length": 9}]), "records", "a missing range is not in order, or leaves the file"),
    "a guest path elsewhere": (renamed("home/bob/diary", "/home/alice/diary"), "records", "does not fit its guest_path"),
    "base64 of what is text": (change(path_base64="aG9tZS9ib2IvZGlhcnk="), "records", "path_base64"),
    "a note without a reason": (lambda bag: bag.notes.append({"skipped": "/x"}), "records", "reason"),
    "a note before a record": (after("data/files.jsonl", lambda text: text.splitlines(keepends=True)[-1] + text), "records", "of files.tar is not described here"),
    # custody
    "an event removed": (events(lambda found: found[:2] + found[3:]), "custody", "here stands audit where read belongs"),
    "an event twice": (events(lambda found: found[:2] + found[1:]), "custody", "here stands opened where read belongs"),
    "events moved": (events(lambda found: [found[1], found[0], *found[2:]]), "custody", "here stands opened where approval or unapproved belongs"),
    "no seal": (events(lambda found: found[:-1]), "custody", "the event sealed is missing"),
    "an event after the seal": (events(lambda found: [*found, found[-1]]), "custody", "does not belong here"),
    "an approval made unapproved": (events(lambda found: [{"event": "unapproved", "time": bag_maker.BEGUN, "reason": None}, *found[1:]]), "custody", "does not fit the approval in the bag"),
    "a line removed": (after("data/custody.jsonl", line_removed(2)), "custody", "line 3 does not follow"),
    "a line twice": (after("data/custody.jsonl", line_twice), "custody", "line 3 does not follow"),
    "lines moved": (after("data/custody.jsonl", lines_moved), "custody", "line 2 does not follow"),
    "a line changed": (after("data/custody.jsonl", lambda text: text.replace(b'"opened"', b'"Opened"')), "custody", "stands Opened"),
    "another count": (extracted(records=3), "custody", "counts 3 records"),
    "another sealed digest": (sealed(files_tar="00" * 32), "custody", "another digest of data/files.tar"),
    "another operator": (sealed(operator="SHA256:x"), "custody", "another key than the signature has"),
    "a date before": (lambda bag: setattr(bag, "date", "2026-01-31"), "custody", "Bagging-Date"),
    # the approval
    "expired": (at("2026-02-02T09:00:00.000000000Z"), "approval", "has expired at 2026-02-02T09:00:00Z"),
    "not yet valid": (at("2026-02-01T08:59:59.999999999Z"), "approval", "is not valid yet: it begins at 2026-02-01T09:00:00Z"),
    "another instance": (instance, "approval", f"for instance {support.INSTANCE}, but this was taken from instance {OTHER}"),
    "another image": (image, "approval", "for an image of other digests"),
    "another action": (document(actions=["list", "read"]), "approval", "does not allow to extract"),
    "an unknown member of the approval": (document(comment="x"), "approval", '"comment", which means nothing here'),
    "approved by the requester": (signer(approval="requester"), "approval", "on no list of approvers"),
    "approved by a stranger": (signer(approval="stranger"), "approval", "on no list of approvers"),
    "asked for by a stranger": (signer(request="stranger"), "approval", "on no list of requesters"),
    "another approver": (document(approver="somebody@example.com"), "approval", "is approver@example.com's, but the document names somebody@example.com"),
    "an approval for a bag": (namespace(approval="glovebox-bag"), "approval", "was made for glovebox-bag, not for glovebox-approval"),
    "a request for an approval": (namespace(request="glovebox-approval"), "approval", "was made for glovebox-approval, not for glovebox-request"),
    "an armour with more lines": (after(APPROVED, lambda text: text.replace(b"\n", b"\n\n", 1)), "approval", "not exactly what ssh-keygen writes"),
    "an armour with blanks": (after(APPROVED, lambda text: text + b" \n"), "approval", "not exactly what ssh-keygen writes"),
    "a digest of another approval": (approved(document="00" * 32), "approval", "about another approval"),
    "another signer in custody": (approved(approver={"principal": "operator@example.com", "key": "SHA256:x"}), "approval", "names other signers"),
    "another ticket": (after("bag-info.txt", lambda text: text.replace(b"INC-1234", b"INC-1235")), "approval", "External-Identifier"),
    # its scope
    "out of scope": (document(scope=["/home/alice"]), "scope", "disk:p1:/home.* is outside the scope"),
    "a glob of one level": (document(scope=["/home/*x"]), "scope", "is outside the scope"),
    "a scope of another volume": (document(scope=["disk:p2:/home"]), "scope", "is outside the scope"),
    "a scope that looks alike": (document(scope=["/hom\u0435"]), "scope", "is outside the scope"),
    # the seal
    "sealed by a stranger": (signer(bag="stranger"), "seal", "on no list of operators"),
    "sealed by the approver": (signer(bag="approver"), "seal", "on no list of operators"),
    "sealed for an approval": (namespace(bag="glovebox-approval"), "seal", "was made for glovebox-approval, not for glovebox-bag"),
    "unsigned": (unsigned, "seal", "is missing, but there is an approval"),
    "a signature of something else": (lambda bag: bag.after.update({SIGNATURE: lambda _: bag.keys.sign("operator", "glovebox-bag", b"else")}), "seal", "does not fit"),
    "an armour that ends late": (after(SIGNATURE, lambda text: text + b"\n"), "seal", "not exactly what ssh-keygen writes"),
    # tag files
    "CRLF": (after("manifest-sha256.txt", crlf), "payload", "is not the digest of data/files.tar"),
    "CRLF of the tag manifest": (after("tagmanifest-sha256.txt", crlf), "tag-files", "is not the digest of bagit.txt"),
    "a path that leads out": (after("manifest-sha256.txt", lambda text: text.replace(b"data/files.tar", b"../data/files.tar")), "payload", "is not the digest of data/files.tar"),
    "one blank": (after("manifest-sha256.txt", lambda text: text.replace(b"  ", b" ", 1)), "payload", "is not the digest"),
    "upper case": (after("manifest-sha256.txt", lambda text: text[:64].upper() + text[64:]), "payload", "is not the digest"),
    "a manifest in another order": (after("manifest-sha256.txt", lambda text: b"".join(reversed(text.splitlines(keepends=True)))), "payload", "is not the digest of data/files.tar"),
    "a digest of nothing": (after("manifest-sha256.txt", lambda text: text + text.splitlines(keepends=True)[-1]), "payload", "does not belong here"),
    "no last newline": (after("bagit.txt", lambda text: text[:-1]), "information", "declaration of BagIt 1.0"),
    "a byte order mark": (after("bagit.txt", lambda text: b"\xef\xbb\xbf" + text), "information", "declaration of BagIt 1.0"),
    "another oxum": (after("bag-info.txt", lambda text: re.sub(rb"Oxum: \d+", b"Oxum: 17", text)), "information", "Payload-Oxum is 17"),
    "an oxum with zeros": (after("bag-info.txt", lambda text: re.sub(rb"Oxum: ", b"Oxum: 0", text)), "information", "not Payload-Oxum"),
    "a ticket without an approval": (after("bag-info.txt", lambda text: re.sub(rb"External.*\n", b"", text)), "information", "External-Identifier has to be there"),
    "a label more": (after("bag-info.txt", lambda text: text + b"Contact-Name: x\n"), "information", "does not belong here"),
    "a folded line": (after("bag-info.txt", lambda text: text.replace(b"\n", b"\n x\n", 1)), "information", "not Bagging-Date"),
    "the name of another bag": (lambda bag: setattr(bag, "name", "other"), "information", "calls the bag other, the tar case-17"),
    "source.json of another schema": (lambda bag: bag.source.update(schema="glovebox.source/2"), "source", "schema"),
    "source.json cut off": (after("data/source.json", lambda text: text[:-4]), "source", "does not end"),
    "source.json twice": (after("data/source.json", lambda text: text + text), "source", "more after the end"),
    "a member twice": (after("data/source.json", lambda text: b'{"instance":null,' + text[1:]), "source", "occurs twice"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_bag_whose_digests_fit_but_that_lies_is_refused(tmp_path, good, keys, lie):
    edit, check, words = LIES[lie]
    bag = good.copy()
    edit(bag)
    refused(bag_maker.write_tar(tmp_path / "case-17.tar", bag.seal()), keys, check, words)


def test_one_key_for_both_is_refused(tmp_path, good, keys):
    keys.list("both", "requester", "approver")
    bag = good.copy()
    bag.signers["approval"] = "requester"
    bag.document["approver"] = "requester@example.com"
    path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
    result = support.run("verify", "--json", path, f"--requesters={keys.directory}/both",
                         f"--approvers={keys.directory}/both",
                         f"--operators={keys.directory}/operators")
    assert fault(result)["check"] == "approval"
    assert "signed with the same key" in fault(result)["detail"]


@pytest.mark.parametrize("who, check", [("approver", "approval"), ("requester", "approval"),
                                        ("operator", "seal")])
def test_a_revoked_key_is_refused(tmp_path, good, keys, who, check):
    path = bag_maker.write_tar(tmp_path / "b.tar", good.copy().seal())
    refused(path, keys, check, "revoked", f"--revoked={keys.directory / who}.pub")


def test_a_key_counts_at_the_time_that_custody_states(tmp_path, good, keys):
    path = bag_maker.write_tar(tmp_path / "b.tar", good.copy().seal())
    before = keys.list("before", "approver", options='valid-before="20260201"')
    assert keys.list("later", "approver", options='valid-before="20260203Z"')
    options = [one for one in keys.options if "approvers" not in one]
    good_then = support.run("verify", path, *options, f"--approvers={keys.directory}/later")
    assert good_then.code == 0, str(good_then)
    result = support.run("verify", "--json", path, *options, f"--approvers={before}")
    assert fault(result)["check"] == "approval", str(result)


def test_without_lists_signatures_are_checked_but_nobody_vouches(tmp_path, good, keys):
    path = bag_maker.write_tar(tmp_path / "b.tar", good.copy().seal())
    result = support.run("verify", "--json", path)
    found = fault(result)
    assert found["check"] == "trust" and keys.fingerprint("operator") in found["detail"]
    assert keys.fingerprint("approver") in found["detail"]
    bag = good.copy()
    bag.after[SIGNATURE] = lambda _: keys.sign("operator", "glovebox-bag", b"else")
    result = support.run("verify", "--json", bag_maker.write_tar(tmp_path / "c.tar", bag.seal()))
    assert fault(result)["check"] == "seal"


def test_a_bag_without_approval_may_be_unsigned_where_that_is_accepted(tmp_path, keys, taken):
    bag = Bag(keys, taken, approved=False)
    bag.signers["bag"] = None
    path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
    refused(path, keys, "seal", "nobody signed the bag")
    assert verify(path, keys, "--allow-unsigned").code == 0


def test_scopes_are_held_against_each_record(tmp_path, good, keys):
    for scope, paths in [
        (["/home"], ["/home"]), (["/**"], ["/home"]), (["/*"], ["/home"]),
        (["disk:p1:/home"], ["disk:p1:/home"]), (["*:*:/home"], ["disk:p1:/home"]),
    ]:
        bag = good.copy()
        bag.document["scope"], bag.paths = scope, paths
        path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
        assert verify(path, keys).code == 0, scope
    # Where a record says where in its volume it lies, a pattern of volumes can cover a bare path.
    for where, check in [("/inside", None), ("/elsewhere", "scope")]:
        bag = good.copy()
        bag.document["scope"], bag.paths = ["disk:p1:/inside"], ["/home"]
        for one in bag.records:
            one["volume_path"] = where
        path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
        assert verify(path, keys).code == (1 if check else 0), where
    for scope, paths in [(["/home"], ["disk:p1:/home"]), (["disk:p1:/home"], ["/home"])]:
        bag = good.copy()
        bag.document["scope"], bag.paths = scope, paths
        refused(bag_maker.write_tar(tmp_path / "b.tar", bag.seal()), keys, "scope", "outside")


@pytest.mark.parametrize("name", ["case.tar", "case.bag"])
def test_bags_that_the_program_made_are_verified(tmp_path, fixtures, keys, strange, name):
    if b"--to <" not in support.run("extract", "--help").out:
        pytest.skip("this program makes no bags")
    bag = tmp_path / name
    support.ok("extract", strange, "/", "--to", bag, "--sign-key", keys.directory / "operator")
    result = verify(bag, keys, "--json")
    assert result.code == 0, str(result)
    assert result.document["entries"] > 3000 and result.document["complete"] is True
    unsigned = tmp_path / f"unsigned-{name}"
    support.ok("extract", strange, "/names", "/links", "--to", unsigned)
    refused(unsigned, keys, "seal", "nobody signed the bag")
    assert verify(unsigned, keys, "--allow-unsigned").code == 0


# The outer tar.

def outer(**options):
    return lambda path, parts: bag_maker.write_tar(path, parts, **options)


def reordered(path, parts):
    names = list(parts)
    return bag_maker.write_tar(path, {name: parts[name] for name in [names[1], names[0], *names[2:]]})


def more(name):
    return lambda path, parts: bag_maker.write_tar(path, {**parts, name: b"more"})


def fewer(name):
    return lambda path, parts: bag_maker.write_tar(
        path, {one: data for one, data in parts.items() if one != name})


def doubled(path, parts):
    bag_maker.write_tar(path, parts, end=b"")
    data = path.read_bytes()
    path.write_bytes(data + header("case-17/bagit.txt", 5) + padded(b"other") + bytes(1024))
    return path


def dirty_padding(path, parts):
    bag_maker.write_tar(path, parts)
    data = bytearray(path.read_bytes())
    at = bytes(data).index(b"Tag-File-Character-Encoding: UTF-8\n") + 36
    data[at + 20] = 0x41
    path.write_bytes(data)
    return path


OUTER = {
    "junk after the end": (outer(end=bytes(1024) + b"junk"), "more after the end"),
    "zeros after the end": (outer(end=bytes(1536)), "more after the end"),
    "one block at the end": (outer(end=bytes(512)), "ends within the blocks that end it"),
    "no end": (outer(end=b""), "ends within a header"),
    "another mode": (outer(headers={"bagit.txt": {"mode": b"0000755\0"}}), "header of case-17/bagit.txt is not as it has to be"),
    "another time": (outer(headers={"bagit.txt": {"mtime": b"00000000001\0"}}), "is not as it has to be"),
    "an owner": (outer(headers={"bagit.txt": {"uid": b"0000001\0"}}), "is not as it has to be"),
    "GNU's magic": (outer(headers={"bagit.txt": {"magic": b"ustar ", "version": b" \0"}}), "is not as it has to be"),
    "a pax header": (outer(headers={"bagit.txt": {"type": b"x"}}), "is not as it has to be"),
    "a link": (outer(headers={"bagit.txt": {"type": b"2", "link": b"bag-info.txt".ljust(100, b"\0")}}), "is not as it has to be"),
    "a small size in base 256": (outer(headers={"bagit.txt": {"size": b"\x80" + (55).to_bytes(11, "big")}}), "is not as it has to be"),
    "a size in blanks": (outer(headers={"bagit.txt": {"size": b"         67 "}}), "no header of a bag's tar"),
    "an enormous size": (outer(headers={"bagit.txt": {"size": b"\x80" + (2**63 - 1).to_bytes(11, "big")}}), "ends within bagit.txt"),
    "a size beyond all": (outer(headers={"bagit.txt": {"size": b"\xff" * 12}}), "no header of a bag's tar"),
    "bytes behind a name": (outer(headers={"bagit.txt": {"name": b"case-17/bagit.txt\0x".ljust(100, b"\0")}}), "is not as it has to be"),
    "a file twice": (doubled, "is no file of a bag, or not in its place"),
    "files in another order": (reordered, "stands where data/files.tar belongs|does not begin"),
    "one file more": (more("data/more"), "data/more is no file of a bag"),
    "a path that leads out": (more("../x"), r"\.\./x is no file of a bag"),
    "names that a terminal acts on": (more("\x1b[31m"), r"\\x1b\[31m is no file"),
    "a file less": (fewer("data/custody.jsonl"), "report.html stands where data/custody.jsonl belongs"),
    "no end of the list": (fewer("tagmanifest-sha256.txt"), "stands where tagmanifest-sha256.txt belongs"),
    "half an approval": (fewer("data/approval.json.request.sig"), "is missing beside data/approval.json"),
    "padding that is not zero": (dirty_padding, "padding after bagit.txt is not zero"),
}


@pytest.mark.parametrize("lie", OUTER)
def test_only_one_form_of_the_outer_tar_is_accepted(tmp_path, good, keys, lie):
    write, words = OUTER[lie]
    path = tmp_path / "case-17.tar"
    write(path, good.copy().seal())
    result = verify(path, keys, "--json")
    if result.code == 5:
        assert "not an evidence bag" in result.error["message"], str(result)
        return
    refused(path, keys, "form", words)


# The directory.

def symlink(name):
    def edit(path):
        (path / name).rename(path.parent / "moved")
        (path / name).symlink_to(path.parent / "moved")
    return edit


def fifo(path):
    (path / "report.html").unlink()
    os.mkfifo(path / "report.html")


def sockets(path):
    (path / "report.html").unlink()
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(path)
        try:
            one.bind("report.html")
        finally:
            os.chdir(here)


def folder(path):
    (path / "report.html").unlink()
    (path / "report.html").mkdir()


DIRECTORY = {
    "a file more": (lambda path: (path / "more").write_text(""), "more is no file of a bag"),
    "a payload more": (lambda path: (path / "data/more").write_text(""), "data/more is no file of a bag"),
    "a hidden file": (lambda path: (path / "data/.x").write_text(""), r"data/\.x is no file of a bag"),
    "a name that a terminal acts on": (lambda path: (path / "\x1b[2J").write_text(""), r"\\x1b\[2J is no file"),
    "many files": (lambda path: [(path / f"data/{n}").touch() for n in range(300)], "is no file of a bag"),
    "a file less": (lambda path: (path / "data/source.json").unlink(), "is missing"),
    "a link to the report": (symlink("report.html"), "report.html is a symbolic link, not a regular file"),
    "a link to the archive": (symlink("data/files.tar"), "files.tar is a symbolic link, not a regular file"),
    "a link to the payload": (symlink("data"), "data is a symbolic link, not a directory"),
    "a FIFO": (fifo, "report.html is a FIFO, not a regular file"),
    "a socket": (sockets, "report.html is a socket, not a regular file"),
    "a folder": (folder, "report.html is a directory, not a regular file"),
    "a large tag file": (lambda path: os.truncate(path / "bag-info.txt", 1 << 40), "more than it may have"),
}


@pytest.mark.parametrize("lie", DIRECTORY)
def test_only_the_files_of_a_bag_are_accepted(tmp_path, good, keys, lie):
    edit, words = DIRECTORY[lie]
    path = bag_maker.write_directory(tmp_path / "case-17.bag", good.copy().seal())
    edit(path)
    refused(path, keys, "form", words)


def test_what_is_no_bag_or_incomplete_is_not_verified(tmp_path, good, keys):
    parts = good.copy().seal()
    whole = bag_maker.write_directory(tmp_path / "a.bag.partial", parts)
    result = verify(whole, keys)
    assert result.code == 5 and b"incomplete" in result.err, str(result)
    unsealed = bag_maker.write_directory(tmp_path / "b.bag", parts)
    (unsealed / "tagmanifest-sha256.txt").unlink()
    result = verify(unsealed, keys)
    assert result.code == 5 and b"incomplete" in result.err, str(result)
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing").touch()
    (tmp_path / "text").write_text("x" * 10_000)
    os.mkfifo(tmp_path / "fifo")
    for name in ("empty", "nothing", "text", "fifo"):
        result = verify(tmp_path / name, keys, "--json")
        assert result.code == 5 and "not an evidence bag" in result.error["message"], str(result)
    assert verify(tmp_path / "absent", keys).code == 5
    assert verify("/dev/zero", keys).code == 5


# files.tar with something in it that the program does not write.

def entry(path, content=b"", **members):
    return {"path": path, "guest_path": f"/{path}", "volume": "disk:p1", "inode": 12, "links": 1,
            "type": "file", "mode": "0644", "uid": 0, "gid": 0,
            "mtime": "1970-01-01T00:00:00.000000000Z", "ctime": bag_maker.BEGUN,
            "atime": bag_maker.BEGUN, "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), **members}


SPARSE = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "a")]


def sparse(real, *ranges, data=b"", records=SPARSE, lines=None, **members):
    body = padded("".join(f"{one}\n" for one in lines or [len(ranges), *sum(ranges, ())]).encode())
    records = [*records, ("GNU.sparse.realsize", str(real))]
    blocks = pax("GNUSparseFile.0/a", len(body) + len(data), records=records)
    return blocks + padded(body + data), [entry("a", **{"size": real, **members})]


def plain(name="a", content=b"text", path=None, **fields):
    return (pax(name, len(content), **fields) + padded(content),
            [entry(path or name, content)])


HOLES = hashlib.sha256(bytes(1 << 20)).hexdigest()
ARCHIVES = {
    "as it has to be": (plain(), None),
    "a hole": (sparse(1 << 20, (1 << 20, 0), sha256=HOLES), None),
    "a terabyte of hole": (sparse(1 << 40, (1 << 40, 0), data_sha256=hashlib.sha256().hexdigest(), sha256=None), None),
    "the largest hole": (sparse(2**63 - 1, (2**63 - 1, 0), data_sha256=hashlib.sha256().hexdigest(), sha256=None), None),
    "data in a terabyte": (sparse(1 << 40, (512, 512), data=b"x" * 512, data_sha256=hashlib.sha256(b"x" * 512).hexdigest(), sha256=None), None),
    "a terabyte hashed whole": (sparse(1 << 40, (1 << 40, 0), sha256=HOLES), "its digest has to be data_sha256"),
    "a size beyond 63 bits": (sparse(2**63, (0, 0)), "GNU.sparse.realsize of a pax header is no number"),
    "a map out of the file": (sparse(512, (0, 1024), data=bytes(1024)), "not in order, or leave the file"),
    "a map that overlaps": (sparse(4096, (0, 1024), (512, 512), data=bytes(1536)), "not in order"),
    "a map that overflows": (sparse(4096, (0, 2**63 - 1), (2**63 - 1, 2**63 - 1)), "not in order"),
    "a map of too many": (sparse(1 << 20, lines=[10**9]), "too many ranges"),
    "a map without an end": (sparse(1 << 20, lines=[4, 0, 0]), "a line is longer than 20 bytes"),
    "a map with zeros in front": (sparse(1 << 20, lines=["01", 1 << 20, 0]), "map is not as it has to be"),
    "a map with more behind": (sparse(1 << 20, lines=[1, 1 << 20, 0, 7]), "padding of a sparse map is not zero"),
    "a map that does not fit": (sparse(1 << 20, (0, 512), data=bytes(1024)), "does not fit what is stored"),
    "an old map": (sparse(1 << 20, (1 << 20, 0), records=[("GNU.sparse.major", "0"), *SPARSE[1:]]), "sparse in a way that is not written here"),
    "a map without a name": (sparse(1 << 20, (1 << 20, 0), records=SPARSE[:2]), "GNU.sparse.name"),
    "a global header": (plain(type=b"g"), 'has the type "g"'),
    "a long name of GNU": (plain("././@LongLink", type=b"L"), 'has the type "L"'),
    "an old file": (plain(type=b"\0"), "has the type"),
    "a contiguous file": (plain(type=b"7"), 'has the type "7"'),
    "a path that leads out": (plain("../a"), r"\.\./a is not a path inside"),
    "an absolute path": (plain("/a"), "/a is not a path inside"),
    "a path with an empty part": (plain("a//b"), "a//b is not a path inside"),
    "another path in pax": (plain("b", records=[("path", "c")], path="b"), "describes b, but files.tar has c"),
    "a path twice": (plain("b", records=[("path", "b"), ("path", "c")]), "path stands twice"),
    "an unknown record": (plain(records=[("comment", "x")]), "comment, not written here"),
    "a name of an owner": (plain(owners=b"root".ljust(64, b"\0")), "names of owners"),
    "a name of an owner in pax": (plain(records=[("uname", "root")]), "uname, not written here"),
    "an attribute of libarchive": (plain(records=[("LIBARCHIVE.xattr.user.x", "eA")]), "not written here"),
    "a delete record": (plain(records=[("path", "")], path="a"), "is not a path inside|has "),
    "a size in pax": (plain(records=[("size", "9999")]), "ends early|here is no header|does not"),
    "a size of minus one": (plain(records=[("size", "-1")]), "size of a pax header is no number"),
    "a time that is none": (plain(records=[("mtime", "1e9")]), "mtime of a pax header is no time"),
    "a link with content": (plain(type=b"2", link=b"x".ljust(100, b"\0")), "no file has content"),
    "padding that is not zero": ((pax("a", 4) + b"text".ljust(512, b"x"), [entry("a", b"text")]), "padding of a file is not zero"),
    "a wrong checksum": ((plain()[0].replace(b"ustar", b"ustar", 1)[:148] + b"000000\0 " + plain()[0][156:], plain()[1]), "checksum of a header is wrong"),
    "a record of no length": ((header("PaxHeader/x", 9, type=b"x") + padded(b"99 a=b\nxx") + plain()[0], plain()[1]), "no right length"),
    "an endless record": ((header("PaxHeader/x", 1 << 32, type=b"x") + plain()[0], plain()[1]), "pax header is too large|no header|ends early"),
    "two pax headers": ((pax("x", records=[("path", "b")])[:1024] + plain(records=[("path", "c")])[0], plain()[1]), 'has the type "x"'),
    "no archive at all": ((b"", []), None),
}


@pytest.mark.parametrize("lie", ARCHIVES)
def test_only_what_the_program_writes_is_read_in_the_archive(tmp_path, keys, lie):
    (blocks, records), words = ARCHIVES[lie]
    bag = Bag(keys, end_of_archive(b""))
    bag.files = end_of_archive(blocks)
    bag.records = [{key: value for key, value in one.items() if value is not None}
                   for one in records]
    path = bag_maker.write_tar(tmp_path / "case-17.tar", bag.seal())
    if words is None:
        assert verify(path, keys).code == 0, str(verify(path, keys))
    else:
        refused(path, keys, "records", words)


@pytest.mark.parametrize("edit, words", [
    (lambda tar: tar + bytes(10240), "ends here, but the file does not"),
    (lambda tar: tar[:-512], "ends here, but the file does not"),
    (lambda tar: tar[:-1] + b"x", "what follows the last entry is not zero"),
    (lambda tar: tar[:700], "ends early"),
    (lambda tar: b"", "ends early"),
])
def test_the_archive_has_one_end(tmp_path, good, keys, edit, words):
    bag = good.copy()
    bag.files = edit(bag.files)
    refused(bag_maker.write_tar(tmp_path / "b.tar", bag.seal()), keys, "records", words)


def test_every_truncation_of_the_tar_is_noticed(tmp_path, good, keys):
    path = bag_maker.write_tar(tmp_path / "b.tar", good.copy().seal())
    size = path.stat().st_size
    for length in [*range(size - 512, 0, -512), *range(size - 1, size - 40, -1)]:
        os.truncate(path, length)
        assert support.run("verify", path, *keys.options).code in (1, 5), length


def peak_of(*arguments):
    """The exit code and the peak of memory; a small process starts it, since what is inherited
    from this one at the start would count as well."""
    program = ("import resource, subprocess, sys\n"
               "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
               "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    out = support.tool(sys.executable, "-c", program, support.GLOVEBOX, *arguments)
    code, peak = map(int, out.split())
    return code, peak << 10


def test_memory_does_not_grow_with_the_bag(tmp_path, keys):
    count, content = 100_000, b"x" * 600
    made, records = [], []
    for number in range(count):
        name = f"d/{number:06d}"
        made.append(header(name, len(content)) + padded(content))
        records.append(entry(name, content))
    bag = Bag(keys, end_of_archive(b""))
    bag.files, bag.records = end_of_archive(b"".join(made)), records
    path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
    code, peak = peak_of("verify", path, *keys.options)
    assert code == 0 and peak < 64 << 20, (code, peak)


def test_a_line_of_many_values_takes_no_memory(tmp_path, good, keys):
    bag = good.copy()
    bag.after["data/files.jsonl"] = lambda text: b'{"path":[' + b"0," * (10 << 20) + b"0]}\n" + text
    path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
    code, peak = peak_of("verify", path, *keys.options)
    assert code == 1 and peak < 200 << 20, (code, peak)
    refused(path, keys, "records", "more than 262144 values")


def test_an_interrupted_verification_ends_with_130(tmp_path, keys):
    bag = Bag(keys, end_of_archive(b""))
    # Fifteen gigabytes of hole, hashed as zeros, take seconds.
    blocks, records = sparse(15 << 30, (15 << 30, 0), sha256="00" * 32)
    bag.files, bag.records = end_of_archive(blocks), records
    path = bag_maker.write_tar(tmp_path / "b.tar", bag.seal())
    process = subprocess.Popen([support.GLOVEBOX, "verify", path, *keys.options],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               preexec_fn=support.attend_signals)
    # Signals are blocked, and waited for, before anything is read.
    blocked = 1 << (signal.SIGINT - 1)

    def ready():
        status = open(f"/proc/{process.pid}/status").read()
        return int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16) & blocked
    support.until(ready)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and out == b"", (process.returncode, out, err)


def test_usage(tmp_path, keys):
    assert support.run("verify").code == 2
    assert support.run("verify", tmp_path, "--policy=x", "--operators=y").code == 2
    assert support.run("verify", tmp_path, f"--policy={tmp_path}/absent").code == 2
    assert support.run("verify", tmp_path, f"--operators={tmp_path}/absent").code == 2
    wild = tmp_path / "wild"
    wild.write_text("* " + " ".join(keys.public("operator")) + "\n")
    result = support.run("verify", tmp_path, f"--operators={wild}")
    assert result.code == 2 and b"wildcard" in result.err, str(result)
