import Testing

/// How to make a volume with a foreign tool, and how another one states its size.
struct SignatureRecipe: CustomTestStringConvertible {
    /// The shell commands that make the file `image`, which is 320 MiB of zeros before.
    var make: String
    /// The program that must be installed.
    var tool: String
    /// The shell command that prints the size in bytes; nil where no tool states it.
    var size: String?

    init(_ make: String, needs tool: String? = nil, size: String? = nil) {
        self.make = make
        self.tool = tool ?? String(make.prefix { $0 != " " })
        self.size = size
    }

    var testDescription: String { make }

    private static let extSize = """
        dumpe2fs -h image 2>/dev/null \
        | awk '/^Block count/{c=$3} /^Block size/{s=$3} END{printf "%d", c*s}'
        """
    private static let xfsSize = """
        xfs_db -r -c 'sb 0' -c 'p dblocks logblocks logstart blocksize' image \
        | awk '{v[$1]=$3} END{printf "%d", (v["dblocks"]-v["logblocks"])*v["blocksize"]}'
        """
    private static let fatSize = """
        fsck.fat -nv image | awk '/bytes per logical/{b=$1} /sectors total/{s=$1} \
        END{printf "%d", b*s}'
        """
    private static let exfatSize = """
        dump.exfat image | awk '/^Volume Length/{s=$NF} /^Sector Size Bits/{b=$NF} \
        END{printf "%d", s * 2^b}'
        """
    private static let btrfsSize = """
        btrfs inspect-internal dump-super image | awk '/^total_bytes/{print $2}'
        """
    private static let isoSize = """
        isoinfo -d -i image | awk '/Logical block size/{b=$NF} /Volume size/{s=$NF} \
        END{printf "%d", b*s}'
        """
    private static let squashfsSize = "unsquashfs -s image | awk '/^Filesystem size/{print $3}'"
    /// mkntfs leaves the last sector to the copy of the boot sector.
    private static let ntfsSize = "echo $(($(stat -c %s image) - 512))"

    private static let tree = "mkdir tree; echo content > tree/file; "
    private static let luks = """
        echo key | cryptsetup luksFormat -q --pbkdf-force-iterations 1000 --key-file -
        """

    static let all: [SignatureRecipe] = ext + others + fat + exfat + ntfs + swap + discs + crypto

    private static let ext = [
        "mkfs.ext2 -q -F image", "mkfs.ext2 -q -F -r 0 image", "mkfs.ext3 -q -F -L ' größe' image",
        "mkfs.ext4 -q -F -L 'sixteen bytes ok' image", "mkfs.ext4 -q -F -O ^has_journal image",
        "mkfs.ext4 -q -F -O 64bit,metadata_csum -b 1024 image",
        "mkfs.ext4 -q -F -O ^metadata_csum,^64bit,uninit_bg -b 65536 image",
        "mkfs.ext4 -q -F -O casefold,encrypt,inline_data,quota -U 00000000-0000-0000-0000-000000000000 image",
        "mkfs.ext4 -q -F -E test_fs image", "mkfs.ext4 -q -F -O journal_dev image",
    ].map { SignatureRecipe($0, size: extSize) }

    private static let others =
        [
            "mkfs.xfs -q -L 'twelve bytes' image", "mkfs.xfs -q -m crc=0 image",
            "mkfs.xfs -q -b size=1024 image", "mkfs.xfs -q -s size=4096 image",
            "mkfs.xfs -q -b size=65536 image",
        ].map { SignatureRecipe($0, size: xfsSize) }
        + [
            "mkfs.btrfs -q -L 'a b ' image", "mkfs.btrfs -q --csum xxhash image",
            "mkfs.btrfs -q --csum sha256 image", "mkfs.btrfs -q --csum blake2 -s 4096 image",
        ].map { SignatureRecipe($0, size: btrfsSize) }
        + [
            SignatureRecipe(
                tree + "rm image; mksquashfs tree image -quiet",
                needs: "mksquashfs",
                size: squashfsSize
            )
        ]

    private static let fat = [
        "mkfs.vfat -F 12 -n FLOPPY -C small 1440; mv small image",
        "mkfs.vfat -F 12 -S 1024 -s 128 image", "mkfs.vfat -F 16 -n 'A B' image",
        "mkfs.vfat -F 16 image", "mkfs.vfat -F 32 image",
        "mkfs.vfat -F 32 -S 4096 -i 0123abcd -n LABEL image",
        "mkfs.vfat -F 32 -h 2048 -R 64 -f 1 image", "mkfs.vfat -a -F 16 -n X image",
        "mkfs.vfat -F 32 image; mlabel -i image ::NEWER", "mkfs.vfat -I --mbr=y image",
        "mkfs.vfat -F 32 -s 1 -n OLD image; mmd -i image $(seq -f ::d%g 40); mlabel -c -i image ::",
    ].map { SignatureRecipe($0, size: fatSize) }

    private static let exfat = [
        "mkfs.exfat image", "mkfs.exfat -L 'elf größe🚀' image", "mkfs.exfat -c 1M -L x image",
    ].map { SignatureRecipe($0, size: exfatSize) }

    private static let ntfs = [
        "mkfs.ntfs -Q -F image", "mkfs.ntfs -Q -F -L ' näm e🚀 ' image",
        "mkfs.ntfs -Q -F -s 4096 -c 65536 -L x image",
    ].map {
        SignatureRecipe(
            $0,
            size: $0.contains("-s 4096") ? "echo $(((320 << 20) - 4096))" : ntfsSize
        )
    }

    private static let swap = [4096, 8192, 16384, 32768, 65536].map { page in
        SignatureRecipe(
            "mkswap -p \(page) -L 'swap \(page)' image",
            size: "echo $(($(stat -c %s image) - \(page)))"
        )
    }

    private static let discs =
        [
            "genisoimage -quiet -o image tree", "genisoimage -quiet -J -V Label_x -o image tree",
            "genisoimage -quiet -J -V größe -o image tree",
            "genisoimage -quiet -J -r -V 'a_rather_long_label_of_32_signs' -o image tree",
            "xorriso -as mkisofs -quiet -J -V config-2 -o image tree",
            "genisoimage -quiet -udf -J -V BRIDGE -o image tree",
        ].map {
            SignatureRecipe(tree + $0, needs: String($0.prefix { $0 != " " }), size: isoSize)
        }
        + [
            "mkudffs image", "mkudffs -b 2048 -l größe image", "mkudffs -b 4096 -l 🚀 image",
            "mkudffs -b 1024 -m bdr -r 2.60 --fullvsid=NotHexadecimalAtAll image",
            "mkudffs -m cdrw -r 1.50 --fullvsid=0123ABCDxyzäöü image",
            "mkudffs --uuid=0123456789abcdef image",
        ].map { SignatureRecipe($0) }

    private static let crypto = [
        "\(luks) --type luks1 image", "\(luks) --type luks2 --pbkdf pbkdf2 --label 'a b' image",
        "\(luks) --type luks2 --pbkdf pbkdf2 --subsystem s image",
    ].map { SignatureRecipe($0, needs: "cryptsetup") }
}
