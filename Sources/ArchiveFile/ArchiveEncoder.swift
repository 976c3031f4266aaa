internal import CArchive

/// Turns entries into the header blocks of a pax archive; the content is the caller's to write.
///
/// A tar file is its entries one after another, so several encoders can work on parts of one archive
/// at once. After the header come the file's data ranges, without the holes, and zeros up to a
/// multiple of 512 bytes (``padding(after:)``); after the last entry ``endOfArchive(after:)``.
///
/// Names that are UTF-8 are recorded as such, others as they are, marked `hdrcharset=BINARY`.
@safe package struct ArchiveEncoder: ~Copyable {
    private let handle: OpaquePointer
    private var form: HeaderForm?

    package init() throws(ArchiveError) {
        guard let handle = unsafe glovebox_archive_new() else {
            throw .unavailable("libarchive could not begin a pax archive")
        }
        unsafe self.handle = handle
    }

    deinit { unsafe glovebox_archive_free(handle) }

    /// Calls `body` with the header blocks of `entry`.
    package mutating func withHeader<Result>(
        of entry: ArchiveEntry,
        _ body: (RawSpan) -> Result
    ) throws(ArchiveError) -> Result {
        guard HeaderForm.isOrdinary(entry) else { return try withFullHeader(of: entry, body) }
        if let header = form?.header(of: entry) {
            return unsafe header.withUnsafeBytes { unsafe body(RawSpan(_unsafeBytes: $0)) }
        }
        var header: [UInt8] = []
        let result = try withFullHeader(of: entry) {
            header = unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) }
            return body($0)
        }
        form = HeaderForm(entry, header)
        return result
    }

    /// Calls `body` with the header blocks of `entry` as libarchive makes them.
    package mutating func withFullHeader<Result>(
        of entry: ArchiveEntry,
        _ body: (RawSpan) -> Result
    ) throws(ArchiveError) -> Result {
        try begin(entry)
        var bytes: UnsafeRawPointer?
        var count = 0
        guard unsafe glovebox_archive_end(handle, &bytes, &count) == 1, let bytes = unsafe bytes
        else {
            let reason = unsafe glovebox_archive_reason(handle).map { unsafe String(cString: $0) }
            throw refused(entry, reason ?? "")
        }
        let header = unsafe RawSpan(_unsafeStart: bytes, byteCount: count)
        let blocks = unsafe header.withUnsafeBytes { unsafe [UInt8]($0) }
        guard let mended = PaxHeader.mended(blocks, of: entry) else { return body(header) }
        return unsafe mended.withUnsafeBytes { unsafe body(RawSpan(_unsafeBytes: $0)) }
    }

    /// The version of libarchive.
    package static var libraryVersion: String {
        unsafe glovebox_archive_version().map { unsafe String(cString: $0) } ?? ""
    }

    /// How many zeros follow `count` bytes of content.
    package static func padding(after count: UInt64) -> Int { Int((512 - count % 512) % 512) }

    /// How many zeros end an archive of `count` bytes: two blocks, then up to the usual 10,240.
    package static func endOfArchive(after count: UInt64) -> Int {
        1_024 + Int((10_240 - (count % 10_240 + 1_024) % 10_240) % 10_240)
    }
}

extension ArchiveEncoder {
    private func begin(_ entry: ArchiveEntry) throws(ArchiveError) {
        var fields = unsafe glovebox_archive_fields()
        unsafe fields.permissions = UInt32(entry.permissions)
        unsafe fields.user = Int64(entry.user)
        unsafe fields.group = Int64(entry.group)
        (unsafe fields.mtime, unsafe fields.mtime_nanoseconds) = Self.time(entry.modified)
        var link: [UInt8] = []
        switch entry.kind {
        case .file(let size, _):
            guard let size = Int64(exactly: size) else { throw refused(entry, "size over 2^63") }
            unsafe fields.type = 0o100_000
            unsafe fields.size = size
        case .directory: unsafe fields.type = 0o040_000
        case .fifo: unsafe fields.type = 0o010_000
        case .device(let isBlock, let major, let minor):
            unsafe fields.type = isBlock ? 0o060_000 : 0o020_000
            unsafe fields.device_major = major
            unsafe fields.device_minor = minor
        case .symbolicLink(let target):
            unsafe fields.type = 0o120_000
            link = target
        case .hardLink(let path):
            unsafe fields.type = 0o100_000
            link = path
        }
        guard !entry.path.isEmpty, !entry.path.contains(0), !link.contains(0) else {
            throw refused(entry, "empty path, or a NUL in path or target")
        }
        unsafe begin(entry, &fields, link)
        try addAttributes(of: entry)
        if case .file(let size, let ranges?) = entry.kind { addRanges(ranges, size: size) }
    }

