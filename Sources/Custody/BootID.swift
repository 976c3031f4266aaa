internal import Glibc
package import Linux

/// Which start of the host this is.
package enum BootID {
    private static let path = "/proc/sys/kernel/random/boot_id"

    /// The kernel's name for it, a uuid in lower case.
    package static func current() throws(SystemError) -> String {
        let content = try fileContent(path, limit: 256)
        let text = String(decoding: content.prefix { $0 != 0x0A }, as: UTF8.self).lowercased()
        guard SessionForm.isUUID(text) else {
            throw SystemError(call: "read", path: path, errno: EILSEQ)
        }
        return text
    }
}
