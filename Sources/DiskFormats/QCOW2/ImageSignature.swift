/// The signature of a disk image format other than raw.
package struct ImageSignature: Equatable, Sendable {
    /// The format as qemu-img calls it.
    package let format: String

    /// Looks for a signature at the beginning of `file`; nil where there is none that is known.
    package init?(reading file: any BlockSource) throws(DiskError) {
        let start = try file.bytes(at: 0, count: Int(min(file.byteCount, 512)))
        let span = start.span
        guard let format = Self.format(of: span.raw) else { return nil }
        self.format = format
    }

    private static func format(of start: RawSpan) -> String? {
        if QCOW2Header.hasMagic(start) { return "qcow2" }
        for (signature, offset, format) in known where start.matches(signature, at: offset) {
            return format
        }
        if start.matches("LUKS", at: 0), (try? start.be(UInt16.self, at: 4)) == 0xBABE {
            return "luks"
        }
        return (try? start.u32(at: 0x40)) == 0xBEDA_107F ? "vdi" : nil
    }

    /// Those whose signature is text.
    ///
    /// Sources: the probe functions in QEMU's `block/`.
    private static let known: [(StaticString, Int, String)] = [
        ("QED\0", 0, "qed"),
        ("KDMV", 0, "vmdk"),
        ("COWD", 0, "vmdk"),
        ("# Disk DescriptorFile", 0, "vmdk"),
        ("vhdxfile", 0, "vhdx"),
        ("conectix", 0, "vpc"),
        ("WithoutFreeSpace", 0, "parallels"),
        ("WithouFreSpacExt", 0, "parallels"),
        ("Bochs Virtual HD Image", 0, "bochs"),
        ("#!/bin/sh\n#V2.0 Format\n", 0, "cloop"),
    ]
}
