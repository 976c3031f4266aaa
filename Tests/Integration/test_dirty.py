"""Crash images: what glovebox shows of one is what the kernel shows of a copy after its replay."""

import os
import time

import pytest

import crash_images
import support
from crash_images import VARIANTS, Variant
from support import archived, differences, listed, mounted, run, walk

MOMENTS = 5
# So many more where those had nothing that would betray a reader without replay.
MORE_MOMENTS = 15
LISTED = ["type", "size", "mode", "uid", "gid", "links", "inode", "mtime", "ctime", "device",
          "target"]
ARCHIVED = ["type", "size", "mode", "uid", "gid", "mtime", "device", "target", "sha256"]

pytestmark = pytest.mark.needs_root


def judged(image, tmp_path):
    """What the kernel shows after its replay, and when it began; on a copy."""
    copy = crash_images.copied(image, tmp_path / "judged.img")
    began = time.time_ns()
    # Mounted read-only at once, the loop device would be so too, and could not be replayed.
    with mounted(copy, options="rw,noatime"):
        pass
    with mounted(copy) as root:
        expected = walk(root)
    os.unlink(copy)
    return expected, began


def needs_its_journal(image, expected):
    """Whether a reader that does not replay shows something else, or fails."""
    try:
        with mounted(image, options="ro,noload,noatime") as root:
            found = walk(root, contents=False)
    except (OSError, AssertionError):
        return True
    return bool(differences(expected, found, LISTED))


def forgive_orphans(expected, actual, began):
    """The kernel sets the times of a file that it goes on truncating after its replay."""
    for path, entry in expected.items():
        if entry.mtime >= began and path in actual:
            entry.mtime = entry.ctime = None


def compare(image, expected, began):
    target = ["--format", "raw", image]
    records = listed(image, "/", *target[:2])
    forgive_orphans(expected, records, began)
    found = differences(expected, records, LISTED)
    assert not found, "\n".join(found)
    result = run("extract", *target, "/", "--to-tar", "-", timeout=120)
    assert result.code in (support.DONE, support.DAMAGED), str(result)
    tar = archived(result.out)
    without = {path: entry for path, entry in expected.items() if entry.type != "socket"}
    for entry in without.values():
        entry.size = entry.size if entry.type == "file" else None
    found = differences(without, tar, ARCHIVED)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_crash_image_shows_what_the_kernel_shows(name, tmp_path):
    variant = VARIANTS[name]
    image = tmp_path / "crash.img"
    needed = revokes = 0
    for moment in crash_images.crashes(variant, image, MOMENTS + MORE_MOMENTS, name):
        # Blocks of journalled data are not revoked.
        if moment >= MOMENTS and needed and (revokes or "data=journal" in variant.mount):
            break
        assert crash_images.is_dirty(image), f"moment {moment} is clean"
        before = support.sha256(image)
        expected, began = judged(image, tmp_path)
        needed += needs_its_journal(image, expected)
        revokes += crash_images.has_revokes(image)
        compare(image, expected, began)
        assert support.sha256(image) == before
    os.unlink(image)
    # Otherwise a reader without replay would pass too.
    assert needed >= 1
    assert revokes >= 1 or "data=journal" in variant.mount


def test_there_are_at_least_fifty_moments():
    assert MOMENTS * len(VARIANTS) >= 50


def test_fast_commits_are_replayed_or_refused_by_name(tmp_path):
    image = tmp_path / "crash.img"
    variant = Variant("has_journal,metadata_csum,64bit,fast_commit")
    refused = 0
    for _ in crash_images.crashes(variant, image, MOMENTS, "fast"):
        result = run("ls", "-R", "--json", "--format", "raw", image, "/")
        if b"fast commit" in result.err:
            assert result.code == support.DAMAGED, str(result)
            assert not result.out
            refused += 1
            continue
        try:
            expected, began = judged(image, tmp_path)
        except AssertionError as refusal:
            assert "ended with 32" in str(refusal), "the kernel refuses to mount some of these"
            assert result.code in (support.DONE, support.DAMAGED), str(result)
            continue
        compare(image, expected, began)
    os.unlink(image)
