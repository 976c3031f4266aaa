internal import Glibc
internal import Linux

/// Writes pieces of an archive, from memory and, into a pipe, straight from the files of layers.
struct ArchiveOutput {
    private let output: FileDescriptor
    private let cancellation: CancellationFlag

    init(_ output: FileDescriptor, _ cancellation: CancellationFlag) {
        self.output = output
        self.cancellation = cancellation
    }

    /// A range of the guest's file that its layer failed to give.
    struct Loss {
        let range: Range<UInt64>
        let error: SystemError
    }

    /// Writes all of `piece`; returns what could not be read, for which zeros stand.
    func write(_ piece: ArchivePiece) throws(SystemError) -> [Loss] {
        var position = 0
        var lost: [Loss] = []
        for move in piece.moves {
            try write(piece.buffer, position..<move.position)
            position = move.position
            lost += try write(move)
        }
        try write(piece.buffer, position..<piece.buffer.count)
        return lost
    }

    private func write(_ buffer: TransferBuffer, _ range: Range<Int>) throws(SystemError) {
        guard !range.isEmpty else { return }
        try buffer.withBytes(range) { bytes throws(SystemError) in try output.write(bytes) }
    }

    private func write(_ move: ArchivePiece.Move) throws(SystemError) -> [Loss] {
        var done: UInt64 = 0
        while done < move.count, !cancellation.isSet {
            let count = Int(min(move.count - done, 1 << 20))
            let moved: Int
            do throws(SystemError) {
                guard
                    let some = try output.splice(
                        from: move.file,
                        at: move.offset + done,
                        count: count
                    )
                else { break }
                moved = some
            } catch {
                if error.isClosedPipe { throw error }
                break
            }
            if moved == 0 { break }
            done += UInt64(moved)
        }
        return done < move.count ? try copy(move, from: done) : []
    }

    /// Copies what could not be moved.
    private func copy(
        _ move: ArchivePiece.Move,
        from start: UInt64
    ) throws(SystemError) -> [Loss] {
        let buffer = TransferBuffer(capacity: 1 << 16)
        var done = start
        var lost: [Loss] = []
        while done < move.count, !cancellation.isSet {
            let count = Int(min(move.count - done, 4_096))
            buffer.removeAll()
            do throws(SystemError) {
                try buffer.append(count) { span throws(SystemError) in
                    guard try move.file.read(into: &span, at: move.offset + done) == count else {
                        throw SystemError(call: "pread", path: move.file.path, errno: ENODATA)
                    }
                }
            } catch {
                let first = move.fileOffset + done
                lost.append(Loss(range: first..<(first + UInt64(count)), error: error))
                buffer.removeAll()
                buffer.appendZeros(count)
            }
            try buffer.write(to: output)
            done += UInt64(count)
        }
        return lost
    }
}
