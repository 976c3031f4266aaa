"""The audit log: one line for each invocation that reads guest data, before anything is shown."""

import base64
import hashlib
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import approvals
import support
from support import DAMAGED, DONE, GLOVEBOX, MISSING, REFUSED, USAGE, ok, run, tool

ZERO = "0" * 64


@pytest.fixture(scope="module")
def image(fixtures, tmp_path_factory):
    """A small raw disk, so that nothing has to be guessed about it."""
    path = tmp_path_factory.mktemp("audit") / "disk"
    tool("qemu-img", "convert", "-O", "raw", fixtures.path("qcow2-kinds") / "zlib", path)
    return path


def written(state):
    """The lines of a log; asserts that they are a chain."""
    lines, previous = [], ZERO
    raw = (state / "audit.jsonl").read_bytes()
    assert raw.endswith(b"\n")
    for number, line in enumerate(raw.splitlines(keepends=True), 1):
        record = json.loads(line)
        assert (record["seq"], record["prev"]) == (number, previous)
        previous = hashlib.sha256(line).hexdigest()
        lines.append(record)
    return lines


def head(state):
    last = (state / "audit.jsonl").read_bytes().splitlines(keepends=True)[-1]
    return f"{json.loads(last)['seq']}:{hashlib.sha256(last).hexdigest()}"


def commands(tmp_path):
    yield "disks"
    yield "ls", "/etc"
    yield "stat", "/etc/fstab"
    yield "cat", "/etc/fstab", "/etc/hostname"
    yield "find", "/etc"
    yield "df"
    yield "extract", "/etc", "--to-dir", str(tmp_path / "out"), "--quiet"
    yield "extract", "/etc", "--to-tar", "-"


def test_each_command_writes_one_line(image, tmp_path):
    state = tmp_path / "state"
    for number, (command, *rest) in enumerate(map(lambda c: (c,) if isinstance(c, str) else c,
                                                  commands(tmp_path)), 1):
        before = time.time_ns()
        ok(command, "--state-dir", state, "--format", "raw", image, *rest)
        lines = written(state)
        assert len(lines) == number
        record = lines[-1]
        assert before <= support.nanoseconds(record.pop("time")) <= time.time_ns()
        assert isinstance(record.pop("pid"), int)
        for name in ("seq", "prev", "login", "sudo_user"):
            record.pop(name, None)
        assert record == {
            "event": "read", "uid": os.getuid(), "command": command,
            "arguments": ["--state-dir", str(state), "--format", "raw", str(image), *rest],
            "target": str(image),
        }
    assert (state.stat().st_mode & 0o7777, (state / "audit.jsonl").stat().st_mode & 0o7777) == (
        0o700, 0o600)


def test_the_short_way_writes_a_line_too(image, tmp_path):
    program = tmp_path / "prefix/bin/glovebox"
    program.parent.mkdir(parents=True)
    shutil.copy(GLOVEBOX, program)
    state = tmp_path / "prefix/var/lib/glovebox"
    environment = {**os.environ, "HOME": str(tmp_path)}
    if not support.is_root():
        state = tmp_path / ".local/state/glovebox"
    for number, arguments in enumerate([["disks"], ["cat", "/etc/hostname"], ["ls", "-l"]], 1):
        command, rest = arguments[0], arguments[1:]
        full = [command, *rest[:1], image] if command == "ls" else [command, image, *rest]
        tool(program, *full, env=environment)
        assert written(state)[-1]["command"] == command
        assert len(written(state)) == number


@pytest.mark.parametrize(
    "arguments, code",
    [(["--help"], DONE), (["cat", "--help"], DONE), (["--version"], DONE),
     (["cat", "--state-dir", "STATE", "/nothing/here", "/etc/fstab"], MISSING),
     (["cat", "--state-dir", "STATE", "--nonsense"], USAGE),
     (["cat", "--state-dir", "STATE", "--format", "vmdk", "IMAGE", "/etc/fstab"], USAGE)],
    ids=str,
)
def test_what_reads_nothing_writes_nothing(arguments, code, image, tmp_path):
    state = tmp_path / "state"
    names = {"STATE": state, "IMAGE": image}
    assert run(*[names.get(argument, argument) for argument in arguments]).code == code
    assert not state.exists()


