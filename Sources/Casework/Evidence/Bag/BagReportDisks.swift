internal import DiskFormats

/// The disks of a bag's source, drawn and described.
struct BagReportDisks {
    let source: BagSource
    /// What became of the hold; nil where there was none.
    let release: HoldReport?

    private static let width = 900.0
    private static let shownMax = 32

    func write(to html: inout HTMLText) {
        html.markup("<section><h2>Where it came from</h2>")
        for disk in source.disks {
            html.markup("<h3>Disk ")
            html.name(Array(disk.name.utf8))
            html.markup(" <span class=size>")
            html.text("\(disk.size.asSize), \(Self.table(disk.table.kind))")
            html.markup("</span></h3>")
            draw(disk, to: &html)
            writeVolumes(of: disk, to: &html)
            writeLayers(of: disk, to: &html)
        }
        writeConsistency(to: &html)
        html.markup("</section>")
    }

    private static func table(_ kind: PartitionTable.Kind) -> String {
        switch kind {
        case .gpt: "GPT"
        case .mbr: "MBR"
        case .none: "no partition table"
        }
    }

    /// A bar from the first byte to the last; a partition is never narrower than can be seen.
    private func draw(_ disk: BagSource.Disk, to html: inout HTMLText) {
        html.markup(
            "<svg viewBox=\"0 0 900 64\" role=img aria-label=\"Map of the disk\">"
                + "<rect class=free x=0 y=0 width=900 height=64 rx=8 />"
        )
        let scale = Self.width / Double(max(disk.size, 1))
        for volume in disk.volumes.prefix(Self.shownMax) {
            let start = min(Double(volume.start ?? 0) * scale, Self.width - 4)
            let width = min(max(Double(volume.size) * scale - 2, 3), Self.width - start)
            let isRead = volume.reader != nil
            html.markup(
                "<rect class=\"\(isRead ? "read" : "part")\" x=\(Self.fixed(start)) y=0 "
                    + "width=\(Self.fixed(width)) height=64 rx=6 />"
            )
            guard width > 90 else { continue }
            let x = Self.fixed(start + 14)
            html.markup("<text class=\"name\(isRead ? " on" : "")\" x=\(x) y=28>")
            html.text(Self.short(volume.name, of: disk))
            html.markup("</text><text class=\"what\(isRead ? " on" : "")\" x=\(x) y=48>")
            html.text(volume.type.isEmpty ? volume.size.asSize : "\(volume.type.prefix(12))")
            html.markup("</text>")
        }
        html.markup("</svg>")
    }

    /// One decimal, without the help of Foundation.
    private static func fixed(_ value: Double) -> String {
        let tenths = Int((max(value, 0) * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func short(_ name: String, of disk: BagSource.Disk) -> String {
        let short =
            name.hasPrefix(disk.name + ":") ? name.dropFirst(disk.name.count + 1) : name[...]
        return short.isEmpty ? "whole disk" : String(short.prefix(40))
    }

    private func writeVolumes(of disk: BagSource.Disk, to html: inout HTMLText) {
        html.markup("<table><thead><tr><th>Volume<th class=num>Size<th>Holds<th>Label<th>UUID")
        html.markup("<th>Read by</tr></thead><tbody>")
        let all = disk.volumes + source.inner.filter { $0.name.hasPrefix(disk.name + ":") }
        for volume in all.prefix(Self.shownMax) {
            html.markup(volume.reader == nil ? "<tr><td>" : "<tr class=used><td>")
            html.text(Self.short(volume.name, of: disk))
            html.markup("<td class=num>")
            html.text(volume.size.asSize)
            html.markup("<td>")
            html.text(volume.type.isEmpty ? "–" : volume.type)
            html.markup("<td>")
            html.name(volume.label)
            html.markup("<td class=id>")
            html.text(volume.uuid)
            html.markup("<td>")
            html.text(Self.reader(volume))
            html.markup("</tr>")
        }
        html.markup("</tbody></table>")
        if all.count > Self.shownMax {
            html.element("p", "\(all.count - Self.shownMax) more are in source.json.")
        }
    }

    private static func reader(_ volume: BagSource.Volume) -> String {
        switch volume.reader {
        case nil: "not read"
        case .native?: "Glovebox"
        default: "libguestfs"
        }
    }

    private func writeLayers(of disk: BagSource.Disk, to html: inout HTMLText) {
        html.markup("<p class=layers>")
        for (index, layer) in disk.layers.prefix(Self.shownMax).enumerated() {
            html.markup(index == 0 ? "Image file " : "<br>on top of ")
            html.markup("<code>")
            html.text(layer.path)
            html.markup("</code> ")
            html.text("(\(layer.format.rawValue), \(layer.size.asSize))")
        }
        html.markup("</p>")
    }

    private func writeConsistency(to html: inout HTMLText) {
        html.markup("<h3>State of the disks</h3><ul class=plain>")
        html.element("li", consistency)
        if let release {
            html.element(release.isIntact ? "li" : "li class=warn", Self.end(release))
        }
        for volume in source.opened { html.element("li", Self.state(of: volume)) }
        for warning in source.disks.flatMap(\.warnings).prefix(Self.shownMax) {
            html.element("li class=warn", warning)
        }
        html.markup("</ul>")
    }

    private var consistency: String {
        switch source.consistency {
        case .offline where source.disks.allSatisfy(\.isLocked):
            "The instance was off: nobody wrote to the images, and QEMU's image locks were held "
                + "on them all the while, so that nobody could. Glovebox only reads."
        case .offline:
            "The images were opened for reading only. Whether another machine wrote to them "
                + "meanwhile cannot be known: see the warnings."
        case .suspended:
            "The instance was running, and was suspended for as long as its disks were read. What "
                + "it had not written to them by then is not here. Glovebox only reads."
        case .pointInTime:
            "The instance was running. It was suspended for a moment, and its disks were read as "
                + "they were then, while it went on. What it had not written to them by then is "
                + "not here."
        case .asFoundPaused:
            "The instance had been paused by somebody else, and stayed so while its disks were "
                + "read. What it had not written to them by then is not here."
        }
    }

    private static func end(_ release: HoldReport) -> String {
        let pause =
            release.pausedMilliseconds.map { "Glovebox had it paused for \($0.grouped) ms" }
            ?? "For how long it was paused is not known"
        let session = "\(pause), in session \(release.session)."
        return release.isIntact
            ? "\(session) Nobody touched it while its disks were read, for all that is known."
            : "\(session) It was not held until all was read."
    }

    private static func state(of volume: BagSource.Volume) -> String {
        let name = volume.name.hasSuffix(":") ? "\(volume.name.dropLast())" : volume.name
        return switch volume.journal {
        case .clean?, nil: "\(name) had been unmounted cleanly."
        case .replayed(let transactions, let blocks)?:
            "\(name) had not been unmounted cleanly. Its journal was replayed in memory "
                + "(\(transactions) transactions, \(blocks) blocks), not on the disk."
        case .replayedByKernel?:
            "\(name): what its journal held was replayed into a layer that was thrown away, "
                + "not on the disk."
        case .ignored?:
            "\(name) had not been unmounted cleanly, and its journal was left alone as asked: "
                + "files may be out of date."
        }
    }
}
