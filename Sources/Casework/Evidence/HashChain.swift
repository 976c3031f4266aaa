package import Digests
package import JSON

/// A record of which no line can be changed, removed or moved without its head changing.
///
/// Each line is a JSON object that begins with `seq`, counted from 1, and `prev`, the SHA-256 of the
/// line before it with its newline (64 zeros in the first line). The digest of the last line is the
/// head: whoever knows it from elsewhere knows the whole chain. Without that, a chain only shows
/// that it fits together; somebody who may write it can write another one.
package struct HashChain: Equatable, Sendable {
    /// The number of the last line; 0 before the first.
    package private(set) var sequence: UInt64
    /// The digest of the last line.
    package private(set) var head: Digest

    /// No line yet.
    package init() {
        sequence = 0
        head = .zero
    }

    /// What ended with a line of that number and digest, which somebody vouches for.
    package init(sequence: UInt64, head: Digest) {
        self.sequence = sequence
        self.head = head
    }

    /// The longest line that is read.
    package static let lineBytesMax = 1 << 20

    /// The next line, newline included; `members` writes what it says.
    package mutating func line(_ members: (inout JSONText) -> Void) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("seq", sequence + 1)
            json.member("prev", "\(head)")
            members(&json)
        }
        json.endLine()
        sequence += 1
        head = Digest(of: json.bytes)
        return json.bytes
    }

    /// Checks that `line`, without its newline, is the next one, and gives what else it says.
    package mutating func read(_ line: [UInt8]) throws(JSONError) -> JSONMembers {
        let next = sequence + 1
        let begin = "{\"seq\":\(next),\"prev\":\"\(head)\""
        guard line.starts(with: begin.utf8) else {
            throw JSONError("line \(next) does not follow from the line before it")
        }
        var members = try JSONMembers(JSONValue(line), of: "line \(next)")
        _ = try members.value("seq")
        _ = try members.value("prev")
        sequence = next
        head = Digest(of: line + [UInt8(ascii: "\n")])
        return members
    }
}
