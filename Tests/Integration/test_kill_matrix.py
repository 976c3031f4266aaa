"""Custody of a live instance, killed at every point, whoever is killed: the instance runs again.

The custodian stops before and after each record of its journal, one point a run; there the program,
the custodian, both or libvirtd are ended by SIGKILL, and what comes of it is measured.
GLOVEBOX_WRITE_MATRIX=1 writes docs/custody-matrix.md.
"""

import collections
import contextlib
import datetime
import os
import platform
import queue
import re
import time

import pytest

import killing
import support
from kill_cases import MODES, PAUSED, Case, points as points_of
from killing import Ward, each, wards, with_problems  # noqa: F401

VICTIMS = {
    "tool": ("tool",), "custodian": ("custodian",), "both": ("tool", "custodian"),
    "libvirtd": ("libvirtd",),
}
TABLE = support.ROOT / "docs/custody-matrix.md"

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.xdist_group("live"),
    pytest.mark.skipif(not os.access(killing.CUSTODY_ENGINE, os.X_OK),
                       reason="custody-engine is not built: swift build --product custody-engine"),
]


@pytest.fixture(scope="module")
def steps(wards):
    """{mode: all points, in order}, of runs that nobody kills."""
    found = {}
    for mode in MODES:
        wards[0].start(Case(mode))
        code = wards[0].tool.wait(killing.PATIENCE)
        assert code == support.DONE, wards[0].said
        session = max(wards[0].sessions(), key=lambda session: session["steps"][0]["time"])
        assert session["mode"] == mode
        found[mode] = (wards[0].reached, [step["step"] for step in session["steps"]])
    assert wards[0].guest.state() == "paused"
    wards[0].guest.resume()
    return found


@pytest.fixture(scope="module")
def matrix():
    """{(mode, point): {victim: case}}, of all cases so far."""
    return collections.defaultdict(dict)


def shown(cases):
    return "\n".join(str(case) for case in cases if case.problems)


def test_a_run_stops_before_and_after_each_record_of_its_journal(steps):
    for mode, (points, records) in steps.items():
        assert len(points) == 2 * len(records)
        assert points == points_of(*records), mode
        paused = PAUSED.get(mode, [])
        assert paused == [point for point in points if point in paused]


@pytest.mark.parametrize("mode", MODES)
def test_whoever_of_us_is_killed_at_any_point_the_instance_is_given_back(
    mode, steps, wards, matrix
):
    cases = queue.SimpleQueue()
    for point in steps[mode][0]:
        for name in ("tool", "custodian", "both"):
            matrix[mode, point][name] = case = Case(mode, point, VICTIMS[name])
            cases.put(case)

    def work(ward):
        with contextlib.suppress(queue.Empty):
            while True:
                with_problems(kill, ward, cases.get_nowait())

    started = time.monotonic()
    each(work, wards)
    print(f"{mode}: {time.monotonic() - started:.1f} s")
    each(Ward.disks_are_sound, wards)
    failed = shown(case for row in matrix.values() for case in row.values())
    assert not failed, f"\n{failed}"


@pytest.mark.parametrize("mode", MODES)
def test_the_instance_is_given_back_as_soon_as_a_killed_libvirtd_is_back(
    mode, steps, wards, matrix, lab
):
    cases = []
    for point in steps[mode][0]:
        matrix[mode, point]["libvirtd"] = case = Case(mode, point, VICTIMS["libvirtd"])
        cases.append(case)
    started = time.monotonic()
    # One libvirtd is that of all guests: they stop at a point each before it is killed.
    for first in range(0, len(cases), len(wards)):
        kill_libvirtd(lab, list(zip(wards, cases[first:first + len(wards)])))
    print(f"{mode}: {time.monotonic() - started:.1f} s")
    each(Ward.disks_are_sound, wards)
    failed = shown(cases)
    assert not failed, f"\n{failed}"


def kill(ward, case):
    ward.start(case)
    ward.wait_for(case)
    since = ward.kill(case)
    if case.victims == VICTIMS["both"]:
        nobody_is_left(ward, case)
        ward.recover(case)
    else:
        ward.finish(case, since)
    ward.check(case)
    expected = -9 if "tool" in case.victims else case.expected_code
    if case.code != expected:
        case.problems.append(f"it ended with {case.code}, not {expected}: {ward.said!r}")


