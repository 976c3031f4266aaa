"""The worker of glovebox-engine over exports that the tests start: one launch for all of it.

What is on the disks was put there by the appliance's own kernel and by mke2fs, out of directories
that are the judges: the worker has to say what they say.
"""

import os
import pathlib
import socket
import stat
import subprocess

import pytest

import support
import worker as protocol
from engine import status
from worker import Failure, Worker

ENGINE = os.environ.get("GLOVEBOX_ENGINE") or str(
    pathlib.Path(support.GLOVEBOX).parent / "glovebox-engine"
)
SECRET = b"of the host alone: c4a760a8"

pytestmark = [
    pytest.mark.skipif(not os.access(ENGINE, os.X_OK), reason="glovebox-engine is not built"),
    pytest.mark.xdist_group("worker"),
]


@pytest.fixture(scope="module")
def engine(fixtures, tmp_path_factory):
    """A worker that knows the disks of the recipe `engine`, a dirty one, and a canary."""
    instance = fixtures.instance("engine")
    canary, secret = canaries(tmp_path_factory.mktemp("canary"))
    disks = [
        (str(instance / "disk"), "qcow2"),
        (str(instance / "disk.local"), "raw"),
        (str(instance / "disk.eph0"), "qcow2"),
        (str(instance / "disk.eph1"), "raw"),
        (str(instance / "disk.config"), "raw"),
        (str(fixtures.path("dirty") / "disk.raw"), "raw"),
        (str(canary), "raw"),
    ]
    with Worker(ENGINE, disks, {"LIBGUESTFS_TRACE": "1"}) as worker:
        worker.launch()
        worker.mounts = {}
        mount(worker, "disk.eph1", "")
        worker.scans_for_a_disk = worker.calls("lvm_scan") + worker.calls("list_md_devices")
        worker.trees = fixtures.path("engine")
        worker.secret = secret
        with pytest.raises(Failure) as refused:
            worker.unlock("disk.eph0", "p7", b"no such passphrase")
        worker.refused = refused.value
        worker.unlock("disk.eph0", "p7", b"secret1")
        worker.unlock("disk.eph0", "p8", b"secret2")
        yield worker


def canaries(directory):
    """A raw disk that begins with a qcow2 header whose backing file is a secret of the host."""
    secret = directory / "secret"
    secret.write_bytes(SECRET * 40_000)
    disk = directory / "canary"
    support.tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", disk, "1M")
    with open(disk, "r+b") as file:
        file.truncate(32 << 20)
    return disk, secret


def mount(engine, disk, volume, replay=True):
    """The volume, mounted once."""
    key = (disk, volume, replay)
    if key not in engine.mounts:
        engine.mounts[key] = engine.open(disk, volume, replay)
    return engine.mounts[key]


def walk(engine, number, top=b"/"):
    """Every file below a directory by its path."""
    found = {}
    pending = [top]
    while pending:
        directory = pending.pop()
        for name, status in engine.entries(number, directory).items():
            path = (b"" if directory == b"/" else directory) + b"/" + name
            found[path] = status
            if status["type"] == "directory":
                pending.append(path)
    return found


def judge(root, path):
    """What the host says of a file of the source directory, in the worker's words."""
    found = os.lstat(os.fsencode(root) + path)
    kinds = {
        stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink",
        stat.S_IFCHR: "char", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo",
    }
    said = {
        "type": kinds[stat.S_IFMT(found.st_mode)],
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mtime": found.st_mtime_ns,
    }
    if stat.S_ISREG(found.st_mode):
        said |= {"size": found.st_size, "links": found.st_nlink}
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        said["node"] = (os.major(found.st_rdev), os.minor(found.st_rdev))
    return said


def paths_below(root):
    """The paths in a source directory; a socket is not in the tar that filled the image."""
    root = os.fsencode(root)
    return {
        os.path.join(directory, name)[len(root):]
        for directory, directories, files in os.walk(root)
        for name in directories + files
        if not stat.S_ISSOCK(os.lstat(os.path.join(directory, name)).st_mode)
    }


