"""Whatever of the running engine is killed, at whatever moment: a sentence, and nothing is left."""

import os
import random
import signal
import time

import pytest

import support
from running import ENGINE, HELPERS, Running
from support import DAMAGED, INTERRUPTED, tool

MOMENTS = 20 if support.SOAK else 1
# With KVM that works the appliance is up in three seconds; without, in twenty.
LATEST = 30

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(not os.access(ENGINE, os.X_OK), reason="glovebox-engine is not built"),
    pytest.mark.xdist_group("killed"),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """XFS with a file that takes minutes to read, though nothing of it is stored."""
    directory = tmp_path_factory.mktemp("killed")
    path, point = directory / "disk", directory / "mounted"
    path.touch()
    os.truncate(path, 320 << 20)
    tool("mkfs.xfs", "-q", path)
    point.mkdir()
    tool("mount", "-o", "loop", path, point)
    (point / "long").touch()
    os.truncate(point / "long", 64 << 30)
    tool("umount", point)
    return path


def reading(image, directory, place=None):
    """`glovebox cat` of the long file."""
    return Running(directory, [image], "cat", image, f"{image.name}::/long", place=place)


@pytest.mark.parametrize("name", ["front", *HELPERS])
def test_nothing_is_left_when_it_is_killed(name, image, tmp_path):
    generator = random.Random(name)
    for _ in range(MOMENTS):
        running = reading(image, tmp_path)
        try:
            running.helper(name)
            time.sleep(generator.uniform(0, LATEST))
            # A first appliance, with KVM that does not work, has gone by itself.
            os.kill(running.helper(name), signal.SIGKILL)
            code, error = running.finish()
            running.nothing_is_left()
        finally:
            running.close()
        if name == "front":
            assert code == -signal.SIGKILL
            continue
        assert code == DAMAGED, (code, error)
        assert error.splitlines()[-1].startswith("glovebox: ") and error.endswith("\n"), error


def test_nothing_is_left_of_what_is_interrupted(image, tmp_path):
    generator = random.Random(2)
    for _ in range(MOMENTS):
        running = reading(image, tmp_path)
        try:
            running.helper("worker")
            time.sleep(generator.uniform(0, LATEST))
            os.killpg(running.process.pid, signal.SIGINT)
            code, error = running.finish()
            running.nothing_is_left()
            assert code in (INTERRUPTED, -signal.SIGINT), (code, error)
        finally:
            running.close()


def test_the_next_engine_removes_what_front_and_guardian_left_that_were_killed_at_once(
    image, tmp_path
):
    generator = random.Random(3)
    for _ in range(MOMENTS):
        first = reading(image, tmp_path)
        other = None
        try:
            first.helper("worker")
            time.sleep(generator.uniform(0, LATEST))
            guardian = first.helper("guardian")
            os.kill(guardian, signal.SIGSTOP)
            first.process.kill()
            os.kill(guardian, signal.SIGKILL)
            first.finish()
            first.nothing_is_left(directory=False)
            left = set(first.place.iterdir())
            assert left
            other = reading(image, tmp_path, place=first.place)
            other.helper("server")
            assert not left & set(first.place.iterdir())
            other.process.kill()
            other.finish()
            other.nothing_is_left()
        finally:
            for one in filter(None, (other, first)):
                one.close()
