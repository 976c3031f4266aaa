"""A whole case: asked for, allowed, taken out, verified by others, and anchored."""

import json
import os
import subprocess

import pytest

import approvals
import support
from support import INSTANCE, tool

pytestmark = pytest.mark.needs_root


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return approvals.Host(tmp_path_factory.mktemp("case"))


@pytest.fixture
def paper(host, tmp_path):
    """Asked for and allowed by the program itself."""
    path = tmp_path / "case.json"
    host.ok("approve", "request", host.instance, "--ticket", "INC-7", "--scope", "/home/alice",
            "--scope", "*:*:/var/log", "--actions", "extract", "--requester", approvals.REQUESTER,
            "--approver", approvals.APPROVER, "--expires", "1h", "--reason", "lost files",
            "--key", host.key("requester"), "-o", path)
    host.ok("approve", "sign", path, "--key", host.key("approver"), "--yes")
    return path


def verified(host, bag):
    document = host.run("verify", "--json", bag).document
    return document["verified"], [c for c in document["checks"] if c["status"] == "failed"]


@pytest.mark.parametrize("name", ["case-7.bag", "case-7.tar"])
def test_from_the_request_to_the_anchor(host, paper, tmp_path, name):
    bag = tmp_path / name
    host.ok("extract", "--approval", paper, host.instance, "/home/alice", "/var/log",
            "--to", bag, "--sign-key", host.key("operator"))
    assert verified(host, bag) == (True, [])
    document = host.ok("verify", "--json", bag).document
    assert document["approval"]["ticket"] == "INC-7"
    assert document["operator"]["principal"] == "op@example.com"
    # The log has the reading and the seal, and the bag vouches for it.
    state = host.prefix / "var/lib/glovebox"
    lines = [json.loads(line) for line in (state / "audit.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines[-2:]] == ["read", "sealed"]
    identifier = json.loads(paper.read_text())["id"]
    assert lines[-2]["approval"] == identifier and lines[-2]["instance"] == INSTANCE
    host.ok("audit", "--verify", "--anchor", bag)
    # By others: the payload, its manifest, and the signatures.
    place = tmp_path / "unpacked"
    place.mkdir()
    if bag.is_dir():
        place = bag
    else:
        tool("tar", "-C", place, "-xf", bag)
        place /= "case-7"
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--quiet", "--strict", "-c", manifest], cwd=place, check=True)
    signed_by(host, "operators.allowed", "op@example.com", "glovebox-bag",
              place / "tagmanifest-sha256.txt", place / "tagmanifest-sha256.txt.sig")
    signed_by(host, "approvers.allowed", approvals.APPROVER, "glovebox-approval",
              place / "data/approval.json", place / "data/approval.json.approval.sig")
    assert (place / "data/approval.json").read_bytes() == paper.read_bytes()


def signed_by(host, signers, principal, namespace, path, signature):
    with open(path, "rb") as data:
        subprocess.run(["ssh-keygen", "-Y", "verify", "-f", host.settings / signers, "-I", principal,
                        "-n", namespace, "-s", signature], stdin=data, check=True,
                       stdout=subprocess.DEVNULL)


def test_a_bag_of_an_instance_has_to_be_signed(host, paper, tmp_path):
    result = host.run("extract", "--approval", paper, host.instance, "/home/alice",
                      "--to", tmp_path / "x.bag")
    assert result.code == support.USAGE and b"--sign-key" in result.err
    assert not list(tmp_path.glob("x.bag*"))


def test_a_bag_by_a_key_that_is_on_no_list_is_not_verified(host, paper, tmp_path):
    bag = tmp_path / "x.bag"
    host.ok("extract", "--approval", paper, host.instance, "/home/alice",
            "--to", bag, "--sign-key", host.key("stranger"))
    is_verified, failed = verified(host, bag)
    assert not is_verified and [check["check"] for check in failed] == ["seal"]


def test_a_log_that_was_cut_after_the_bag_is_found_by_it(host, paper, tmp_path):
    bag = tmp_path / "x.bag"
    host.ok("extract", "--approval", paper, host.instance, "/var/log", "--to", bag,
            "--sign-key", host.key("operator"))
    log = host.prefix / "var/lib/glovebox/audit.jsonl"
    whole = log.read_bytes()
    try:
        log.write_bytes(b"".join(whole.splitlines(keepends=True)[:-2]))
        assert host.run("audit", "--verify").code == 0
        assert host.run("audit", "--verify", "--anchor", bag).code == 1
    finally:
        log.write_bytes(whole)
        os.chmod(log, 0o600)


def test_what_is_mounted_beneath_goes_into_the_same_directory(host, paper, tmp_path):
    out = tmp_path / "out"
    host.ok("extract", "--approval", paper, host.instance, "/home/alice", "--to-dir", out)
    assert (out / "home/alice/data/mounted").read_bytes() == b"mounted\n"
    assert (out / "home/alice/docs/deep").read_bytes() == b"deep\n"