def compare(engine, number, source, below=b"", fields=None, contents=None):
    """Demands that a mounted tree is its source directory, files' bytes and links included."""
    found = walk(engine, number, below or b"/")
    found = {path[len(below):]: status for path, status in found.items()}
    found = {path: status for path, status in found.items()
             if not path.startswith(b"/lost+found") and status["type"] != "socket"}
    assert set(found) == paths_below(source)
    for path, status in found.items():
        expected = judge(source, path)
        for field in fields or expected:
            if field in expected:
                assert status[field] == expected[field], (path, field)
        real = os.fsencode(source) + path
        if status["type"] == "symlink":
            assert engine.target(number, below + path) == os.readlink(real), path
        if status["type"] == "file" and (contents is None or contents(status)):
            with open(real, "rb") as file:
                assert engine.content(number, below + path, status["size"]) == file.read(), path


def test_volumes_within_volumes_have_names(engine):
    volumes = engine.volumes()
    kinds = {name: (kind, label) for name, (kind, label, *_) in volumes.items()}
    assert kinds["disk:vg/root"] == ("xfs", b"")
    assert kinds["disk:vg/data"] == ("btrfs", b"")
    assert kinds["disk:vg/thin"] == ("", b"")
    assert kinds["disk.eph0:md127"] == ("ext4", b"engine-md")
    assert kinds["disk.eph0:p7.luks"] == ("ext4", b"engine-luks1")
    assert kinds["disk.eph0:p8.luks"] == ("LVM2_member", b"")
    assert kinds["disk.eph0:inner/deep"] == ("ext4", b"engine-deep")
    assert volumes["disk:vg/thin"][3] == 16 << 20
    parts = {name: volume[4] for name, volume in volumes.items()}
    assert parts["disk:vg/root"] == parts["disk:vg/thin"] == ["disk:p2"]
    assert parts["disk.eph0:md127"] == ["disk.eph0:p9", "disk.eph0:p10"]
    assert parts["disk.eph0:p7.luks"] == ["disk.eph0:p7"]
    assert parts["disk.eph0:inner/deep"] == ["disk.eph0:p8.luks"]


def test_volumes_within_volumes_are_looked_for_only_when_asked_for(engine):
    assert engine.scans_for_a_disk == 0
    engine.volumes()
    engine.volumes()
    assert engine.calls("lvm_scan") > 0


def test_a_wrong_passphrase_is_told_from_other_trouble(engine):
    assert engine.refused.kind == 5


@pytest.mark.parametrize(
    "disk, volume, kind, below",
    [
        ("disk.eph1", "", "xfs", b""),
        ("disk.eph0", "p1", "btrfs", b"/@"),
        ("disk.local", "", "ext4", b""),
    ],
)
def test_strange_names_metadata_and_bytes_survive(engine, disk, volume, kind, below):
    found = mount(engine, disk, volume)
    assert found["type"] == kind and found["journal"] == 0 and found["attributes"]
    # mke2fs copies no nanoseconds. Files of a megabyte and more are left to one of the three.
    coarse = ("type", "size", "mode", "uid", "gid", "links", "node")
    compare(
        engine, found["number"], engine.trees / "strange", below,
        fields=coarse if kind == "ext4" else None,
        contents=lambda status: 0 < status["size"] < (8 << 20 if kind == "xfs" else 1 << 17),
    )


@pytest.mark.parametrize(
    "disk, volume, kind, source, fields",
    [
        ("disk", "vg/root", "xfs", "root", None),
        ("disk.eph0", "p6", "squashfs", "plain", ("type", "size", "mode")),
        ("disk.eph0", "p7.luks", "ext4", "plain", None),
        ("disk.eph0", "inner/deep", "ext4", "plain", None),
        ("disk.eph0", "md127", "ext4", "plain", None),
        ("disk.eph0", "p2", "ntfs", "simple", ("type", "size")),
        ("disk.eph0", "p3", "vfat", "simple", ("type", "size")),
        ("disk.eph0", "p4", "exfat", "simple", ("type", "size")),
        ("disk.eph0", "p5", "udf", "simple", ("type", "size")),
    ],
)
def test_each_kind_of_volume_gives_what_was_put_in(engine, disk, volume, kind, source, fields):
    found = mount(engine, disk, volume)
    assert found["type"] == kind
    compare(engine, found["number"], engine.trees / source, fields=fields)


