"""The results of Benchmarks/pause as a Markdown document."""

import statistics

from .pause_peers import GLOVEBOX, LIMIT, NOLOAD, REFERENCE
from .report import factor

PREAMBLE = """# For how long an inspection pauses a running instance

A guest writes to its disks while files of it are read: by glovebox, and by an operator by hand as
the OpenStack Operations Guide describes it, made safe. By hand means `virsh suspend`, `qemu-nbd`
with force-share, `nbdfuse`, a loop device at the partition's place, `mount -o ro`, the job, and all
of it back until `virsh resume`, in one script without anybody typing. qemu-nbd serves a throw-away
overlay, made before the suspend, into which the kernel replays the file system's dirty journal; the
variant without passes the journal over (`noload`), and with it data that the guest had fsynced.

A pause is the time between QEMU's own events STOP and RESUME, in microseconds of its clock. Wall is
the time of the whole command. Runs take turns; between two of them the guest writes on. First,
glovebox and the kernel read the same pause, and have to agree in every byte, name, owner, mode and
time; in each run, all lines that the guest had fsynced have to be there, all in a row, and all else
has to be as before. How it is measured: [Benchmarks/README.md](../Benchmarks/README.md). All
numbers: [benchmark-pause.json](benchmark-pause.json).
"""


def milliseconds(seconds):
    return f"{seconds * 1000:,.0f} ms"


def markdown(jobs, results, record):
    by_job = {job.key: [r for r in results if r.job == job.key] for job in jobs}
    parts = [PREAMBLE, conditions(record)]
    parts += [table(job, by_job[job.key]) for job in jobs]
    parts.append("× is the median pause by hand divided by this one: above 1 the guest stands still "
                 "for a shorter time than by hand.\n")
    return "\n".join(parts)


def conditions(record):
    machine = record["machine"]
    versions = machine["versions"]
    names = ("glovebox", "libvirt and QEMU", "qemu-nbd", "nbdfuse", "tar", "guestfish")
    told = "\n".join(f"- {name}: {versions[name]}" for name in names if name in versions)
    settings = record["backend_settings"]
    guestfish = f" (`LIBGUESTFS_BACKEND_SETTINGS={settings}`)" if settings else ""
    return f"""Command: `{record["command"]}`{guestfish}, {machine["date"]}, on {machine["cores"]} \
cores of {machine["processor"]} with {machine["memory_bytes"] / 2**30:.0f} GiB, \
{machine["system"]}, kernel {machine["kernel"]}; load average {machine["load_average_before"]:.1f} \
before, {machine["load_average_after"]:.1f} at the end. {record["rounds"]} rounds. The guest runs \
without KVM, under {record["load"]} load (Fixtures/lab), from two qcow2 overlays.

{told}
"""


def table(job, results):
    reference = next(r for r in results if r.name == REFERENCE)
    by_hand = statistics.median(reference.pauses)
    lines = [f"## {job.title[0].upper()}{job.title[1:]}", ""]
    lines += ["| | paused, median | paused, worst | × by hand | wall, median | wall, worst | runs "
              "| read |", "|---|---|---|---|---|---|---|---|"]
    for result in results:
        name = f"**{result.name}**" if result.source == GLOVEBOX else result.name
        pause = statistics.median(result.pauses)
        lines.append(
            f"| {name} | {milliseconds(pause)} | {milliseconds(max(result.pauses))} "
            f"| {factor(by_hand / pause)} | {milliseconds(statistics.median(result.walls))} "
            f"| {milliseconds(max(result.walls))} | {len(result.walls)} | {answer(result)} |"
        )
    return "\n".join([*lines, ""])


def answer(result):
    words = []
    if result.source == LIMIT:
        words.append("nothing")
    elif result.name == NOLOAD:
        told = sorted({failure.split(": ", 1)[-1].splitlines()[0] for failure in result.failures})
        words.append(f"**wrong** in {len(result.failures)} runs, e.g. `{told[0]}`" if told
                     else "all that was fsynced")
    else:
        words.append("all that was fsynced")
        if result.failures:
            words.append(f"{len(result.failures)} runs failed and were made again")
    if any(count != 1 for count in result.pause_counts):
        words.append(f"up to {max(result.pause_counts)} pauses a run")
    return "; ".join(words)
