package import Custody
package import Digests
internal import JSON
internal import Linux

/// What can be said of an audit log from its own bytes, and of anchors that were kept elsewhere.
package struct AuditVerification: Sendable {
    /// A line that was noted elsewhere, and whether the log has it.
    package struct Held: Sendable {
        /// What was noted.
        package let anchor: AuditAnchor
        /// What is found of it.
        package fileprivate(set) var finding: Finding
    }

    /// What is found of an anchor.
    package enum Finding: Equatable, Sendable {
        /// The log has the very line.
        case held
        /// The log has another line of that number: it was changed, or written anew.
        case differs(Digest)
        /// The log ends before it: its tail was cut off.
        case missing
        /// The log that is here begins after it: the file that has it was rotated away.
        case older
        /// Something before it is wrong, so that it was not reached.
        case notReached
    }

    /// The first thing that is wrong.
    package struct Problem: Equatable, Sendable {
        /// The name of the file.
        package let file: String
        /// The number that a line would have there.
        package let line: UInt64
        /// The byte at which that line begins.
        package let offset: UInt64
        /// What is wrong.
        package let reason: String
    }

    /// The number of the first line that is here.
    package private(set) var first: UInt64?
    /// The chain as far as it holds.
    package private(set) var chain = HashChain()
    /// How often a line was torn and put right.
    package private(set) var recoveries = 0
    /// The first thing that is wrong; nil where the log fits together.
    package private(set) var problem: Problem?
    /// What became of the anchors.
    package private(set) var anchors: [Held]

    /// Whether the log fits together and holds every anchor that it could hold.
    package var isSound: Bool {
        problem == nil && anchors.allSatisfy { $0.finding == .held }
    }

    /// Reads the whole log in `directory`.
    ///
    /// Throws where it cannot be read; what is wrong with what it says is no error but a finding.
    package init(of directory: String, anchors: [AuditAnchor]) throws(GloveboxError) {
        self.anchors = anchors.map { Held(anchor: $0, finding: .notReached) }
        for segment in try AuditSegments(in: directory).segments where problem == nil {
            do throws(SystemError) { try read(segment) } catch {
                throw GloveboxError(.unreadable, "The audit log cannot be read: \(error).")
            }
        }
        for index in self.anchors.indices where self.anchors[index].finding == .notReached {
            let sequence = self.anchors[index].anchor.record.sequence
            if let first, sequence < first {
                self.anchors[index].finding = .older
            } else if problem == nil {
                self.anchors[index].finding = .missing
            }
        }
    }

    private mutating func read(_ segment: AuditSegments.Segment) throws(SystemError) {
        var lines = LineReader(segment.descriptor, size: segment.size)
        var isFirst = true
        while true {
            let offset = lines.offset
            guard let next = try lines.next() else { return }
            let expected = chain.sequence + 1
            do throws(JSONError) {
                switch next {
                case .line(let line):
                    try check(line, isFirst: isFirst)
                    isFirst = false
                case .unfinished(let count):
                    throw JSONError(Self.unfinished(count))
                }
            } catch {
                problem = Problem(
                    file: segment.name,
                    line: expected,
                    offset: offset,
                    reason: "\(error)"
                )
                return
            }
            compare()
        }
    }

    private static func unfinished(_ count: Int) -> String {
        count > HashChain.lineBytesMax
            ? "the line is longer than any that this program writes"
            : "the last \(count) bytes are no whole line: whoever wrote it was killed, or the file "
                + "was cut; the next command that reads guest data puts it right and says so"
    }

    private mutating func check(_ line: [UInt8], isFirst: Bool) throws(JSONError) {
        var members: JSONMembers
        if first == nil {
            chain = try HashChain(beginningWith: line)
            first = chain.sequence
            members = try JSONMembers(JSONValue(line), of: "line \(chain.sequence)")
        } else {
            let before = chain
            do throws(JSONError) { members = try chain.read(line) } catch {
                throw Self.explained(line, after: before, isFirst: isFirst) ?? error
            }
        }
        let event = try members.string("event")
        _ = try members.string("time")
        if event == "recovered" { recoveries += 1 }
    }

    /// What a line that does not follow says of itself.
    private static func explained(
        _ line: [UInt8],
        after chain: HashChain,
        isFirst: Bool
    ) -> JSONError? {
        var next = chain
        // It follows, and is wrong in itself.
        if next.skip(line) { return nil }
        let expected = chain.sequence + 1
        guard let found = HashChain(endingWith: line)?.sequence else { return nil }
        if isFirst, found == 1 {
            return JSONError(
                "a log begins anew, which does not continue that of line \(expected - 1)"
            )
        }
        if found > expected {
            let missing = found - expected == 1 ? "is" : "to \(found - 1) are"
            return JSONError("line \(expected) \(missing) missing: line \(found) stands there")
        }
        if found < expected {
            return JSONError("line \(found) stands there: it was repeated or moved")
        }
        return JSONError(
            "it does not follow from line \(expected - 1): one of the two was changed"
        )
    }

    private mutating func compare() {
        for index in anchors.indices where anchors[index].anchor.record.sequence == chain.sequence {
            let isSame = anchors[index].anchor.record.digest == chain.head
            anchors[index].finding = isSame ? .held : .differs(chain.head)
        }
    }
}