def test_btrfs_is_opened_as_a_whole(engine):
    number = mount(engine, "disk.eph0", "p1")["number"]
    top = engine.entries(number, b"/")
    assert set(top) == {b"@", b"@home", b"top"}
    assert top[b"@"]["inode"] == top[b"@home"]["inode"] == 256
    assert len({status["device"] for status in top.values()}) == 3
    compare(engine, number, engine.trees / "plain", b"/@home")


def test_config_drive(engine):
    number = mount(engine, "disk.config", "")["number"]
    path = b"/openstack/latest/meta_data.json"
    size = engine.status(number, path)["size"]
    assert b'"hostname": "web-1"' in engine.content(number, path, size)


@pytest.mark.skipif(not support.is_root(), reason="the source has no such attributes then")
def test_attributes_and_acls_are_those_of_getxattr(engine):
    for disk, volume, below in (("disk.eph1", "", b""), ("disk.eph0", "p1", b"/@")):
        number = mount(engine, disk, volume)["number"]
        for name in (b"/attributes/file", b"/attributes/acl"):
            real = os.fsencode(engine.trees / "strange") + name
            expected = {
                os.fsencode(key): os.getxattr(real, key, follow_symlinks=False)
                for key in os.listxattr(real, follow_symlinks=False)
            }
            assert expected
            assert engine.attributes(number, below + name) == expected


@pytest.mark.skipif(not support.is_root(), reason="the source has no such attributes then")
def test_files_of_a_listed_directory_are_not_asked_about_alone(engine):
    """Each call into an appliance without KVM costs milliseconds, and a tree has many files."""
    number = mount(engine, "disk.eph1", "")["number"]
    found = walk(engine, number)
    before = {name: engine.calls(name) for name in ("lgetxattrs", "lxattrlist", "lstatns")}
    for path, status in found.items():
        real = os.fsencode(engine.trees / "strange") + path
        expected = {
            os.fsencode(key): os.getxattr(real, key, follow_symlinks=False)
            for key in os.listxattr(real, follow_symlinks=False)
        }
        assert engine.attributes(number, path) == expected, path
        if status["type"] == "file" and status["size"]:
            assert len(engine.read(number, path, 0, 1)) == 1
    cost = {name: engine.calls(name) - count for name, count in before.items()}
    directories = {os.path.dirname(path) for path in found}
    assert cost["lgetxattrs"] == cost["lstatns"] == 0
    assert 0 < cost["lxattrlist"] <= len(directories) + len(found) / 256


def test_a_journal_is_replayed_into_a_throw_away_layer(engine, fixtures):
    old = mount(engine, "disk.raw", "", replay=False)
    assert old["journal"] == 2
    assert engine.content(old["number"], b"/state", 4096).startswith(b"old")
    engine.ask(b"\x0a" + old["number"].to_bytes(4, "little"), 9)
    del engine.mounts[("disk.raw", "", False)]
    new = mount(engine, "disk.raw", "")
    assert new["journal"] == 1
    assert engine.content(new["number"], b"/state", 4096).startswith(b"new")
    image = fixtures.path("dirty") / "disk.raw"
    assert b"needs_recovery" in support.tool("dumpe2fs", "-h", image)


def test_a_raw_disk_with_the_header_of_another_format_stays_raw(engine):
    """Were it probed, the appliance would see the secret as the disk's first bytes."""
    with pytest.raises(Failure) as failure:
        engine.open("canary", "")
    assert "nothing is recognised" in str(failure.value)
    assert SECRET not in str(failure.value).encode()
    commands = b"".join(
        pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        for pid in descendants(engine.process.pid)
    )
    assert b"qemu" in commands and os.fsencode(engine.secret) not in commands
    files = {
        os.path.realpath(f"/proc/{pid}/fd/{number}")
        for pid in [engine.process.pid, *descendants(engine.process.pid)]
        for number in os.listdir(f"/proc/{pid}/fd")
    }
    assert str(engine.secret) not in files
    assert not any(pathlib.Path(file).name in ("canary", "disk.eph1") for file in files)


