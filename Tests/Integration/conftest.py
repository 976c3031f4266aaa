"""Fixtures are made once a session, by Fixtures/make, outside the repository."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.dont_write_bytecode = True

import support  # noqa: E402
from lab import guest, lab  # noqa: E402, F401
from live import events, live_site, site  # noqa: E402, F401


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_root: mounts by the kernel")
    config.addinivalue_line("markers", "soak: takes long; `make soak` runs it")


def pytest_collection_modifyitems(config, items):
    if not support.SOAK:
        # Left out, not skipped: a test that is skipped lacks something, and CI forbids that.
        long = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
    if support.is_root():
        return
    skip = pytest.mark.skip(reason="needs root: mounts by the kernel")
    for item in items:
        if item.get_closest_marker("needs_root"):
            item.add_marker(skip)


def pytest_sessionstart(session):
    if not os.access(support.GLOVEBOX, os.X_OK):
        pytest.exit(f"{support.GLOVEBOX} is not there: make build, or set GLOVEBOX", 2)


class Fixtures:
    """The made images; remembers each container's digest, to see in the end that none changed."""

    def __init__(self, directory):
        self.directory = directory
        self.used = set()

    def path(self, name):
        """The directory of a recipe; made when it is first asked for, by whichever worker."""
        made = self.directory / name
        stamp = self.directory / f"{name}.json"
        with open(self.directory / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stamp.exists():
                subprocess.run(
                    [support.ROOT / "Fixtures/make", name, self.directory], check=True
                )
                stamp.write_text(json.dumps(digests(made)))
        self.used.add(name)
        return made

    def instance(self, name="nova-instance"):
        return self.path(name) / "instances" / support.INSTANCE

    def copy(self, name, to):
        """A copy to damage; holes stay holes."""
        to = pathlib.Path(to)
        to.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--sparse=always", self.path(name.split("/")[0]).parent / name, to],
                       check=True)
        return to

    def raw(self, image, format="qcow2"):
        """The image as raw, converted by qemu-img, once."""
        image = pathlib.Path(image)
        raw = self.directory / "raw" / str(image.relative_to(self.directory)).replace("/", "_")
        raw.parent.mkdir(exist_ok=True)
        with open(f"{raw}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not raw.exists():
                support.tool("qemu-img", "convert", "-U", "-f", format, "-O", "raw", image,
                             f"{raw}.part")
                os.rename(f"{raw}.part", raw)
        return raw

    def changed(self):
        return [
            f"{name}: {sorted(set(now.items()) ^ set(before.items()))}"
            for name in self.used
            for before in [json.loads((self.directory / f"{name}.json").read_text())]
            for now in [digests(self.directory / name)]
            if now != before
        ]


def digests(directory):
    return {
        str(path.relative_to(directory)): support.sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture(scope="session")
def fixtures(tmp_path_factory, worker_count):
    directory = tmp_path_factory.getbasetemp()
    if worker_count > 1:
        directory = directory.parent
    directory = directory / "fixtures"
    directory.mkdir(exist_ok=True)
    made = Fixtures(directory)
    yield made
    changed = made.changed()
    if worker_count == 1:
        shutil.rmtree(directory)
    assert not changed, f"container files were changed: {changed}"


@pytest.fixture(scope="session")
def worker_count():
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


@pytest.fixture(scope="session")
def cloud(fixtures):
    """The instance directory whose disk is an overlay on a raw base."""
    return fixtures.instance()


@pytest.fixture(scope="session")
def strange(fixtures):
    """The whole-disk ext4 with everything that readers get wrong."""
    return fixtures.path("whole-disk") / "disk.local"
