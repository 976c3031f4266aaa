internal import CNBD
internal import Glibc
internal import Linux

/// libnbd's handle: one pointer, one owner.
@safe private struct Handle: ~Copyable {
    let pointer: OpaquePointer

    init() throws(NBDError) {
        guard let created = unsafe nbd_create() else { throw .last() }
        unsafe pointer = created
    }

    deinit { unsafe nbd_close(pointer) }
}

/// One connection to an export, for one request at a time.
///
/// Every request ends within its time-out. After an error of the conversation itself (``isBroken``)
/// the connection is of no more use.
final class NBDConnection: @unchecked Sendable {
    // The reason for `@unchecked`: it is either in the pool of an `NBDSource` or in the hands of the
    // one thread that has taken it from there, and nobody else keeps it. The pool's lock orders the
    // last use by one thread before the first by the next. libnbd's handle may pass between threads;
    // its errors are of the thread, and fetched by the call that met them.
    private let handle: Handle
    private let timeoutSeconds: Double
    /// What the server said in the handshake.
    let facts: NBDFacts
    /// Whether an answer may still be under way, or none will come.
    private(set) var isBroken = false

    /// Connects to the default export at a Unix socket; done within the time-out or not at all.
    init(socket path: String, timeoutSeconds: Double) throws(NBDError) {
        self.timeoutSeconds = timeoutSeconds
        let handle = try Handle()
        try unsafe Self.prepare(handle.pointer)
        guard unsafe nbd_aio_connect_unix(handle.pointer, path) == 0 else { throw .last() }
        let end = deadline(inSeconds: timeoutSeconds)
        while unsafe nbd_aio_is_ready(handle.pointer) != 1 {
            guard unsafe nbd_aio_is_dead(handle.pointer) == 0,
                unsafe nbd_aio_is_closed(handle.pointer) == 0
            else {
                throw NBDError(errno: ECONNRESET, message: "the server ended the handshake")
            }
            try unsafe Self.advance(handle.pointer, deadline: end, "the handshake")
        }
        facts = try unsafe NBDFacts(handle.pointer)
        self.handle = handle
    }

    private static func prepare(_ pointer: OpaquePointer) throws(NBDError) {
        // Structured replies are asked for by default. No TLS: the socket is in our own directory.
        guard unsafe nbd_set_tls(pointer, LIBNBD_TLS_DISABLE) == 0,
            unsafe nbd_set_strict_mode(pointer, UInt32(LIBNBD_STRICT_MASK)) == 0,
            unsafe nbd_add_meta_context(pointer, NBDFacts.allocation) == 0,
            unsafe nbd_add_meta_context(pointer, NBDFacts.depth) == 0
        else { throw .last() }
    }

    /// Reads `bytes.count` bytes at `offset`, which are all delivered where this does not throw.
    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(NBDError) {
        let delivered = Delivered()
        defer { withExtendedLifetime(delivered) {} }
        var chunk = unsafe nbd_chunk_callback()
        unsafe chunk.user_data = Unmanaged.passUnretained(delivered).toOpaque()
        unsafe chunk.callback = { context, _, count, offset, status, _ in
            guard let context = unsafe context else { return -1 }
            let delivered = unsafe Unmanaged<Delivered>.fromOpaque(context).takeUnretainedValue()
            if status != LIBNBD_READ_ERROR { delivered.add(offset, UInt64(count)) }
            return 0
        }
        let cookie = unsafe nbd_aio_pread_structured(
            handle.pointer,
            bytes.baseAddress,
            bytes.count,
            offset,
            chunk,
            nbd_completion_callback(),
            0
        )
        try finish(cookie, "a read")
        // A reply in pieces that leaves bytes out is no reply: they would read as zeros.
        guard delivered.covers(offset, UInt64(bytes.count)) else {
            throw NBDError(
                errno: EPROTO,
                message: "the server delivered only parts of \(bytes.count) bytes"
            )
        }
    }

    /// The pieces of a reply, which may come in any order.
    private final class Delivered {
        private var pieces: [(start: UInt64, count: UInt64)] = []

        func add(_ start: UInt64, _ count: UInt64) {
            if count > 0 { pieces.append((start, count)) }
        }

