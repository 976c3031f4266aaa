package import DiskFormats
package import JSON
internal import Linux

extension AuditLog {
    /// Hands lines over, the newest last: the last `count` of the file that is written to, or, where
    /// `since` is given, all from that time on, also of files that were rotated away.
    ///
    /// The chain is not checked here. Throws `unreadable` at the first line that is none.
    package func read(
        last count: Int,
        since: Timestamp?,
        _ body: ([UInt8], JSONValue) throws -> Void
    ) throws {
        let segments = try AuditSegments(in: directory).segments
        if let since {
            for segment in segments { try Self.read(segment, since: since, body) }
        } else if let current = segments.last {
            let last = try Self.reading {
                try LastLines(count, of: current.descriptor, size: current.size)
            }
            guard let last else { throw Self.noLine(current.name) }
            for line in last.lines { try body(line, try Self.value(line, current.name)) }
            if !last.rest.isEmpty { throw Self.noLine(current.name) }
        }
    }

    private static func read(
        _ segment: AuditSegments.Segment,
        since: Timestamp,
        _ body: ([UInt8], JSONValue) throws -> Void
    ) throws {
        var lines = LineReader(segment.descriptor, size: segment.size)
        while let next = try reading({ try lines.next() }) {
            guard case .line(let line) = next else { throw noLine(segment.name) }
            let value = try value(line, segment.name)
            guard let time = value.member("time").flatMap(Timestamp.init(iso8601:)) else {
                throw noLine(segment.name)
            }
            if time >= since { try body(line, value) }
        }
    }

    private static func reading<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch let error as SystemError {
            throw GloveboxError(.unreadable, "The audit log cannot be read: \(error).")
        }
    }

    private static func value(_ line: [UInt8], _ name: String) throws(GloveboxError) -> JSONValue {
        do throws(JSONError) { return try JSONValue(line) } catch { throw noLine(name) }
    }

    private static func noLine(_ name: String) -> GloveboxError {
        GloveboxError(
            .unreadable,
            "\(name) has something that is no line of an audit log.",
            advice: "`glovebox audit --verify` says where."
        )
    }
}

extension JSONValue {
    /// The text that the member of this name is; nil where there is none.
    package func member(_ name: String) -> String? {
        guard case .object(let members) = self else { return nil }
        switch members.first(where: { $0.name == name })?.value {
        case .string(let text): return text
        case .integer(let number): return "\(number)"
        default: return nil
        }
    }
}
