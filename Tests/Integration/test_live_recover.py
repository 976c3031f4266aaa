"""`glovebox recover` on journals, most of them not as a custodian leaves them."""

import hashlib
import json
import os
import pathlib
import subprocess
import time
import uuid

import pytest

import support
from live import RESUMED, SUSPENDED
from test_live_states import idle, idle_guest  # noqa: F401

pytestmark = [pytest.mark.needs_root, pytest.mark.xdist_group("live")]

HELD = 7
NAME = "20260131T235959Z-0123456789abcdef"
BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")


def line(sequence, previous, members):
    """A line of a journal, as docs/sessions.md has it."""
    first = {"v": 1} if sequence == 1 else {}
    body = {"seq": sequence, "prev": previous, **first, **members}
    body.setdefault("time", "2026-01-31T23:59:59.000000000Z")
    body.setdefault("monotonic", time.monotonic_ns())
    text = json.dumps(body, separators=(",", ":"))[:-1].encode()
    return text + b',"sum":"' + hashlib.sha256(text).hexdigest().encode() + b'"}\n'


def start_of(process):
    return int(pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])


class Journal:
    """Of a session that has suspended a guest, and whose processes are gone."""

    def __init__(self, site, guest, events=("suspended",), age=0, **changes):
        gone = {"pid": 4_000_000, "start": 1}
        self.site = site
        opened = {
            "event": "opened", "session": NAME, "uuid": guest.uuid, "id": guest.id,
            "domain": guest.name, "mode": "strict", "boot": BOOT.read_text().strip(),
            "uri": site.lab.uri, "pause_max": 120, "user": "root", "program": gone,
            "custodian": gone, **changes}
        seen = time.monotonic_ns() - age
        records = [opened, {"event": "suspending", "seen_running": seen},
                   *[event if isinstance(event, dict) else {"event": event} for event in events]]
        previous, self.lines = "0" * 64, []
        for number, record in enumerate(records, 1):
            self.lines.append(line(number, previous, record))
            previous = hashlib.sha256(self.lines[-1]).hexdigest()
        self.directory = site.state / "sessions" / NAME
        self.file = self.directory / "journal"

    def write(self, content=None):
        """As a custodian leaves it when it is killed: with room after it."""
        content = b"".join(self.lines) if content is None else content
        for place in (self.site.state, self.directory.parent, self.directory):
            place.mkdir(parents=True, exist_ok=True)
        self.directory.parent.chmod(0o700)
        self.directory.chmod(0o700)
        self.file.write_bytes(content.ljust(1 << 16, b"\0"))
        self.file.chmod(0o600)
        return self


@pytest.fixture
def paused(idle):
    """A guest that somebody has paused."""
    idle.virsh("start", "--paused")
    return idle


def outcome(result):
    [found] = result.lines
    return found["outcome"], found["detail"]


def test_a_guest_whose_journal_says_that_we_suspended_it_is_resumed_once(site, paused, events):
    Journal(site, paused).write()
    result = site.recover("--json")
    assert result.code == 0 and outcome(result)[0] == "recovered", str(result)
    assert paused.state() == "running" and events.since(paused) == [RESUMED]
    paused.suspend()
    again = site.recover()
    assert again.code == 0 and paused.state() == "paused", str(again)


def test_a_suspend_that_was_only_intended_is_undone_if_the_guest_had_just_been_running(
    site, paused, events
):
    Journal(site, paused, events=()).write()
    result = site.recover("--json")
    assert result.code == 0 and "ran just before" in outcome(result)[1], str(result)
    assert events.since(paused) == [RESUMED]
    paused.suspend()
    site.forget()
    events.clear()
    Journal(site, paused, events=(), age=1_100_000_000).write()
    result = site.recover("--json")
    assert result.code == 0 and "nothing shows that we did it" in outcome(result)[1], str(result)
    assert paused.state() == "paused" and events.since(paused) == []


def edited(journal):
    journal.write(b"".join(journal.lines).replace(b'"pause_max":120', b'"pause_max":121'))


def removed_line(journal):
    journal.write(journal.lines[0] + journal.lines[2])


def wrong_sum(journal):
    last = journal.lines[-1]
    journal.write(b"".join(journal.lines[:-1]) + last[:-4] + b"0\"}\n")


def newer(journal):
    changed = b"".join(journal.lines).replace(b'"v":1', b'"v":2')
    journal.write(changed)


def cut_in_the_first_line(journal):
    journal.write(journal.lines[0][:100])


def junk_after_the_end(journal):
    journal.write(b"".join(journal.lines) + b"junk\n")


def junk_after_zeros(journal):
    journal.write(b"".join(journal.lines) + bytes(4096) + b"junk")


def open_directory(journal):
    journal.write().directory.chmod(0o755)


def open_journal(journal):
    journal.write().file.chmod(0o644)


def foreign_directory(journal):
    os.chown(journal.write().directory, 65534, 65534)


def foreign_journal(journal):
    os.chown(journal.write().file, 65534, 65534)


def linked_journal(journal):
    journal.write()
    moved = journal.site.directory / "moved"
    journal.file.rename(moved)
    journal.file.symlink_to(moved)


def linked_directory(journal):
    journal.write()
    moved = journal.site.directory / "moved-session"
    journal.directory.rename(moved)
    journal.directory.symlink_to(moved)


def second_name(journal):
    other = journal.site.directory / "second"
    other.unlink(missing_ok=True)
    os.link(journal.write().file, other)


def other_name(journal):
    journal.write()
    journal.directory.rename(journal.directory.with_name(NAME[:-1] + "0"))


def no_journal(journal):
    journal.write().file.unlink()


def fifo(journal):
    journal.write().file.unlink()
    os.mkfifo(journal.file, 0o600)


