package import DiskFormats
package import EngineProtocol

/// What the front asks the engine's worker to check.
package struct CheckRequest: Equatable, Sendable {
    package var volumes: [CheckVolume]
    package var rehearse: Bool

    /// More volumes than this are no instance's.
    package static let volumesMax = 4_096

    package init(volumes: [CheckVolume], rehearse: Bool) {
        self.volumes = volumes
        self.rehearse = rehearse
    }

    package func write(to writer: inout MessageWriter) {
        writer.add(list: volumes) { writer, volume in
            writer.add(volume.name)
            writer.add(volume.type)
            writer.add(UInt32(clamping: volume.disk))
            writer.add(volume.start)
            writer.add(volume.byteCount)
            writer.add(optional: volume.inner) { $0.add($1) }
            writer.add(volume.uuid)
        }
        writer.add(rehearse)
    }

    package init(from reader: inout MessageReader) throws(DiskError) {
        volumes = try reader.list(max: Self.volumesMax) { reader throws(DiskError) in
            CheckVolume(
                name: try reader.text(),
                type: try reader.text(),
                disk: Int(try reader.u32()),
                start: try reader.u64(),
                byteCount: try reader.u64(),
                inner: try reader.optional { reader throws(DiskError) in try reader.text() },
                uuid: try reader.text()
            )
        }
        rehearse = try reader.flag()
    }
}

extension CheckReport {
    /// More programs than these run for no volume.
    private static let stepsMax = 64

    package func write(to writer: inout MessageWriter) {
        writer.add(volume)
        writer.add(type)
        writer.add(verdict.rawValue)
        writer.add(wasDirty)
        writer.add(reason)
        writer.add(isCheckable)
        writer.add(list: checkedAs) { $0.add($1) }
        writer.add(UInt32(clamping: deviceCount))
        writer.add(list: steps) { $1.write(to: &$0) }
        writer.add(optional: rehearsal) { $1.write(to: &$0) }
    }

    package init(from reader: inout MessageReader) throws(DiskError) {
        volume = try reader.text()
        type = try reader.text()
        verdict = try reader.named(Verdict.self)
        wasDirty = try reader.flag()
        reason = try reader.text()
        isCheckable = try reader.flag()
        checkedAs = try reader.list(max: CheckRequest.volumesMax) { reader throws(DiskError) in
            try reader.text()
        }
        deviceCount = Int(try reader.u32())
        steps = try Self.steps(from: &reader)
        rehearsal = try reader.optional { reader throws(DiskError) in
            try Rehearsal(from: &reader)
        }
    }

    fileprivate static func steps(from reader: inout MessageReader) throws(DiskError) -> [CheckStep]
    {
        try reader.list(max: stepsMax) { reader throws(DiskError) in
            try CheckStep(from: &reader)
        }
    }
}

extension CheckStep {
    fileprivate func write(to writer: inout MessageWriter) {
        writer.add(command)
        writer.add(optional: code) { $0.add(Int64($1)) }
        writer.add(text)
        writer.add(isTruncated)
    }

    fileprivate init(from reader: inout MessageReader) throws(DiskError) {
        command = try reader.text()
        let code = try reader.optional { reader throws(DiskError) in try reader.i64() }
        ending = code.map { .exited(Int(clamping: $0)) } ?? .timedOut
        text = try reader.text()
        guard text.utf8.count <= Self.textBytesMax + 16 else {
            throw reader.malformed("a text of \(text.utf8.count) bytes")
        }
        isTruncated = try reader.flag()
    }
}

extension Rehearsal {
    fileprivate func write(to writer: inout MessageWriter) {
        writer.add(outcome.rawValue)
        writer.add(reason)
        writer.add(UInt64(clamping: movedCount))
        writer.add(list: moved) { $0.add($1) }
        writer.add(UInt64(clamping: lostCount))
        writer.add(list: lost) { $0.add($1) }
        writer.add(list: steps) { $1.write(to: &$0) }
    }

    fileprivate init(from reader: inout MessageReader) throws(DiskError) {
        outcome = try reader.named(Outcome.self)
        reason = try reader.text()
        movedCount = Int(clamping: try reader.u64())
        moved = try Self.names(from: &reader)
        lostCount = Int(clamping: try reader.u64())
        lost = try Self.names(from: &reader)
        steps = try CheckReport.steps(from: &reader)
    }

    private static func names(from reader: inout MessageReader) throws(DiskError) -> [String] {
        try reader.list(max: namesMax) { reader throws(DiskError) in try reader.text() }
    }
}

extension MessageReader {
    /// A value of an enumeration, by its name.
    fileprivate mutating func named<Value: RawRepresentable>(
        _ type: Value.Type
    ) throws(DiskError) -> Value where Value.RawValue == String {
        let name = try text()
        guard let value = Value(rawValue: name) else { throw malformed("an unknown name") }
        return value
    }
}
