"""What the project set itself, and whether a run reached it."""

from dataclasses import dataclass

from .peers import FLAT, GLOVEBOX, LIMIT, OVERLAY


@dataclass(frozen=True)
class Goal:
    """`factor` times as fast as the best peer of `source` whose name begins with `name`."""

    job: str
    text: str
    factor: float
    source: str
    name: str = ""
    cpu_max: bool = False


GOALS = [
    Goal("disks", "≥ 15 × sfdisk + blkid over nbdfuse", 15, OVERLAY, "nbdfuse + sfdisk"),
    Goal("cat", "≥ 8 × the best on the overlay", 8, OVERLAY),
    Goal("cat", "no slower than debugfs on raw", 1, FLAT, "debugfs"),
    Goal("ls", "≥ 8 × the best on the overlay", 8, OVERLAY),
    Goal("ls", "no slower than debugfs on raw", 1, FLAT, "debugfs"),
    Goal("big", "≥ 10 × the best on the overlay", 10, OVERLAY),
    Goal("big", "faster than 7z on raw", 1, FLAT, "7z"),
    Goal("big", "cpu ≤ 1.3 × cat of the raw file", 1.3, LIMIT, "cat", cpu_max=True),
    Goal("list", "≥ 10 × the best on the overlay", 10, OVERLAY),
    Goal("list", "≥ 5 × 7z on raw", 5, FLAT, "7z"),
    Goal("list", "≥ 20 × find on a kernel mount", 20, FLAT, "kernel mount"),
    Goal("small", "≥ 50 × the best on the overlay", 50, OVERLAY),
    Goal("small", "≥ 2 × 7z on raw", 2, FLAT, "7z"),
    Goal("root", "≥ 20 × the best on the overlay", 20, OVERLAY),
    Goal("root", "faster than 7z on raw", 1, FLAT, "7z"),
]


def outcome(goal, results):
    """The ratio measured, the peer it is against, and whether the goal is reached.

    `results` are those of the goal's job. Where glovebox has two ways, the slower one counts."""
    ours = [r for r in results if r.source == GLOVEBOX and "qcow2 base" not in r.name]
    theirs = [
        r for r in results if r.source == goal.source and r.name.startswith(goal.name) and r.usable
    ]
    if not ours or not theirs or not all(r.usable for r in ours):
        return None, None, None
    if goal.cpu_max:
        best = min(theirs, key=lambda r: r.cpu)
        ratio = max(r.cpu for r in ours) / best.cpu
        return ratio, best, ratio <= goal.factor
    best = min(theirs, key=lambda r: r.wall)
    ratio = best.wall / max(r.wall for r in ours)
    return ratio, best, ratio >= goal.factor
