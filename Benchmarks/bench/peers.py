"""The jobs, and for each of them every program that can do it, as shell scripts.

`$DISK` is the qcow2 overlay, `$FLAT` and `$ROOT` the raw copies of its disk and of its root
partition, `$W` an empty directory of the run's own. What a peer needs to be set up and torn down is
part of its script. Scripts are written in the peer's favour: the partition's place, the inode
numbers and the type of the image are given to it.
"""

from dataclasses import dataclass

OVERLAY, FLAT, LIMIT, GLOVEBOX = "overlay", "flat", "limit", "glovebox"


@dataclass(frozen=True)
class Peer:
    """One way to do a job. `answer` names the format in which it answers (see answers.py)."""

    name: str
    source: str
    script: str
    answer: str
    needs: tuple = ()
    check_script: str = ""
    slow: bool = False
    quick: bool = False


# How a peer comes to see the overlay ----------------------------------------------------------

QCOW2_AS_NBD = "qemu-nbd -r -t -e 0 -f qcow2 $DISK"
ROOT_AS_NBD = (
    "qemu-nbd -r -t -e 0 --image-opts driver=raw,offset=$START,size=$SIZE,"
    "file.driver=qcow2,file.file.driver=file,file.file.filename=$DISK"
)
NBDFUSE_NEEDS = ("nbdfuse", "qemu-nbd", "fusermount3")


def through_nbdfuse(body, server=ROOT_AS_NBD):
    """`body` finds the raw view as $W/view/disk. nbdfuse writes to the FIFO once it is ready."""
    return f"""mkdir $W/view; mkfifo $W/ready
{{ nbdfuse -r -P $W/ready $W/view/disk [ {server} ] || echo failed > $W/ready; }} &
read pid < $W/ready
rm $W/ready
{body}
status=$?
until fusermount3 -u $W/view 2>/dev/null; do sleep 0.002; done
wait
exit $status"""


def through_storage_daemon(body, whole_disk=False):
    """`body` finds the raw view as the file $W/disk."""
    node = "qcow2" if whole_disk else "root"
    return f"""touch $W/disk
qemu-storage-daemon --daemonize --pidfile $W/pid \\
  --blockdev file,node-name=file,filename=$DISK,read-only=on \\
  --blockdev qcow2,node-name=qcow2,file=file,read-only=on \\
  --blockdev raw,node-name=root,file=qcow2,offset=$START,size=$SIZE,read-only=on \\
  --export fuse,id=export,node-name={node},mountpoint=$W/disk
{body}
status=$?
kill $(cat $W/pid)
exit $status"""


def mounted(view, body):
    """`body` runs in the root of the kernel's ext4, mounted from `view` through a loop device."""
    return f"""mkdir $W/mnt
mount -t ext4 -o ro,noload,loop {view} $W/mnt
( cd $W/mnt && {body} )
status=$?
umount $W/mnt
( exit $status )"""


def kernel_mounts(body, answer, quick=False):
    """The kernel's ext4 over nbdfuse, over qemu-storage-daemon's FUSE, on the raw copy."""
    return [
        Peer(
            "nbdfuse + kernel mount",
            OVERLAY,
            through_nbdfuse(mounted("$W/view/disk", body)),
            answer,
            NBDFUSE_NEEDS,
            quick=quick,
        ),
        Peer(
            "qemu-storage-daemon + kernel mount",
            OVERLAY,
            through_storage_daemon(mounted("$W/disk", body)),
            answer,
            ("qemu-storage-daemon",),
            quick=quick,
        ),
        Peer("kernel mount", FLAT, mounted("$ROOT", body), answer, quick=quick),
    ]


def user_space(name, command, answer, needs, quick=False, slow=False, check=""):
    """A program that reads a raw file: over nbdfuse, over qemu-storage-daemon, on the raw copy.

    `command` holds VIEW where the program takes the file."""

    def peer(prefix, source, wrap, view, extra, quick):
        return Peer(
            prefix + name,
            source,
            wrap(command.replace("VIEW", view)),
            answer,
            needs + extra,
            wrap(check.replace("VIEW", view)) if check else "",
            slow,
            quick,
        )

    return [
        peer("nbdfuse + ", OVERLAY, through_nbdfuse, "$W/view/disk", NBDFUSE_NEEDS, quick),
        peer(
            "qemu-storage-daemon + ",
            OVERLAY,
            through_storage_daemon,
            "$W/disk",
            ("qemu-storage-daemon",),
            False,
        ),
        peer("", FLAT, lambda body: f"exec {body}", "$ROOT", (), quick),
    ]