HOSTILE = """#!/bin/sh
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name"; fi; }
write() { ( : >> "$1" ); }
{
try own-file write "$TMPDIR/mine"
try libraries ls /usr/lib
try read cat PLACE/canary
try list ls PLACE
try overwrite write PLACE/canary
try create write PLACE/new
try temporary write /tmp/glovebox-hostile
try home ls /root
try secrets cat /etc/shadow
try instances ls /var/lib
try socket /usr/bin/python3 -c "
import socket; socket.socket(socket.AF_UNIX).connect('PLACE/socket')"
try network /usr/bin/python3 -c "
import socket; socket.create_connection(('127.0.0.1', PORT))"
try devices head -c 1 /dev/DISK
try end true
} > "$TMPDIR/report"
exit 1
"""


@pytest.mark.skipif(not support.has_landlock(), reason="this kernel has no Landlock")
def test_what_takes_over_the_appliance_reaches_nothing_of_the_host(fixtures, tmp_path):
    """A hostile program in QEMU's place, which is where a guest that broke out would be."""
    (tmp_path / "canary").write_bytes(SECRET)
    (tmp_path / "canary").chmod(0o666)
    disk = next((name for name in ("vda", "sda", "loop0") if os.path.exists(f"/dev/{name}")), "mem")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(str(tmp_path / "socket"))
        local.listen()
        script = HOSTILE.replace("PORT", str(tcp.getsockname()[1])).replace("DISK", disk)
        hypervisor = tmp_path / "hypervisor"
        hypervisor.write_text(script.replace("PLACE", str(tmp_path)))
        hypervisor.chmod(0o755)
        disks = [(str(fixtures.path("dirty") / "disk.raw"), "raw")]
        with Worker(ENGINE, disks, {"LIBGUESTFS_HV": str(hypervisor)}) as worker:
            with pytest.raises(Failure):
                worker.launch()
            report = pathlib.Path(worker.place, "report").read_text().split()
    # A user's own sockets are theirs; root's worker is nobody.
    expected = ["own-file", "libraries", *["socket"] * (not support.is_root()), "end"]
    assert report == expected
    assert (tmp_path / "canary").read_bytes() == SECRET


def test_worker_and_appliance_can_gain_no_rights_and_are_not_root(engine):
    for process in [engine.process.pid, *descendants(engine.process.pid)]:
        found = status(process)
        assert found["NoNewPrivs"] == "1", found
        if support.is_root():
            assert found["Uid"].split() == found["Gid"].split() == ["65534"] * 4, found
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                assert int(found[name], 16) == 1 << 2, (name, found)


@pytest.mark.needs_root
@pytest.mark.skipif("LIBGUESTFS_CACHEDIR" in os.environ, reason="the cache is elsewhere")
def test_the_appliance_of_roots_worker_lies_where_only_root_enters(engine):
    commands = [
        pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        for pid in descendants(engine.process.pid)
    ]
    place = pathlib.Path("/var/cache/glovebox")
    assert any(bytes(place / ".guestfs-65534") in command for command in commands)
    assert place.stat().st_uid == 0 and stat.S_IMODE(place.stat().st_mode) == 0o700


def test_an_appliance_that_failed_is_not_left_as_a_zombie(engine):
    """KVM that does not work has cost a first one."""
    assert not zombies(engine.process.pid)


def zombies(pid):
    lines = subprocess.check_output(["ps", "-e", "-o", "pid=,ppid=,stat="], text=True).splitlines()
    processes = [line.split() for line in lines]
    return [child for child, parent, state in processes if int(parent) == pid and state[0] == "Z"]


def descendants(pid):
    """The processes below one that are alive."""
    found = []
    for line in subprocess.check_output(["ps", "-e", "-o", "pid=,ppid=,stat="]).splitlines():
        child, parent, state = line.split()
        if int(parent) == pid and not state.startswith(b"Z"):
            found += [int(child), *descendants(int(child))]
    return found


def test_only_regular_files_are_read_and_no_path_leads_upwards(engine):
    number = mount(engine, "disk.eph1", "")["number"]
    with pytest.raises(Failure) as failure:
        engine.read(number, b"/nodes/fifo", 0, 10)
    assert failure.value.kind == 6
    for path in (b"/../etc/passwd", b"/nodes/../..", b"nodes", b"/a\0b", b"/" + b"x" * 5000):
        with pytest.raises(Failure) as failure:
            engine.status(number, path)
        assert failure.value.kind == 6
    with pytest.raises(Failure) as failure:
        engine.status(number, b"/links/to-host/x")
    assert failure.value.kind in (2, 4)


