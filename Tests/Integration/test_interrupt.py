"""An extraction that is cut short, at any moment, leaves nothing behind but what says so."""

import hashlib
import os
import random
import signal
import subprocess
import time

import pytest

import support
from support import INTERRUPTED, run, sha256, slowed, tool, until, walk

MOMENTS = 30 if support.SOAK else 6


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Enough to be interrupted in: 4,000 small files and one of 200 MiB."""
    directory = tmp_path_factory.mktemp("large")
    tree = directory / "tree"
    (tree / "small").mkdir(parents=True)
    for number in range(4000):
        (tree / "small" / f"file-{number:05}").write_bytes(b"%05d\n" % number * 1300)
    generator = random.Random(1)
    with open(tree / "big", "wb") as file:
        for _ in range(200):
            file.write(generator.randbytes(1 << 20))
    image = directory / "disk.raw"
    image.touch()
    os.truncate(image, 400 << 20)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image)
    expected = {path: entry.sha256 for path, entry in walk(tree).items() if entry.type == "file"}
    subprocess.run(["rm", "-r", tree], check=True)
    before = sha256(image)
    yield image, expected
    assert sha256(image) == before
    image.unlink()


def start(arguments, tmp_path, **options):
    """Starts glovebox where every place that it could leave something in is ours."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch), "HOME": str(scratch)}
    return subprocess.Popen(
        [support.GLOVEBOX, *map(os.fspath, arguments)],
        stdin=subprocess.DEVNULL, stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE, env=environment, cwd=scratch, start_new_session=True,
    )


def interrupted(arguments, tmp_path, name, after):
    """Sends a signal after a while; exit code and standard error, or None if it came too late."""
    process = start(arguments, tmp_path)
    time.sleep(after)
    late = process.poll() is not None
    if not late:
        process.send_signal(name)
    try:
        _, error = process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"still running 10 s after {name}")
    assert list((tmp_path / "scratch").iterdir()) == [], "something was left in TMPDIR"
    return None if late or process.returncode == 0 else (process.returncode, error)


def is_partial(path):
    """The names that unfinished output has; documented in `glovebox extract --help`."""
    return b"partial" in os.path.basename(path)


def duration(image, tmp_path):
    out = tmp_path / "whole"
    out.mkdir()
    started = time.monotonic()
    result = run("extract", "--format", "raw", image, "/", "--to-dir", out)
    assert result.code == 0, str(result)
    spent = time.monotonic() - started
    subprocess.run(["rm", "-r", out], check=True)
    return spent


CODES = {
    signal.SIGINT: {INTERRUPTED},
    signal.SIGTERM: {INTERRUPTED, 143, -signal.SIGTERM},
    signal.SIGHUP: {INTERRUPTED, 129, -signal.SIGHUP},
    signal.SIGKILL: {-signal.SIGKILL},
}


@pytest.mark.parametrize("name", CODES, ids=lambda name: name.name)
def test_a_cut_off_extraction_to_a_directory_holds_only_whole_files(name, large, tmp_path):
    image, expected = large
    whole = duration(image, tmp_path)
    generator = random.Random(int(name))
    cut = 0
    for moment in range(MOMENTS):
        out = tmp_path / f"out-{moment}"
        out.mkdir()
        ended = interrupted(
            ["extract", "--format", "raw", image, "/", "--to-dir", out], tmp_path, name,
            generator.uniform(0.002, whole),
        )
        found = walk(out)
        for path, entry in found.items():
            if entry.type != "file" or is_partial(path):
                continue
            original = path[path.index(b"/small/" if b"/small/" in path else b"/big"):]
            assert entry.sha256 == expected[original], f"{path!r} looks whole and is not"
        subprocess.run(["rm", "-r", out], check=True)
        if ended is None:
            continue
        cut += 1
        code, error = ended
        assert code in CODES[name], (code, error)
        if name != signal.SIGKILL and code == INTERRUPTED:
            assert error, "an interrupted extraction says what is complete"
    assert cut, "no signal came in time"


@pytest.mark.parametrize("name", CODES, ids=lambda name: name.name)
def test_a_cut_off_tar_does_not_bear_the_name_of_a_whole_one(name, large, tmp_path):
    image, expected = large
    generator = random.Random(int(name) + 100)
    for moment in range(MOMENTS):
        out = tmp_path / "tar"
        out.mkdir()
        tar = out / "files.tar"
        ended = interrupted(
            ["extract", "--format", "raw", image, "/", "--to-tar", tar], tmp_path, name,
            generator.uniform(0.002, 0.3),
        )
        if tar.exists():
            assert len([e for e in support.archived(tar.read_bytes()).values()
                        if e.type == "file"]) == len(expected), "a torso under the final name"
        else:
            assert ended
        left = [path for path in out.iterdir() if path != tar]
        assert all(is_partial(os.fsencode(path)) for path in left), left
        if name != signal.SIGKILL:
            assert not left, "what a signal interrupted is cleaned up"
        if ended:
            assert ended[0] in CODES[name], ended
        subprocess.run(["rm", "-r", out], check=True)


