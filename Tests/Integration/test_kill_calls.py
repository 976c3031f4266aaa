"""Custody of a live instance, of which somebody is killed while libvirt carries out a call for it.

QEMU is stopped meanwhile, so that the call takes as long as is needed. libvirt goes on with a call
whose caller has gone: what it then does comes after the caller's end, and must be undone as well.
"""

import os
import threading
import time

import pytest

import killing
import support
from kill_cases import Case, child
from killing import each, wards, with_problems  # noqa: F401
from lab import wait_until

# The call comes right after the point.
CALLS = {
    "suspend": ("strict", "after:suspending"),
    "resume": ("strict", "after:resuming"),
    "backup": ("brief", "after:exporting"),
    "resume-of-brief": ("brief", "after:resuming"),
    "abort": ("brief", "after:withdrawing"),
}

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.xdist_group("live"),
    pytest.mark.skipif(not os.access(killing.CUSTODY_ENGINE, os.X_OK),
                       reason="custody-engine is not built: swift build --product custody-engine"),
]


def begin(ward, case):
    """Brings it into its call, where QEMU keeps it."""
    ward.start(case)
    ward.wait_for(case)
    custodian = child(ward.tool.pid)
    qemu = ward.stopped_qemu()
    qemu.__enter__()
    ward.go_on()
    wait_until(ward.is_at_work_in_libvirt, "libvirt is in the call", 20)
    ward.survivors.append(custodian)
    return qemu


@pytest.mark.parametrize("victims", [("tool",), ("custodian",), ("tool", "custodian")],
                         ids="+".join)
def test_a_call_that_outlives_its_caller_is_undone_as_well(victims, wards):
    cases = [(ward, Case(mode, point, victims))
             for ward, (mode, point) in zip(wards * 2, CALLS.values())]
    for first in range(0, len(cases), len(wards)):
        each(lambda pair: with_problems(kill_in_call, *pair), cases[first:first + len(wards)])
    failed = "\n".join(str(case) for _, case in cases if case.problems)
    assert not failed, f"\n{failed}"
    each(killing.Ward.disks_are_sound, wards)


def kill_in_call(ward, case):
    qemu = begin(ward, case)
    try:
        ward.kill(case)
        # Whoever sees to it now comes upon a call that is under way.
        recovery = threading.Thread(target=ward.recover, args=[case])
        if len(case.victims) == 2:
            recovery.start()
        time.sleep(1)
    finally:
        qemu.__exit__(None, None, None)
    since = time.monotonic()
    if len(case.victims) == 2:
        recovery.join()
    ward.finish(case, since)
    ward.check(case)
    expected = {-9} if "tool" in case.victims else {support.WRONG_STATE}
    if case.code not in expected:
        case.problems.append(f"it ended with {case.code}: {ward.said!r}")


def test_a_call_that_libvirtd_did_not_live_to_finish_is_undone_as_well(wards, lab):
    cases = [(ward, Case(mode, point, ("libvirtd",)))
             for ward, (mode, point) in zip(wards * 2, CALLS.values())]
    for first in range(0, len(cases), len(wards)):
        batch = cases[first:first + len(wards)]
        stopped = each(lambda pair: with_problems(begin, *pair), batch)
        lab.kill_libvirtd()
        for qemu in filter(None, stopped):
            qemu.__exit__(None, None, None)
        lab.start_libvirtd()
        since = time.monotonic()
        each(lambda pair: with_problems(see_it_undone, *pair, since), batch)
    failed = "\n".join(str(case) for _, case in cases if case.problems)
    for ward in wards:
        ward.be_unspoilt()
    assert not failed, f"\n{failed}"
    each(killing.Ward.disks_are_sound, wards)


def see_it_undone(ward, case, since):
    ward.finish(case, since)
    ward.check(case)
    if case.code not in (support.DONE, support.WRONG_STATE):
        case.problems.append(f"it ended with {case.code}: {ward.said!r}")
