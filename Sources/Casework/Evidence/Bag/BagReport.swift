internal import Digests
internal import DiskFormats

/// `report.html`: what a bag is and holds, for people; one file, without script or anything loaded.
struct BagReport {
    let name: String
    let taken: BagTaken
    let source: BagSource
    let context: BagContext
    /// The operator's key; nil where nobody signs.
    let signer: String?
    let sealed: Timestamp
    let payload: [(name: String, digest: Digest, byteCount: UInt64)]

    /// The whole page.
    func html() -> [UInt8] {
        var html = HTMLText()
        html.markup(Self.head)
        html.element("title", "Evidence bag \(name)")
        html.markup("<style>\(BagReportStyle.text)</style></head><body><main>")
        writeTitle(to: &html)
        if !taken.isComplete { writeMissing(to: &html) }
        writeNumbers(to: &html)
        writePeople(to: &html)
        BagReportDisks(source: source, release: taken.release).write(to: &html)
        writeTree(to: &html)
        writeLeftOut(to: &html)
        writeChecking(to: &html)
        html.markup("</main></body></html>\n")
        return html.bytes
    }

    private static let head = """
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" \
        content="default-src 'none'; style-src 'unsafe-inline'">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="referrer" content="no-referrer">

        """

    private func writeTitle(to html: inout HTMLText) {
        html.markup("<header><p class=kind>Evidence bag</p>")
        html.element("h1", name)
        html.markup(
            taken.isComplete
                ? "<p class=\"pill good\">Complete: everything that was asked for is in it</p>"
                : "<p class=\"pill bad\">Not complete: see what is missing</p>"
        )
        html.markup("<p class=sub>Sealed ")
        html.text(Self.readable(sealed))
        html.markup(signer == nil ? ", not signed" : ", signed by the operator")
        html.markup(" · ")
        html.text(context.program)
        html.markup("</p></header>")
    }

    /// `31 January 2026, 12:00:00 UTC`.
    static func readable(_ time: Timestamp) -> String {
        let months = [
            "January", "February", "March", "April", "May", "June", "July", "August", "September",
            "October", "November", "December",
        ]
        let text = Array(time.iso8601.utf8)
        guard text.count == 30, let month = Int(String(decoding: text[5..<7], as: UTF8.self)),
            let day = Int(String(decoding: text[8..<10], as: UTF8.self)), 1...12 ~= month
        else { return time.iso8601 }
        let (year, clock) = (text[..<4], text[11..<19])
        return "\(day) \(months[month - 1]) \(String(decoding: year, as: UTF8.self)), "
            + "\(String(decoding: clock, as: UTF8.self)) UTC"
    }
}

extension BagReport {
    private static let remarksMax = 100

    private func writeMissing(to html: inout HTMLText) {
        html.markup("<section class=missing><h2>What is missing, and why</h2>")
        let report = taken.report
        if report.ending == .limited {
            html.element(
                "p",
                "A limit that was given on the command line ended the extraction before everything "
                    + "was visited."
            )
        }
        if let problem = taken.release?.problem { html.element("p", problem.message) }
        if !taken.notMounted.isEmpty {
            html.markup("<ul>")
            for sentence in taken.notMounted.prefix(Self.remarksMax) {
                html.element("li", sentence)
            }
            html.markup("</ul>")
        }
        if taken.partial > 0 {
            html.element(
                "p",
                (taken.partial == 1
                    ? "Of 1 file, parts could not be read. It is"
                    : "Of \(taken.partial.grouped) files, parts could not be read. They are")
                    + " in the bag with holes or zeros in their place; files.jsonl gives each range."
            )
        }
        if taken.problems > 0 {
            html.markup("<table><thead><tr><th>Where<th>Range<th>Why</tr></thead><tbody>")
            for problem in report.problems.prefix(Self.remarksMax) {
                html.markup("<tr><td class=path>")
                html.name(problem.path)
                html.markup("<td class=num>")
                if let range = problem.range {
                    html.text("\(range.lowerBound.grouped) – \((range.upperBound - 1).grouped)")
                } else {
                    html.text("all of it")
                }
                html.markup("<td>")
                html.text(String("\(problem.failure)".prefix(300)))
                html.markup("</tr>")
            }
            html.markup("</tbody></table>")
            let rest = taken.problems - min(taken.problems, UInt64(Self.remarksMax))
            if rest > 0 { html.element("p", "Up to \(rest.grouped) more are in files.jsonl.") }
        }
        writeSkipped(where: \.losesContent, to: &html)
        html.markup("</section>")
    }

    private func writeLeftOut(to html: inout HTMLText) {
        guard taken.skipped.keys.contains(where: { !$0.losesContent }) || taken.isComplete else {
            return
        }
        html.markup("<section><h2>Left out on purpose</h2>")
        if taken.skipped.keys.contains(where: { !$0.losesContent }) {
            html.element("p", "No content is lost by these; files.jsonl lists each of them.")
            writeSkipped(where: { !$0.losesContent }, to: &html)
        } else {
            html.element("p", "Nothing.")
        }
        html.markup("</section>")
    }

    private func writeSkipped(
        where isMeant: (ExtractionReport.Reason) -> Bool,
        to html: inout HTMLText
    ) {
        let reasons = taken.skipped.keys.filter(isMeant).sorted { $0.rawValue < $1.rawValue }
        guard !reasons.isEmpty else { return }
        html.markup("<table><thead><tr><th>Why<th class=num>How many<th>For example</tr></thead>")
        html.markup("<tbody>")
        for reason in reasons {
            html.markup("<tr><td>")
            html.text(reason.rawValue)
            html.markup("<td class=num>")
            html.text((taken.skipped[reason] ?? 0).grouped)
            html.markup("<td class=path>")
            for skipped in taken.report.skipped.lazy.filter({ $0.reason == reason }).prefix(5) {
                html.name(skipped.path)
                html.markup("<br>")
            }
            html.markup("</tr>")
        }
        html.markup("</tbody></table>")
    }

    private func writeNumbers(to html: inout HTMLText) {
        let report = taken.report
        html.markup("<section class=numbers>")
        let numbers = [
            (UInt64(report.files).grouped, report.files == 1 ? "file" : "files"),
            (
                UInt64(report.directories).grouped,
                report.directories == 1 ? "directory" : "directories"
            ),
            (UInt64(report.other).grouped, "links and devices"),
            (report.bytes.asSize, "of content"),
        ]
        for (number, what) in numbers {
            html.markup("<div>")
            html.element("b", number)
            html.element("span", what)
            html.markup("</div>")
        }
        html.markup("</section>")
    }
}
