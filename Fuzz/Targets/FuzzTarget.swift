/// A reader that is fed hostile bytes.
///
/// A target takes any bytes and gives nothing back. It ends: with a trap where the reader breaks a
/// promise that its callers rely on, quietly otherwise. Errors that the reader throws are ordinary.
package enum FuzzTarget: String, CaseIterable, Sendable {
    /// Partition tables: MBR with extended chains, GPT with its backup.
    case partitions
    /// Signatures of volumes.
    case signatures
    /// qcow2 headers, tables and data.
    case qcow2
    /// A walk over a whole ext2, ext3 or ext4 volume.
    case ext4
    /// The replay of a jbd2 journal.
    case journal

    /// Feeds `input`, whose first byte holds switches of the target and whose rest is a
    /// ``PackedImage``.
    package func run(_ input: [UInt8]) {
        guard let switches = input.first else { return }
        var image = PackedImage(input.dropFirst())
        // The lowest switch always takes the checksums out of the way.
        let isWithoutChecksums = switches & 1 != 0
        switch self {
        case .partitions:
            if isWithoutChecksums { image.sealGPT() }
            fuzzPartitions(image)
        case .signatures:
            if isWithoutChecksums { image.sealExFAT() }
            fuzzSignatures(image)
        case .qcow2: fuzzQCOW2(image)
        case .ext4: fuzzExt4(image, Ext4Switches(rawValue: switches))
        case .journal: fuzzJournal(image, JournalSwitches(rawValue: switches))
        }
    }
}