    private func begin(
        _ entry: ArchiveEntry,
        _ fields: inout glovebox_archive_fields,
        _ link: [UInt8]
    ) {
        let path = entry.path + [0]
        let link = link + [0]
        unsafe path.withUnsafeBytes { path in
            unsafe link.withUnsafeBytes { link in
                unsafe fields.path = path.baseAddress?.assumingMemoryBound(to: CChar.self)
                let target = unsafe link.baseAddress?.assumingMemoryBound(to: CChar.self)
                if case .symbolicLink = entry.kind { unsafe fields.symlink = target }
                if case .hardLink = entry.kind { unsafe fields.hard_link = target }
                unsafe glovebox_archive_begin(handle, &fields)
            }
        }
    }

    private func addAttributes(of entry: ArchiveEntry) throws(ArchiveError) {
        if case .hardLink = entry.kind { return }
        for attribute in entry.attributes {
            if attribute.name.elementsEqual("system.posix_acl_access".utf8) {
                try addACL(attribute.value, isDefault: false, of: entry)
            } else if attribute.name.elementsEqual("system.posix_acl_default".utf8) {
                try addACL(attribute.value, isDefault: true, of: entry)
            } else {
                let name = (attribute.name + [0]).map { CChar(bitPattern: $0) }
                let value = attribute.value
                unsafe glovebox_archive_add_xattr(handle, name, value, value.count)
            }
        }
    }

    /// Adds an ACL in the form of the extended attribute: a version, then entries of eight bytes.
    ///
    /// Layout: Linux `include/uapi/linux/posix_acl_xattr.h`, little-endian.
    private func addACL(
        _ value: [UInt8],
        isDefault: Bool,
        of entry: ArchiveEntry
    ) throws(ArchiveError) {
        guard value.count >= 4, value[..<4].elementsEqual([2, 0, 0, 0]), value.count % 8 == 4 else {
            throw refused(entry, "its access list is not in the form of version 2")
        }
        for start in stride(from: 4, to: value.count, by: 8) {
            let tag = UInt16(value[start]) | UInt16(value[start + 1]) << 8
            let permissions = UInt16(value[start + 2]) | UInt16(value[start + 3]) << 8
            let id = (0..<4).reduce(UInt32(0)) { $0 | UInt32(value[start + 4 + $1]) << (8 * $1) }
            let added = unsafe glovebox_archive_add_acl(
                handle,
                isDefault ? 1 : 0,
                tag,
                permissions,
                Int32(bitPattern: id)
            )
            guard added == 1 else { throw refused(entry, "its access list has unknown entries") }
        }
    }

    private func addRanges(_ ranges: [Range<UInt64>], size: UInt64) {
        for range in ranges where !range.isEmpty {
            let length = Int64(clamping: range.count)
            unsafe glovebox_archive_add_range(handle, Int64(clamping: range.lowerBound), length)
        }
        // A range of nothing at the end is how a file that is all hole is marked as sparse.
        if ranges.isEmpty { unsafe glovebox_archive_add_range(handle, Int64(clamping: size), 0) }
    }

    /// The time as libarchive writes it: both parts count away from the epoch.
    ///
    /// The last second before the epoch has no such form and loses its fraction.
    private static func time(_ time: (seconds: Int64, nanoseconds: UInt32)) -> (Int64, Int64) {
        guard time.seconds < 0, time.nanoseconds > 0 else {
            return (time.seconds, Int64(time.nanoseconds))
        }
        if time.seconds == -1 { return (-1, 0) }
        return (time.seconds + 1, 1_000_000_000 - Int64(time.nanoseconds))
    }

    private func refused(_ entry: ArchiveEntry, _ reason: String) -> ArchiveError {
        .refused(path: String(decoding: entry.path, as: UTF8.self), reason: reason)
    }
}
