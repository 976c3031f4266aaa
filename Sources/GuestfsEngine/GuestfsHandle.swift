internal import CGuestfs
internal import Glibc
internal import Linux

/// What libguestfs said about a call that failed.
struct GuestfsError: Error, Equatable {
    let message: String
    /// The error number in the appliance; 0 where there is none.
    let errno: CInt
}

/// A handle of libguestfs: one owner, closed with it.
///
/// For one thread. Every failure is fetched before anything else happens to the handle.
@safe struct GuestfsHandle: ~Copyable {
    let pointer: OpaquePointer

    init() throws(GuestfsError) {
        guard let pointer = unsafe guestfs_create() else {
            throw GuestfsError(message: "libguestfs cannot be set up", errno: Glibc.errno)
        }
        unsafe self.pointer = pointer
        // Errors are fetched and thrown; nothing is printed by the library itself.
        unsafe guestfs_set_error_handler(pointer, nil, nil)
    }

    deinit { unsafe guestfs_close(pointer) }

    /// The error that the latest call left.
    func failure() -> GuestfsError {
        let text = unsafe guestfs_last_error(pointer).map { unsafe String(cString: $0) }
        return GuestfsError(
            message: text ?? "libguestfs failed without a reason",
            errno: unsafe guestfs_last_errno(pointer)
        )
    }

    /// Throws what a call that returned `code` left behind, where that is -1.
    func check(_ code: CInt) throws(GuestfsError) {
        if code == -1 { throw failure() }
    }

    /// Runs a script with the appliance's own shell; gives what it wrote.
    func shell(_ script: String) throws(GuestfsError) -> [UInt8] {
        let text = unsafe withCStrings([Array(script.utf8)]) {
            unsafe guestfs_debug(pointer, "sh", $0)
        }
        return unsafe try self.text(text)
    }

    /// The string that a call returned, which is freed here.
    func text(_ result: UnsafeMutablePointer<CChar>?) throws(GuestfsError) -> [UInt8] {
        guard let result = unsafe result else { throw failure() }
        defer { unsafe free(result) }
        return unsafe bytes(of: result)
    }

    /// The strings that a call returned, which are freed here.
    func texts(
        _ result: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) throws(GuestfsError) -> [[UInt8]] {
        guard let result = unsafe result else { throw failure() }
        var texts: [[UInt8]] = []
        var next = unsafe result
        while let text = unsafe next.pointee {
            unsafe texts.append(bytes(of: text))
            unsafe free(text)
            unsafe next += 1
        }
        unsafe free(result)
        return texts
    }

    /// Names of devices and the like, which are always UTF-8.
    func names(
        _ result: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    ) throws(GuestfsError) -> [String] {
        unsafe try texts(result).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The bytes of a C string without its end.
func bytes(of text: UnsafePointer<CChar>) -> [UInt8] {
    unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
}

/// A path or name as C takes it.
func terminated(_ bytes: [UInt8]) -> [CChar] {
    bytes.map { CChar(bitPattern: $0) } + [0]
}
