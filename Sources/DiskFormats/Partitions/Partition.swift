/// A part of a disk that its partition table names.
public struct Partition: Sendable, Equatable {
    /// The number by which the system knows it, such as 5 for `/dev/vda5`; from 1 on.
    public var number: Int
    /// Where it begins on the disk, in bytes.
    public var start: UInt64
    /// How long it is in bytes; never 0, and never past the end of the disk.
    public var byteCount: UInt64
    /// GPT: the type's GUID in upper case; MBR: the type in hexadecimal without padding, like `83`.
    public var type: String
    /// The name that a GPT gives, in UTF-8; empty where there is none.
    ///
    /// Surrogates without a partner stand as the three bytes ED A0 80 to ED BF BF.
    public var name: [UInt8]
    /// The identifier as blkid's `PARTUUID`; empty where the table has none.
    public var uuid: String
    /// Whether it is marked as the one to boot from (GPT: by a BIOS).
    public var bootable: Bool
    /// Whether it only holds the logical partitions of an MBR.
    public var isExtendedContainer: Bool

    /// Creates a partition; `start` and `byteCount` in bytes.
    public init(
        number: Int,
        start: UInt64,
        byteCount: UInt64,
        type: String,
        name: [UInt8] = [],
        uuid: String = "",
        bootable: Bool = false,
        isExtendedContainer: Bool = false
    ) {
        self.number = number
        self.start = start
        self.byteCount = byteCount
        self.type = type
        self.name = name
        self.uuid = uuid
        self.bootable = bootable
        self.isExtendedContainer = isExtendedContainer
    }

    /// The first byte after it.
    package var end: UInt64 { start + byteCount }
}
