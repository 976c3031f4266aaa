internal import DiskFormats
internal import Glibc
internal import Linux

/// A bag with all its files open, none of them read yet.
struct OpenedBag {
    let isTar: Bool
    /// What the tar calls it; a directory does not say.
    let name: [UInt8]?
    private let parts: [BagFile: BagPart]

    /// Opens the directory or the tar at `path`, and checks that it has exactly the files of a bag.
    init(_ path: String) throws(BagStop) {
        let descriptor = try Self.open(path)
        let status = try Self.status(descriptor)
        switch status.kind {
        case .directory:
            isTar = false
            name = nil
            parts = try Self.directory(descriptor, path)
        case .regular:
            isTar = true
            let tar = try Self.tar(descriptor, size: status.size, path)
            name = tar.name
            parts = Dictionary(tar.parts.map { ($0.file, $0) }) { first, _ in first }
        default:
            throw Self.noBag(path, "it is a \(status.kind.rawValue)")
        }
        try checkApproval()
        for part in parts.values {
            guard let most = part.file.byteCountMax, part.size > UInt64(most) else { continue }
            throw .fault(.file(part.file), "it has \(part.size) bytes, more than it may have")
        }
    }

    /// A file of the bag, if it is there.
    subscript(file: BagFile) -> BagPart? { parts[file] }

    /// The size of the payload and its number of files.
    var payload: (bytes: UInt64, files: Int) {
        let sizes = parts.values.filter(\.file.isPayload).map(\.size)
        // Sizes fit 63 bits, and there are seven at most.
        return (sizes.reduce(0, &+), sizes.count)
    }

    private func checkApproval() throws(BagStop) {
        let there = BagFile.ofApproval.filter { parts[$0] != nil }
        guard let first = there.first else { return }
        if let missing = BagFile.ofApproval.first(where: { parts[$0] == nil }) {
            throw .fault(.file(missing), "it is missing beside \(first.rawValue)")
        }
    }
}

extension OpenedBag {
    /// Opens what the user named without waking a device or waiting at a FIFO.
    private static func open(_ path: String) throws(BagStop) -> FileDescriptor {
        let place = try systemCall { () throws(SystemError) in
            try FileDescriptor.open(path, FileDescriptor.pathOnly)
        }
        switch try status(place).kind {
        case .regular, .directory:
            return try systemCall { () throws(SystemError) in
                try place.reopen(O_RDONLY | O_NONBLOCK)
            }
        default: return place
        }
    }

    private static func status(_ file: FileDescriptor) throws(BagStop) -> FileStatus {
        try systemCall { () throws(SystemError) in try file.status() }
    }

    private static func noBag(_ path: String, _ why: String) -> BagStop {
        .error(
            GloveboxError(
                .unreadable,
                "\(path) is not an evidence bag: \(why).",
                advice: "Give the directory or the .tar that `glovebox extract --to` made."
            )
        )
    }

    private static func incomplete(_ path: String, _ why: String) -> BagStop {
        .error(
            GloveboxError(
                .unreadable,
                "\(path) is incomplete: \(why).",
                advice: "What is in it proves nothing; extract anew."
            )
        )
    }
}

extension OpenedBag {
    private static func tar(
        _ descriptor: FileDescriptor,
        size: UInt64,
        _ path: String
    ) throws(BagStop) -> OuterTarReader {
        var first = [UInt8](repeating: 0, count: OuterTarHeader.byteCount)
        let count = try systemCall { () throws(SystemError) in
            try descriptor.read(into: &first, at: 0)
        }
        guard OuterTarReader.isBag(Array(first.prefix(count))) else {
            throw noBag(path, "it does not begin as the tar of one does")
        }
        var tar = OuterTarReader(descriptor, size: size)
        try tar.read()
        return tar
    }
}

extension OpenedBag {
    /// More names than these need not be read to know that one is unknown.
    private static let namesMax = 4_096

    private static func directory(
        _ top: FileDescriptor,
        _ path: String
    ) throws(BagStop) -> [BagFile: BagPart] {
        if isPartial(path) {
            throw incomplete(path, "it was being written when that was interrupted")
        }
        let names = try names(in: top)
        let known = BagFile.allCases.filter { !$0.isPayload }
        guard names.contains(BagFile.payloadFolder), names.contains(BagFile.declaration.rawValue)
        else { throw noBag(path, "data or bagit.txt is missing") }
        guard names.contains(BagFile.tagManifest.rawValue) else {
            throw incomplete(
                path,
                "it has no \(BagFile.tagManifest.rawValue), so it was not sealed"
            )
        }
        try refuseUnknown(names, [BagFile.payloadFolder] + known.map(\.rawValue), in: "")
        var parts = try open(known, in: top, names)
        let data = try open(BagFile.payloadFolder, .directory, in: top, .bag)
        let inner = try self.names(in: data)
        let payload = BagFile.allCases.filter(\.isPayload)
        try refuseUnknown(inner, payload.map(\.name), in: "data/")
        parts.merge(try open(payload, in: data, inner)) { first, _ in first }
        return parts
    }

    /// Whether this is the name that a bag has until it is sealed.
    private static func isPartial(_ path: String) -> Bool {
        var path = path[...]
        while path.hasSuffix("/") { path = path.dropLast() }
        return path.hasSuffix(".partial")
    }

    private static func names(in directory: FileDescriptor) throws(BagStop) -> Set<String> {
        try systemCall { () throws(SystemError) in Set(try directory.names(limit: namesMax)) }
    }

    private static func refuseUnknown(
        _ names: Set<String>,
        _ known: [String],
        in folder: String
    ) throws(BagStop) {
        guard let unknown = names.subtracting(known).min() else { return }
        let shown = folder + GuestName.escaped(CommandLineBytes.decode(unknown))
        throw .fault(.bag, "\(shown) is no file of a bag")
    }

    private static func open(
        _ files: [BagFile],
        in directory: FileDescriptor,
        _ names: Set<String>
    ) throws(BagStop) -> [BagFile: BagPart] {
        var parts: [BagFile: BagPart] = [:]
        for file in files {
            if !names.contains(file.name) {
                if file.isOptional { continue }
                throw .fault(.file(file), "it is missing")
            }
            let opened = try open(file.name, .regular, in: directory, .file(file))
            let size = try status(opened).size
            parts[file] = BagPart(file: file, descriptor: opened, offset: 0, size: size)
        }
        return parts
    }

    /// Nothing that is opened in a bag leads out of it.
    private static let own: PathResolution = [
        .beneath, .noSymbolicLinks, .noMagicLinks, .noMountPoints,
    ]

    /// Opens what has to be of this `kind`; anything else is not even woken.
    private static func open(
        _ name: String,
        _ kind: FileStatus.Kind,
        in directory: FileDescriptor,
        _ place: BagFault.Place
    ) throws(BagStop) -> FileDescriptor {
        let seen = try systemCall { () throws(SystemError) in
            try directory.open(name, FileDescriptor.pathOnly | O_NOFOLLOW, resolve: own)
        }
        let found = try status(seen).kind
        guard found == kind else {
            throw .fault(place, "\(name) is a \(found.rawValue), not a \(kind.rawValue)")
        }
        return try systemCall { () throws(SystemError) in try seen.reopen(O_RDONLY | O_NONBLOCK) }
    }
}

/// Runs a system call whose failure means that the bag cannot be read.
func systemCall<Value>(_ body: () throws(SystemError) -> Value) throws(BagStop) -> Value {
    do throws(SystemError) { return try body() } catch { throw .system(error) }
}
