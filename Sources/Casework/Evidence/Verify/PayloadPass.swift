internal import Digests
internal import DiskFormats
internal import JSON
internal import Linux

/// Reads files.tar and files.jsonl side by side, once: their digests, whether they say the same,
/// and whether all of it lies in a scope.
struct PayloadPass {
    /// What counts were met.
    struct Counts {
        var entries: UInt64 = 0
        var bytes: UInt64 = 0
        var byKind: [PaxEntry.Kind: UInt64] = [:]
    }

    private let archive: PartReader
    private let lines: PartReader
    private let watch: VerificationWatch
    private let scope: BagScope?
    private var line = 0

    private(set) var counts = Counts()
    /// The first difference.
    private(set) var fault: BagFault?
    /// The first record outside the scope.
    private(set) var outside: BagFault?

    init(_ archive: BagPart, _ lines: BagPart, _ scope: BagScope?, _ watch: VerificationWatch) {
        self.archive = PartReader(archive, watch)
        self.lines = PartReader(lines, watch)
        self.scope = scope
        self.watch = watch
    }

    /// Reads both to their ends and gives their digests; what differs is kept in ``fault``.
    mutating func run() throws(BagStop) -> [BagFile: Digest] {
        do throws(BagStop) { try compare() } catch {
            guard case .fault(let fault) = error else { throw error }
            self.fault = fault
        }
        return [.archive: try archive.digest(), .records: try lines.digest()]
    }

    private mutating func compare() throws(BagStop) {
        let entries = PaxReader(archive)
        while let entry = try entries.next() {
            guard let line = try nextLine() else {
                let shown = GuestName.escaped(entry.path)
                throw .fault(.byte(.archive, entry.offset), "\(shown) is not in files.jsonl")
            }
            let record: StatedRecord
            do throws(JSONError) {
                let members = try StatedRecord.members(line)
                guard !Self.isNote(members) else {
                    let shown = GuestName.escaped(entry.path)
                    throw JSONError("\(shown) of files.tar is not described here")
                }
                record = try StatedRecord(members)
            } catch {
                throw wrong(error)
            }
            try compare(record, entry)
        }
        while let line = try nextLine() {
            do throws(JSONError) { try checkNote(StatedRecord.members(line)) } catch {
                throw wrong(error)
            }
        }
    }

    private mutating func nextLine() throws(BagStop) -> [UInt8]? {
        line += 1
        return try lines.line(limit: StatedRecord.lineBytesMax)
    }

    private func wrong(_ error: JSONError) -> BagStop {
        .fault(.line(.records, line), GuestName.escaped(Array(error.description.utf8)))
    }

    private mutating func compare(_ record: StatedRecord, _ entry: PaxEntry) throws(BagStop) {
        let comparison = RecordComparison(record: record, entry: entry)
        if let difference = comparison.difference {
            throw .fault(.line(.records, line), difference)
        }
        if entry.kind == .file {
            let content = try archive.content(of: entry, watch)
            if let difference = comparison.difference(content) {
                throw .fault(.line(.records, line), difference)
            }
            counts.bytes &+= content.size
        }
        guard let place = RecordPlace(record) else {
            let shown = GuestName.escaped(record.path)
            throw .fault(.line(.records, line), "\(shown) does not fit its guest_path")
        }
        counts.entries += 1
        counts.byKind[entry.kind, default: 0] += 1
        watch.entries = counts.entries
        if let scope, outside == nil, !scope.covers(record, place) {
            let shown = GuestName.escaped(record.volume) + ":" + GuestName.escaped(record.guestPath)
            outside = BagFault(.line(.records, line), "\(shown) is outside the scope")
        }
    }

    /// Whether it says what was left out.
    private static func isNote(_ members: JSONMembers) -> Bool {
        members.contains("skipped") || members.contains("problem")
    }

    private func checkNote(_ members: JSONMembers) throws(JSONError) {
        var members = members
        guard Self.isNote(members) else { throw JSONError("what it describes is not in files.tar") }
        if members.contains("skipped") {
            _ = try members.bytes("skipped")
            _ = try members.string("reason")
            return try members.end()
        }
        _ = try members.bytes("problem")
        _ = try members.string("error")
        if members.contains("offset") {
            _ = try members.integer("offset", as: UInt64.self)
            _ = try members.integer("length", as: UInt64.self)
        }
        try members.end()
    }
}

/// How the path of an entry follows from the path in the guest.
///
/// A file stands in the archive under its path in the guest; where several trees were asked for, that
/// of a volume that was named is in `DISK/VOLUME`.
enum RecordPlace {
    /// Directly under its path.
    case plain
    /// Under the name of its volume.
    case underVolume

    init?(_ record: StatedRecord) {
        let slash: [UInt8] = [0x2F]
        guard record.guestPath.starts(with: slash) else { return nil }
        if slash + record.path == record.guestPath {
            self = .plain
            return
        }
        // A disk's name may have colons, a volume's has none.
        guard let colon = record.volume.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let names = [record.volume[..<colon], record.volume[(colon + 1)...]]
        let prefix = names.filter { !$0.isEmpty }.map { Array($0) }.joined(separator: slash)
        let top = record.guestPath.elementsEqual(slash)
        guard record.path == Array(prefix) + (top ? [] : record.guestPath) else { return nil }
        self = .underVolume
    }
}

/// The scope of an approval, with what tells a path of a volume from one of the guest's own tree.
struct BagScope {
    let scope: Scope
    /// Whether a bare path was asked for.
    let hasBarePath: Bool

    /// Whether a record lies inside.
    func covers(_ record: StatedRecord, _ place: RecordPlace) -> Bool {
        guard let colon = record.volume.lastIndex(of: UInt8(ascii: ":")) else { return false }
        let volume = GuestPath.VolumeName(
            disk: CommandLineBytes.encode(record.volume[..<colon]),
            volume: CommandLineBytes.encode(record.volume[(colon + 1)...])
        )
        let isOfGuestTree = place == .plain && hasBarePath
        return scope.covers(
            volume: volume,
            path: isOfGuestTree ? record.volumePath : record.guestPath,
            guestPath: isOfGuestTree ? record.guestPath : nil
        )
    }
}
