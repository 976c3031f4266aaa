/// The name of a backing file, as far as it can be a plain path.
package struct BackingName: Equatable, Sendable {
    /// The path as it stands in the header.
    package let path: String

    /// Accepts `bytes` where QEMU would take them for a path, and refuses everything else by name.
    ///
    /// QEMU takes a name for a protocol, such as `nbd:` or `json:`, where a colon comes before the
    /// first slash (QEMU `block.c`, `path_has_protocol`).
    package init(_ bytes: [UInt8]) throws(DiskError) {
        func refused(_ why: String) -> DiskError {
            let shown = String(decoding: bytes.prefix(80), as: UTF8.self)
            return DiskError(.refused, "backing file name", "\(shown.debugDescription) \(why)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw refused("is not UTF-8")
        }
        guard !bytes.isEmpty, !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw refused("is empty or has control characters")
        }
        if let stop = bytes.firstIndex(where: { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
        ),
            bytes[stop] == UInt8(ascii: ":")
        {
            let prefix = String(decoding: bytes[..<stop], as: UTF8.self)
            throw refused(
                prefix == "json"
                    ? "is a description in JSON, which could name anything; only paths are followed"
                    : "has the protocol prefix \(prefix):; only paths are followed"
            )
        }
        path = text
    }

    /// The path, taken relative to the directory of the image that names it.
    ///
    /// `carry` gives it the form that paths of the host have, such as `image` itself.
    package func path(
        relativeTo image: String,
        carriedBy carry: ([UInt8]) -> String = { String(decoding: $0, as: UTF8.self) }
    ) -> String {
        let slash = UInt8(ascii: "/")
        let own = carry(Array(path.utf8))
        guard own.utf8.first != slash, let last = image.utf8.lastIndex(of: slash) else {
            return own
        }
        return String(decoding: image.utf8[...last], as: UTF8.self) + own
    }
}
