"""The whole job on a running guest: approved, held, extracted, given back, verified."""

import io
import json
import os
import pathlib
import re
import tarfile

import pytest

import support
from lab import LOCAL_LOG, ROOT_LOG
from live import RESUMED, SUSPENDED

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("live")]


def lines_of(content):
    """How many lines a writer's log has; each is there, and whole."""
    lines = content.splitlines()
    for number, line in enumerate(lines[:-1], 1):
        assert re.fullmatch(rb"line %d up=\d+\.\d+" % number, line), (number, line)
    return len(lines) - (not content.endswith(b"\n"))


def members(tar):
    """{name: content} of the regular files of a tar."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {member.name: archive.extractfile(member).read()
                for member in archive if member.isreg()}


def log_in(files, ending):
    found = [content for name, content in files.items() if name.endswith(ending)]
    assert len(found) == 1, sorted(files)
    return lines_of(found[0])


@pytest.fixture(scope="module")
def job(lab, live_site, tmp_path_factory):
    """The whole job, once: the bag, what the guest had said before, and what was seen meanwhile."""
    guest = lab.guest()
    guest.be_running()
    live_site.forget()
    return Job(live_site, guest, tmp_path_factory.mktemp("job") / "case-17.bag")


class Job:
    def __init__(self, site, guest, bag):
        self.site, self.guest, self.bag = site, guest, bag
        self.bases = [path for path in guest.chain() if "_base" in str(path)]
        before = guest.digests(self.bases)
        self.run_id, self.said_before = guest.id, guest.fsynced()
        self.result = site.read(
            "extract", guest, "/etc", "/var/log", "disk.local::/", "--to", bag, "--sign-key",
            site.key("operator"))
        assert self.result.code == support.DONE, str(self.result)
        [self.session] = site.sessions()
        self.state = (guest.state(), guest.id)
        self.goes_on = guest.is_writing()
        self.same_bases = guest.digests(self.bases) == before

    def json(self, name):
        return json.loads((self.bag / "data" / name).read_text())

    def custody(self):
        text = (self.bag / "data/custody.jsonl").read_text()
        return {line["event"]: line for line in map(json.loads, text.splitlines())}


def test_what_the_guest_had_fsynced_on_both_disks_is_in_the_bag(job):
    files = members((job.bag / "data/files.tar").read_bytes())
    assert log_in(files, "var/log/writer.log") >= job.said_before[ROOT_LOG]
    assert log_in(files, "eph.log") >= job.said_before[LOCAL_LOG]
    identity = [content for name, content in files.items() if name.endswith("etc/instance-id")]
    assert identity == [job.guest.uuid.encode() + b"\n"]


def test_the_guest_goes_on_in_the_same_run_and_its_bases_are_as_before(job):
    assert job.state == ("running", job.run_id)
    assert job.goes_on and job.same_bases and len(job.bases) == 2


def test_the_bag_of_a_suspended_instance_verifies_and_does_not_once_it_is_changed(job):
    job.site.ok("verify", job.bag)
    custody = job.bag / "data/custody.jsonl"
    content = custody.read_bytes()
    custody.write_bytes(content.replace(b'"intact":true', b'"intact":null'))
    assert custody.read_bytes() != content
    assert job.site.run("verify", job.bag).code == 1
    custody.write_bytes(content)


def test_the_bag_names_session_consistency_and_pause(job):
    session = job.session
    source, custody = job.json("source.json"), job.custody()
    assert (source["consistency"], source["instance"]) == ("suspended", job.guest.uuid)
    assert {volume["name"]: volume["journal"] for disk in source["disks"]
            for volume in disk["volumes"] if volume["type"] == "ext4"} == {
                "disk:p1": "replayed", "disk.local:": "replayed"}
    held, released = custody["held"], custody["released"]
    assert (held["session"], held["mode"]) == (session["session"], "strict")
    assert (held["uuid"], held["domain_id"]) == (job.guest.uuid, job.run_id)
    assert (released["ending"], released["resumption"]) == ("finished", "confirmed")
    assert released["intact"] is True and 0 < released["paused_ms"] < 30_000
    assert abs(released["paused_ms"] - session["paused_ms"]) < 1000
    report = (job.bag / "report.html").read_text()
    for word in (session["session"], "suspended", job.guest.uuid):
        assert word in report, word
    assert session["session"].encode() in job.result.err


def test_the_events_of_the_bag_are_in_the_order_in_which_they_were(job):
    text = (job.bag / "data/custody.jsonl").read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    expected = ["approval", "held", "opened", "read", "audit", "released", "extracted", "sealed"]
    assert [event for event in events if event in expected] == expected


def test_no_approval_or_one_for_another_instance_is_refused_before_any_suspend(
    site, guest, events, tmp_path
):
    class Other:
        uuid = "0b6a3c1e-7d0f-4c52-8a39-51e0a1c7d9f4"
    papers = {
        "none": [],
        "another": ["--approval", site.paper(Other)],
        "expired": ["--approval", site.paper(guest, not_before="2020-01-01T00:00:00Z",
                                             expires="2020-01-02T00:00:00Z")],
        "action": ["--approval", site.paper(guest, actions=["list"])],
    }
    for name, paper in papers.items():
        bag = tmp_path / f"{name}.bag"
        site.refused("extract", "--connect", site.lab.uri, *paper, f"domain:{guest.uuid}",
                     "disk:p1:/etc", "--to", bag, "--sign-key", site.key("operator"),
                     words="approval")
        assert not bag.exists()
    # A name or a number in libvirt is no way around it, nor is the file.
    for target in (f"domain:{guest.name}", f"domain:{guest.id}", guest.directory):
        assert site.run("cat", "--connect", site.lab.uri, target,
                        "disk:p1:/etc/instance-id").code == support.REFUSED
    assert site.sessions() == [] and events.since(guest) == []


def test_what_lies_outside_the_scope_is_refused_and_the_guest_given_back(site, guest, events):
    paper = site.paper(guest, scope=["disk:p1:/var"])
    result = site.read("cat", guest, "disk:p1:/etc/instance-id", paper=paper)
    assert result.code == support.REFUSED and b"outside the scope" in result.err, str(result)
    assert result.out == b"" and guest.state() == "running"
    assert {session["ending"] for session in site.sessions()} <= {"finished"}
    assert site.read("cat", guest, ROOT_LOG, paper=paper).code == support.DONE


def test_the_disks_of_a_held_guest_are_open_for_reading_only_and_stay_as_they_are(site, guest):
    guest.suspend()
    before = guest.digests()
    holding = site.hold(guest)
    opened = {}
    for place in pathlib.Path(f"/proc/{holding.process.pid}/fd").iterdir():
        flags = re.search(r"flags:\s*(\d+)", (place.parents[1] / "fdinfo" / place.name).read_text())
        opened[os.readlink(place)] = int(flags[1], 8) & os.O_ACCMODE
    for path in guest.chain():
        assert opened[str(path)] == os.O_RDONLY
    for place in pathlib.Path(f"/proc/{holding.custodian}/fd").iterdir():
        assert not os.readlink(place).startswith(str(guest.lab.instances))
    code, tar, said = holding.finish()
    assert code == support.DONE, said
    assert guest.digests() == before
    assert guest.state() == "paused"
    guest.resume()


def test_a_strict_hold_suspends_once_and_resumes_once(site, guest, events):
    holding = site.hold(guest)
    assert (guest.state(), guest.reason) == ("paused", "user")
    assert not guest.is_writing(seconds=1)
    code, tar, said = holding.finish()
    assert code == support.DONE, said
    assert events.since(guest) == [SUSPENDED, RESUMED]
    assert any(name.endswith("usr/lib/numbers") for name in members(tar))
    assert holding.steps() == [
        "opened", "suspending", "suspended", "connected", "mounted", "unmounted", "disconnected",
        "resuming", "resumed", "ended"]
    assert holding.record()["ending"] == "finished"


def test_several_commands_read_one_moment_in_one_hold(site, guest, events):
    result = site.read(
        "hold", guest, "--", "cat disk:p1:/var/log/writer.log", "ls disk:p1:/etc",
        "cat disk:p1:/var/log/writer.log")
    assert result.code == support.DONE, str(result)
    assert events.since(guest) == [SUSPENDED, RESUMED]
    lines = result.out.splitlines()
    logs = [line for line in lines if line.startswith(b"line ")]
    assert len(logs) % 2 == 0 and logs[:len(logs) // 2] == logs[len(logs) // 2:]


def test_the_guest_goes_on_before_its_tar_is_on_our_disk(site, guest, tmp_path):
    # The journal's lines are written with fdatasync, which stays as fast as it is.
    words = site.words("extract", guest, "disk:p1:/etc", "--to-tar", tmp_path / "etc.tar")
    process = support.slowed("fsync:delay_enter=4000000", [site.program, *words])
    _, said = process.communicate(timeout=120)
    assert process.returncode == support.DONE, said
    assert (tmp_path / "etc.tar").exists()
    assert site.sessions()[-1]["paused_ms"] < 4000
