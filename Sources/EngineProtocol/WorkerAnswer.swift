package import DiskFormats

/// What the worker answers.
package enum WorkerAnswer: Equatable, Sendable {
    /// It could not be done.
    case failure(WorkerFailure)
    /// How far the launch is; others follow.
    case progress(String)
    /// The appliance runs; true with KVM.
    case launched(usesKVM: Bool)
    /// All volumes.
    case volumes([WorkerVolume])
    /// A volume is mounted.
    case opened(WorkerMount)
    /// Names of a directory; others follow unless it is the last message.
    case entries([WorkerEntry], isLast: Bool)
    /// What lstat says.
    case status(WorkerStatus)
    /// A link's target, or bytes of a file.
    case bytes([UInt8])
    /// Extended attributes.
    case attributes([ExtendedAttribute])
    /// Done, and nothing to say.
    case done
    /// What the check of a volume gave, a report of the module Checkers; others follow, then done.
    case report([UInt8])

    /// How many names one message carries at most.
    package static let entriesMax = 4_096
    /// More volumes than one appliance is asked about.
    package static let volumesMax = 4_096
}

extension WorkerAnswer {
    /// The message to send.
    package var message: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .failure(let failure):
            writer.add(UInt8(0))
            writer.add(failure.kind.rawValue)
            writer.add(failure.message)
        case .progress(let text):
            writer.add(UInt8(1))
            writer.add(text)
        case .launched(let usesKVM):
            writer.add(UInt8(2))
            writer.add(usesKVM)
        case .volumes(let volumes):
            writer.add(UInt8(3))
            writer.add(list: volumes) { $0.add($1) }
        case .opened(let mount):
            writer.add(UInt8(4))
            writer.add(mount)
        case .entries(let entries, let isLast):
            writer.add(UInt8(5))
            writer.add(isLast)
            writer.add(list: entries) { writer, entry in
                writer.add(entry.name)
                writer.add(optional: entry.status) { $0.add($1) }
            }
        case .status(let status):
            writer.add(UInt8(6))
            writer.add(status)
        case .bytes(let bytes):
            writer.add(UInt8(7))
            writer.add(bytes)
        case .attributes(let attributes):
            writer.add(UInt8(8))
            writer.add(list: attributes) { writer, attribute in
                writer.add(attribute.name)
                writer.add(attribute.value)
            }
        case .done:
            writer.add(UInt8(9))
        case .report(let report):
            writer.add(UInt8(10))
            writer.add(report)
        }
        return writer.bytes
    }

    /// Reads a message; nothing in it is believed unchecked.
    package init(message: [UInt8]) throws(DiskError) {
        var reader = MessageReader(message)
        switch try reader.u8() {
        case 0:
            guard let kind = WorkerFailure.Kind(rawValue: try reader.u8()) else {
                throw reader.malformed("an unknown kind of failure")
            }
            self = .failure(WorkerFailure(kind, try reader.text()))
        case 1: self = .progress(try reader.text())
        case 2: self = .launched(usesKVM: try reader.flag())
        case 3:
            self = .volumes(
                try reader.list(max: Self.volumesMax) {
                    (reader: inout MessageReader) throws(DiskError) in try reader.volume()
                }
            )
        case 4: self = .opened(try reader.mount())
        case 5: self = try reader.entries()
        case 6: self = .status(try reader.status())
        case 7: self = .bytes(try reader.run())
        case 8:
            self = .attributes(
                try reader.list(max: 65_536) { (reader: inout MessageReader) throws(DiskError) in
                    ExtendedAttribute(name: try reader.run(), value: try reader.run())
                }
            )
        case 9: self = .done
        case 10: self = .report(try reader.run())
        default: throw reader.malformed("an unknown answer")
        }
        try reader.end()
    }
}

extension MessageReader {
    fileprivate mutating func volume() throws(DiskError) -> WorkerVolume {
        WorkerVolume(
            disk: try text(),
            name: try text(),
            type: try text(),
            label: try run(),
            uuid: try text(),
            byteCount: try u64(),
            parts: try list(max: WorkerVolume.partsMax) {
                (reader: inout MessageReader) throws(DiskError) in try reader.text()
            }
        )
    }

    fileprivate mutating func entries() throws(DiskError) -> WorkerAnswer {
        let isLast = try flag()
        let entries = try list(max: WorkerAnswer.entriesMax) {
            (reader: inout MessageReader) throws(DiskError) in
            let name = try reader.run()
            // As a directory entry promises: a name that could lead elsewhere is none.
            guard !name.isEmpty, !name.contains(0), !name.contains(UInt8(ascii: "/")),
                !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8)
            else { throw reader.malformed("a name that no directory has") }
            let status = try reader.optional { (reader: inout MessageReader) throws(DiskError) in
                try reader.status()
            }
            return WorkerEntry(name: name, status: status)
        }
        return .entries(entries, isLast: isLast)
    }
}
