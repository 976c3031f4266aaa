internal import DiskFormats
internal import Linux

/// A bag as one tar file, which has no name until it is complete.
///
/// `files.tar` goes straight into it, and its header is filled in when its length is known; the
/// records, which are made at the same time, wait in a file without a name.
final class BagTar: BagForm {
    let records: FileDescriptor
    private let name: String
    private let directory: FileDescriptor
    private var file: PendingFile?
    private let output: FileDescriptor

    /// Prepares the file at `path`; its entries are in the directory `name`.
    init(_ path: String, name: String) throws(SystemError) {
        self.name = name
        directory = try .openDirectory(PendingFile.directory(of: path))
        records = try PendingFile.scratch(in: directory, name + ".partial.records")
        let pending = try PendingFile(path)
        output = pending.descriptor
        file = consume pending
    }

    func scratch() throws(SystemError) -> FileDescriptor {
        try PendingFile.scratch(in: directory, name + ".partial.scratch")
    }

    func beginArchive() throws(SystemError) -> FileDescriptor {
        try zeros(OuterTar.blockBytes)
        return output
    }

    func endArchive(_ byteCount: UInt64) throws(SystemError) {
        try zeros(OuterTar.padding(after: byteCount))
        let header = header(.archive, byteCount)
        let span = header.span
        try output.write(span.raw, at: 0)
    }

    func endRecords(_ byteCount: UInt64) throws(SystemError) {
        try output.write(header(.records, byteCount))
        try records.copy(byteCount, to: output)
        try zeros(OuterTar.padding(after: byteCount))
    }

    func add(_ member: BagFile, _ content: [UInt8]) throws(SystemError) {
        let size = UInt64(content.count)
        try output.write(header(member, size))
        try output.write(content)
        try zeros(OuterTar.padding(after: size))
    }

    func synchronize() throws(SystemError) {
        try zeros(OuterTar.endBytes)
        try output.synchronize()
    }

    func publish() throws(SystemError) {
        guard let file = file.take() else { return }
        try file.publish()
        try directory.synchronize()
    }

    func discard() { file.take()?.discard() }

    private func header(_ member: BagFile, _ size: UInt64) -> [UInt8] {
        OuterTar.header(name: "\(name)/\(member.rawValue)", size: size)
    }

    private func zeros(_ count: Int) throws(SystemError) {
        try output.write([UInt8](repeating: 0, count: count))
    }
}

extension FileDescriptor {
    /// Writes the first `count` bytes of this file to `output`; throws where there are fewer.
    func copy(_ count: UInt64, to output: FileDescriptor) throws(SystemError) {
        let buffer = TransferBuffer(capacity: 1 << 20)
        var done: UInt64 = 0
        while done < count {
            let piece = Int(min(count - done, 1 << 20))
            buffer.removeAll()
            try buffer.append(piece) { span throws(SystemError) in
                guard try read(into: &span, at: done) == piece else {
                    throw SystemError(call: "pread", path: path, errno: 5)
                }
            }
            try buffer.write(to: output)
            done += UInt64(piece)
        }
    }
}
