internal import DiskFormats

/// Who, why and when.
extension BagReport {
    func writePeople(to html: inout HTMLText) {
        html.markup("<section><h2>Who, why, when</h2><dl>")
        if let authority = context.authority {
            Self.row("Ticket", authority.ticket, to: &html)
            Self.row("Reason", authority.reason, to: &html)
            Self.row("Asked by", authority.requester.principal, to: &html)
            Self.row("Allowed by", authority.approver.principal, to: &html)
            let until = Self.readable(authority.expires)
            Self.row("Allowed until", "\(until) (approval \(authority.id))", to: &html)
        } else {
            Self.row("Reason", context.reason ?? "none was given", to: &html)
            Self.row("Approval", "none: this target did not need one on this host", to: &html)
        }
        Self.row("Signed by", signer ?? "nobody: the bag is not signed", to: &html)
        Self.row("Sealed", Self.readable(sealed), to: &html)
        Self.row("On host", context.host, to: &html)
        Self.row("Target", source.target, to: &html)
        if let instance = source.instance { Self.row("Instance", instance, to: &html) }
        html.markup("<dt>Asked for<dd>")
        for path in context.paths.prefix(100) {
            html.markup("<code>")
            html.text(String(path.prefix(HTMLText.nameMax)))
            html.markup("</code> ")
        }
        html.markup("</dl></section>")
    }

    private static func row(_ title: String, _ text: String, to html: inout HTMLText) {
        html.element("dt", title)
        html.element("dd", text)
    }

    func writeTree(to html: inout HTMLText) {
        html.markup("<section><h2>What was taken</h2>")
        html.markup("<div class=tree>")
        BagReportTree(tree: taken.tree).write(to: &html)
        html.markup("</div></section>")
    }

    func writeChecking(to html: inout HTMLText) {
        html.markup("<section><h2>How to check it</h2>")
        html.element(
            "p",
            "Whoever holds the bag can check it, without the instance and without Glovebox. In the "
                + "bag's directory (of the tar form: after unpacking it with any tar):"
        )
        html.markup("<pre>")
        html.text("sha256sum -c manifest-sha256.txt")
        html.markup("\n")
        html.text("sha256sum -c tagmanifest-sha256.txt")
        if signer != nil {
            html.markup("\n")
            html.text(
                "ssh-keygen -Y verify -f operators.allowed -I OPERATOR -n glovebox-bag "
            )
            html.markup("\\\n    ")
            html.text("-s tagmanifest-sha256.txt.sig < tagmanifest-sha256.txt")
        }
        html.markup("</pre>")
        html.markup(
            "<p><code>glovebox verify</code> does all of this and more: it also compares every "
                + "record with the archive, and the archive with what was allowed.</p>"
        )
        html.markup("<table class=digests><thead><tr><th>File<th class=num>Size<th>SHA-256</tr>")
        html.markup("</thead><tbody>")
        for (name, digest, byteCount) in payload {
            html.markup("<tr><td>")
            html.text(name)
            html.markup("<td class=num>")
            html.text(byteCount.asSize)
            html.markup("<td><code>")
            html.text("\(digest)")
            html.markup("</code></tr>")
        }
        html.markup("</tbody></table></section>")
    }
}

/// The tree of what was taken, directories to be opened and closed.
struct BagReportTree {
    let tree: TakenTree

    func write(to html: inout HTMLText) {
        let root = tree.nodes[0]
        if root.entries == 0 { return html.element("p", "Nothing.") }
        writeChildren(of: root, to: &html)
    }

    private func writeChildren(of node: TakenTree.Node, to html: inout HTMLText) {
        html.markup("<ul>")
        let children = node.children.map { tree.nodes[$0] }
            .sorted { $0.name.lexicographicallyPrecedes($1.name) }
        for child in children { write(child, to: &html) }
        let shown = children.reduce(UInt64(0)) { $0 + $1.entries }
        if node.beneath > shown {
            html.markup("<li class=more>and ")
            html.text("\((node.beneath - shown).grouped) more")
        }
        html.markup("</ul>")
    }

    private func write(_ node: TakenTree.Node, to html: inout HTMLText) {
        html.markup(node.isPartial ? "<li class=partial>" : "<li>")
        guard node.type == .directory else {
            html.name(node.name)
            writeDetail(of: node, to: &html)
            return
        }
        let hasChildren = !node.children.isEmpty
        if hasChildren {
            html.markup(node.depth < 3 ? "<details open><summary>" : "<details><summary>")
        }
        html.markup("<span class=dir>")
        html.name(node.name)
        html.markup("/</span>")
        writeDetail(of: node, to: &html)
        if hasChildren {
            html.markup("</summary>")
            writeChildren(of: node, to: &html)
            html.markup("</details>")
        }
    }

    private func writeDetail(of node: TakenTree.Node, to html: inout HTMLText) {
        html.markup(" <span class=size>")
        switch node.type {
        case .directory where node.beneath > 0:
            let noun = node.beneath == 1 ? "entry" : "entries"
            html.text("\(node.beneath.grouped) \(noun), \(node.bytes.asSize)")
        case .directory: html.text("empty")
        case .regular where node.isLink: html.text("hard link")
        case .regular: html.text(node.bytes.asSize)
        case .symbolicLink: html.text("symbolic link")
        case .characterDevice, .blockDevice: html.text("device")
        case .fifo, .socket: html.text(node.type.rawValue)
        }
        if node.isPartial { html.text(", parts missing") }
        html.markup("</span>")
    }
}
