package import DiskFormats

/// The numbers of the descriptors that a role of `glovebox-engine` finds open.
package enum EngineDescriptor {
    /// The channel to whoever gives the orders.
    package static let control: Int32 = 3
    /// The guardian's: the worker's end of its channel.
    package static let worker: Int32 = 4
    /// The guardian's: the first of the disks' files, in the order of ``GuardianRequest/Start``.
    package static let firstFile: Int32 = 5
    /// An export's: the socket that listens, as systemd's LISTEN_FDS has it.
    package static let listener: Int32 = 3
    /// An export's: the first of its layers, the image itself.
    package static let firstLayer: Int32 = 4
}

/// What of the user's environment reaches the worker, by way of the guardian.
package enum EngineEnvironment {
    /// The names of the variables.
    package static let passedOn = [
        "HOME", "LIBGUESTFS_PATH", "LIBGUESTFS_CACHEDIR", "LIBGUESTFS_BACKEND_SETTINGS",
        "LIBGUESTFS_MEMSIZE", "LIBGUESTFS_DEBUG", "LIBGUESTFS_TRACE",
    ]
    /// The names of what the worker keeps of its environment when it changes its user.
    package static let ofWorker =
        passedOn + ["TMPDIR", "LIBGUESTFS_BACKEND", "LIBGUESTFS_HV"]
    /// What all helpers get in place of the user's own.
    package static let fixed = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]
}

/// How a layer's file is to be read.
package enum LayerFormat: UInt8, Sendable, CaseIterable {
    /// The file is the disk, byte for byte.
    case raw = 0
    /// A QEMU copy-on-write image.
    case qcow2 = 1

    /// As QEMU and our arguments call it.
    package var name: String { self == .raw ? "raw" : "qcow2" }

    /// The format of that name.
    package init?(name: String) {
        guard let format = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = format
    }
}

/// What the front asks of the guardian.
package enum GuardianRequest: Equatable, Sendable {
    /// Begin: make the directory, serve each disk.
    ///
    /// `disks` are the formats of each disk's layers, the image first. Their files are the inherited
    /// descriptors, all of the first disk, then all of the second, and so on. With `areShared` a QEMU
    /// that has them open for writing does not stand in the way: the instance is held by other means.
    case start(directory: String, disks: [[LayerFormat]], areShared: Bool = false)
    /// Start the worker on the inherited end of its channel; once at most.
    case startWorker

    package static let disksMax = 60
    package static let layersMax = 16
}

/// What the guardian tells the front.
package enum GuardianReport: Equatable, Sendable {
    /// All disks are served: where, and how large each is. What is not as it should be is a sentence.
    case ready(exports: [Export], warnings: [String])
    /// The worker runs.
    case workerStarted
    /// The worker has ended, in the way that the sentence says.
    case workerEnded(String)
    /// Nothing can be done any more, for the reason that the sentence gives; the guardian ends.
    case failed(String)

    /// A disk that is served.
    package struct Export: Equatable, Sendable {
        /// The Unix socket of its NBD server.
        package let socket: String
        /// The size that the server gives.
        package let byteCount: UInt64

        package init(socket: String, byteCount: UInt64) {
            self.socket = socket
            self.byteCount = byteCount
        }
    }
}

extension GuardianRequest {
    /// The message.
    package var bytes: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .start(let directory, let disks, let areShared):
            writer.add(UInt8(1))
            writer.add(directory)
            writer.add(list: disks) { writer, layers in
                writer.add(list: layers) { $0.add($1.rawValue) }
            }
            writer.add(areShared)
        case .startWorker: writer.add(UInt8(2))
        }
        return writer.bytes
    }

    /// Reads a message, all of it.
    package init(_ bytes: [UInt8]) throws(DiskError) {
        var reader = MessageReader(bytes)
        switch try reader.u8() {
        case 1:
            let directory = try reader.text()
            let disks = try reader.list(max: Self.disksMax) { reader throws(DiskError) in
                try reader.list(max: Self.layersMax) { reader throws(DiskError) in
                    guard let format = LayerFormat(rawValue: try reader.u8()) else {
                        throw reader.malformed("unknown format")
                    }
                    return format
                }
            }
            guard disks.allSatisfy({ !$0.isEmpty }) else { throw reader.malformed("no layer") }
            self = .start(directory: directory, disks: disks, areShared: try reader.flag())
        case 2: self = .startWorker
        case let kind: throw reader.malformed("request \(kind)")
        }
        try reader.end()
    }
}

extension GuardianReport {
    private static let warningsMax = 100

    /// The message.
    package var bytes: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .ready(let exports, let warnings):
            writer.add(UInt8(1))
            writer.add(list: exports) { writer, export in
                writer.add(export.socket)
                writer.add(export.byteCount)
            }
            writer.add(list: warnings) { $0.add($1) }
        case .workerStarted: writer.add(UInt8(2))
        case .failed(let reason):
            writer.add(UInt8(3))
            writer.add(reason)
        case .workerEnded(let reason):
            writer.add(UInt8(4))
            writer.add(reason)
        }
        return writer.bytes
    }

    /// Reads a message, all of it.
    package init(_ bytes: [UInt8]) throws(DiskError) {
        var reader = MessageReader(bytes)
        switch try reader.u8() {
        case 1:
            let exports = try reader.list(max: GuardianRequest.disksMax) {
                reader throws(DiskError) in
                Export(socket: try reader.text(), byteCount: try reader.u64())
            }
            let warnings = try reader.list(max: Self.warningsMax) { reader throws(DiskError) in
                try reader.text()
            }
            self = .ready(exports: exports, warnings: warnings)
        case 2: self = .workerStarted
        case 3: self = .failed(try reader.text())
        case 4: self = .workerEnded(try reader.text())
        case let kind: throw reader.malformed("report \(kind)")
        }
        try reader.end()
    }
}
