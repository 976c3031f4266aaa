/// The XML of our backup job, and how to know it again.
enum BackupDescription {
    /// A job in pull mode: the disks of `order` at `places`, and no other disk of the domain.
    static func xml(
        _ order: HoldOrder,
        _ places: ExportPlaces
    ) throws(SessionError) -> String {
        var text = "<domainbackup mode='pull'>"
        text += "<server transport='unix' socket='\(escaped(places.socket))'/><disks>"
        for export in order.exports {
            let scratch = escaped(try places.scratch(export.target))
            text += "<disk name='\(escaped(export.target))' backup='yes' type='file'>"
            text += "<driver type='qcow2'/><scratch file='\(scratch)'/></disk>"
        }
        let exported = Set(order.exports.map(\.target))
        for target in order.otherTargets where !exported.contains(target) {
            text += "<disk name='\(escaped(target))' backup='no'/>"
        }
        return text + "</disks></domainbackup>"
    }

    /// Whether the description of a job names our socket, which no other job can: its path holds the
    /// random name of the session.
    static func isOurs(_ description: String, _ places: ExportPlaces) -> Bool {
        let socket = escaped(places.socket)
        return ["'\(socket)'", "\"\(socket)\""].contains { description.contains($0) }
    }

    static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "'": escaped += "&apos;"
            case "\"": escaped += "&quot;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
