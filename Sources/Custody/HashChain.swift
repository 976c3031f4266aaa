package import Digests
internal import DiskFormats
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
        guard isFollowed(by: line) else {
            throw JSONError("line \(next) does not follow from the line before it")
        }
        var members = try JSONMembers(JSONValue(line), of: "line \(next)")
        _ = try members.value("seq")
        _ = try members.value("prev")
        advance(past: line)
        return members
    }

    /// Goes past `line`, without its newline, whatever else it says; returns whether it is the next one.
    package mutating func skip(_ line: [UInt8]) -> Bool {
        guard isFollowed(by: line) else { return false }
        advance(past: line)
        return true
    }

    private func isFollowed(by line: [UInt8]) -> Bool {
        line.starts(with: Self.beginning(sequence + 1, head.hexadecimal))
    }

    /// Whether `part` can be the beginning of the next line.
    func isBegun(by part: [UInt8]) -> Bool {
        zip(part, Self.beginning(sequence + 1, head.hexadecimal)).allSatisfy { $0 == $1 }
    }

    private mutating func advance(past line: [UInt8]) {
        sequence += 1
        head = Digest(of: line + [UInt8(ascii: "\n")])
    }

    private static func beginning(_ sequence: UInt64, _ previous: [UInt8]) -> [UInt8] {
        var bytes = Array("{\"seq\":".utf8)
        bytes.append(decimal: sequence)
        bytes += Array(",\"prev\":\"".utf8)
        bytes += previous
        bytes.append(UInt8(ascii: "\""))
        return bytes
    }

    /// What ends with `line`, without its newline, whatever came before it and whatever else it says;
    /// nil where it does not begin as a line does.
    package init?(endingWith line: [UInt8]) {
        let digits = line.dropFirst(7).prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        var number: Int64 = 0
        for digit in digits {
            let (high, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, more) = high.addingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
            guard !overflow, !more else { return nil }
            number = sum
        }
        let hexadecimal = Array(line.dropFirst(7 + digits.count + 9).prefix(2 * Digest.byteCount))
        guard number > 0, let previous = Digest(hexadecimal: hexadecimal) else { return nil }
        self.init(sequence: UInt64(number) - 1, head: previous)
        guard skip(line) else { return nil }
    }
}
