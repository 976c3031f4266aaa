"""Who inspects a running guest, and how: glovebox, and an operator by hand.

Each script leaves what it read in `$W/out`, an empty directory of the run's own around it. By hand
is favoured: what can be made before the suspend is made before it, the place of the partition is
known, and nothing is typed.
"""

from dataclasses import dataclass

GLOVEBOX, BY_HAND, LIMIT = "glovebox", "by hand", "the limit"
REFERENCE = "by hand"
NOLOAD = "by hand, journal passed over"

LOG = "/var/log/writer.log"
TREES = ("/etc", "/var/log")


@dataclass(frozen=True)
class Way:
    """A way to do a job. One that `may_lack` does not see what only the journal has: it may fail."""

    name: str
    source: str
    script: str
    once: bool = False
    may_lack: bool = False


@dataclass(frozen=True)
class PauseJob:
    key: str
    title: str
    ways: tuple


VIRSH = 'virsh -q -c "$URI"'
LAYERS = (
    "driver=qcow2,force-share=on,file.driver=file,file.filename=$DISK,"
    "backing.driver=raw,backing.file.driver=file,backing.file.filename=$BASE"
)
OVERLAY_ON_LAYERS = (
    "driver=qcow2,file.driver=file,file.filename=$W/overlay,"
    "backing.driver=qcow2,backing.force-share=on,backing.file.driver=file,"
    "backing.file.filename=$DISK,backing.backing.driver=raw,"
    "backing.backing.file.driver=file,backing.backing.file.filename=$BASE"
)


def glovebox(arguments, name="glovebox", once=False):
    return Way(name, GLOVEBOX, f"exec $GLOVEBOX {arguments}", once)


def by_hand(body, replay=True, suspend=True):
    """The Operations Guide's inspection, made safe: nothing can write to the instance's own disk.

    The guest's file system is mounted as it is, so its journal is dirty. With `replay` the kernel
    replays it into a throw-away overlay; without, it is passed over.
    """
    image = OVERLAY_ON_LAYERS if replay else LAYERS
    read_only, options = ("", "ro") if replay else ("-r", "ro,noload")
    make = 'qemu-img create -q -f qcow2 "$W/overlay" "$DISK_BYTES"\n' if replay else ""
    pause, resume = (f"suspended=1\n{VIRSH} suspend $DOMAIN", f"{VIRSH} resume $DOMAIN")
    if not suspend:
        pause, resume = "", "true"
    return f"""set -e
undo() {{
    status=$?
    trap '' INT TERM
    set +e
    [ -z "$mounted" ] || umount $W/root
    [ -z "$loop" ] || losetup -d $loop
    [ -z "$viewed" ] || until fusermount3 -u $W/view 2>/dev/null; do sleep 0.002; done
    [ ! -s $W/pid ] || kill $(cat $W/pid)
    [ -z "$suspended" ] || {resume}
    exit $status
}}
suspended= viewed= loop= mounted=
trap undo EXIT
trap 'exit 130' INT TERM
mkdir $W/view $W/root
mkfifo $W/ready
{make}{pause}
qemu-nbd --fork --pid-file=$W/pid {read_only} -t -e 0 -k $W/nbd --image-opts "{image}"
{{ nbdfuse {read_only} -P $W/ready $W/view/disk "nbd+unix:///?socket=$W/nbd" ||
    echo failed > $W/ready; }} &
read viewed < $W/ready || [ -n "$viewed" ]
[ "$viewed" != failed ] || {{ viewed=; exit 1; }}
loop=$(losetup --find --show {read_only} --offset $START --sizelimit $SIZE $W/view/disk)
mount -t ext4 -o {options} $loop $W/root
mounted=1
{body}"""


def cat_by_hand(**how):
    return by_hand(f"cat $W/root{LOG} > $W/out", **how)


def tar_by_hand(**how):
    trees = " ".join(tree.lstrip("/") for tree in TREES)
    return by_hand(f"tar -C $W/root --xattrs --acls -cf $W/out {trees}", **how)


def nothing():
    script = f"{VIRSH} suspend $DOMAIN && {VIRSH} resume $DOMAIN"
    return Way("virsh suspend; virsh resume", LIMIT, script)


def guestfish():
    script = f"""trap '{VIRSH} resume $DOMAIN' EXIT
trap 'exit 130' INT TERM
{VIRSH} suspend $DOMAIN
guestfish --ro --format=qcow2 -a $DISK run : mount-ro /dev/sda1 / : download {LOG} $W/out"""
    return Way("guestfish --ro, suspended", BY_HAND, script, once=True)


def jobs(with_guestfish):
    """Each with its ways; `REFERENCE` is one of them."""
    cat = f'cat --connect "$URI" domain:$DOMAIN {LOG} > $W/out'
    extract = f'extract --connect "$URI" domain:$DOMAIN {" ".join(TREES)} --to-tar $W/out'
    return [
        PauseJob(
            "cat",
            "cat of one file",
            (
                glovebox(cat),
                glovebox(f"{cat} --pause=brief", "glovebox --pause=brief"),
                Way(REFERENCE, BY_HAND, cat_by_hand()),
                Way(NOLOAD, BY_HAND, cat_by_hand(replay=False), may_lack=True),
                *((guestfish(),) if with_guestfish else ()),
                nothing(),
            ),
        ),
        PauseJob(
            "extract",
            f"{' and '.join(TREES)} into a tar",
            (
                glovebox(extract),
                glovebox(f"{extract} --pause=brief", "glovebox --pause=brief"),
                Way(REFERENCE, BY_HAND, tar_by_hand()),
                Way(NOLOAD, BY_HAND, tar_by_hand(replay=False), may_lack=True),
            ),
        ),
    ]