def test_what_is_missing_is_told_from_what_fails(engine):
    number = mount(engine, "disk.eph1", "")["number"]
    with pytest.raises(Failure) as failure:
        engine.status(number, b"/no such file")
    assert failure.value.kind == 4
    with pytest.raises(Failure) as failure:
        engine.open("disk", "p99")
    assert failure.value.kind == 3
    with pytest.raises(Failure) as failure:
        engine.read(number, b"/shapes/size-1", 1, 1)
    assert failure.value.kind == 2


def test_nonsense_is_answered_and_does_no_harm(engine):
    for message in (b"", b"\xff", b"\x05", b"\x04" + b"\xff" * 40, b"\x02trailing"):
        with pytest.raises(Failure) as failure:
            engine.ask(message, 9)
        assert failure.value.kind == 6
    assert "disk:vg/root" in engine.volumes()


def test_qemu_dies_with_the_worker_and_leaves_no_sockets(engine):
    """Last: it ends the worker that all others use."""
    qemu = descendants(engine.process.pid)
    assert qemu
    left = list(pathlib.Path("/tmp").glob("libguestfs*/guestfsd.sock"))
    engine.process.kill()
    engine.process.wait(10)
    deadline = protocol.time.monotonic() + 5
    while any(alive(pid) for pid in qemu):
        assert protocol.time.monotonic() < deadline
        protocol.time.sleep(0.05)
    assert all(path not in left or not os.path.realpath(path).startswith(engine.directory)
               for path in left)


@pytest.mark.soak
@pytest.mark.skipif(not os.access("/dev/kvm", os.W_OK), reason="there is no KVM to hang")
def test_a_kvm_that_hangs_gives_way(fixtures, tmp_path):
    """A program in QEMU's place that says nothing any more, where it is to use KVM."""
    fake = tmp_path / "qemu"
    fake.write_text(
        "#!/bin/sh\n"
        'case "$*" in *guestfsd.sock*accel=kvm*|*accel=kvm*guestfsd.sock*) exec sleep 1000 ;; esac\n'
        'exec qemu-system-$(uname -m) "$@"\n'
    )
    fake.chmod(0o755)
    disks = [(str(fixtures.path("dirty") / "disk.raw"), "raw")]
    environment = {"LIBGUESTFS_HV": str(fake), "LIBGUESTFS_BACKEND_SETTINGS": ""}
    with Worker(ENGINE, disks, environment) as worker:
        assert worker.launch() is False
        assert any("KVM does not work" in line for line in worker.progress)
        assert worker.open("disk.raw", "")["type"] == "ext4"
        assert not any(
            b"sleep" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            for pid in descendants(worker.process.pid)
        )


@pytest.mark.parametrize("settings, attempts", [("", ["kvm", "tcg"]), ("force_tcg", ["tcg"])])
@pytest.mark.skipif(not os.access("/dev/kvm", os.W_OK), reason="there is no KVM to leave out")
def test_a_user_who_knows_that_kvm_does_not_work_is_believed(
    fixtures, tmp_path, settings, attempts
):
    """A program in QEMU's place that starts no appliance, and tells which it was to be."""
    fake, log = tmp_path / "qemu", tmp_path / "log"
    fake.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *guestfsd.sock*) printf "%s\\n" "$*" >> {log}; exit 1 ;; esac\n'
        'exec qemu-system-$(uname -m) "$@"\n'
    )
    fake.chmod(0o755)
    disks = [(str(fixtures.path("dirty") / "disk.raw"), "raw")]
    environment = {"LIBGUESTFS_HV": str(fake), "LIBGUESTFS_BACKEND_SETTINGS": settings}
    with Worker(ENGINE, disks, environment) as worker:
        with pytest.raises(Failure):
            worker.launch()
    tried = [line.split("accel=")[1][:3] for line in log.read_text().splitlines()]
    assert tried == attempts
    assert any("KVM does not work" in line for line in worker.progress) == ("kvm" in attempts)


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
