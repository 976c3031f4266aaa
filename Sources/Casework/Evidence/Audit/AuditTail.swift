internal import Custody
internal import Digests
internal import DiskFormats
internal import JSON
internal import Linux

/// Where an audit log ends, found without reading more of it than its last lines.
struct AuditTail {
    /// The chain up to the last complete line.
    var chain: HashChain
    /// Where the next line goes.
    let end: UInt64
    /// What a writer that was killed left of a line after that.
    let torn: [UInt8]

    /// Reads the last lines of `file`, of `size` bytes.
    ///
    /// Throws where they are no part of a chain, for nothing can then be added that proves anything.
    init(of file: FileDescriptor, size: UInt64) throws(GloveboxError) {
        let last = try auditing { () throws(SystemError) in
            try LastLines(2, of: file, size: size)
        }
        guard let last else {
            throw Self.damaged(file, "a line is longer than any that this program writes")
        }
        guard let chain = Self.chain(last) else {
            throw Self.damaged(file, "its last lines do not belong together")
        }
        self.chain = chain
        torn = last.rest
        end = size - UInt64(torn.count)
    }

    private static func chain(_ last: LastLines) -> HashChain? {
        guard let first = last.lines.first else { return HashChain() }
        var chain =
            last.areAll
            ? try? HashChain(beginningWith: first) : HashChain(endingWith: first)
        for line in last.lines.dropFirst() where chain?.skip(line) == false { chain = nil }
        return last.lines.last?.last == UInt8(ascii: "}") ? chain : nil
    }

    private static func damaged(_ file: FileDescriptor, _ reason: String) -> GloveboxError {
        GloveboxError(
            .refused,
            "The audit log cannot be written: the end of \(file.path) is damaged (\(reason)).",
            advice: "`glovebox audit --verify` says where; keep the file, and rename it to begin a "
                + "new one."
        )
    }

    /// The line that says what was found after the last one, in its place.
    mutating func recovery() -> [UInt8] {
        chain.line { [torn] json in
            json.member(plain: "event", "recovered")
            json.member("time", .now)
            json.member("pid", Int(OwnProcess.processID))
            json.member("bytes", torn.count)
            json.key("bytes_base64")
            json.base64(torn.prefix(Self.recoveredBytesMax))
            if torn.count > Self.recoveredBytesMax {
                json.member("bytes_sha256", "\(Digest(of: torn))")
            }
        }
    }

    /// Of more than that, only the beginning is kept, and a digest.
    private static let recoveredBytesMax = 64 << 10
}

extension HashChain {
    /// What begins and ends with `line`: the very first one, or one that says which log it continues.
    init(beginningWith line: [UInt8]) throws(JSONError) {
        guard let chain = HashChain(endingWith: line), chain.sequence > 1 else {
            self.init()
            _ = try read(line)
            return
        }
        var members = try JSONMembers(JSONValue(line), of: "the first line")
        guard try members.string("event") == "continued" else {
            throw JSONError("line \(chain.sequence) is the first one")
        }
        self = chain
    }
}
