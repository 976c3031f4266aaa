"""The jobs of the engine, and for each of them the programs of libguestfs that do the same.

`$IMAGE` is the qcow2 of make-engine-corpus, `$V` what glovebox calls it, `$W` an empty directory of
the run's own. Each script starts one appliance, unless its name says more. The peers are told
where file systems are; inspection is left out everywhere.
"""

from .peers import GLOVEBOX, LIMIT, OVERLAY, TAR, Job, Peer

GUESTFISH = "guestfish --ro --format=qcow2 -a $IMAGE"
XFS = f"{GUESTFISH} -m /dev/sda1"
BTRFS = f"{GUESTFISH} -m /dev/sda2"
VIRT = "--format=qcow2 -a $IMAGE -m /dev/sda1"
SLICE = " ".join(f"/tree/d{number:02}/f00" for number in range(4))


def glovebox(arguments, answer, name="glovebox"):
    return Peer(name, GLOVEBOX, f"exec $GLOVEBOX {arguments}", answer, quick=True)


def guestfish(script, answer):
    return Peer("guestfish", OVERLAY, f"exec {script}", answer, ("guestfish",), quick=True)


def virt(command, answer, quick=False):
    program = command.split()[0]
    return Peer(program, OVERLAY, f"exec {command}", answer, (program,), quick=quick)


def over_nbd(arguments, answer, source=OVERLAY):
    """guestfish on an export like ours; the export's start and end belong to it."""
    script = f"""qemu-nbd --fork --pid-file=$W/pid -r -t -e 0 -k $W/nbd -f qcow2 $IMAGE
guestfish --ro --format=raw -a "nbd://?socket=$W/nbd" {arguments}
status=$?
kill $(cat $W/pid)
exit $status"""
    return Peer("guestfish on qemu-nbd", source, script, answer, ("guestfish", "qemu-nbd"))


def job(name, title, *peers):
    return Job(f"guestfs-{name}", title, peers, seconds_max=600)


def volumes():
    return [
        job(
            "launch",
            "launch, and what is said of one directory",
            glovebox("stat --json $IMAGE $V:p1:/etc", "words.stat"),
            guestfish(f"{XFS} lstatns /etc", "words.stat"),
            Peer("guestfish run, bare", LIMIT, f"exec {GUESTFISH} run", "nothing", ("guestfish",)),
            over_nbd("run", "nothing", LIMIT),
        ),
        job(
            "disks",
            "list partitions and file systems",
            glovebox("disks --engine guestfs --json $IMAGE", "disks.json"),
            guestfish(
                f"{GUESTFISH} run : list-filesystems : vfs-uuid /dev/sda1 : vfs-uuid /dev/sda2",
                "words.uuids",
            ),
            virt("virt-filesystems --format=qcow2 -a $IMAGE --all --long --uuid", "words.uuids"),
        ),
        job(
            "df",
            "how full both file systems are",
            glovebox("df --engine guestfs --json $IMAGE", "usage.json"),
            guestfish(
                f"{GUESTFISH} run : mount-ro /dev/sda1 / : statvfs / : umount / "
                ": mount-ro /dev/sda2 / : statvfs /",
                "usage.statvfs",
            ),
            virt("virt-df --format=qcow2 --csv -a $IMAGE", "usage.csv"),
        ),
        job(
            "fsck",
            "check XFS and btrfs",
            glovebox("fsck --json $IMAGE", "words.clean"),
            guestfish(
                f"{GUESTFISH} run : xfs-repair /dev/sda1 nomodify:true : btrfs-fsck /dev/sda2"
                " : echo clean",
                "words.clean",
            ),
        ),
    ]


def listings():
    return [
        job(
            "ls",
            "ls -l /etc",
            glovebox("ls --json $IMAGE $V:p1:/etc", "etc.json"),
            guestfish(f"{XFS} ll /etc", "etc.ll"),
            virt(f"virt-ls {VIRT} -lR --csv --uids --time-t /etc", "etc.virtls"),
        ),
        job(
            "list",
            "ls -R with metadata",
            glovebox("ls -R --json $IMAGE $V:p1:/", "all.json"),
            virt(f"virt-ls {VIRT} -lR --csv --uids --time-t /", "all.virtls", quick=True),
        ),
        job(
            "find",
            "find on btrfs",
            glovebox("find --json $IMAGE $V:p2:/", "all.json"),
            guestfish(f"{BTRFS} find0 / /dev/stdout", "all.names"),
        ),
    ]


def contents():
    cats = " : ".join(f"cat {path}" for path in SLICE.split())
    each = "; ".join(f"virt-cat {VIRT} {path}" for path in SLICE.split())
    ours = " ".join(f"$V:p1:{path}" for path in SLICE.split())
    return [
        job(
            "cat",
            "cat /etc/fstab",
            glovebox("cat $IMAGE $V:p1:/etc/fstab", "file.fstab"),
            guestfish(f"{XFS} download /etc/fstab /dev/stdout", "file.fstab"),
            virt(f"virt-cat {VIRT} /etc/fstab", "file.fstab"),
        ),
        job(
            "paths",
            "cat four files",
            glovebox(f"cat $IMAGE {ours}", "file.slice"),
            guestfish(f"{XFS} {cats.replace('cat ', 'download ').replace(' :', ' /dev/stdout :')}"
                      " /dev/stdout", "file.slice"),
            virt(f"virt-cat {VIRT} {SLICE}", "file.slice"),
            Peer("virt-cat, a launch each", OVERLAY, each, "file.slice", ("virt-cat",), slow=True),
        ),
        job(
            "big",
            "256 MiB file into a pipe",
            glovebox("cat $IMAGE $V:p1:/big.bin", "file.big"),
            guestfish(f"{XFS} download /big.bin /dev/stdout", "file.big"),
            over_nbd("-m /dev/sda1 download /big.bin /dev/stdout", "file.big"),
            virt(f"virt-cat {VIRT} /big.bin", "file.big"),
        ),
        job(
            "tar",
            "1,240 files as tar into a pipe",
            glovebox("extract $IMAGE $V:p1:/tree --to-tar -", "tar.tree"),
            guestfish(f"{XFS} tar-out /tree - xattrs:true", "tar.tree"),
        ),
        job(
            "root",
            "whole XFS as tar into a pipe",
            glovebox("extract $IMAGE $V:p1:/ --to-tar -", "tar.all"),
            guestfish(f"{XFS} tar-out / - xattrs:true", "tar.all"),
        ),
        job(
            "dir",
            "1,240 files into a directory",
            Peer(
                "glovebox",
                GLOVEBOX,
                "$GLOVEBOX extract -q --keep-owners $IMAGE $V:p1:/tree --to-dir $W/out >/dev/null"
                f" && cd $W/out && {TAR} tree",
                "tar.tree",
                quick=True,
            ),
            Peer(
                "guestfish copy-out",
                OVERLAY,
                f"mkdir $W/out && {XFS} copy-out /tree $W/out && cd $W/out && {TAR} tree",
                "tar.tree",
                ("guestfish",),
                quick=True,
            ),
        ),
    ]


def engine_jobs():
    return volumes() + listings() + contents()
