internal import Linux

/// A bag as a directory: `NAME.partial`, readable by its owner alone, until it is complete.
final class BagDirectory: BagForm {
    let records: FileDescriptor
    private let path: String
    private let partialPath: String
    private let above: FileDescriptor
    private let bag: FileDescriptor
    private let data: FileDescriptor
    private let archive: FileDescriptor
    private var written: [BagFile] = [.archive, .records]

    private static let dataName = Array("data".utf8)

    /// Makes the directory; throws EEXIST where an interrupted run has left one.
    init(_ path: String) throws(SystemError) {
        self.path = path
        partialPath = path + ".partial"
        above = try .openDirectory(PendingFile.directory(of: path))
        let name = Self.lastName(of: partialPath)
        try above.makeDirectory(name)
        do throws(SystemError) {
            bag = try above.openDirectory(beneath: name)
            try bag.makeDirectory(Self.dataName)
            data = try bag.openDirectory(beneath: Self.dataName)
            archive = try data.createFile(Array(BagFile.archive.name.utf8))
            records = try data.createFile(Array(BagFile.records.name.utf8))
        } catch {
            Self.remove(name, in: above, [.archive, .records])
            throw error
        }
    }

    func scratch() throws(SystemError) -> FileDescriptor {
        try PendingFile.scratch(in: data, "scratch")
    }

    func beginArchive() throws(SystemError) -> FileDescriptor { archive }

    func endArchive(_ byteCount: UInt64) throws(SystemError) {}

    func endRecords(_ byteCount: UInt64) throws(SystemError) {}

    func add(_ member: BagFile, _ content: [UInt8]) throws(SystemError) {
        let file = try (member.isPayload ? data : bag).createFile(Array(member.name.utf8))
        written.append(member)
        try file.write(content)
        try file.synchronize()
        try file.close()
    }

    func synchronize() throws(SystemError) {
        try archive.synchronize()
        try records.synchronize()
        try data.synchronize()
        try bag.synchronize()
    }

    func publish() throws(SystemError) {
        try FileDescriptor.rename(partialPath, toNew: path)
        try above.synchronize()
    }

    func discard() { Self.remove(Self.lastName(of: partialPath), in: above, written) }

    private static func lastName(of path: String) -> [UInt8] {
        CommandLineBytes.decode(path.split(separator: "/").last ?? "")
    }

    /// Removes our own files by their names, and then the directories, as far as they are empty.
    private static func remove(
        _ name: [UInt8],
        in above: FileDescriptor,
        _ members: [BagFile]
    ) {
        guard let bag = try? above.openDirectory(beneath: name) else { return }
        let data = try? bag.openDirectory(beneath: dataName)
        for member in members {
            try? (member.isPayload ? data : bag)?.removeFile(Array(member.name.utf8))
        }
        try? bag.removeDirectory(dataName)
        try? above.removeDirectory(name)
    }
}