def ext2_filter(path, answer):
    """nbdkit's ext2 filter gives one file of the file system as an NBD export."""
    options = "--exit-with-parent -r --filter=ext2 --filter=partition"
    overlay = "nbd command=qemu-nbd arg=-r arg=-f arg=qcow2 arg=$DISK"
    needs = ("nbdkit", "nbdcopy")
    return [
        Peer(
            "nbdkit ext2 filter on qemu-nbd",
            OVERLAY,
            f"nbdcopy -- [ nbdkit {options} {overlay} partition=1 ext2file={path} ] -",
            answer,
            needs + ("qemu-nbd",),
        ),
        Peer(
            "nbdkit ext2 filter",
            FLAT,
            f"nbdcopy -- [ nbdkit {options} file $FLAT partition=1 ext2file={path} ] -",
            answer,
            needs,
        ),
    ]


def glovebox(arguments, answer, check="", name="glovebox"):
    """The program under test, on the instance directory; also on the one with a qcow2 base."""
    command = f"exec $GLOVEBOX {arguments}"
    check = f"exec $GLOVEBOX {check}" if check else ""
    on_qcow2 = command.replace("$DIR", "$DIR_ON_QCOW2"), check.replace("$DIR", "$DIR_ON_QCOW2")
    return [
        Peer(name, GLOVEBOX, command, answer, check_script=check, quick=True),
        Peer(f"{name}, qcow2 base", GLOVEBOX, on_qcow2[0], answer, check_script=on_qcow2[1]),
    ]


def dissect(arguments, answer):
    script = f"target-fs -q $FLAT {arguments}"
    return [Peer("dissect", FLAT, script, answer, ("target-fs",), slow=True)]


def guestfish(arguments, answer):
    script = f"guestfish --ro -a $DISK -m /dev/sda1:/:ro,noload {arguments}"
    return [Peer("guestfish (appliance)", OVERLAY, script, answer, ("guestfish",), slow=True)]


# The jobs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What is to be done, and who can do it."""

    key: str
    title: str
    peers: tuple
    seconds_max: int = 300


BLKID = "for place in $PLACES; do blkid -p -O ${place%:*} -S ${place#*:} VIEW; done"
SFDISK_BLKID = f"sfdisk --json VIEW; {BLKID}"
SLEUTH_DISKS = "mmls VIEW; fsstat -o $((START / 512)) VIEW"
FIND = "find . -printf '%P\\t%y\\t%m\\t%U\\t%G\\t%s\\t%T@\\t%n\\t%i\\t%l\\0'"
TAR = "tar --format=pax --numeric-owner --xattrs --acls --sparse -cf -"
DEBUGFS = "debugfs -R '{}' VIEW"
EMPTY = Peer("an empty process", LIMIT, "exec true", "nothing", quick=True)


def disks():
    def whole(name, command, answer, needs, quick=False):
        over_nbd = through_nbdfuse(command.replace("VIEW", "$W/view/disk"), QCOW2_AS_NBD)
        over_qsd = through_storage_daemon(command.replace("VIEW", "$W/disk"), whole_disk=True)
        flat = command.replace("VIEW", "$FLAT")
        qsd, nbd = ("qemu-storage-daemon",), NBDFUSE_NEEDS
        return [
            Peer(f"nbdfuse + {name}", OVERLAY, over_nbd, answer, needs + nbd, quick=quick),
            Peer(f"qemu-storage-daemon + {name}", OVERLAY, over_qsd, answer, needs + qsd),
            Peer(name, FLAT, flat, answer, needs, quick=quick),
        ]

    return Job(
        "disks",
        "list partitions and file systems",
        (
            *glovebox("disks $DIR", "disks.json", "disks --json $DIR"),
            *whole("sfdisk + blkid", SFDISK_BLKID, "disks.sfdisk", ("sfdisk", "blkid"), quick=True),
            *whole("mmls + fsstat", SLEUTH_DISKS, "disks.sleuthkit", ("mmls", "fsstat")),
            *guestfish("run : list-filesystems", "unchecked"),
            EMPTY,
        ),
    )