def test_a_path_that_is_not_there_was_looked_for(image, tmp_path):
    result = run("cat", "--state-dir", tmp_path, "--format", "raw", image, "/not/there")
    assert result.code == MISSING
    assert written(tmp_path)[0]["arguments"][-1] == "/not/there"


def test_who_it_was(image, tmp_path):
    become = 'echo 1 > /proc/self/loginuid; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", become, "sh", GLOVEBOX, "cat", "--state-dir", tmp_path, image, "/etc/hostname"],
        env={**os.environ, "SUDO_USER": "alice"}, capture_output=True,
    )
    assert done.stdout == b"web-1\n", done
    record = written(tmp_path)[0]
    assert record["sudo_user"] == "alice" and record["uid"] == os.getuid()
    # Not every kernel lets one become somebody who logged in.
    login = tool("sh", "-c", 'echo 1 > /proc/self/loginuid; cat /proc/self/loginuid')
    expected = {b"1": pwd.getpwuid(1).pw_name, b"4294967295": None}
    if login in expected:
        assert record.get("login") == expected[login]


def test_names_that_are_not_utf8_are_kept_exactly(image, tmp_path):
    link = os.fsencode(tmp_path) + b"/\xff\n\x1b[31m"
    os.rename(shutil.copy(image, tmp_path / "copy"), link)
    ok("cat", "--format", "raw", "--state-dir", tmp_path / "state", os.fsdecode(link), "/etc/hostname")
    record = written(tmp_path / "state")[0]
    assert base64.b64decode(record["target_base64"]) == link
    assert base64.b64decode(record["arguments_base64"][-2]) == link
    table = ok("audit", "--state-dir", tmp_path / "state").out
    assert b"\\x1b[31m" in table and b"\x1b" not in table and table.count(b"\n") == 2


# MARK: a log that cannot be written


def spoilt(state, how, elsewhere):
    log = state / "audit.jsonl"
    elsewhere.mkdir(mode=0o700)
    if how == "link":
        log.symlink_to(elsewhere / "log")
    elif how == "fifo":
        os.mkfifo(log, 0o600)
    elif how == "directory":
        log.mkdir()
    elif how == "writable":
        log.touch()
        log.chmod(0o660)
    elif how == "garbage":
        log.write_text("garbage\n")
        log.chmod(0o600)
    elif how == "other":
        log.touch(0o600)
        os.chown(log, 65534, 65534)
    return elsewhere / "log"


SPOILT = ["link", "fifo", "directory", "writable", "garbage",
          pytest.param("other", marks=pytest.mark.needs_root)]


