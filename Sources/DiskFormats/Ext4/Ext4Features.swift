/// The three feature words of a superblock.
///
/// Bits and names: e2fsprogs `lib/e2p/feature.c`, so that they read as dumpe2fs prints them.
package struct Ext4Features: Equatable, Sendable {
    /// Features that do not matter to who does not know them.
    package var compatible: UInt32
    /// Features without which nothing can be read.
    package var incompatible: UInt32
    /// Features without which nothing can be written.
    package var readOnlyCompatible: UInt32

    /// An incompatible feature.
    package struct Incompatible: OptionSet, Sendable {
        /// The bits.
        package let rawValue: UInt32
        /// Creates a set from bits.
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        static let fileType = Self(rawValue: 0x2)
        static let recover = Self(rawValue: 0x4)
        static let journalDevice = Self(rawValue: 0x8)
        static let metaBlockGroups = Self(rawValue: 0x10)
        static let extents = Self(rawValue: 0x40)
        static let wide = Self(rawValue: 0x80)
        static let multiMountProtection = Self(rawValue: 0x100)
        static let flexibleGroups = Self(rawValue: 0x200)
        static let attributeInodes = Self(rawValue: 0x400)
        static let checksumSeed = Self(rawValue: 0x2000)
        static let largeDirectories = Self(rawValue: 0x4000)
        static let inlineData = Self(rawValue: 0x8000)
        static let encrypt = Self(rawValue: 0x10000)
        static let caseFold = Self(rawValue: 0x20000)

        /// What this reader knows; anything else is refused.
        static let known: Self = [
            .fileType, .recover, .metaBlockGroups, .extents, .wide, .multiMountProtection,
            .flexibleGroups, .attributeInodes, .checksumSeed, .largeDirectories, .inlineData,
            .encrypt, .caseFold,
        ]
        /// What made a file system more than an ext3 one, by blkid's rule.
        static let beyondExt3 = Self(rawValue: ~0x16)
    }

    /// Whether all of `features` are set.
    package func has(_ features: Incompatible) -> Bool {
        Incompatible(rawValue: incompatible).isSuperset(of: features)
    }

    package var hasJournal: Bool { compatible & 0x4 != 0 }
    package var hasDirectoryIndex: Bool { compatible & 0x20 != 0 }
    package var hasTwoBackups: Bool { compatible & 0x200 != 0 }
    package var hasSparseBackups: Bool { readOnlyCompatible & 0x1 != 0 }
    package var hasHugeFiles: Bool { readOnlyCompatible & 0x8 != 0 }
    package var hasDescriptorChecksums: Bool { readOnlyCompatible & 0x10 != 0 }
    package var hasClusters: Bool { readOnlyCompatible & 0x200 != 0 }
    package var hasMetadataChecksums: Bool { readOnlyCompatible & 0x400 != 0 }

    /// The type as blkid names it: `ext4`, `ext3`, `ext2`, or `jbd` for a journal alone.
    package var typeName: String {
        let more = Incompatible(rawValue: incompatible).intersection(.beyondExt3)
        if has(.journalDevice) { return "jbd" }
        if !more.isEmpty || readOnlyCompatible & ~0x7 != 0 { return "ext4" }
        return hasJournal ? "ext3" : "ext2"
    }

    /// All that are set, in dumpe2fs' order.
    package var names: [String] {
        Self.names(compatible, Self.compatibleNames, "C")
            + Self.names(incompatible, Self.incompatibleNames, "I")
            + Self.names(readOnlyCompatible, Self.readOnlyCompatibleNames, "R")
    }

    /// The incompatible ones that this reader does not know.
    package var unknownNames: [String] {
        Self.names(incompatible & ~Incompatible.known.rawValue, Self.incompatibleNames, "I")
    }

    /// Throws ``DiskError/Reason/unsupported`` naming the features that this reader does not know.
    func refuseUnknown() throws(DiskError) {
        let unknown = unknownNames
        guard unknown.isEmpty else {
            let names = unknown.joined(separator: ", ")
            throw DiskError(
                .unsupported,
                "",
                at: 0x60,
                "uses the feature \(names), which this reader does not know"
            )
        }
    }

    private typealias Names = [(bit: Int, name: String)]

    private static func names(_ bits: UInt32, _ table: Names, _ kind: String) -> [String] {
        (0..<32).filter { bits >> UInt32($0) & 1 == 1 }.map { bit in
            table.first { $0.bit == bit }?.name ?? "FEATURE_\(kind)\(bit)"
        }
    }

    private static let compatibleNames: Names = [
        (0, "dir_prealloc"), (1, "imagic_inodes"), (2, "has_journal"), (3, "ext_attr"),
        (4, "resize_inode"), (5, "dir_index"), (6, "lazy_bg"), (8, "snapshot_bitmap"),
        (9, "sparse_super2"), (10, "fast_commit"), (11, "stable_inodes"), (12, "orphan_file"),
    ]
    private static let incompatibleNames: Names = [
        (0, "compression"), (1, "filetype"), (2, "needs_recovery"), (3, "journal_dev"),
        (4, "meta_bg"),
        (6, "extent"), (7, "64bit"), (8, "mmp"), (9, "flex_bg"), (10, "ea_inode"), (12, "dirdata"),
        (13, "metadata_csum_seed"), (14, "large_dir"), (15, "inline_data"), (16, "encrypt"),
        (17, "casefold"),
    ]
    private static let readOnlyCompatibleNames: Names = [
        (0, "sparse_super"), (1, "large_file"), (3, "huge_file"), (4, "uninit_bg"),
        (5, "dir_nlink"),
        (6, "extra_isize"), (7, "snapshot"), (8, "quota"), (9, "bigalloc"), (10, "metadata_csum"),
        (11, "replica"), (12, "read-only"), (13, "project"), (14, "shared_blocks"), (15, "verity"),
        (16, "orphan_present"),
    ]
}
