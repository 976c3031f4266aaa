import DiskFormats
import Foundation
import Testing

/// What `sfdisk --json` prints.
private struct SfdiskReport: Decodable {
    struct Table: Decodable {
        var label: String
        var id: String
        var sectorsize: UInt64
        var partitions: [Entry]?
    }
    struct Entry: Decodable {
        var node: String
        var start: UInt64
        var size: UInt64
        var type: String
        var uuid: String?
        var name: String?
        var attrs: String?
        var bootable: Bool?
    }
    var partitiontable: Table

    init(in directory: URL) throws {
        let text = try PartitionLab.sh("sfdisk --json image", in: directory)
        self = try JSONDecoder().decode(SfdiskReport.self, from: Data(text.utf8))
    }
}

@Suite(.enabled(if: PartitionLab.has("sfdisk", "sgdisk", "blkid", "partx"), "tools are missing"))
struct PartitionTableTests {
    static let recipes: [String] = [
        // MBR: primary, bootable, extended with logical partitions.
        #"printf 'label: dos\n,8M,83,*\n,8M,82\n,8M,7\n,8M,c\n' | sfdisk -q image"#,
        """
        printf 'label: dos\\nlabel-id: 0x2f9bd5c7\\n,8M,83,*\\n,,5\\n,4M,83\\n,4M,c\\n,4M,8e\\n' \
        | sfdisk -q image
        """,
        #"printf 'label: dos\n,,f\n,1M\n,1M\n,1M\n,1M\n,1M\n,1M\n,1M\n,1M\n' | sfdisk -q image"#,
        // Number 3 without 1 and 2; a container without content.
        #"printf 'label: dos\nimage3 : start=2048, size=2048\n' | sfdisk -q image"#,
        #"printf 'label: dos\n,8M\n,,5\n' | sfdisk -q image"#,
        // A logical partition taken out of the middle of the chain.
        """
        printf 'label: dos\\n,,5\\n,4M,83\\n,4M,82\\n,4M,8e\\n' | sfdisk -q image
        sfdisk -q --delete image 6
        """,
        // GPT: names beyond ASCII, attributes, holes in the numbering, more entries than usual.
        """
        printf 'label: gpt\\nsize=8M,type=uefi,name="EFI größe 🚀"\\nsize=8M,\
        attrs=LegacyBIOSBootable\\n' | sfdisk -q image
        """,
        "sgdisk -n 1:0:+1M -n 7:0:+1M -t 7:8e00 -c 7:data -n 128:0:+1M image",
        "sgdisk -S 512 image; sgdisk -n 200:0:+1M -n 512:0:+1M -A 512:set:2 image",
        "for n in $(seq 128); do a=\"$a -n $n:0:+64K\"; done; sgdisk -a 1 $a image",
        // A disk that grew after it was divided, and a hybrid record.
        "sgdisk -n 1:0:+8M image; truncate -s 256M image",
        "sgdisk -n 1:0:+8M -n 2:0:+8M -h 1:EE image",
    ]