def too_long(journal):
    journal.write(b"".join(journal.lines) + bytes(2 << 20))


@pytest.mark.parametrize("damage", [
    edited, removed_line, wrong_sum, newer, cut_in_the_first_line, junk_after_the_end,
    junk_after_zeros, open_directory, open_journal, foreign_directory, foreign_journal,
    linked_journal, linked_directory, second_name, other_name, no_journal, fifo, too_long,
], ids=lambda damage: damage.__name__)
def test_a_journal_that_cannot_be_relied_on_is_named_and_nothing_is_done(
    site, held_by_an_operator, damage
):
    guest = held_by_an_operator
    damage(Journal(site, guest))
    result = site.recover("--json")
    assert result.code == support.DAMAGED, str(result)
    assert outcome(result)[0] == "refused"
    assert guest.state() == "paused"
    [shown] = site.sessions()
    assert shown["state"] == "unreliable" and shown["error"], shown
    for place in ("moved", "moved-session", "second"):
        kept = site.directory / place
        if kept.is_dir():
            assert (kept / "journal").exists()


@pytest.fixture(scope="module")
def held_by_an_operator(idle_guest):
    """Paused once for many tests, none of which may let it run."""
    idle_guest.virsh("start", "--paused")
    run = idle_guest.id
    yield idle_guest
    assert idle_guest.id == run and idle_guest.state() == "paused"
    idle_guest.destroy()


@pytest.mark.parametrize("name, changes, code, words", [
    ("run", {"id": 12345}, 0, "another run"),
    ("uuid", {"uuid": str(uuid.UUID(int=7))}, 0, "does not know it any more"),
    ("host", {"uuid": str(uuid.UUID(int=7)), "uri": "qemu:///elsewhere"}, HELD, "does not know it"),
    ("boot", {"boot": str(uuid.UUID(int=7))}, 0, "restarted since"),
], ids=lambda value: value if isinstance(value, str) and " " not in value else "")
def test_a_journal_of_another_run_instance_host_or_boot_resumes_nobody(
    site, held_by_an_operator, name, changes, code, words
):
    Journal(site, held_by_an_operator, **changes).write()
    result = site.recover("--json")
    assert result.code == code and words in outcome(result)[1], str(result)
    assert held_by_an_operator.state() == "paused"


def test_a_journal_cut_anywhere_is_refused_or_owes_what_its_whole_lines_say(
    site, held_by_an_operator
):
    """The guest is in another run than the journal's, so that none of it lets it run."""
    journal = Journal(site, held_by_an_operator, id=12345)
    content = b"".join(journal.lines)
    ends = [len(b"".join(journal.lines[:count])) for count in range(1, len(journal.lines) + 1)]
    for size in sorted({1, ends[0] - 1, *ends, ends[0] + 1, ends[1] - 1, ends[1] + 50}):
        journal.write(content[:size])
        result = site.recover("--json")
        assert result.code == (support.DAMAGED if size < ends[0] else 0), f"{size}: {result}"
        assert held_by_an_operator.state() == "paused"
        site.forget()


def test_processes_that_are_not_ours_survive_whatever_a_journal_says(site, held_by_an_operator):
    sleeper = subprocess.Popen(["sleep", "300"])
    try:
        named = {"pid": sleeper.pid, "start": start_of(sleeper.pid)}
        itself = {"pid": os.getpid(), "start": start_of(os.getpid())}
        first = {"pid": 1, "start": start_of(1)}
        Journal(site, held_by_an_operator, id=12345, program=named, custodian=first,
                events=["suspended", {"event": "connected", "readers": [itself, named, first]}],
                ).write()
        result = site.recover("--json")
        assert result.code == 0 and "left alone" in outcome(result)[1], str(result)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_program_of_ours_that_started_later_than_the_journal_says_survives(
    site, held_by_an_operator
):
    ours = subprocess.Popen([site.program, "ls", "/dev/stdin"], stdin=subprocess.PIPE)
    ours.send_signal(19)
    try:
        Journal(site, held_by_an_operator, id=12345,
                program={"pid": ours.pid, "start": start_of(ours.pid) - 1}).write()
        assert site.recover().code == 0
        assert ours.poll() is None
    finally:
        ours.kill()
        ours.wait()


def test_nothing_outside_is_removed_through_a_link_among_the_exports(site, held_by_an_operator):
    outside = site.directory / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "socket").write_text("mine")
    (outside / "scratch-vda").write_text("mine")
    Journal(site, held_by_an_operator, id=12345, mode="brief",
            events=["suspended", "exporting", "exported"]).write()
    exports = site.state / "exports"
    exports.mkdir(mode=0o711, exist_ok=True)
    site.state.chmod(0o711)
    (exports / NAME).symlink_to(outside)
    result = site.recover()
    assert result.code in (0, support.DAMAGED, HELD), str(result)
    assert sorted(os.listdir(outside)) == ["scratch-vda", "socket"]
    (exports / NAME).unlink()


def test_a_session_that_is_at_work_is_left_alone(site, guest, events):
    holding = site.hold(guest)
    result = site.recover("--json")
    assert result.code == 0 and outcome(result)[0] == "active", str(result)
    assert guest.state() == "paused"
    assert holding.finish()[0] == support.DONE
    assert events.since(guest) == [SUSPENDED, RESUMED]


def test_without_libvirt_nothing_is_given_up(site, held_by_an_operator):
    Journal(site, held_by_an_operator, id=12345).write()
    before = (site.state / "sessions" / NAME / "journal").read_bytes()
    result = site.run("recover", "--connect", "qemu+unix:///system?socket=/nonexistent")
    assert result.code == HELD and b"libvirt" in result.out, str(result)
    assert (site.state / "sessions" / NAME / "journal").read_bytes() == before
    assert site.recover().code == 0
