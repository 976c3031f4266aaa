internal import Linux

/// QEMU's image locks: shared locks of open file descriptions, each byte with a meaning of its own.
///
/// From byte 100 on, what a process does with the image; from byte 200 on, what it does not let
/// others do. A writer holds 101, one that resizes 103. A reader holds 100, and on the top of a
/// chain 201 and 203, so that no writer can begin. Source: QEMU `block/file-posix.c` and, for what
/// 7.2 takes in practice, /proc/locks.
enum ImageLocks {
    private static let consistentRead: Int64 = 100
    private static let write: Int64 = 101
    private static let resize: Int64 = 103
    private static let refusesReaders: Int64 = 200
    private static let refusesWriters: Int64 = 201
    private static let refusesResizing: Int64 = 203

    /// What locks have to say about a file.
    enum Answer: Equatable {
        /// Nobody writes, and as long as the descriptor is open our locks say that we read.
        case held
        /// The file system does not tell what others do.
        case unknown(String)
    }

    /// File systems where others may hold locks that this machine does not see (statfs(2)).
    private static func remote(_ magic: UInt32) -> String? {
        switch magic {
        case 0x6969: "NFS"
        case 0x6573_5546: "FUSE"
        case 0xFF53_4D42: "CIFS"
        case 0xFE53_4D42: "SMB"
        case 0x00C3_6400: "CephFS"
        case 0x0102_1997: "9p"
        case 0x0BD0_0BD0: "Lustre"
        default: nil
        }
    }

    /// Takes a reader's locks on `file` and makes sure that nobody writes to it.
    static func hold(_ file: FileDescriptor, isTop: Bool) throws(AttachError) -> Answer {
        let conflict: Int64?
        let magic: UInt32
        do throws(SystemError) {
            conflict = try take(file, isTop: isTop)
            magic = try file.fileSystemMagic()
        } catch {
            return .unknown("its file system cannot tell (\(error.name))")
        }
        if let conflict { throw inUse(file.path, conflict) }
        guard let name = remote(magic) else { return .held }
        return .unknown("its file system is \(name), where other machines' locks may not show")
    }

    /// The byte on which somebody else's lock stands in the way, or nil once ours stand.
    ///
    /// The second look comes after our own locks, so that no writer slips in between.
    private static func take(
        _ file: FileDescriptor,
        isTop: Bool
    ) throws(SystemError) -> Int64? {
        if let byte = try writer(of: file) { return byte }
        for byte in isTop ? [consistentRead, refusesWriters, refusesResizing] : [consistentRead] {
            guard try file.lockShared(byteAt: byte) else { return byte }
        }
        return try writer(of: file)
    }

    private static func writer(of file: FileDescriptor) throws(SystemError) -> Int64? {
        for byte in [write, resize, refusesReaders] where try file.isLockedByOthers(byteAt: byte) {
            return byte
        }
        return nil
    }

    private static func inUse(_ path: String, _ byte: Int64) -> AttachError {
        AttachError(
            .inUse,
            path,
            "in use: another process holds QEMU's lock on it (byte \(byte)), probably a running "
                + "instance; shut the instance down, or read a snapshot of the disk"
        )
    }
}
