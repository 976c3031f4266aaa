# Functions for the recipes. Foreign programs do all the work: mke2fs, debugfs, sfdisk, qemu-img.
# shellcheck shell=bash

# The same images every time: e2fsprogs takes this for the present moment.
export E2FSPROGS_FAKE_TIME=1767225600 MKE2FS_CONFIG=/dev/null LC_ALL=C TZ=UTC
export MTOOLS_SKIP_CHECK=1

# quiet COMMAND…: runs it, and shows what it said only where it fails.
quiet() {
    local said
    if ! said=$("$@" 2>&1); then
        printf '%s\nfailed: %s\n' "$said" "$*" >&2
        return 1
    fi
}

# ext4 FILE SIZE TREE [mke2fs options…]: a file system with the content of a directory.
ext4() {
    local file=$1 size=$2 tree=$3
    shift 3
    rm -f "$file"
    truncate -s "$size" "$file"
    quiet mke2fs -q -F -t ext4 -I 256 -b 4096 \
        -O has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize \
        -E hash_seed=6d9bb3ee-3b4c-4b1c-a5a3-2cbd4b4d1f10,root_owner=0:0 -d "$tree" "$@" "$file"
}

# edit FILE[?offset=N]: runs the debugfs commands on standard input; any complaint is an error.
edit() {
    local said
    said=$(debugfs -w -f - "$1" 2>&1 | grep -vE '^debugfs( |:)|^Allocated inode|^$') || true
    if [ -n "$said" ]; then
        printf 'debugfs %s: %s\n' "$1" "$said" >&2
        return 1
    fi
}

# put FILE DISK OFFSET: copies a file system into a disk image, leaving holes.
put() {
    dd if="$1" of="$2" bs=64K seek="$(($3 / 65536))" conv=notrunc,sparse status=none
}

# partition DISK: writes the partition table in sfdisk's language from standard input.
partition() {
    quiet sfdisk --quiet --no-reread --no-tell-kernel "$1"
}

# changes_only CHANGED OVERLAY BASE FORMAT: an overlay on BASE that holds what differs in CHANGED.
changes_only() {
    quiet qemu-img create -q -f qcow2 -b "$1" -F raw "$2"
    quiet qemu-img rebase -q -f qcow2 -b "$3" -F "$4" "$2"
}

# fat FILE SIZE LABEL [mkfs.fat options…]: an empty FAT file system.
fat() {
    local file=$1 size=$2 label=$3
    shift 3
    rm -f "$file"
    truncate -s "$size" "$file"
    quiet mkfs.fat -n "$label" -i 5EED0001 "$@" "$file"
}

# log_lines COUNT PROGRAM: what a log holds.
log_lines() {
    awk -v count="$1" -v program="$2" 'BEGIN {
        for (line = 1; line <= count; line++)
            printf "2026-01-01T%02d:%02d:%02dZ web-1 %s[%d]: message %d of the day\n",
                line / 3600 % 24, line / 60 % 60, line % 60, program, 400 + line % 7, line
    }'
}

# cloud_root DIR FSTAB: the root directory of a small cloud image.
cloud_root() {
    local dir=$1
    mkdir -p "$dir"/{boot/efi,dev,etc/{ssh,cloud,systemd/system},home/debian/.ssh,mnt,opt,proc} \
        "$dir/root" \
        "$dir"/{run,srv,sys,tmp,usr/{bin,lib,share/doc},var/{cache,lib,log/{apt,journal},tmp}}
    printf '%s' "$2" > "$dir/etc/fstab"
    echo web-1 > "$dir/etc/hostname"
    printf 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n' > "$dir/usr/lib/os-release"
    printf 'root:x:0:0:the guest:/root:/bin/bash\ndebian:x:1000:1000::/home/debian:/bin/bash\n' \
        > "$dir/etc/passwd"
    printf 'root:*:20000:0:99999:7:::\n' > "$dir/etc/shadow"
    printf '127.0.0.1 localhost\n192.0.2.10 web-1.example.com web-1\n' > "$dir/etc/hosts"
    printf 'PermitRootLogin no\nPasswordAuthentication no\n' > "$dir/etc/ssh/sshd_config"
    printf 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleOnly somebody@example.com\n' \
        > "$dir/home/debian/.ssh/authorized_keys"
    log_lines 2000 systemd > "$dir/var/log/syslog"
    log_lines 300 sshd > "$dir/var/log/auth.log"
    log_lines 120 kernel > "$dir/var/log/kern.log"
    log_lines 9000 cloud-init | gzip -n > "$dir/var/log/syslog.2.gz"
    log_lines 40 dpkg > "$dir/var/log/apt/history.log"
    seq 1 200000 > "$dir/usr/lib/numbers"
    printf '#!/bin/sh\necho hello\n' > "$dir/usr/bin/hello"
    chmod 0755 "$dir/usr/bin/hello"
    chmod 0640 "$dir/etc/shadow"
    chmod 0700 "$dir/root" "$dir/home/debian" "$dir/home/debian/.ssh"
    chmod 1777 "$dir/tmp" "$dir/var/tmp"
    chown -R 1000:1000 "$dir/home/debian" 2>/dev/null || true
    ln -s usr/bin "$dir/bin"
    ln -s ../usr/lib/os-release "$dir/etc/os-release"
    ln -s /usr/share/zoneinfo/Etc/UTC "$dir/etc/localtime"
    # Links that would leave the guest's tree if they were followed on the host.
    ln -s /etc/passwd "$dir/srv/absolute"
    ln -s ../../../../../../../etc/passwd "$dir/srv/upwards"
    ln -s loop-b "$dir/srv/loop-a"
    ln -s loop-a "$dir/srv/loop-b"
    ln -s self/deeper "$dir/srv/self"
    ln -s nowhere "$dir/srv/dangling"
    ln -s /etc "$dir/srv/etc"
    settle "$dir"
}

