/// What a volume's own signature says that it holds, in the words of blkid.
public struct VolumeSignature: Sendable, Equatable {
    /// What kind of content a type is.
    public enum Usage: String, Sendable {
        /// Files.
        case filesystem
        /// Encrypted; a key is needed to see what is inside.
        case crypto
        /// A part of something larger, such as an array or a volume group.
        case raid
        /// Anything else, such as swap space.
        case other
    }

    /// The type as blkid prints it in `TYPE`, such as `ext4` or `LVM2_member`.
    public var type: String
    /// What kind of content that is, as in blkid's `USAGE`.
    public var usage: Usage
    /// The label, not necessarily UTF-8; empty where there is none.
    public var label: [UInt8]
    /// The identifier as blkid prints it in `UUID`; empty where there is none.
    public var uuid: String
    /// Size in bytes as the format states it, which can be more than the volume has.
    ///
    /// Nil where the format does not say. It is a claim of the disk: check it before using it.
    public var byteCount: UInt64?
    /// The version as blkid prints it in `VERSION`; empty where there is none.
    public var version: String

    /// Creates a signature.
    public init(
        type: String,
        usage: Usage,
        label: [UInt8] = [],
        uuid: String = "",
        byteCount: UInt64? = nil,
        version: String = ""
    ) {
        self.type = type
        self.usage = usage
        self.label = label
        self.uuid = uuid
        self.byteCount = byteCount
        self.version = version
    }

    /// Finds every signature on `volume`, the most telling one first.
    ///
    /// Containers come before file systems, since an array's member can show the file system
    /// inside it. More than one file system means that something older was not wiped: which one
    /// counts is for the caller to decide. Only UDF and ISO 9660 belong side by side on one volume.
    ///
    /// On a whole disk with partitions, some signatures (such as that of an array, which stands at
    /// the end) can be those of a partition: probe the partitions instead.
    ///
    /// Throws what the source reported where bytes could not be read and nothing else was found.
    public static func probe(_ volume: any BlockSource) throws(DiskError) -> [VolumeSignature] {
        let reader = VolumeReader(volume)
        var found: [VolumeSignature] = []
        var failure = reader.failure
        for family in families {
            do throws(DiskError) {
                if let signature = try family.probe(reader) { found.append(signature) }
            } catch {
                // Ending too early only means that it is something else.
                if error.reason != .truncated { failure = failure ?? error }
            }
        }
        if let failure, found.isEmpty { throw failure }
        return found
    }

    /// In the order in which they are believed.
    private static let families: [any SignatureFamily.Type] = [
        RAIDSignature.self,
        LVM2Signature.self,
        LUKSSignature.self,
        BitLockerSignature.self,
        FATSignature.self,
        SwapSignature.self,
        XFSSignature.self,
        ExtSignature.self,
        UDFSignature.self,
        ISO9660Signature.self,
        NTFSSignature.self,
        SquashfsSignature.self,
        BtrfsSignature.self,
        ExFATSignature.self,
    ]

    /// Whether the volume begins with the boot sector of FAT, exFAT or NTFS.
    ///
    /// Those end in 55 AA like a partition table, and are none. One whose volume cannot be read as
    /// far as recognising it needs does not count.
    package static func hasVolumeBootSector(_ volume: any BlockSource) -> Bool {
        let reader = VolumeReader(volume)
        let bootSectors: [any SignatureFamily.Type] = [
            FATSignature.self, ExFATSignature.self, NTFSSignature.self, BitLockerSignature.self,
        ]
        return bootSectors.contains { (try? $0.probe(reader)).flatMap { $0 } != nil }
    }
}

/// Recognises the content of one family of formats.
protocol SignatureFamily: SendableMetatype {
    /// What the volume holds, or nil where that is none of the family's formats.
    ///
    /// A volume too short for a structure may throw ``DiskError/Reason/truncated``.
    static func probe(_ volume: VolumeReader) throws(DiskError) -> VolumeSignature?
}

/// Reads a volume for signatures: the beginning, where nearly all of them stand, only once.
///
/// Where a part of the beginning cannot be read, each structure is read on its own, so that only
/// those are lost that stand there.
package struct VolumeReader: Sendable {
    /// The end of the last structure that has a fixed place (the superblock of btrfs).
    private static let headByteCount = 0x11000

    package let volume: any BlockSource
    package var byteCount: UInt64 { volume.byteCount }
    /// Why the beginning could not be read as a whole; nil where it could.
    package let failure: DiskError?
    private let head: [UInt8]

    package init(_ volume: any BlockSource) {
        self.volume = volume
        let count = Int(min(volume.byteCount, UInt64(Self.headByteCount)))
        do throws(DiskError) {
            self.head = try volume.bytes(at: 0, count: count)
            self.failure = nil
        } catch {
            self.head = []
            self.failure = error
        }
    }

    /// Exactly `count` bytes at `offset`; ``DiskError/Reason/truncated`` where they pass the end.
    package func bytes(at offset: UInt64, count: Int) throws(DiskError) -> [UInt8] {
        guard offset <= UInt64(head.count), UInt64(head.count) - offset >= UInt64(count) else {
            return try volume.bytes(at: offset, count: count)
        }
        return Array(head[Int(offset)..<Int(offset) + count])
    }

    /// Whether the bytes at `offset`, within the beginning, are exactly `expected`.
    ///
    /// False where the volume ends before, or cannot be read.
    package func matches(_ expected: StaticString, at offset: Int) -> Bool {
        if failure == nil {
            let span = head.span
            return span.raw.matches(expected, at: offset)
        }
        let count = expected.utf8CodeUnitCount
        guard let bytes = try? volume.bytes(at: UInt64(offset), count: count) else { return false }
        let span = bytes.span
        return span.raw.matches(expected, at: 0)
    }
}
