"""Run one command as a user would and say what it cost: wall, cpu and memory of all it started.

A forked runner makes itself the reaper of everything below it (PR_SET_CHILD_SUBREAPER), starts the
command and waits until no descendant is left. So daemons (qemu-nbd, nbdfuse) and their end are
part of the time, and getrusage(RUSAGE_CHILDREN) of the runner is the processor time of them all.
Standard output goes into a pipe that a `cat` empties into /dev/null: the same sink for everyone,
started before the clock and not counted. What kernel threads do for a loop device is not counted.
"""

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.001


@dataclass
class Cost:
    """One run. `status` is the exit code, negative for a signal, None after the time-out."""

    wall: float
    cpu: float
    sink_cpu: float
    status: int | None
    peak_memory: int = 0


def measure(command, seconds_max, sample_memory=False):
    """Runs `command` (a list of words) into the sink and returns its Cost."""
    read_end, write_end = os.pipe()
    with open(os.devnull, "wb") as null:
        sink = subprocess.Popen(["cat"], stdin=read_end, stdout=null)
    os.close(read_end)
    cost = run_beneath_reaper(command, write_end, seconds_max, sample_memory)
    os.close(write_end)
    usage = os.wait4(sink.pid, 0)[2]
    sink.returncode = 0
    cost.sink_cpu = usage.ru_utime + usage.ru_stime
    return cost


def capture(command, target, seconds_max):
    """Runs `command` with its standard output in the open file `target`; returns its Cost."""
    return run_beneath_reaper(command, target.fileno(), seconds_max, False)


def run_beneath_reaper(command, stdout, seconds_max, sample_memory):
    report_read, report_write = os.pipe()
    runner = os.fork()
    if runner == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = 70
        try:
            report = vars(reap_all(command, stdout, seconds_max, sample_memory))
            os.write(report_write, json.dumps(report).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(report_write)
    try:
        with os.fdopen(report_read, "rb") as report:
            text = report.read()
    except BaseException:
        # Interrupted: take the run down with us.
        kill_below(runner)
        raise
    finally:
        os.waitpid(runner, 0)
    return Cost(**json.loads(text))


def reap_all(command, stdout, seconds_max, sample_memory):
    """In the runner: the command and every descendant from start to end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    stderr = os.open(os.devnull, os.O_WRONLY)
    files = [(os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    files.insert(0, (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wakeup_read, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)

    start = time.monotonic()
    deadline = start + seconds_max
    main = os.posix_spawnp(command[0], command, os.environ, file_actions=files)
    status, timed_out, peak = None, False, 0
    while True:
        ended, status = reap_ended(main, status)
        if ended:
            break
        if sample_memory:
            peak = max(peak, resident_bytes(os.getpid()))
        if time.monotonic() > deadline:
            timed_out = True
            kill_below(os.getpid())
        pause = 0.2 if timed_out else deadline - time.monotonic()
        if sample_memory:
            pause = SAMPLE_SECONDS
        if select.select([wakeup_read], [], [], max(0.0, pause))[0]:
            os.read(wakeup_read, 4096)
    wall = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, 0.0, None if timed_out else status, peak)


def reap_ended(main, status):
    """Reaps what has ended. Returns whether no descendant is left, and the status of `main`."""
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True, status
        if pid == 0:
            return False, status
        if pid == main:
            status = os.waitstatus_to_exitcode(wait_status)


def descendants(root):
    """The process ids below `root`."""
    found, unseen = [], [root]
    while unseen:
        pid = unseen.pop()
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
                unseen += [int(child) for child in children]
                found += [int(child) for child in children]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def resident_bytes(root):
    """The resident memory of all processes below `root` together, now."""
    total = 0
    for pid in descendants(root):
        try:
            pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
            total += int(pages) * resource.getpagesize()
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue
    return total


def kill_below(root):
    for pid in descendants(root):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
