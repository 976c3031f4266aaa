internal import Custody
internal import Digests
internal import JSON
internal import Linux

/// A line of the audit log as it was noted elsewhere: in a bag, or by hand.
package struct AuditAnchor: Equatable, Sendable {
    /// How it was given.
    package let text: String
    /// The line.
    package let record: AuditRecord

    /// Reads `SEQ:SHA256`, or else the custody of the evidence bag at that path, a directory or a tar.
    ///
    /// Of the bag nothing else is looked at: whether it is sound, `verify` says.
    package init(_ text: String) throws(GloveboxError) {
        self.text = text
        if let record = Self.record(text) {
            self.record = record
            return
        }
        let custody: [UInt8]
        do throws(SystemError) { custody = try Self.custody(text) } catch {
            throw GloveboxError(
                error.name == "ENOENT" ? .notFound : .unreadable,
                "\(error).",
                advice: "An anchor is an evidence bag, or SEQ:SHA256 with 64 hexadecimal digits."
            )
        }
        do throws(JSONError) { record = try Self.record(in: custody) } catch {
            throw GloveboxError(.unreadable, "\(text): data/custody.jsonl: \(error).")
        }
    }

    private static func record(_ text: String) -> AuditRecord? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let sequence = UInt64(parts[0]), sequence > 0,
            let digest = Digest(hexadecimal: Array(parts[1].utf8))
        else { return nil }
        return AuditRecord(sequence: sequence, digest: digest)
    }

    /// The line that a bag's custody names; the custody has to be an unbroken chain.
    static func record(in custody: [UInt8]) throws(JSONError) -> AuditRecord {
        var chain = HashChain()
        var found: AuditRecord?
        guard custody.last == UInt8(ascii: "\n") else { throw JSONError("it does not end") }
        for line in custody.dropLast().split(
            separator: UInt8(ascii: "\n"),
            omittingEmptySubsequences: false
        ) {
            guard line.count <= HashChain.lineBytesMax else {
                throw JSONError("a line is too long")
            }
            var members = try chain.read(Array(line))
            guard try members.string("event") == "audit" else { continue }
            guard found == nil else { throw JSONError("it has two \"audit\" lines") }
            let sequence = try members.integer("sequence", as: UInt64.self)
            let text = try members.string("sha256")
            guard sequence > 0, let digest = Digest(hexadecimal: Array(text.utf8)) else {
                throw JSONError("its \"audit\" line names no line of a log")
            }
            found = AuditRecord(sequence: sequence, digest: digest)
        }
        guard let found else { throw JSONError("it has no \"audit\" line") }
        return found
    }
}

// MARK: - Finding the custody

extension AuditAnchor {
    private static let custodyPath = "data/custody.jsonl"
    private static let custodyBytesMax = 16 << 20
    private static let filesMax = 64
    private static let blockBytes: UInt64 = 512
    /// EFBIG and EBADMSG.
    private static let (tooLarge, malformed): (Int32, Int32) = (27, 74)

    private static func custody(_ path: String) throws(SystemError) -> [UInt8] {
        let bag = try FileDescriptor.openFile(path)
        switch try bag.status().kind {
        case .directory:
            let file = try bag.openFile(custodyPath)
            guard try file.status().kind == .regular else {
                throw SystemError(call: "open", path: file.path, errno: malformed)
            }
            return try file.readAll(limit: custodyBytesMax)
        case .regular:
            return try custody(inTar: bag)
        default:
            throw SystemError(call: "open", path: path, errno: malformed)
        }
    }

    /// Goes from header to header of a bag's tar, in which there are nothing but files.
    private static func custody(inTar bag: FileDescriptor) throws(SystemError) -> [UInt8] {
        let error = SystemError(call: "read", path: bag.path, errno: malformed)
        let end = try bag.status().size
        var offset: UInt64 = 0
        for _ in 0..<filesMax {
            guard end >= blockBytes, offset <= end - blockBytes else { throw error }
            let header = try bag.bytes(in: offset..<(offset + blockBytes))
            guard header.count == Int(blockBytes), header[257..<265].elementsEqual(Self.magic),
                header[156] == UInt8(ascii: "0"), let size = size(header[124..<136])
            else { throw error }
            let content = offset + blockBytes
            guard size <= end - content else { throw error }
            let name = header[..<100].prefix { $0 != 0 }
            let inner = name.drop { $0 != UInt8(ascii: "/") }.dropFirst()
            if inner.elementsEqual(custodyPath.utf8) {
                guard size <= custodyBytesMax else {
                    throw SystemError(call: "read", path: bag.path, errno: tooLarge)
                }
                return try bag.bytes(in: content..<(content + size))
            }
            offset = content + (size + blockBytes - 1) / blockBytes * blockBytes
        }
        throw error
    }

    private static let magic = Array("ustar".utf8) + [0] + Array("00".utf8)

    /// A size: eleven octal digits, or base-256 where that is not enough.
    private static func size(_ field: ArraySlice<UInt8>) -> UInt64? {
        if field.first == 0x80 {
            let bytes = field.dropFirst()
            // More than the file can have, and than this can add to without care.
            guard bytes.prefix(4).allSatisfy({ $0 == 0 }), let top = bytes.dropFirst(4).first,
                top == 0
            else { return nil }
            return bytes.reduce(0) { $0 << 8 | UInt64($1) }
        }
        let digits = field.dropLast()
        guard digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "7") ~= $0 }) else { return nil }
        return digits.reduce(0) { $0 << 3 | UInt64($1 - UInt8(ascii: "0")) }
    }
}
