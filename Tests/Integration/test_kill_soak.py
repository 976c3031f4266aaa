"""Random runs on live instances, of which random parts are killed at random moments.

GLOVEBOX_SEED repeats a run's choices, though not its timing; GLOVEBOX_KILLS is how many there are.
"""

import os
import random
import threading
import time

import pytest

import killing
import support
from kill_cases import MODES, Case
from killing import each, wards, with_problems  # noqa: F401

KILLS = int(os.environ.get("GLOVEBOX_KILLS") or 500)
SEED = int(os.environ.get("GLOVEBOX_SEED") or random.SystemRandom().randrange(1 << 32))
# The guests' disks are looked at every so many rounds.
ROUNDS = 20
LATEST = 1.5

pytestmark = [
    pytest.mark.soak,
    pytest.mark.needs_root,
    pytest.mark.xdist_group("live"),
]


class Round:
    """What all guests go through at once; libvirtd, which is that of all, may be killed as well."""

    def __init__(self, lab, generator, wards, durations):
        self.lab = lab
        self.kills_libvirtd = generator.random() < 0.25
        self.libvirtd_moment = generator.uniform(0, 1)
        self.libvirtd_is_back = threading.Event()
        self.back = 0
        self.plans = []
        for ward in wards:
            mode, command = generator.choice(sorted(durations))
            # Half of them within the run's usual time, the others at any moment.
            latest = durations[mode, command] if generator.random() < 0.5 else LATEST
            victims = generator.choice([("tool",), ("custodian",), ("tool", "custodian")])
            if self.kills_libvirtd:
                victims = (*generator.choice([(), victims]), "libvirtd")
            case = Case(mode, victims=victims, command=command)
            self.plans.append((
                ward, case, generator.uniform(0, latest),
                [generator.uniform(0, 0.4) for _ in range(generator.choice([0, 0, 1, 2]))],
            ))

    def go(self):
        each(lambda plan: plan[0].start(plan[1], probed=False), self.plans)
        thread = threading.Thread(target=self.kill_libvirtd)
        thread.start()
        each(lambda plan: with_problems(self.run, *plan), self.plans)
        thread.join()
        return [case for _, case, _, _ in self.plans]

    def kill_libvirtd(self):
        try:
            if self.kills_libvirtd:
                self.kill_and_start_libvirtd()
        finally:
            self.libvirtd_is_back.set()

    def kill_and_start_libvirtd(self):
        time.sleep(self.libvirtd_moment)
        self.lab.kill_libvirtd()
        self.lab.start_libvirtd()
        self.back = time.monotonic()

    def run(self, ward, case, moment, attempts):
        time.sleep(max(0, ward.started + moment - time.monotonic()))
        since = ward.kill(case)
        assert self.libvirtd_is_back.wait(killing.PATIENCE), "libvirtd is not back"
        since = max(since, self.back)
        if {"tool", "custodian"} <= set(case.victims):
            killing.wait_until(lambda: not ward.at_work(), "both have ended", 10)
            for attempt in attempts:
                ward.kill_recovery(attempt)
            ward.recover(case)
        elif {"custodian", "libvirtd"} <= set(case.victims):
            # Its successor may have found no libvirtd, and says so.
            if ward.tool.wait(killing.PATIENCE) == 7:
                ward.recover(case)
            ward.finish(case, max(since, ward.recovered))
        else:
            ward.finish(case, since)
        ward.check(case)
        self.judge(ward, case, moment)

    @staticmethod
    def judge(ward, case, moment):
        allowed = {support.DONE, support.WRONG_STATE}
        if "tool" in case.victims:
            allowed = {support.DONE, -9}
        if "libvirtd" in case.victims:
            allowed |= {support.WRONG_STATE}
        if {"custodian", "libvirtd"} <= set(case.victims):
            allowed |= {7}
        if case.code not in allowed:
            case.problems.append(f"it ended with {case.code}: {ward.said!r}")
        if case.code == support.DONE and not ward.is_whole(case):
            case.problems.append("what it wrote is not whole")
        if case.problems:
            case.problems.append(f"killed after {moment:.3f} s")


def test_whatever_is_killed_whenever_the_instance_is_given_back(lab, wards):
    print(f"GLOVEBOX_SEED={SEED} GLOVEBOX_KILLS={KILLS}")
    generator = random.Random(SEED)
    durations = {
        (mode, command): duration(wards[0], Case(mode, command=command))
        for mode in MODES for command in ("cat", "extract")
    }
    print({" ".join(kind): round(seconds, 2) for kind, seconds in durations.items()})
    cases, spoilt = [], 0
    while len(cases) < KILLS:
        cases += Round(lab, generator, wards, durations).go()
        spoilt += sum(ward.is_spoilt for ward in wards)
        for ward in wards:
            ward.be_unspoilt()
        if len(cases) % (ROUNDS * len(wards)) == 0:
            each(killing.Ward.disks_are_sound, wards)
    each(killing.Ward.disks_are_sound, wards)
    print(f"{summary(cases)}; libvirt lost track of {spoilt}")
    failed = [str(case) for case in cases if case.problems]
    assert not failed, "\n" + "\n".join(failed)


def duration(ward, case):
    """How long it takes when nobody is killed."""
    began = time.monotonic()
    ward.start(case, probed=False)
    code = ward.tool.wait(killing.PATIENCE)
    spent = time.monotonic() - began
    ward.check(case)
    assert code == support.DONE and not case.problems and ward.is_whole(case), case
    return min(spent, LATEST)


def summary(cases):
    slowest = max((case.seconds or 0 for case in cases), default=0)
    codes = {code: sum(case.code == code for case in cases) for code in {c.code for c in cases}}
    return f"{len(cases)} runs; exit codes {codes}; paused for {slowest:.2f} s after a kill at most"
