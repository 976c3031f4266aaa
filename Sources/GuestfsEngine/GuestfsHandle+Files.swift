internal import CGuestfs
internal import DiskFormats
internal import EngineProtocol
internal import Glibc
internal import Linux

// What is read from a mounted file system; paths are never followed in their last place.
extension GuestfsHandle {
    /// The names in a directory, without `.` and `..`.
    func entryNames(_ path: [UInt8]) throws(GuestfsError) -> [[UInt8]] {
        let path = terminated(path)
        guard let list = unsafe guestfs_readdir(pointer, path) else { throw failure() }
        defer { unsafe guestfs_free_dirent_list(list) }
        var names: [[UInt8]] = []
        for index in 0..<Int(unsafe list.pointee.len) {
            guard let name = unsafe list.pointee.val[index].name else { continue }
            let bytes = unsafe bytes(of: name)
            if bytes != [0x2E], bytes != [0x2E, 0x2E] { names.append(bytes) }
        }
        return names
    }

    /// What lstat says of `names` in a directory; nil where it says nothing.
    func statuses(
        _ names: [[UInt8]],
        in directory: [UInt8]
    ) throws(GuestfsError) -> [WorkerStatus?] {
        let path = terminated(directory)
        let list = unsafe withCStrings(names) { unsafe guestfs_lstatnslist(pointer, path, $0) }
        guard let list = unsafe list else { throw failure() }
        defer { unsafe guestfs_free_statns_list(list) }
        guard Int(unsafe list.pointee.len) == names.count else {
            throw GuestfsError(message: "lstatnslist left out names", errno: 0)
        }
        return (0..<names.count).map { unsafe Self.status(list.pointee.val[$0]) }
    }

    /// What lstat says of one file.
    func status(_ path: [UInt8]) throws(GuestfsError) -> WorkerStatus {
        let path = terminated(path)
        guard let result = unsafe guestfs_lstatns(pointer, path) else { throw failure() }
        defer { unsafe guestfs_free_statns(result) }
        guard let status = unsafe Self.status(result.pointee) else {
            throw GuestfsError(message: "a file of unknown type", errno: EINVAL)
        }
        return status
    }

    /// Nil where the type is none, or where lstatnslist could not look (it leaves -1 there).
    private static func status(_ found: guestfs_statns) -> WorkerStatus? {
        guard found.st_ino != -1 || found.st_mode > 0,
            let type = FileType(mode: UInt16(truncatingIfNeeded: found.st_mode))
        else { return nil }
        var inode = Inode(
            number: UInt64(bitPattern: found.st_ino),
            type: type,
            permissions: UInt16(truncatingIfNeeded: found.st_mode) & 0xFFF
        )
        inode.userID = UInt32(truncatingIfNeeded: found.st_uid)
        inode.groupID = UInt32(truncatingIfNeeded: found.st_gid)
        inode.linkCount = UInt32(clamping: found.st_nlink)
        inode.size = UInt64(max(0, found.st_size))
        inode.allocatedBytes = UInt64(clamping: found.st_blocks) &* 512
        inode.accessed = time(found.st_atime_sec, found.st_atime_nsec)
        inode.modified = time(found.st_mtime_sec, found.st_mtime_nsec)
        inode.changed = time(found.st_ctime_sec, found.st_ctime_nsec)
        if type == .characterDevice || type == .blockDevice {
            inode.device = device(UInt64(bitPattern: found.st_rdev))
        }
        return WorkerStatus(device: UInt64(bitPattern: found.st_dev), inode: inode)
    }

    private static func time(_ seconds: Int64, _ nanoseconds: Int64) -> Timestamp {
        Timestamp(seconds: seconds, nanoseconds: UInt32(clamping: nanoseconds))
    }

    /// As gnu_dev_major and gnu_dev_minor of glibc, which the appliance's stat comes from.
    private static func device(_ number: UInt64) -> Inode.Device {
        Inode.Device(
            major: UInt32(truncatingIfNeeded: number >> 8 & 0xFFF | number >> 32 & 0xFFFF_F000),
            minor: UInt32(truncatingIfNeeded: number & 0xFF | number >> 12 & 0xFFFF_FF00)
        )
    }

    /// Where a symbolic link leads.
    func linkTarget(_ path: [UInt8]) throws(GuestfsError) -> [UInt8] {
        let path = terminated(path)
        return unsafe try text(guestfs_readlink(pointer, path))
    }

    /// The extended attributes; none where the file system has no such thing.
    func attributes(_ path: [UInt8]) throws(GuestfsError) -> [ExtendedAttribute]? {
        let path = terminated(path)
        guard let list = unsafe guestfs_lgetxattrs(pointer, path) else {
            let failure = failure()
            if failure.errno == ENOTSUP { return nil }
            throw failure
        }
        defer { unsafe guestfs_free_xattr_list(list) }
        return unsafe Self.attributes(list.pointee).filter { !Self.diskForms.contains($0.name) }
    }

    /// The extended attributes of `names` in a directory; nil where one's cannot be said.
    func attributes(
        _ names: [[UInt8]],
        in directory: [UInt8]
    ) throws(GuestfsError) -> [[ExtendedAttribute]?] {
        let path = terminated(directory)
        let list = unsafe withCStrings(names) { unsafe guestfs_lxattrlist(pointer, path, $0) }
        guard let list = unsafe list else { throw failure() }
        defer { unsafe guestfs_free_xattr_list(list) }
        var rest = unsafe Self.attributes(list.pointee)[...]
        var found: [[ExtendedAttribute]?] = []
        // Each file's begin with one that has no name and tells how many follow.
        while let head = rest.popFirst() {
            guard head.name.isEmpty else { break }
            // A C string with its end, as the appliance sends it.
            let digits = head.value.prefix { $0 != 0 }
            guard let count = Int(String(decoding: digits, as: UTF8.self)) else {
                found.append(nil)
                continue
            }
            guard count >= 0, count <= rest.count else { break }
            found.append(rest.prefix(count).filter { !Self.diskForms.contains($0.name) })
            rest = rest.dropFirst(count)
        }
        guard rest.isEmpty, found.count == names.count else {
            throw GuestfsError(message: "lxattrlist answered about other files", errno: 0)
        }
        return found
    }

    private static func attributes(_ list: guestfs_xattr_list) -> [ExtendedAttribute] {
        var attributes: [ExtendedAttribute] = []
        for index in 0..<Int(unsafe list.len) {
            let one = unsafe list.val[index]
            guard let name = unsafe one.attrname else { continue }
            let value = unsafe UnsafeRawBufferPointer(
                start: one.attrval,
                count: one.attrval == nil ? 0 : Int(one.attrval_len)
            )
            unsafe attributes.append(
                ExtendedAttribute(name: bytes(of: name), value: Array(value))
            )
        }
        return attributes
    }

    /// XFS lists to root, besides an ACL as getxattr gives it, the attribute that it keeps it in.
    private static let diskForms = ["trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT"]
        .map { [UInt8]($0.utf8) }

    /// All of `count` bytes of a regular file, or an error.
    func read(_ path: [UInt8], at offset: UInt64, count: Int) throws(GuestfsError) -> [UInt8] {
        let path = terminated(path)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            var size = 0
            let result = unsafe guestfs_pread(
                pointer,
                path,
                CInt(count - bytes.count),
                Int64(offset) + Int64(bytes.count),
                &size
            )
            guard let result = unsafe result else { throw failure() }
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(start: result, count: size))
            unsafe free(result)
            guard size > 0, bytes.count <= count else {
                throw GuestfsError(message: "the file ends before its size", errno: EIO)
            }
        }
        return bytes
    }
}