def nobody_is_left(ward, case):
    """Without anybody, it is as the point says: else it was not killed there."""
    killing.wait_until(lambda: not ward.at_work(), "both have ended", 10)
    paused = case.is_held or case.mode == "as-found"
    if ward.guest.state() != ("paused" if paused else "running"):
        case.problems.append(f"when both were killed it was {ward.guest.state()}")
    states = [session["state"] for session in ward.sessions() if session["state"] != "ended"]
    expected = [] if case.point in ("before:opened", "after:ended") else ["left-behind"]
    if states != expected:
        case.problems.append(f"when both were killed there were sessions {states}")


def kill_libvirtd(lab, batch):
    stopped = each(lambda pair: with_problems(stop, *pair), batch)
    lab.kill_libvirtd()
    for (ward, case), is_stopped in zip(batch, stopped):
        if is_stopped:
            ward.kill(case)
    lab.start_libvirtd()
    since = time.monotonic()
    each(lambda pair: with_problems(see_libvirtd_back, *pair, since),
         [pair for pair, is_stopped in zip(batch, stopped) if is_stopped])


def stop(ward, case):
    ward.start(case)
    ward.wait_for(case)
    return True


def see_libvirtd_back(ward, case, since):
    ward.finish(case, since)
    ward.check(case)
    if case.code != case.expected_code:
        case.problems.append(
            f"it ended with {case.code}, not {case.expected_code}: {ward.said!r}")


def test_the_whole_matrix_was_gone_through(steps, matrix):
    assert {key: set(row) for key, row in matrix.items()} == {
        (mode, point): set(VICTIMS) for mode, (points, _) in steps.items() for point in points
    }
    text = table(matrix)
    print(text)
    if os.environ.get("GLOVEBOX_WRITE_MATRIX"):
        TABLE.write_text(INTRODUCTION.format(
            cases=sum(map(len, matrix.values())), points=len(matrix),
            date=datetime.date.today().isoformat(), kernel=platform.release().split("-")[0],
            cores=os.cpu_count(), qemu=version("qemu-system-x86_64", "--version"),
            libvirt=version("libvirtd", "--version")) + text)


def version(*command):
    return re.search(r"\d+(\.\d+)+", support.tool(*command).decode())[0]


def table(matrix):
    lines = []
    for mode in MODES:
        lines += [f"\n## {TITLES[mode]}\n", f"| stopped at | {' | '.join(VICTIMS)} |",
                  "|---" * (len(VICTIMS) + 1) + "|"]
        lines += [f"| {point.replace(':', ' ')} | "
                  + " | ".join(row[victim].cell for victim in VICTIMS) + " |"
                  for (of, point), row in matrix.items() if of == mode]
    return "\n".join(lines) + "\n"


TITLES = {
    "strict": "strict: suspended for as long as it is read",
    "brief": "brief: suspended for a moment, and read as it was then",
    "as-found": "as found: paused by its operator before",
}
INTRODUCTION = """# Custody, killed at every point

Before and after each record of a session's journal the custodian was made to stop; there somebody
was ended by SIGKILL, and the rest went on. {points} points, four kinds of victims, {cases} runs of
`glovebox cat` on guests that boot, run and write meanwhile. Made by `make custody-matrix`, which
fails where a case does; `make test` goes through the same cases each time.

- **tool**: `glovebox` itself. The custodian notices, and gives the instance back.
- **custodian**: the process that keeps custody. `glovebox` has another take over, and ends with 6.
- **both**: nobody is left. Then one `glovebox recover`.
- **libvirtd**: killed, and started again. `glovebox` ends with 6, or with 0 where all had been read
  and the instance had been seen to be as it was held.

A cell has the seconds until the instance was seen running again: from the kill on; for *both* from
the start of `glovebox recover` to its end, whenever it is run; for *libvirtd* from the moment on in
which it answers again. Each look takes some 20 ms. *runs on*: it ran when somebody was killed, and
was never seen in another state; a suspend that was yet to come may have been too short to be seen.
*stays paused*: it was paused by its operator before, was never seen in another state, and ran when
the operator resumed it.

After every single run: the instance is in the same run of its domain, no process, session, export,
socket or backup job of it is left, and the exit code is the right one. After each mode: the guests
go on writing to both disks, and `qemu-img check` finds their images in order.

Seconds are those of one run on {date}, of four guests at once without KVM on {cores} busy cores, the
custodian built without optimisation; Linux {kernel}, libvirt {libvirt}, QEMU {qemu}. The test allows
5 seconds. Power loss is not among the victims: a journal's records are on the disk before the acts
(fdatasync), which SIGKILL cannot show. A call of libvirt that is under way when somebody is killed
lies between two points; Tests/Integration/test_kill_calls.py goes through those.
"""
