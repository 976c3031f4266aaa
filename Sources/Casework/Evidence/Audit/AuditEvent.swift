package import Digests
internal import DiskFormats
internal import JSON
internal import Linux

/// What a line of the audit log says.
package enum AuditEvent: Equatable, Sendable {
    /// Guest data is about to be read.
    case read(Reading)
    /// An evidence bag was sealed: its path, and the digest of its tag manifest.
    case sealed(bag: String, tagManifest: Digest)

    /// An invocation that reads guest data.
    package struct Reading: Equatable, Sendable {
        /// The subcommand and what followed it, as bytes.
        package var arguments: [[UInt8]]
        /// The target, as a path that is free of symbolic links where there is one.
        package var target: String
        /// The instance that was read.
        package var instance: String?
        /// The approval that allowed it.
        package var approval: String?
        /// Why it is read, where no approval says so.
        package var reason: String?

        /// Describes an invocation; `arguments` begin with the subcommand.
        package init(
            arguments: [[UInt8]],
            target: String,
            instance: String? = nil,
            approval: String? = nil,
            reason: String? = nil
        ) {
            self.arguments = arguments
            self.target = target
            self.instance = instance
            self.approval = approval
            self.reason = reason
        }
    }
}

extension AuditEvent {
    /// Arguments are kept up to this many bytes; of longer ones the digest tells the rest.
    static let argumentBytesMax = 16 << 10
    /// A text is kept up to this many bytes.
    static let textBytesMax = 4 << 10

    /// Writes all that a line says but for its place in the chain.
    func write(to json: inout JSONText) {
        switch self {
        case .read(let reading):
            json.member(plain: "event", "read")
            json.member("time", Timestamp.now)
            AuditCaller().write(to: &json)
            reading.write(to: &json)
        case .sealed(let bag, let tagManifest):
            json.member(plain: "event", "sealed")
            json.member("time", Timestamp.now)
            json.member("pid", Int(OwnProcess.processID))
            json.member("bag", base64: "bag_base64", host: bag)
            json.member("sha256", "\(tagManifest)")
        }
    }
}

extension AuditEvent.Reading {
    fileprivate func write(to json: inout JSONText) {
        let command = (arguments.first ?? []).cut(to: AuditEvent.textBytesMax)
        json.member("command", base64: "command_base64", command)
        writeArguments(to: &json)
        json.member("target", base64: "target_base64", host: target)
        if let instance { json.member("instance", instance) }
        if let approval { json.member("approval", approval) }
        if let reason {
            let bytes = CommandLineBytes.decode(reason)
            json.member(
                "reason",
                base64: "reason_base64",
                bytes.cut(to: AuditEvent.textBytesMax)
            )
        }
    }

    private func writeArguments(to json: inout JSONText) {
        let all = arguments.dropFirst()
        let total = all.reduce(0) { $0 + $1.count + 1 }
        var room = AuditEvent.argumentBytesMax
        var kept: [[UInt8]] = []
        for argument in all where room > 0 {
            kept.append(argument.cut(to: room))
            room -= argument.count + 1
        }
        json.key("arguments")
        var isText = true
        json.array { json in
            for argument in kept {
                if let text = String(validating: argument, as: UTF8.self) {
                    json.string(text)
                } else {
                    isText = false
                    json.string(GuestName.escaped(argument))
                }
            }
        }
        if !isText {
            json.key("arguments_base64")
            json.array { json in for argument in kept { json.base64(argument) } }
        }
        guard total > AuditEvent.argumentBytesMax else { return }
        json.member("arguments_bytes", total)
        json.member("arguments_sha256", "\(Digest(of: Array(all.joined(separator: [0])) + [0]))")
    }
}

extension [UInt8] {
    /// No more than `count` of these bytes, and no part of a character of UTF-8 at the end.
    fileprivate func cut(to count: Int) -> [UInt8] {
        guard self.count > count else { return self }
        var end = count
        while end > Swift.max(0, count - 3), self[end] & 0xC0 == 0x80 { end -= 1 }
        return Array(self[..<end])
    }
}
