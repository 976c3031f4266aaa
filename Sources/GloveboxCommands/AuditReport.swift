internal import Casework
internal import Custody
internal import JSON

/// What `audit --verify` found, in words and as JSON.
struct AuditReport {
    let verification: AuditVerification
    let directory: String

    private var lastLine: UInt64 { verification.chain.sequence }

    var text: String {
        var lines: [String] = []
        if let problem = verification.problem {
            lines.append(
                "\(directory)/\(problem.file): line \(problem.line) (byte \(problem.offset)) is wrong: "
                    + "\(problem.reason)."
            )
        } else if let first = verification.first {
            lines.append(
                "\(directory): the chain is intact from line \(first) to line \(lastLine)."
            )
        } else {
            lines.append("\(directory): the log is empty.")
        }
        if let first = verification.first {
            lines.append("Head, as far as it holds: \(lastLine):\(verification.chain.head)")
            if first > 1 { lines.append("Lines 1 to \(first - 1) are in files that are not here.") }
        }
        if verification.recoveries > 0 {
            lines.append(
                "Torn lines that were put right: \(verification.recoveries) (\"recovered\")."
            )
        }
        lines += verification.anchors.map { "Anchor \($0.anchor.text): \(Self.text($0))." }
        lines += unknown
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(_ held: AuditVerification.Held) -> String {
        let line = "line \(held.anchor.record.sequence)"
        return switch held.finding {
        case .held: "\(line) is the one that was noted"
        case .differs(let digest):
            "\(line) is another one (\(digest)): the log was changed, or written anew, up to there"
        case .missing: "the log has no \(line): its end was cut off"
        case .older: "\(line) is in a file that is not here"
        case .notReached: "\(line) was not reached"
        }
    }

    /// What the bytes at hand cannot tell.
    private var unknown: [String] {
        let held = verification.anchors.filter { $0.finding == .held }
        guard let last = held.map(\.anchor.record.sequence).max() else {
            return [
                "Not known without an anchor that holds: whether lines were cut off at the end, and "
                    + "whether the whole log was written anew. Give --anchor a bag or SEQ:SHA256 that "
                    + "was noted elsewhere."
            ]
        }
        let end = "whether lines were cut off at the end"
        guard last < lastLine else { return ["Not known after line \(last): \(end)."] }
        return ["Not known after line \(last): whether the lines were written anew, and \(end)."]
    }

    var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("log", base64: "log_base64", host: directory)
            json.member("sound", verification.isSound)
            if let first = verification.first {
                json.member("first", first)
                json.member("last", lastLine)
                json.member("sha256", "\(verification.chain.head)")
            }
            json.member("recovered", verification.recoveries)
            if let problem = verification.problem { Self.write(problem, to: &json) }
            json.key("anchors")
            json.array { json in
                for held in verification.anchors { Self.write(held, to: &json) }
            }
            json.key("not_known")
            json.array { json in for sentence in unknown { json.string(sentence) } }
        }
        json.endLine()
        return json.bytes
    }

    private static func write(_ problem: AuditVerification.Problem, to json: inout JSONText) {
        json.key("problem")
        json.object { json in
            json.member("file", problem.file)
            json.member("line", problem.line)
            json.member("offset", problem.offset)
            json.member("message", problem.reason)
        }
    }

    private static func write(_ held: AuditVerification.Held, to json: inout JSONText) {
        let finding =
            switch held.finding {
            case .held: "held"
            case .differs: "differs"
            case .missing: "missing"
            case .older: "older"
            case .notReached: "not-reached"
            }
        json.object { json in
            json.member("anchor", base64: "anchor_base64", host: held.anchor.text)
            json.member("line", held.anchor.record.sequence)
            json.member("finding", finding)
        }
    }
}