def cat_fstab():
    sleuth = "icat VIEW $FSTAB_INODE"
    return Job(
        "cat",
        "cat /etc/fstab",
        (
            *glovebox("cat $DIR /etc/fstab", "file.fstab"),
            *user_space(
                "debugfs", DEBUGFS.format("cat /etc/fstab"), "file.fstab", ("debugfs",), quick=True
            ),
            *ext2_filter("/etc/fstab", "file.fstab"),
            *kernel_mounts("cat etc/fstab", "file.fstab"),
            *user_space("7z", "7z x -so VIEW etc/fstab", "file.fstab", ("7z",)),
            *user_space("icat", sleuth, "file.fstab", ("icat",)),
            *dissect("cat /etc/fstab", "file.fstab"),
            *guestfish("cat /etc/fstab", "file.fstab"),
            EMPTY,
        ),
    )


def ls_etc():
    return Job(
        "ls",
        "ls -l /etc",
        (
            *glovebox("ls -l $DIR /etc", "etc.json", "ls --json $DIR /etc"),
            *user_space(
                "debugfs", DEBUGFS.format("ls -l /etc"), "etc.debugfs", ("debugfs",), quick=True
            ),
            *kernel_mounts("LC_ALL=C ls -lnA --time-style=+%s etc", "etc.ls"),
            *user_space("7z", "7z l -slt -ba VIEW etc/\\*", "etc.7z", ("7z",)),
            *user_space("fls", "fls -m etc VIEW $ETC_INODE", "etc.body", ("fls",)),
            *dissect("ls -l /etc", "unchecked"),
            *guestfish("ll /etc", "unchecked"),
            EMPTY,
        ),
    )


def big_file():
    return Job(
        "big",
        "1 GiB file into a pipe",
        (
            *glovebox("cat $DIR /big.bin", "file.big"),
            *kernel_mounts("cat big.bin", "file.big", quick=True),
            *user_space("debugfs", DEBUGFS.format("cat /big.bin"), "file.big", ("debugfs",)),
            *ext2_filter("/big.bin", "file.big"),
            *user_space("7z", "7z x -so VIEW big.bin", "file.big", ("7z",), quick=True),
            *user_space("icat", "icat VIEW $BIG_INODE", "file.big", ("icat",)),
            *dissect("cat /big.bin", "file.big"),
            *guestfish("download /big.bin -", "file.big"),
            Peer("cat of the raw file", LIMIT, "exec cat $BIG", "file.big", quick=True),
        ),
    )


def list_everything():
    listing = "7z l -slt -ba VIEW"
    return Job(
        "list",
        "list everything with metadata",
        (
            *glovebox("ls -R --json $DIR /", "all.json", name="glovebox ls -R"),
            *glovebox("find $DIR / --json", "all.json", name="glovebox find"),
            *kernel_mounts(FIND, "all.find", quick=True),
            *user_space("7z", listing, "all.7z", ("7z",), quick=True),
            *user_space("fls", "fls -r -m / VIEW", "all.body", ("fls",)),
            *guestfish("find0 / /dev/stdout", "unchecked"),
            EMPTY,
        ),
    )


def small_files():
    return Job(
        "small",
        "99,000 small files as tar into a pipe",
        (
            *glovebox("extract $DIR /small --to-tar -", "tar.small"),
            *kernel_mounts(f"{TAR} small", "tar.small"),
            *user_space("7z", "7z x -so VIEW small/\\*", "stream.small", ("7z",), quick=True),
            Peer(
                "debugfs rdump to tmpfs + tar",
                FLAT,
                "mkdir $RAM/out && debugfs -R \"rdump /small $RAM/out\" $ROOT"
                f" && ( cd $RAM/out && {TAR} small ); rm -r $RAM/out",
                "tar.small",
                ("debugfs",),
            ),
            *guestfish("tar-out /small -", "tar.small"),
            Peer("cat of a ready-made tar", LIMIT, "exec cat $SMALL_TAR", "tar.small", quick=True),
        ),
    )


def whole_root():
    return Job(
        "root",
        "whole root as tar into a pipe",
        (
            *glovebox("extract $DIR / --to-tar -", "tar.all"),
            *kernel_mounts(f"{TAR} .", "tar.all"),
            *user_space("7z", "7z x -so VIEW", "stream.all", ("7z",), quick=True),
            *guestfish("tar-out / -", "tar.all"),
            Peer("cat of a ready-made tar", LIMIT, "exec cat $ROOT_TAR", "tar.all", quick=True),
        ),
        seconds_max=600,
    )


def all_jobs():
    return [
        disks(),
        cat_fstab(),
        ls_etc(),
        big_file(),
        list_everything(),
        small_files(),
        whole_root(),
    ]
