"""The results of the engine's jobs as a Markdown document."""

from .peers import GLOVEBOX
from .report import factor, job_table, seconds

PREAMBLE = """# How fast the engine is beside libguestfs' own programs

What Glovebox does not read natively is read by the kernel of libguestfs' appliance
([Sources/README.md](../Sources/README.md)). Here each command that needs it was run beside
guestfish and the virt tools doing the same on the same qcow2 image: in one run, in turns, with the
image in the page cache, every answer compared with what this machine's kernel says of the same
volumes. A time is the median of whole processes, the launch of the appliance and the end of all
helpers included; the first run's answer is the one compared. Memory is not measured: it is the
appliance's in all of them. How it is measured:
[Benchmarks/README.md](../Benchmarks/README.md). All numbers:
[benchmark-engine.json](benchmark-engine.json). Native reads: [benchmark.md](benchmark.md).
"""


def markdown(jobs, by_job, record):
    """`by_job` has the results of the jobs that have been measured so far."""
    jobs = [job for job in jobs if job.key in by_job]
    parts = [PREAMBLE, conditions(record), summary(jobs, by_job, record["jobs"])]
    parts += [job_table(job, by_job[job.key]) for job in jobs]
    return "\n".join(parts)


def conditions(record):
    machine = record["machine"]
    settings = record["backend_settings"]
    how = f"`LIBGUESTFS_BACKEND_SETTINGS={settings}` for all" if settings else "default settings"
    versions = machine["versions"]
    return f"""Latest command: `{record["command"]}`, {machine["date"]}, on {machine["cores"]} \
cores of {machine["processor"]}, {machine["system"]}, kernel {machine["kernel"]}; {how}. Other work \
on the machine (its load stands beside each job) makes the spread, which turns only make even; few rounds \
in such a load say little of wall time. {versions["guestfish"]}, {versions["qemu-nbd"]}.
"""


def summary(jobs, by_job, measured):
    lines = ["## All jobs", ""]
    lines += ["| job | glovebox | fastest other | wall × | cpu × | rounds | measured, load |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for job in jobs:
        usable = [r for r in by_job[job.key] if r.usable]
        ours = [r for r in usable if r.source == GLOVEBOX]
        others = [r for r in usable if r.source == "overlay"]
        if ours and others:
            best = min(others, key=lambda r: r.wall)
            lines.append(
                f"| {job.title} | {seconds(ours[0].wall)} | {best.name}, {seconds(best.wall)} "
                f"| {factor(best.wall / ours[0].wall)} "
                f"| {factor(min(r.cpu for r in others) / ours[0].cpu)} | {len(ours[0].walls)} "
                f"| {measured[job.key]['date']}, {measured[job.key]['load_average_before']:.0f} |"
            )
    lines += ["", "× is what the other takes by what glovebox takes: above 1 glovebox is faster."]
    lines += ["Processor time includes the appliance's, and depends less on other work.", ""]
    return "\n".join(lines)