@pytest.mark.parametrize("how", SPOILT)
def test_a_loose_image_is_read_with_one_warning(how, image, tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    target = spoilt(state, how, tmp_path / "elsewhere")
    result = ok("cat", "--state-dir", state, "--format", "raw", image, "/etc/hostname")
    assert result.out == b"web-1\n"
    assert result.err.count(b"\n") == 1 and b"warning: The audit log cannot be" in result.err
    assert not target.exists()


@pytest.fixture
def host(tmp_path):
    """A compute node; its audit log is where its program is installed."""
    return approvals.Host(tmp_path / "host")


def state_of(host):
    return host.prefix / "var/lib/glovebox"


@pytest.mark.needs_root
@pytest.mark.parametrize("how", SPOILT)
def test_nothing_of_an_instance_is_shown_that_is_not_recorded(how, host, tmp_path):
    paper = host.approve(tmp_path / "case.json")
    state_of(host).mkdir(parents=True, mode=0o700)
    spoilt(state_of(host), how, tmp_path / "elsewhere")
    for command, *path in [("cat", "/etc/fstab"), ("disks",), ("ls", "/")]:
        result = host.run(command, "--approval", paper, host.instance, *path)
        assert (result.code, result.out) == (REFUSED, b""), str(result)
        assert b"audit log" in result.err and b"recorded first" in result.err


@pytest.mark.needs_root
def test_root_does_not_record_elsewhere_what_it_reads_of_an_instance(host, tmp_path):
    paper = host.approve(tmp_path / "case.json")
    result = host.run("cat", "--approval", paper, "--state-dir", tmp_path / "other", host.instance,
                      "/etc/fstab")
    assert (result.code, result.out) == (REFUSED, b""), str(result)
    assert b"--state-dir" in result.err and not (tmp_path / "other").exists()
    assert host.ok("cat", "--state-dir", tmp_path / "other", host.loose, "/etc/fstab").out


@pytest.mark.needs_root
def test_the_line_of_an_instance_is_on_the_disk_before_it_is_read(host, tmp_path):
    paper, trace = host.approve(tmp_path / "case.json"), tmp_path / "trace"
    done = subprocess.run(
        ["strace", "-o", trace, "-e", "trace=pwrite64,fsync,write,writev", host.program, "cat",
         "--approval", paper, host.instance, "/etc/fstab"], capture_output=True, check=True,
    )
    assert done.stdout
    record = written(state_of(host))[0]
    assert (record["instance"], record["target"]) == (support.INSTANCE, str(host.instance))
    assert record["approval"] == json.loads(paper.read_text())["id"]
    calls = [line for line in trace.read_text().splitlines() if "(" in line]
    first = next(n for n, line in enumerate(calls) if line.startswith("pwrite64") and '"seq' in line)
    assert [line.split("(")[0] for line in calls[first:first + 3]] == ["pwrite64", "fsync", "fsync"]
    assert not any(line.startswith("write(1,") for line in calls[:first + 3])


@pytest.mark.needs_root
def test_a_full_or_read_only_disk_leaves_the_log_sound(image, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    script = """
import os, subprocess, sys
state, read, verify = sys.argv[1], sys.argv[2:], [sys.argv[2], "audit", "--verify", "--state-dir", sys.argv[1]]
def call():
    return subprocess.run(read, capture_output=True)
size = lambda: os.stat(f"{state}/audit.jsonl").st_size
os.chmod(state, 0o700)
for _ in range(200):
    before = size() if os.path.exists(f"{state}/audit.jsonl") else 0
    done = call()
    assert done.stdout == b"web-1\\n", done
    if b"No space left" in done.stderr: break
else:
    raise AssertionError("the disk did not become full")
assert size() == before > 4096
subprocess.run(verify, check=True)
subprocess.run(["mount", "-o", "remount,ro", state], check=True)
done = call()
assert done.stdout == b"web-1\\n" and b"Read-only" in done.stderr, done
"""
    read = [GLOVEBOX, "cat", "--state-dir", state, "--format", "raw", image, "/etc/hostname"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=8k tmpfs "$0" && exec "$@"', state,
         sys.executable, "-c", script, state, *read], capture_output=True,
    )
    assert done.returncode == 0, done


# MARK: several at once


def test_nobody_loses_a_line_whoever_is_killed(image, tmp_path):
    """64 processes append while one of them is killed every 10 ms."""
    read = [GLOVEBOX, "cat", "--state-dir", tmp_path, "--format", "raw", image, "/etc/hostname"]
    running, reported, kills, started = [], set(), 0, 0
    ending = threading.Event()

    def kill():
        nonlocal kills
        chosen = random.Random(4)
        while not ending.wait(0.01):
            current = list(running)
            if current:
                chosen.choice(current)[1].kill()
                kills += 1

    def start():
        nonlocal started
        started += 1
        command = [*read[:2], "--allow-backing", f"run-{started}", *read[2:]]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        running.append((f"run-{started}", process))

    def reap(name, process):
        out = process.communicate(timeout=60)[0]
        if out:
            assert out == b"web-1\n"
            reported.add(name)
        # Nothing is shown by one that was killed before, and all by one that was not.
        assert process.returncode == -signal.SIGKILL or out, (name, process.returncode)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        while kills < (5000 if support.SOAK else 300) or len(reported) < 64:
            while len(running) < 64:
                start()
            ended = [item for item in running if item[1].poll() is not None]
            for item in ended:
                running.remove(item)
                reap(*item)
            if not ended:
                time.sleep(0.002)
    finally:
        ending.set()
        killer.join()
        for item in running:
            reap(*item)
    # Puts right what the last one may have left.
    ok(*read[1:])
    lines = written(tmp_path)
    names = [line["arguments"][1] for line in lines if line["event"] == "read"]
    assert len(names) == len(set(names)), "a line was written twice"
    assert reported <= set(names), sorted(reported - set(names))
    assert {line["event"] for line in lines} <= {"read", "recovered"}
    ok("audit", "--verify", "--state-dir", tmp_path, "--anchor", head(tmp_path))


def test_a_line_that_was_torn_is_put_right_and_told(image, tmp_path):
    read = ["cat", "--state-dir", tmp_path, "--format", "raw", image, "/etc/hostname"]
    ok(*read)
    torn = b'{"seq":2,"prev":"\xff\x00'
    with open(tmp_path / "audit.jsonl", "ab") as log:
        log.write(torn)
    result = run("audit", "--verify", "--state-dir", tmp_path)
    assert result.code == 1 and b"line 2" in result.out and b"no whole line" in result.out
    ok(*read)
    lines = written(tmp_path)
    assert [line["event"] for line in lines] == ["read", "recovered", "read"]
    assert base64.b64decode(lines[1]["bytes_base64"]) == torn
    assert b"put right: 1" in ok("audit", "--verify", "--state-dir", tmp_path).out


# MARK: glovebox audit


@pytest.fixture
def log(image, tmp_path):
    for path in ("/etc/hostname", "/etc/fstab", "/etc/passwd", "/etc/hostname"):
        run("cat", "--state-dir", tmp_path, "--format", "raw", image, path)
    assert len(written(tmp_path)) == 4
    return tmp_path


def test_the_log_is_shown_with_the_newest_last(log):
    lines = ok("audit", "--state-dir", log).text.splitlines()
    assert lines[0].split()[:2] == ["LINE", "TIME"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4"]
    lines = ok("audit", "--state-dir", log, "-n", "2", "--json").lines
    assert [line["seq"] for line in lines] == [3, 4]
    since = written(log)[1]["time"]
    lines = ok("audit", "--state-dir", log, "--since", since, "--json").lines
    assert [line["seq"] for line in lines] == [2, 3, 4]
    result = run("audit", "--state-dir", log / "nowhere")
    assert result.code == DAMAGED and b"--state-dir" in result.err
    assert run("audit", "--state-dir", log, "--anchor", "1:" + ZERO).code == USAGE
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b"\x1b[31m\n")
    result = run("audit", "--state-dir", log)
    assert result.code == DAMAGED and b"\x1b" not in result.out + result.err


def verify(log, *anchors):
    options = [item for anchor in anchors for item in ("--anchor", anchor)]
    result = run("audit", "--verify", "--json", "--state-dir", log, *options)
    assert result.code in (DONE, 1), str(result)
    assert (result.code == DONE) == result.document["sound"]
    return result.document


def test_verification_says_what_is_wrong_and_where(log):
    path = log / "audit.jsonl"
    raw = path.read_bytes()
    lines = raw.splitlines(keepends=True)
    anchor, early = head(log), f"2:{hashlib.sha256(lines[1]).hexdigest()}"
    sound = verify(log, anchor, early)
    assert sound["sound"] and [a["finding"] for a in sound["anchors"]] == ["held", "held"]
    assert f"{sound['last']}:{sound['sha256']}" == anchor
    assert "cut off at the end" in verify(log)["not_known"][0]
    changes = {
        "removed": (2, [lines[0], *lines[2:]]),
        "repeated": (3, [*lines[:2], lines[1], *lines[2:]]),
        "moved": (2, [lines[0], lines[2], lines[1], lines[3]]),
        "changed": (3, [lines[0], lines[1].replace(b"fstab", b"fstub"), *lines[2:]]),
    }
    for name, (number, changed) in changes.items():
        path.write_bytes(b"".join(changed))
        problem = verify(log)["problem"]
        assert (problem["file"], problem["line"]) == ("audit.jsonl", number), name
        offset = len(b"".join(changed[: number - 1]))
        assert problem["offset"] == offset, name
    path.write_bytes(b"".join(lines[:3]))
    assert verify(log)["sound"], "nobody can know without an anchor"
    assert [a["finding"] for a in verify(log, anchor, early)["anchors"]] == ["missing", "held"]
    text = run("audit", "--verify", "--state-dir", log, "--anchor", anchor)
    assert text.code == 1 and b"its end was cut off" in text.out


def test_a_log_that_is_hashed_anew_is_found_by_an_anchor(log):
    anchor, early = head(log), "1:" + ZERO
    path, previous, forged = log / "audit.jsonl", ZERO, b""
    for line in written(log):
        line["prev"] = previous
        line["uid"] = 4711
        made = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        previous = hashlib.sha256(made).hexdigest()
        forged += made
    path.write_bytes(forged)
    assert verify(log)["sound"]
    found = verify(log, anchor, early)
    assert [a["finding"] for a in found["anchors"]] == ["differs", "differs"]


def test_bags_are_anchors(log):
    line = {"event": "audit", "time": "2026-01-31T12:00:00.000000000Z"}
    sequence, digest = head(log).split(":")
    custody = json.dumps(
        {"seq": 1, "prev": ZERO, **line, "sequence": int(sequence), "sha256": digest},
        separators=(",", ":"),
    ).encode() + b"\n"
    bag = log / "case.bag"
    (bag / "data").mkdir(parents=True)
    (bag / "data/custody.jsonl").write_bytes(custody)
    (bag / "data/files.tar").write_bytes(b"x" * 700)
    tar = log / "case.tar"
    names = ["case/data/files.tar", "case/data/custody.jsonl"]
    tool("tar", "--format=ustar", "--transform", "s,^case.bag,case,", "-C", log, "-cf", tar,
         *[name.replace("case/", "case.bag/") for name in names])
    found = verify(log, bag, tar)
    assert found["sound"] and [a["finding"] for a in found["anchors"]] == ["held", "held"]
    for wrong in (log / "nothing", log / "audit.jsonl", log):
        assert run("audit", "--verify", "--state-dir", log, "--anchor", wrong).code in (
            MISSING, DAMAGED)


def test_a_rotated_log_goes_on(log, image):
    anchor = head(log)
    old = ok("audit", "--rotate", "--state-dir", log).text.strip()
    assert old == str(log / "audit-1-4.jsonl")
    ok("cat", "--state-dir", log, "--format", "raw", image, "/etc/hostname")
    found = verify(log, anchor)
    assert (found["first"], found["last"], found["sound"]) == (1, 6, True)
    os.rename(old, log / "elsewhere")
    found = verify(log, anchor)
    assert found["first"] == 5 and "problem" not in found
    assert found["anchors"][0]["finding"] == "older"


SYSLOG = """
import json, os, socket, subprocess, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind("/dev/log")
for _ in range(300):
    subprocess.run(sys.argv[1:], check=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE)
server.setblocking(False)
print(server.recv(65536).decode())
"""


@pytest.mark.needs_root
def test_syslog_gets_the_head_and_never_holds_a_reader_up(image, tmp_path):
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /dev && exec "$@"', "sh",
         sys.executable, "-c", SYSLOG, GLOVEBOX, "cat", "--state-dir", tmp_path, image,
         "/etc/hostname"],
        capture_output=True, timeout=300,
    )
    assert done.returncode == 0, done
    lines = written(tmp_path)
    first = (tmp_path / "audit.jsonl").read_bytes().splitlines(keepends=True)[0]
    assert len(lines) == 300
    assert done.stdout.decode().strip() == (
        f"<85>glovebox[{lines[0]['pid']}]: audit seq=1 "
        f"sha256={hashlib.sha256(first).hexdigest()} directory={tmp_path}"
    )