def is_held_up(process):
    """Whether strace keeps the main thread waiting, for longer than it does at every call."""
    for _ in range(20):
        status = open(f"/proc/{process.pid}/task/{process.pid}/stat").read()
        if status.rpartition(")")[2].split()[0] != "t":
            return False
        time.sleep(0.01)
    return True


# Calls that concern the image: before it is opened, before its first bytes, and in its file system.
EARLY = {"opening": "openat:when=1", "first": "pread64:when=1", "reading": "pread64:when=11"}


@pytest.mark.parametrize("sink", ["--to-dir", "--to-tar"])
@pytest.mark.parametrize("moment", EARLY)
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM], ids=lambda name: name.name)
def test_a_signal_before_the_extraction_begins_leaves_nothing(name, moment, sink, large, tmp_path):
    image, _ = large
    call, when = EARLY[moment].split(":")
    out = tmp_path / "out"
    process = slowed(
        f"{call}:delay_enter=1000000:{when}",
        ["-P", image, support.GLOVEBOX, "extract", "--format", "raw", image, "/", sink, out],
        cwd=tmp_path,
    )
    until(lambda: is_held_up(process))
    assert not out.exists()
    process.send_signal(name)
    written, _ = process.communicate(timeout=10)
    assert process.returncode == INTERRUPTED and written == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM], ids=lambda name: name.name)
def test_a_signal_ends_the_waiting_for_the_reader_of_a_fifo(name, large, tmp_path):
    image, _ = large
    os.mkfifo(tmp_path / "fifo")
    process = start(["extract", "--format", "raw", image, "/", "--to-tar", tmp_path / "fifo"],
                    tmp_path)
    # Two threads: the one that waits for signals is there, and the main one sleeps in open.
    until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 2)
    time.sleep(0.3)
    process.send_signal(name)
    try:
        written, _ = process.communicate(timeout=5)
    finally:
        process.kill()
    assert process.returncode == INTERRUPTED and written == b""


def test_the_image_is_free_again_after_a_kill(large, tmp_path):
    image, _ = large
    process = start(["extract", "--format", "raw", image, "/", "--to-tar", "-"], tmp_path)
    process.stdout.read(1)
    process.kill()
    process.communicate()
    # A write of nothing new: 512 zeros where the boot sector is empty anyway.
    tool("qemu-io", "-f", "raw", "-c", "write -z 0 512", image)


@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", "{}", "/", "--to-tar", "-"],
        ["cat", "{}", "/big"],
        ["ls", "-R", "{}", "/"],
        ["ls", "-R", "--json", "{}", "/"],
        ["find", "{}"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_reader_that_goes_away_ends_it_quietly(arguments, large, tmp_path):
    image, _ = large
    command = [arguments[0], "--format", "raw", *[part.format(image) for part in arguments[1:]]]
    process = start(command, tmp_path)
    process.stdout.read(100)
    process.stdout.close()
    error = process.stderr.read()
    code = process.wait(timeout=10)
    process.stderr.close()
    if arguments[0] == "extract":
        # An archive that is cut off is not what was asked for, and that is said.
        assert b"not complete" in error and code not in (0, 70), (code, error)
        return
    assert error == b"", error
    assert code in (0, 141, -signal.SIGPIPE), code


def test_a_full_disk_is_reported(large, tmp_path):
    image, _ = large
    with open("/dev/full", "wb") as full:
        for command in (["cat", image, "/big"], ["ls", "-R", image, "/"],
                        ["extract", image, "/", "--to-tar", "-"]):
            result = run(command[0], "--format", "raw", *command[1:], stdout=full)
            assert result.code not in (0, 70) and result.code > 0, str(result)
            assert b"space" in result.err, str(result)


def test_interrupted_output_into_a_pipe_ends_with_130(large, tmp_path):
    image, _ = large
    process = start(["extract", "--format", "raw", image, "/", "--to-tar", "-"], tmp_path)
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert process.returncode == INTERRUPTED, error
    assert error


def test_what_was_extracted_is_what_is_there(large, tmp_path):
    image, expected = large
    process = start(["cat", "--format", "raw", image, "/big"], tmp_path)
    digest = hashlib.sha256()
    while piece := process.stdout.read(1 << 20):
        digest.update(piece)
    assert process.wait() == 0
    assert digest.hexdigest() == expected[b"/big"]
    process.stdout.close()
    process.stderr.close()
