internal import Digests
internal import DiskFormats

/// bag-info.txt, in the one form that it is written in.
struct BagInformation: Equatable {
    /// `glovebox VERSION`.
    let program: String
    /// `YYYY-MM-DD`.
    let date: String
    /// The ticket, escaped; nil without an approval.
    let ticket: String?
    /// What the bag calls itself.
    let name: String
    let payloadBytes: UInt64
    let payloadFiles: UInt64

    init(_ text: [UInt8]) throws(BagStop) {
        var lines = BagLines(text, of: .information)
        program = try lines.value("Bag-Software-Agent") {
            $0.starts(with: "glovebox ".utf8) && $0.count > 9
                && $0.dropFirst(9).allSatisfy { 0x21...0x7E ~= $0 }
        }
        date = try lines.value("Bagging-Date") {
            $0.count == 10 && Timestamp(iso8601: String(decoding: $0, as: UTF8.self)) != nil
        }
        ticket =
            lines.has("External-Identifier")
            ? try lines.value("External-Identifier") { $0.allSatisfy { 0x20...0x7E ~= $0 } } : nil
        name = try lines.value("Internal-Sender-Identifier", OuterTarReader.isName)
        var oxum: [UInt64] = []
        _ = try lines.value("Payload-Oxum") {
            let parts = $0.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            oxum = parts.compactMap { PaxRecords.decimal($0) }
            return parts.count == 2 && oxum.count == 2
        }
        (payloadBytes, payloadFiles) = (oxum.first ?? 0, oxum.last ?? 0)
        try lines.end()
    }
}

/// A manifest, in the one form that it is written in: a line for each of `files`, in their order.
struct BagManifest {
    private(set) var digests: [BagFile: Digest] = [:]

    init(_ text: [UInt8], of manifest: BagFile, _ files: [BagFile]) throws(BagStop) {
        var lines = BagLines(text, of: manifest)
        for file in files {
            let line = try lines.next("the digest of \(file.rawValue)")
            let path = Array("  \(file.rawValue)".utf8)
            guard line.count == 2 * Digest.byteCount + path.count,
                line.suffix(path.count).elementsEqual(path),
                let digest = Digest(hexadecimal: line.prefix(2 * Digest.byteCount))
            else { throw lines.wrong("the digest of \(file.rawValue)") }
            digests[file] = digest
        }
        try lines.end()
    }
}

/// Reads a small text line by line.
struct BagLines {
    private let file: BagFile
    private var lines: ArraySlice<ArraySlice<UInt8>>
    private let isEnded: Bool
    private(set) var number = 0

    init(_ text: [UInt8], of file: BagFile) {
        self.file = file
        isEnded = text.last == UInt8(ascii: "\n")
        lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        if isEnded { lines.removeLast() }
    }

    /// A fault of the current line.
    func wrong(_ wanted: String) -> BagStop {
        .fault(.line(file, number), "this is not \(wanted), as it has to be")
    }

    mutating func next(_ wanted: String) throws(BagStop) -> ArraySlice<UInt8> {
        number += 1
        guard let line = lines.popFirst() else { throw .fault(.file(file), "\(wanted) is missing") }
        guard !lines.isEmpty || isEnded else {
            throw .fault(.line(file, number), "the last line has no newline")
        }
        return line
    }

    /// Whether the next line is that of `label`.
    func has(_ label: String) -> Bool {
        lines.first?.starts(with: "\(label): ".utf8) ?? false
    }

    /// The value of a line `LABEL: VALUE`, which has to be as `isRight` says.
    mutating func value(
        _ label: String,
        _ isRight: (ArraySlice<UInt8>) -> Bool
    ) throws(BagStop) -> String {
        let line = try next(label)
        let value = line.dropFirst(label.utf8.count + 2)
        guard line.starts(with: "\(label): ".utf8), isRight(value) else { throw wrong(label) }
        return String(decoding: value, as: UTF8.self)
    }

    func end() throws(BagStop) {
        guard lines.isEmpty else {
            throw .fault(.line(file, number + 1), "this line does not belong here")
        }
    }
}
