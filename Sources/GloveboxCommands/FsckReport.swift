internal import ArgumentParser
internal import Casework
internal import Checkers
internal import DiskFormats
internal import JSON

/// How the reports of a check are shown, and the exit code that sums them up.
enum FsckReport {
    /// More lines of a checker are left out, where nobody asked for all.
    private static let linesMax = 24

    /// One volume for people.
    static func text(_ report: CheckReport, verbose: Bool) -> String {
        let type = report.type.isEmpty ? "-" : report.type
        var text = report.volume.padded(to: 19) + " " + type.padded(to: 11) + " "
        guard report.checkedAs.isEmpty else {
            return text + "checked as \(report.checkedAs.joined(separator: ", "))\n"
        }
        text += report.verdict.rawValue.split(separator: "-").joined(separator: " ")
        if report.wasDirty, report.verdict != .cleanAfterReplay { text += " (not shut down)" }
        text += report.reason.isEmpty ? "\n" : ": \(report.reason)\n"
        let isDull = report.verdict == .clean || report.verdict == .cleanAfterReplay
        if verbose {
            for step in report.steps { text += said(step, linesMax: .max) }
        } else if !isDull, let step = report.steps.last {
            text += said(step, linesMax: linesMax)
        }
        if let rehearsal = report.rehearsal { text += Self.text(rehearsal, verbose: verbose) }
        return text
    }

    private static func text(_ rehearsal: Rehearsal, verbose: Bool) -> String {
        var text = "    the repair, rehearsed: " + sentence(rehearsal) + "\n"
        for name in rehearsal.moved { text += "      moved to lost+found: \(name)\n" }
        for line in rehearsal.lost { text += "      lost: \(line)\n" }
        let unnamed =
            rehearsal.movedCount - rehearsal.moved.count
            + rehearsal.lostCount - rehearsal.lost.count
        if unnamed > 0 { text += "      and \(unnamed) more\n" }
        if verbose { for step in rehearsal.steps { text += said(step, linesMax: .max) } }
        return text
    }

    private static func sentence(_ rehearsal: Rehearsal) -> String {
        switch rehearsal.outcome {
        case .fixed: "fixed, then clean; it names nothing that it removed, shortened or moved."
        case .fixedWithLosses:
            "fixed, then clean; \(rehearsal.movedCount) moved to lost+found, "
                + "\(rehearsal.lostCount) removed, shortened or uncertain."
        case .notRepairable: "not repairable. \(rehearsal.reason)"
        case .noRepair: "none. \(rehearsal.reason)"
        }
    }

    private static func said(_ step: CheckStep, linesMax: Int) -> String {
        let lines = step.text.split(whereSeparator: \.isNewline)
        let ending = step.code.map { "ended with \($0)" } ?? "was ended by us"
        var text = "    \(step.command) \(ending)\n"
        for line in lines.prefix(linesMax) { text += "    | \(line)\n" }
        if lines.count > linesMax {
            text += "    | … \(lines.count - linesMax) more lines; --verbose shows all\n"
        } else if step.isTruncated {
            text += "    | … and more\n"
        }
        return text
    }

    /// What the reports come to.
    enum Sum: Equatable {
        case sound
        case damaged
        /// These volumes could not be checked.
        case open([String])
    }

    /// Sums the reports up; what nobody could have checked counts only where it was `named`.
    ///
    /// Damage comes first: a script that looks for it must not miss it for a volume beside it.
    static func sum(_ reports: [CheckReport], named: Bool) -> Sum {
        if reports.contains(where: { $0.verdict == .damaged }) { return .damaged }
        let open = reports.filter { report in
            switch report.verdict {
            case .tooNew: true
            case .notCheckable: (named || report.isCheckable) && report.checkedAs.isEmpty
            case .clean, .cleanAfterReplay, .damaged: false
            }
        }
        return open.isEmpty ? .sound : .open(open.map(\.volume))
    }

    /// Throws the exit code for a sum, if it is not 0.
    static func end(_ sum: Sum) throws {
        switch sum {
        case .sound: return
        case .damaged: throw ExitCode(1)
        case .open(let volumes):
            throw GloveboxError(
                .unreadable,
                "Not checked: \(volumes.joined(separator: ", ")).",
                advice: "The reasons stand in the report."
            )
        }
    }

    /// The document that docs/json.md describes.
    static func json(
        target: String,
        consistency: Consistency = .offline,
        _ reports: [CheckReport]
    ) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", "glovebox.fsck/1")
            json.member("target", base64: "target_base64", host: target)
            json.member("consistency", consistency.rawValue)
            json.key("volumes")
            json.array { json in for report in reports { write(report, to: &json) } }
        }
        json.endLine()
        return json.bytes
    }

    private static func write(_ report: CheckReport, to json: inout JSONText) {
        json.object { json in
            json.member("volume", report.volume)
            json.member("type", report.type)
            json.member("verdict", report.verdict.rawValue)
            json.member("dirty", report.wasDirty)
            json.member("checkable", report.isCheckable)
            if !report.reason.isEmpty { json.member("reason", report.reason) }
            if !report.checkedAs.isEmpty {
                json.key("checked_as")
                json.array { json in for name in report.checkedAs { json.string(name) } }
            }
            if report.deviceCount > 1 { json.member("devices", report.deviceCount) }
            write(report.steps, to: &json)
            guard let rehearsal = report.rehearsal else { return }
            json.key("rehearsal")
            json.object { json in
                json.member("outcome", rehearsal.outcome.rawValue)
                if !rehearsal.reason.isEmpty { json.member("reason", rehearsal.reason) }
                json.member("moved_count", rehearsal.movedCount)
                json.key("moved")
                json.array { json in for name in rehearsal.moved { json.string(name) } }
                json.member("lost_count", rehearsal.lostCount)
                json.key("lost")
                json.array { json in for line in rehearsal.lost { json.string(line) } }
                write(rehearsal.steps, to: &json)
            }
        }
    }

    private static func write(_ steps: [CheckStep], to json: inout JSONText) {
        json.key("steps")
        json.array { json in
            for step in steps {
                json.object { json in
                    json.member("command", step.command)
                    if let code = step.code { json.member("exit_code", code) }
                    json.member("text", step.text)
                    json.member("truncated", step.isTruncated)
                }
            }
        }
    }
}