        func covers(_ start: UInt64, _ count: UInt64) -> Bool {
            var next = start
            for piece in pieces.sorted(by: { $0.start < $1.start }) {
                guard piece.start == next else { return false }
                next += piece.count
            }
            return next - start == count
        }
    }

    /// The first extent at `offset` of each kind that the server tells, within `count` bytes.
    func extents(at offset: UInt64, count: UInt64) throws(NBDError) -> NBDExtents {
        let found = Found()
        defer { withExtendedLifetime(found) {} }
        var extent = unsafe nbd_extent_callback()
        unsafe extent.user_data = Unmanaged.passUnretained(found).toOpaque()
        unsafe extent.callback = { context, name, offset, entries, entryCount, _ in
            guard let context = unsafe context, let name = unsafe name, entryCount >= 2,
                let entries = unsafe entries
            else { return 0 }
            let found = unsafe Unmanaged<Found>.fromOpaque(context).takeUnretainedValue()
            let entry = unsafe NBDExtents.Extent(length: entries[0], flags: entries[1])
            switch unsafe String(cString: name) {
            case NBDFacts.allocation: found.extents.allocation = entry
            case NBDFacts.depth: found.extents.depth = entry
            default: break
            }
            return 0
        }
        let cookie = unsafe nbd_aio_block_status(
            handle.pointer,
            count,
            offset,
            extent,
            nbd_completion_callback(),
            UInt32(LIBNBD_CMD_FLAG_REQ_ONE)
        )
        try finish(cookie, "a block status")
        return found.extents
    }

    private final class Found { var extents = NBDExtents() }

    /// Waits for the answer to a request.
    ///
    /// Where none comes in time the request stays with libnbd, which touches its buffer only from
    /// within calls on this handle; a broken connection gets none of those any more.
    private func finish(_ cookie: Int64, _ what: String) throws(NBDError) {
        guard cookie >= 0 else {
            let error = NBDError.last()
            noticeTheEnd()
            throw error
        }
        let end = deadline(inSeconds: timeoutSeconds)
        while true {
            switch unsafe nbd_aio_command_completed(handle.pointer, UInt64(cookie)) {
            case 1: return
            case 0: break
            default:
                let error = NBDError.last()
                noticeTheEnd()
                throw error
            }
            do throws(NBDError) {
                guard !hasEnded else {
                    throw NBDError(errno: ECONNRESET, message: "the server has gone")
                }
                try unsafe Self.advance(handle.pointer, deadline: end, what)
            } catch {
                // The answer is still owed.
                isBroken = true
                throw error
            }
        }
    }

    private var hasEnded: Bool {
        unsafe nbd_aio_is_dead(handle.pointer) != 0 || nbd_aio_is_closed(handle.pointer) != 0
    }

    private func noticeTheEnd() { if hasEnded { isBroken = true } }

    /// One step of the conversation, when the socket allows it.
    private static func advance(
        _ pointer: OpaquePointer,
        deadline: UInt64,
        _ what: String
    ) throws(NBDError) {
        let direction = unsafe nbd_aio_get_direction(pointer)
        let number = unsafe nbd_aio_get_fd(pointer)
        guard number >= 0 else { throw .last() }
        var wanted: Readiness = []
        if direction & UInt32(LIBNBD_AIO_DIRECTION_READ) != 0 { wanted.insert(.readable) }
        if direction & UInt32(LIBNBD_AIO_DIRECTION_WRITE) != 0 { wanted.insert(.writable) }
        let ready: Readiness
        do throws(SystemError) {
            ready = try waitForAny(of: [(number, wanted)], deadline: deadline).first ?? []
        } catch {
            throw NBDError(errno: error.errno, message: error.reason)
        }
        guard !ready.isEmpty else {
            throw NBDError(errno: ETIMEDOUT, message: "no answer to \(what) in time")
        }
        let done: CInt
        if wanted.contains(.readable), !ready.isDisjoint(with: [.readable, .ended]) {
            done = unsafe nbd_aio_notify_read(pointer)
        } else {
            done = unsafe nbd_aio_notify_write(pointer)
        }
        guard done == 0 else { throw .last() }
    }
}
