"""The engine serves exactly what was checked, confined, and leaves nothing behind."""

import os
import pathlib
import random
import signal
import stat
import struct
import subprocess
import time

import pytest

import engine
import support
from support import DAMAGED, tool

MOMENTS = 20 if support.SOAK else 4
SECRET = b"CANARY of the host: root:$6$never\n" * 40


@pytest.fixture
def front(tmp_path):
    """Starts fronts, and ends them with the test."""
    started = []

    def start(*disks, **options):
        started.append(engine.Front(tmp_path, *map(os.fsdecode, disks), **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def disk(tmp_path):
    """A raw image of random bytes, and its content."""
    path = tmp_path / "disk.raw"
    path.write_bytes(random.Random(1).randbytes(1_000_448))
    return path


def overlay(path, base, format="raw", size=4 << 20):
    tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", format, path, str(size))
    tool("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", path)
    return path


def served(front, *disks, **options):
    """What each disk's export has, after an orderly run."""
    one = front(*disks, **options)
    said = one.ready()
    found = [engine.content(export) for export in said["exports"]]
    assert one.end() == (0, "")
    one.nothing_is_left(seconds=0.5)
    return found


def test_raw_qcow2_and_chains_are_served_byte_for_byte(front, disk, tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(random.Random(2).randbytes(70_001))
    middle = overlay(tmp_path / "middle", disk)
    top = overlay(tmp_path / "top", middle, "qcow2", 5 << 20)
    packed = tmp_path / "packed"
    tool("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk, packed)
    expected = [
        disk.read_bytes(), odd.read_bytes() + bytes(-70_001 % 512),
        tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, tmp_path / "out")
        or (tmp_path / "out").read_bytes(),
        disk.read_bytes(),
    ]
    found = served(front, f"raw:{disk}", f"raw:{odd}", f"qcow2:{top}", f"qcow2:{packed}")
    assert [len(bytes) for bytes in found] == [len(bytes) for bytes in expected]
    assert found == expected


def test_a_qcow2_header_on_a_raw_disk_is_bytes_and_nothing_else(front, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    header = overlay(tmp_path / "header", secret).read_bytes()
    raw = tmp_path / "disk"
    raw.write_bytes(header)
    raw_base = overlay(tmp_path / "overlay", raw)
    found = served(front, f"raw:{raw}", f"qcow2:{raw_base}")
    assert found[0] == header
    assert found[1].startswith(header[:1 << 20])
    assert SECRET[:64] not in found[0] + found[1] and b"QFI\xfb" in found[0]


NAMES = [
    "a,file.filename=secret", "json:{}", "new\nline", "nbd:unix:secret", "-e", '"quoted"', "%s:1",
    "über", "fd,driver=raw",
]


def test_no_name_of_a_file_means_anything_to_qemu(front, disk, tmp_path):
    (tmp_path / "secret").write_bytes(SECRET)
    paths = [tmp_path / name for name in NAMES]
    deep = tmp_path
    while len(bytes(deep)) < 3_800:
        deep = deep / ("d" * 200)
    deep.mkdir(parents=True)
    paths.append(deep / ("n" * (4_000 - len(bytes(deep)))))
    for number, path in enumerate(paths):
        path.write_bytes(struct.pack(">I", number) * 1024)
    found = served(front, *[f"raw:{path}" for path in paths])
    assert found == [path.read_bytes() for path in paths]


def test_a_file_that_is_swapped_after_the_check_is_not_read(front, disk, tmp_path):
    before = disk.read_bytes()
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET * 1000)
    one = front(f"raw:{disk}", pause=True)
    assert one.line() == {"attached": True}
    os.rename(secret, disk)
    one.say("go")
    assert engine.content(one.line()["exports"][0]) == before
    assert one.end() == (0, "")


def test_a_header_that_changes_after_the_check_leads_nowhere(front, disk, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET * 1000)
    top = overlay(tmp_path / "top", disk)
    tool("qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, tmp_path / "out")
    expected = (tmp_path / "out").read_bytes()
    other = tmp_path / "other"
    other.write_bytes(top.read_bytes())
    tool("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", secret, "-F", "raw", other)
    one = front(f"qcow2:{top}", pause=True)
    assert one.line() == {"attached": True}
    # Another backing file: the chain is the one that was checked. No QEMU program could write
    # this, since the image is locked.
    with open(top, "r+b") as file:
        file.write(other.read_bytes())
    one.say("go")
    assert engine.content(one.line()["exports"][0]) == expected
    assert one.end() == (0, "")


def test_a_header_that_gains_a_data_file_after_the_check_opens_none(front, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET * 1000)
    images = {}
    for name, options in (("plain", []), ("external", ["-o", f"data_file={secret}.copy,"
                                                       "data_file_raw=on"])):
        images[name] = tmp_path / name
        tool("qemu-img", "create", "-q", "-f", "qcow2", *options, images[name], "64k")
    header = images["external"].read_bytes().replace(b"secret.copy", b"secret\0\0\0\0\0")
    one = front(f"qcow2:{images['plain']}", pause=True)
    assert one.line() == {"attached": True}
    with open(images["plain"], "r+b") as file:
        file.write(header)
    one.say("go")
    assert one.line() is None
    code, error = one.finish()
    assert code == DAMAGED and "server of disk 0" in error, (code, error)
    one.nothing_is_left()


@pytest.mark.needs_root
def test_the_server_is_confined(front, disk, tmp_path):
    os.chmod(disk, 0o600)
    os.chown(disk, 64055, 64055)
    top = overlay(tmp_path / "top", disk)
    os.chmod(top, 0o600)
    os.chown(top, 1000, 1000)
    one = front(f"qcow2:{top}")
    said = one.ready()
    server = one.helper("qemu-nbd")
    found = engine.status(server)
    assert found["Uid"].split() == found["Gid"].split() == ["65534"] * 4, found
    assert found["Groups"].strip() == "" and found["NoNewPrivs"] == "1", found
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 1 << 2, (name, found)
    limits = pathlib.Path(f"/proc/{server}/limits").read_text()
    assert "Max address space         1073741824" in limits
    assert "Max file size             0 " in limits
    files = {
        os.readlink(f"/proc/{server}/fd/{number}") for number in os.listdir(f"/proc/{server}/fd")
    }
    files = {file for file in files if not file.startswith(("socket:", "pipe:", "anon_inode:"))}
    assert files <= {"/dev/null", str(top), str(disk)}, files
    directory = pathlib.Path(said["directory"])
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert engine.content(said["exports"][0])[:1_000_000] == disk.read_bytes()[:1_000_000]
    assert os.readlink(f"/proc/{server}/ns/net") != os.readlink("/proc/self/ns/net")
    assert one.end() == (0, "")


@pytest.mark.needs_root
def test_a_user_serves_an_image_of_their_own(front, tmp_path):
    place = tmp_path / "open"
    place.mkdir()
    image = place / "disk"
    image.write_bytes(b"mine" * 1024)
    os.chown(image, 12345, 12345)
    os.chmod(image, 0o600)
    for parent in [place, *place.parents]:
        if parent.stat().st_mode & 0o001 == 0:
            os.chmod(parent, parent.stat().st_mode | 0o001)
    driver = place / "engine-driver"
    driver.write_bytes(engine.DRIVER.read_bytes())
    driver.chmod(0o755)
    user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all"]
    one = front(f"raw:{image}", user=user, driver=driver)
    said = one.ready()
    assert engine.status(one.helper("qemu-nbd"))["Uid"].split() == ["12345"] * 4
    assert engine.content(said["exports"][0]) == b"mine" * 1024
    assert one.end() == (0, "")
    one.nothing_is_left(seconds=0.5)


def test_many_readers_at_once_get_what_is_there(front, tmp_path):
    image = tmp_path / "large"
    image.write_bytes(random.Random(3).randbytes(48 << 20))
    top = overlay(tmp_path / "top", image, size=48 << 20)
    one = front(f"qcow2:{top}")
    export = one.ready()["exports"][0]
    readers = [
        subprocess.Popen(
            ["qemu-img", "compare", "-f", "raw", "-F", "qcow2", "-U",
             f"nbd+unix:///?socket={export['socket']}", top],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(8)
    ]
    for reader in readers:
        said, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0, said
    peak = int(engine.status(one.helper("qemu-nbd"))["VmPeak"].split()[0])
    assert peak < 1_000_000, f"{peak} KiB is close to the limit"
    assert one.end() == (0, "")


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_front_that_is_ended(name, front, disk, tmp_path):
    top = overlay(tmp_path / "top", disk)
    generator = random.Random(int(name))
    for _ in range(MOMENTS):
        one = front(f"raw:{disk}", f"qcow2:{top}")
        assert one.line() == {"attached": True}
        time.sleep(generator.uniform(0, 0.5))
        # As Ctrl-C does it: the whole group.
        os.killpg(one.process.pid, name)
        assert one.finish()[0] == -name
        one.nothing_is_left()


@pytest.mark.parametrize("victim", ["glovebox-engine guardian", "qemu-nbd"])
def test_nothing_is_left_when_a_helper_is_killed_and_the_front_says_so(
    victim, front, disk, tmp_path
):
    top = overlay(tmp_path / "top", disk)
    generator = random.Random(len(victim))
    for _ in range(MOMENTS):
        one = front(f"raw:{disk}", f"qcow2:{top}")
        assert one.line() == {"attached": True}
        process = one.helper(victim)
        assert process, one.helpers()
        time.sleep(generator.uniform(0, 0.4))
        os.kill(process, signal.SIGKILL)
        code, error = one.finish()
        one.nothing_is_left()
        assert code == DAMAGED, (code, error)
        assert "signal 9" in error and error.count("\n") == 1, error
        assert ("guardian" if "guardian" in victim else "server of disk") in error


def test_nothing_runs_on_when_front_and_guardian_are_killed(front, disk):
    for delay in [random.Random(9).uniform(0, 0.4) for _ in range(MOMENTS)]:
        one = front(f"raw:{disk}")
        assert one.line() == {"attached": True}
        guardian = one.helper("glovebox-engine guardian")
        time.sleep(delay)
        os.kill(guardian, signal.SIGKILL)
        one.process.kill()
        one.finish()
        # Nobody is left who could remove the directory: the next engine does.
        one.nothing_is_left(directory=False)
        other = front(f"raw:{disk}", place=one.place)
        directory = pathlib.Path(other.ready()["directory"])
        assert list(one.place.iterdir()) == [directory]
        assert other.end() == (0, "")
        other.nothing_is_left(seconds=0.5)


def test_an_engine_leaves_the_directories_of_others_alone(front, disk, tmp_path):
    one = front(f"raw:{disk}")
    said = one.ready()
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (one.place / f"glovebox-{'a' * 16}").symlink_to(kept)
    planted = one.place / f"glovebox-{'b' * 16}"
    planted.mkdir()
    # Another user's, or one that others can write to.
    os.chown(planted, 12345, 12345) if support.is_root() else planted.chmod(0o777)
    other = front(f"raw:{disk}", place=one.place)
    other.ready()
    assert engine.content(said["exports"][0]) == disk.read_bytes()
    assert other.end() == (0, "")
    assert (kept / "file").exists() and planted.is_dir()
    planted.rmdir()
    (one.place / f"glovebox-{'a' * 16}").unlink()
    assert one.end() == (0, "")
    one.nothing_is_left(seconds=0.5)


def test_a_guardian_that_hangs_is_ended_by_the_front(front, disk):
    one = front(f"raw:{disk}")
    one.ready()
    os.kill(one.helper("glovebox-engine guardian"), signal.SIGSTOP)
    assert one.end() == (0, "")
    one.nothing_is_left(seconds=0.5)


def test_a_signal_to_the_guardian_changes_nothing(front, disk):
    one = front(f"raw:{disk}")
    said = one.ready()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(said["guardian"], name)
    assert engine.content(said["exports"][0]) == disk.read_bytes()
    assert one.end() == (0, "")


if support.SOAK:
    # A server has a minute to answer.
    def test_a_server_that_hangs_is_noticed(front, disk):
        one = front(f"raw:{disk}")
        one.ready()
        os.kill(one.helper("qemu-nbd"), signal.SIGSTOP)
        code, error = one.finish(seconds=90)
        assert code == DAMAGED and "has not answered" in error, (code, error)
        one.nothing_is_left()


def test_the_worker_is_started_on_request_and_its_end_is_told(front, disk):
    one = front(f"raw:{disk}")
    one.ready()
    assert not one.helper("glovebox-engine worker", seconds=0.2)
    one.say("worker")
    assert one.line() == {"worker": True}
    worker = one.helper("glovebox-engine worker", seconds=0.5)
    if worker:
        os.kill(worker, signal.SIGKILL)
    code, error = one.finish()
    assert code == DAMAGED and "worker" in error, (code, error)
    one.nothing_is_left()


def test_a_missing_engine_is_said(front, disk):
    one = front(f"raw:{disk}")
    one.end()
    done = subprocess.run(
        [engine.DRIVER, "--engine", "/nonexistent/engine", f"raw:{disk}"], capture_output=True
    )
    assert done.returncode == DAMAGED and b"make install" in done.stderr, done


def test_the_engine_is_no_program_for_people():
    done = subprocess.run([engine.ENGINE], capture_output=True)
    assert done.returncode == 2 and b"started by glovebox" in done.stderr
