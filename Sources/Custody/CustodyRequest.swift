package import DiskFormats
internal import EngineProtocol

/// What the front asks of the custodian; each request has one answer, ``CustodyReport``.
package enum CustodyRequest: Equatable, Sendable {
    /// First of all: which libvirt; nil for its own default.
    case connect(uri: String?)
    /// All domains.
    case list
    /// The domain of that uuid, id or name.
    case find(String)
    /// Hold the domain that was found last.
    case hold(HoldOrder)
    /// Readers are at work on what is held, or not any more; their process numbers.
    case step(HoldStep, readers: [Int32])
    /// The front reads no more, and takes nothing more for read, after ``CustodyReport/invalidated``.
    case stopped
    /// Let go of what is held; nothing is read any more.
    case release
    /// Take over sessions that were left behind: all of them, or the one of that name.
    case recover(stateDirectory: String, session: String?)

    /// More than a host has, and what a message may hold.
    package static let domainsMax = 10_000
    package static let readersMax = 64
    package static let exportsMax = 64
}

/// How a domain is to be held.
package struct HoldOrder: Equatable, Sendable {
    /// The run that was looked at; another one is refused.
    package var run: DomainRun
    package var mode: HoldMode
    /// The longest time that the domain may be paused, in seconds.
    package var pauseSecondsMax: UInt32
    /// The installation's directory of state; sessions lie beneath it.
    package var stateDirectory: String
    /// Whoever asked, such as `alice`.
    package var user: String
    /// In brief mode: the disks to export, by their target (`vda`), and the bytes of each.
    package var exports: [Export]
    /// In brief mode: the domain's other disks, by their target, which the job is to leave alone.
    package var otherTargets: [String]
    /// In brief mode: the user and group of QEMU, which makes socket and scratch files; nil for root.
    package var owner: Owner?

    package struct Export: Equatable, Sendable {
        package var target: String
        package var byteCount: UInt64

        package init(target: String, byteCount: UInt64) {
            self.target = target
            self.byteCount = byteCount
        }
    }

    package struct Owner: Equatable, Sendable {
        package var user: UInt32
        package var group: UInt32

        package init(user: UInt32, group: UInt32) {
            self.user = user
            self.group = group
        }
    }

    package init(
        run: DomainRun,
        mode: HoldMode,
        pauseSecondsMax: UInt32,
        stateDirectory: String,
        user: String,
        exports: [Export] = [],
        otherTargets: [String] = [],
        owner: Owner? = nil
    ) {
        self.run = run
        self.mode = mode
        self.pauseSecondsMax = pauseSecondsMax
        self.stateDirectory = stateDirectory
        self.user = user
        self.exports = exports
        self.otherTargets = otherTargets
        self.owner = owner
    }
}

/// How far the reading of what is held is.
package enum HoldStep: UInt8, Sendable, CaseIterable {
    case connected = 1
    case mounted
    case unmounted
    case disconnected
}

extension CustodyRequest {
    /// The message.
    package var bytes: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .connect(let uri):
            writer.add(UInt8(1))
            writer.add(optional: uri) { $0.add($1) }
        case .list: writer.add(UInt8(2))
        case .find(let name):
            writer.add(UInt8(3))
            writer.add(name)
        case .hold(let order):
            writer.add(UInt8(4))
            order.write(to: &writer)
        case .step(let step, let readers):
            writer.add(UInt8(5))
            writer.add(step.rawValue)
            writer.add(list: readers) { $0.add(UInt32(bitPattern: $1)) }
        case .stopped: writer.add(UInt8(6))
        case .release: writer.add(UInt8(7))
        case .recover(let directory, let session):
            writer.add(UInt8(8))
            writer.add(directory)
            writer.add(optional: session) { $0.add($1) }
        }
        return writer.bytes
    }

    /// Reads a message, all of it.
    package init(_ bytes: [UInt8]) throws(DiskError) {
        var reader = MessageReader(bytes)
        switch try reader.u8() {
        case 1:
            self = .connect(
                uri: try reader.optional { reader throws(DiskError) in try reader.text() }
            )
        case 2: self = .list
        case 3: self = .find(try reader.text())
        case 4: self = .hold(try HoldOrder(&reader))
        case 5:
            guard let step = HoldStep(rawValue: try reader.u8()) else {
                throw reader.malformed("unknown step")
            }
            let readers = try reader.list(max: Self.readersMax) { reader throws(DiskError) in
                Int32(bitPattern: try reader.u32())
            }
            self = .step(step, readers: readers)
        case 6: self = .stopped
        case 7: self = .release
        case 8:
            self = .recover(
                stateDirectory: try reader.text(),
                session: try reader.optional { reader throws(DiskError) in try reader.text() }
            )
        case let kind: throw reader.malformed("request \(kind)")
        }
        try reader.end()
    }
}

extension HoldOrder {
    fileprivate func write(to writer: inout MessageWriter) {
        run.write(to: &writer)
        writer.add(mode.rawValue)
        writer.add(pauseSecondsMax)
        writer.add(stateDirectory)
        writer.add(user)
        writer.add(list: exports) { writer, export in
            writer.add(export.target)
            writer.add(export.byteCount)
        }
        writer.add(list: otherTargets) { $0.add($1) }
        writer.add(optional: owner) { writer, owner in
            writer.add(owner.user)
            writer.add(owner.group)
        }
    }

    fileprivate init(_ reader: inout MessageReader) throws(DiskError) {
        let run = try DomainRun(&reader)
        guard let mode = HoldMode(rawValue: try reader.text()) else {
            throw reader.malformed("unknown mode")
        }
        self.init(
            run: run,
            mode: mode,
            pauseSecondsMax: try reader.u32(),
            stateDirectory: try reader.text(),
            user: try reader.text(),
            exports: try reader.list(max: CustodyRequest.exportsMax) { reader throws(DiskError) in
                Export(target: try reader.text(), byteCount: try reader.u64())
            },
            otherTargets: try reader.list(max: CustodyRequest.exportsMax) {
                reader throws(DiskError) in try reader.text()
            },
            owner: try reader.optional { reader throws(DiskError) in
                Owner(user: try reader.u32(), group: try reader.u32())
            }
        )
    }
}

extension DomainRun {
    func write(to writer: inout MessageWriter) {
        writer.add(uuid)
        writer.add(UInt32(bitPattern: id))
    }

    init(_ reader: inout MessageReader) throws(DiskError) {
        self.init(uuid: try reader.text(), id: Int32(bitPattern: try reader.u32()))
    }
}
