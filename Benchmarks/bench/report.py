"""The results as a Markdown document."""

from .goals import GOALS, outcome
from .peers import FLAT, GLOVEBOX, LIMIT, OVERLAY

PREAMBLE = """# How fast Glovebox is beside others

![Wall time of every program at every job](benchmark.svg)

Each job was done by every program here that can do it, in one run, in turns, with everything in the
page cache, and with its answer compared first. A time is the median of whole processes, from the
start to the end of the last process that was started: what a peer needs to see the overlay at all
(nbdfuse, a mount, a daemon) is part of its time. Everything printed goes into the same pipe. Other
work on the machine makes the spread; compare within one run only. How it is measured:
[Benchmarks/README.md](../Benchmarks/README.md). All numbers: [benchmark.json](benchmark.json). What
stands in the way of the goals that are missed: [benchmark-profile.md](benchmark-profile.md). What
goes through libguestfs' appliance: [benchmark-engine.md](benchmark-engine.md).
"""

READS = {
    GLOVEBOX: "the overlay",
    OVERLAY: "the overlay",
    FLAT: "a raw copy, its making not counted",
    LIMIT: "the limit",
}


def public(corpus):
    """The corpus facts without the paths of this machine."""
    keys = ("recipe", "seed", "virtual_size", "overlay_file_size", "root_size", "small_files")
    return {key: corpus[key] for key in keys}


def markdown(jobs, results, record):
    by_job = {job.key: [r for r in results if r.job == job.key] for job in jobs}
    parts = [PREAMBLE, conditions(record), goals_table(jobs, by_job)]
    parts += [job_table(job, by_job[job.key]) for job in jobs]
    return "\n".join(parts)


def conditions(record):
    machine = record["machine"]
    corpus = record["corpus"]
    versions = "\n".join(f"- {name}: {text}" for name, text in machine["versions"].items())
    return f"""Command: `{record["command"]}`, {machine["date"]}, on {machine["cores"]} cores of \
{machine["processor"]} with {machine["memory_bytes"] / 2**30:.0f} GiB, {machine["system"]}, kernel \
{machine["kernel"]}; load average before the start {machine["load_average_before"]:.1f}. The disk: \
{corpus["virtual_size"] / 2**30:.0f} GiB virtual, GPT, ext4, a qcow2 overlay of \
{corpus["overlay_file_size"] / 2**20:.0f} MiB on a raw base.

{versions}
"""


def goals_table(jobs, by_job):
    lines = ["## Goals", "", "| job | goal | measured | against | |", "|---|---|---|---|---|"]
    for job in jobs:
        for goal in (goal for goal in GOALS if goal.job == job.key):
            ratio, best, reached = outcome(goal, by_job[job.key])
            if ratio is None:
                lines.append(f"| {job.title} | {goal.text} | – | – | not measured |")
                continue
            state = "reached" if reached else "**missed**"
            against = f"{best.name}, {seconds(best.cpu if goal.cpu_max else best.wall)}"
            lines.append(f"| {job.title} | {goal.text} | {factor(ratio)} | {against} | {state} |")
    lines += ["", "Where glovebox has two ways to do a job, the slower one counts.", ""]
    return "\n".join(lines)


def job_table(job, results):
    lines = [f"## {job.title[0].upper()}{job.title[1:]}", ""]
    lines.append("| program | reads | wall (least–most) | cpu | peak memory | × glovebox | answer |")
    lines.append("|---|---|---|---|---|---|---|")
    ours = [r.wall for r in results if r.source == GLOVEBOX and r.walls]
    for result in sorted(results, key=order):
        if not result.walls:
            lines.append(f"| {result.name} | {READS[result.source]} | {result.failure} | | | | |")
            continue
        spread = f"{seconds(min(result.walls))}–{seconds(max(result.walls))}"
        memory = f"{result.peak_memory / 2**20:.0f} MiB" if result.peak_memory else "–"
        ratio = factor(result.wall / min(ours)) if ours else "–"
        name = f"**{result.name}**" if result.source == GLOVEBOX else result.name
        lines.append(
            f"| {name} | {READS[result.source]} | {seconds(result.wall)} ({spread}) "
            f"| {seconds(result.cpu)} | {memory} | {ratio} | {answer(result)} |"
        )
    return "\n".join([*lines, ""])


def order(result):
    rank = {GLOVEBOX: 0, OVERLAY: 1, FLAT: 2, LIMIT: 3}[result.source]
    return rank, not result.walls, result.wall if result.walls else 0


def answer(result):
    """What is wrong, then what is not told at all."""
    if result.source == LIMIT:
        return ""
    different = "; ".join(result.different)
    words = [f"**differs**: {different}" if different else "as on the disk"]
    if result.unusable:
        words.append("not compared in time")
    if result.absent:
        words.append("does not tell " + ", ".join(result.absent))
    return "; ".join(words).replace("|", "\\|")


def seconds(value):
    if value < 0.0995:
        return f"{value * 1000:.1f} ms"
    return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"


def factor(value):
    return f"{value:.2f} ×" if value < 3 else f"{value:.1f} ×" if value < 30 else f"{value:.0f} ×"