# settle DIR: the same times on every run.
settle() { find "$1" -exec touch -h -d 2026-01-01T00:00:00.123456789Z {} +; }

strange_tree() { /usr/bin/python3 "$fixtures/tree.py" "$1"; }

ROOT_UUID=0b7a3c1e-53a4-4c53-9f6e-4cf3a0d3a001
VAR_UUID=0b7a3c1e-53a4-4c53-9f6e-4cf3a0d3a002
HOME_UUID=0b7a3c1e-53a4-4c53-9f6e-4cf3a0d3a003
LOCAL_UUID=0b7a3c1e-53a4-4c53-9f6e-4cf3a0d3a004
INSTANCE=5f0c8a52-1c1d-4b60-9a6f-2f3e8f2c1a77

# cloud_disk FILE TREE: GPT as cloud images have it: root is p1 but last, BIOS boot p14, EFI p15.
cloud_disk() {
    local disk=$1 tree=$2
    truncate -s 400M "$disk"
    partition "$disk" <<'TABLE'
label: gpt
label-id: 9C1D1B7E-6C2B-4D6C-9A55-0A8C2B7D0001
first-lba: 34
1: start=262144, size=524288, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=9C1D1B7E-6C2B-4D6C-9A55-0A8C2B7D0011
14: start=2048, size=6144, type=21686148-6449-6E6F-744E-656564454649, uuid=9C1D1B7E-6C2B-4D6C-9A55-0A8C2B7D0014
15: start=8192, size=253952, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=9C1D1B7E-6C2B-4D6C-9A55-0A8C2B7D0015
TABLE
    ext4 root.ext4 256M "$tree" -L cloudimg-rootfs -U "$ROOT_UUID"
    fat efi.fat 124M UEFI -F 32
    mmd -i efi.fat ::EFI ::EFI/BOOT
    printf 'not a real loader\n' | mcopy -i efi.fat - ::EFI/BOOT/BOOTX64.EFI
    put root.ext4 "$disk" $((262144 * 512))
    put efi.fat "$disk" $((8192 * 512))
    rm -f root.ext4 efi.fat
}
CLOUD_FSTAB='LABEL=cloudimg-rootfs / ext4 rw,discard,errors=remount-ro 0 1
LABEL=UEFI /boot/efi vfat umask=0077 0 1
'

# nova_instance BASE_FORMAT: instances/_base/SHA1 and instances/UUID with an overlay on it, so that
# what the guest wrote later stands in the overlay alone and the rest in the base alone.
nova_instance() {
    local format=$1 instance=instances/$INSTANCE base
    rm -rf instances tree
    mkdir -p "$instance" instances/_base
    cloud_root tree "$CLOUD_FSTAB"
    cloud_disk base.raw tree
    base=$out/instances/_base/$(printf '%s' "$format" | sha1sum | cut -d' ' -f1)
    cp --sparse=always base.raw changed.raw
    printf 'written by the guest\n' > written
    log_lines 5000 nginx > grown
    edit "changed.raw?offset=$((262144 * 512))" <<'COMMANDS'
write written /etc/written-later
rm /var/log/syslog
write grown /var/log/syslog
mkdir /var/log/nginx
write grown /var/log/nginx/access.log
COMMANDS
    if [ "$format" = raw ]; then
        mv base.raw "$base"
    else
        quiet qemu-img convert -f raw -O "$format" base.raw "$base"
        rm base.raw
    fi
    changes_only "$out/changed.raw" "$instance/disk" "$base" "$format"
    mkdir -p local/lost local/data
    echo 'the ephemeral disk' > local/note
    seq 1 50000 > local/data/numbers
    settle local
    ext4 local.raw 64M local -L ephemeral0 -U "$LOCAL_UUID"
    quiet qemu-img convert -f raw -O qcow2 local.raw "$instance/disk.local"
    config_drive "$instance/disk.config"
    printf '{"%s": "qcow2", "%s": "qcow2", "%s": "raw"}' "$out/$instance/disk" \
        "$out/$instance/disk.local" "$out/$instance/disk.config" > "$instance/disk.info"
    printf '[    0.000000] Linux version 6.1.0\nweb-1 login: \n' > "$instance/console.log"
    rm -rf tree local local.raw changed.raw written grown
}

# config_drive FILE: the ISO 9660 image by which Nova tells an instance who it is.
config_drive() {
    rm -rf config
    mkdir -p config/openstack/latest
    printf '{"uuid": "%s", "hostname": "web-1"}' "$INSTANCE" \
        > config/openstack/latest/meta_data.json
    quiet genisoimage -quiet -R -J -V config-2 -o "$1" config
    rm -rf config
}
