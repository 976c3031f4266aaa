internal import Casework
internal import DiskFormats
internal import JSON

/// How the verdict on a bag is shown.
enum VerifyReport {
    /// For people: a line a check, then the verdict.
    static func text(_ bag: String, _ verdict: BagVerdict) -> String {
        var text = ""
        for finding in verdict.findings {
            let mark =
                switch finding.status {
                case .passed: "ok"
                case .failed: "FAILED"
                case .notDone: "-"
                }
            text +=
                "\(mark.padded(to: 7))\(finding.check.rawValue.padded(to: 12))\(finding.detail)\n"
        }
        text += "\n"
        guard let fault = verdict.fault else {
            text += "Verified: \(bag)\(verdict.isComplete == false ? incomplete : "").\n"
            return text
        }
        return text + "NOT verified: \(bag): \(fault)\(fault.description.last == "." ? "" : ".")\n"
    }

    private static let incomplete =
        ". It is as it was sealed, but not all that was asked for could be taken: see report.html"

    /// The document that docs/json.md describes.
    static func json(_ bag: String, _ verdict: BagVerdict) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.member("schema", "glovebox.verify/1")
            json.member("bag", base64: "bag_base64", host: bag)
            json.member("form", verdict.isTar ? "tar" : "directory")
            json.member("name", verdict.name)
            json.member("verified", verdict.isVerified)
            if let complete = verdict.isComplete { json.member("complete", complete) }
            json.member("entries", verdict.entries)
            json.member("bytes", verdict.contentBytes)
            if let sealed = verdict.sealed { json.member("sealed", sealed) }
            if let key = verdict.operatorKey { write(key, "operator", to: &json) }
            if let approval = verdict.approval { write(approval, to: &json) }
            if let reason = verdict.reason { json.member("reason", reason) }
            json.key("checks")
            json.array { json in for finding in verdict.findings { write(finding, to: &json) } }
        }
        json.endLine()
        return json.bytes
    }

    private static func write(
        _ signer: BagKey,
        _ name: StaticString,
        to json: inout JSONText
    ) {
        json.key(name)
        json.object { json in
            if let principal = signer.principal { json.member("principal", principal) }
            json.member("key", signer.fingerprint)
        }
    }

    private static func write(_ approval: ApprovedDocument, to json: inout JSONText) {
        json.key("approval")
        json.object { json in
            json.member("id", approval.id)
            json.member("ticket", approval.ticket)
            write(approval.requester, "requester", to: &json)
            write(approval.approver, "approver", to: &json)
            json.member("not_before", approval.notBefore.inSeconds)
            json.member("expires", approval.expires.inSeconds)
            json.member("reason", approval.reason)
        }
    }

    private static func write(_ finding: BagVerdict.Finding, to json: inout JSONText) {
        json.object { json in
            json.member("check", finding.check.rawValue)
            json.member("status", finding.status.rawValue)
            guard let fault = finding.fault else { return json.member("detail", finding.detail) }
            json.member("detail", fault.reason)
            switch fault.place {
            case .bag: break
            case .file(let file): json.member("file", file.rawValue)
            case .line(let file, let line):
                json.member("file", file.rawValue)
                json.member("line", line)
            case .byte(let file, let offset):
                json.member("file", file.rawValue)
                json.member("offset", offset)
            case .outerByte(let offset): json.member("offset", offset)
            }
        }
    }
}
