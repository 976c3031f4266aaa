"""Runs on a live guest that are killed: who is killed where, and what is expected of that."""

import contextlib
import dataclasses
import os
import pathlib
import select
import signal

import support

MODES = {"strict": ["--pause=strict"], "brief": ["--pause=brief"], "as-found": []}


class Process:
    """A process that no other can pass for, even after its end."""

    def __init__(self, number):
        self.number = number
        self.handle = os.pidfd_open(number)

    @property
    def has_ended(self):
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        return bool(poll.poll(0))

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def close(self):
        os.close(self.handle)


def child(parent):
    """The custodian that a process has started; None where it has none now."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{parent}/task"):
            children = pathlib.Path(f"/proc/{parent}/task/{thread}/children")
            for number in children.read_text().split():
                found = Process(int(number))
                # Its handle came after its number: it is who we mean if it is a child even now.
                if f"\nPPid:\t{parent}\n" in pathlib.Path(f"/proc/{number}/status").read_text():
                    return found
                found.close()
    return None


@dataclasses.dataclass
class Case:
    """One run that is killed, and how that went."""

    mode: str
    point: str = ""
    victims: tuple = ()
    command: str = "cat"
    seconds: float = None
    code: int = None
    problems: list = dataclasses.field(default_factory=list)

    @property
    def is_held(self):
        """Whether the instance is paused by us at the point."""
        return self.point in PAUSED.get(self.mode, ())

    @property
    def expected_code(self):
        """Of the program, where it lives: what was read is whole if the last look was."""
        if "custodian" in self.victims:
            return support.WRONG_STATE
        return support.DONE if self.point in AFTER_LAST_LOOK[self.mode] else support.WRONG_STATE

    @property
    def cell(self):
        if self.mode == "as-found":
            return "stays paused"
        return "runs on" if self.seconds is None else f"{self.seconds:.2f}"

    def __str__(self):
        return f"{self.mode} {self.command} {self.point} {'+'.join(self.victims)}: {self.problems}"


def points(*events):
    return [f"{side}:{event}" for event in events for side in ("before", "after")]


# From our suspend, which comes between two points, to our resume.
PAUSED = {
    "strict": points("suspended", "connected", "mounted", "unmounted", "disconnected", "resuming"),
    "brief": points("suspended", "exporting", "exported", "resuming"),
}
# What was read is whole once the instance was seen to be as it was held, after the last read.
AFTER_LAST_LOOK = {
    "strict": points("resuming", "resumed", "ended"),
    "brief": points("withdrawing", "withdrawn", "ended"),
    "as-found": points("ended"),
}