    @Test(arguments: recipes)
    func `a table is read as sfdisk and partx read it`(recipe: String) throws {
        let script = "a=; truncate -s 64M image; { \(recipe); } >/dev/null"
        try PartitionLab.withImage(script) { image, directory in
            let expected = try SfdiskReport(in: directory).partitiontable
            let table = try PartitionTable.read(image)
            #expect(table.kind.rawValue == (expected.label == "dos" ? "mbr" : expected.label))
            #expect(table.identifier == expected.id)
            #expect(table.sectorSize == Int(expected.sectorsize))
            #expect(table.problems == [])
            let entries = expected.partitions ?? []
            #expect(!entries.isEmpty && table.partitions.count == entries.count)
            for (partition, entry) in zip(table.partitions, entries) {
                #expect("image\(partition.number)" == entry.node)
                #expect(partition.start == entry.start * expected.sectorsize)
                #expect(partition.byteCount == entry.size * expected.sectorsize)
                #expect(partition.type == entry.type)
                #expect(partition.name == Array((entry.name ?? "").utf8))
                if let uuid = entry.uuid { #expect(partition.uuid == uuid.lowercased()) }
                let isLegacy = entry.attrs?.contains("LegacyBIOSBootable") ?? false
                #expect(partition.bootable == (entry.bootable ?? false || isLegacy))
                let isContainer = expected.label == "dos" && ["5", "f", "85"].contains(entry.type)
                #expect(partition.isExtendedContainer == isContainer)
            }
            let uuids = try PartitionLab.sh("partx -g -o NR,UUID image", in: directory)
            let lines = uuids.split(separator: "\n").map {
                $0.split(separator: " ").map(String.init)
            }
            #expect(table.partitions.map { [String($0.number), $0.uuid] } == lines)
        }
    }

    @Test(.enabled(if: PartitionLab.has("fdisk", "mkfs.ext4"), "fdisk or mkfs.ext4 is missing"))
    func `sectors of 4 KiB are recognised in both kinds of table`() throws {
        // The answers to fdisk: a new label, a partition of 16 MiB, and one in the rest.
        for (label, answers) in [
            ("gpt", #"g\nn\n1\n\n+16M\nn\n2\n\n\nw\n"#),
            ("dos", #"o\nn\np\n1\n\n+16M\nn\np\n2\n\n\nw\n"#),
        ] {
            let script = """
                truncate -s 64M image
                printf '\(answers)' | fdisk -b 4096 -w always -W always image >/dev/null
                mkfs.ext4 -q -F -E offset=$((256 * 4096)) image 12M 2>/dev/null
                """
            try PartitionLab.withImage(script) { image, directory in
                let list = "fdisk -b 4096 -l -o Start,Sectors image | sed -n '/^Start/,$p'"
                let text = try PartitionLab.sh(list, in: directory)
                let rows = text.split(separator: "\n").dropFirst().map { line in
                    line.split(separator: " ").compactMap { UInt64($0) }.map { $0 * 4096 }
                }
                let table = try PartitionTable.read(image)
                #expect(table.kind.rawValue == (label == "dos" ? "mbr" : "gpt"))
                #expect(table.sectorSize == 4096)
                #expect(table.problems == [])
                #expect(rows.count == 2)
                #expect(table.partitions.map { [$0.start, $0.byteCount] } == rows)
            }
        }
    }

    @Test(arguments: [
        "mkfs.vfat -F 12 -S 1024 -s 128 image", "mkfs.vfat -F 16 image", "mkfs.vfat -F 32 image",
        "mkfs.exfat image", "mkfs.ntfs -Q -F image", "mkfs.ext4 -q -F image",
        "mkfs.xfs -q image",
    ])
    func `a volume on the whole disk is not taken for a table`(recipe: String) throws {
        // Also over an old GPT, whose second copy stays at the end.
        for before in ["true", "sgdisk -n 1:0:+8M image"] {
            // What does not clear the first sector itself leaves its table in place.
            let wipe = "dd if=/dev/zero of=image bs=512 count=1 conv=notrunc"
            let script =
                "truncate -s 320M image; { \(before); \(wipe); \(recipe); } >/dev/null 2>&1"
            let tool = String(recipe.prefix { $0 != " " })
            guard PartitionLab.has(tool) else { try Test.cancel("\(tool) is missing") }
            try PartitionLab.withImage(script) { image, _ in
                let table = try PartitionTable.read(image)
                #expect(table == PartitionTable(kind: .none))
            }
        }
    }

    @Test func `a disk too short for a table has none`() throws {
        for count in [0, 1, 511, 512, 513] {
            let disk = MemorySource([UInt8](repeating: 0, count: count))
            #expect(try PartitionTable.read(disk) == PartitionTable(kind: .none))
        }
    }

    @Test func `an MBR without entries on an empty disk is an MBR`() throws {
        let script = "truncate -s 8M image; echo 'label: dos' | sfdisk -q image"
        try PartitionLab.withImage(script) { image, directory in
            let expected = try SfdiskReport(in: directory).partitiontable
            let table = try PartitionTable.read(image)
            #expect(table == PartitionTable(kind: .mbr, identifier: expected.id))
        }
    }
}
