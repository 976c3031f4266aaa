package import Linux

/// Why a session cannot be begun, read or taken over.
package enum SessionError: Error, Equatable, Sendable {
    /// Another session of that domain has not ended.
    case held(SessionEntry)
    /// A journal, directory or permission that cannot be relied on: file, line and reason.
    case refused(String)
    /// A system call failed.
    case system(SystemError)
    /// There is no session of that name.
    case noSession(String)
}

extension SessionError: CustomStringConvertible {
    /// A sentence without its full stop; what stands in a journal is not escaped in it.
    package var description: String {
        switch self {
        case .held(let entry): "held by session \(entry.name)"
        case .refused(let reason): reason
        case .system(let error): "\(error)"
        case .noSession(let name): "there is no session \(name)"
        }
    }
}

/// Runs `body`, and says its errors as those of a session.
func inSession<Value>(
    _ body: () throws(SystemError) -> Value
) throws(SessionError) -> Value {
    do throws(SystemError) { return try body() } catch { throw .system(error) }
}

/// One session as the store finds it.
package struct SessionEntry: Equatable, Sendable {
    /// What its journal says.
    package enum Content: Equatable, Sendable {
        case history(SessionHistory)
        /// It cannot be relied on, and nothing may be done because of it: file, line and reason.
        case refused(String)
    }

    /// The name of its directory; anything at all where the content is refused.
    package var name: String
    /// Whether somebody is at work on it: its lock is held.
    package var isActive: Bool
    package var content: Content

    package init(name: String, isActive: Bool, content: Content) {
        self.name = name
        self.isActive = isActive
        self.content = content
    }

    /// Whether nothing is held by it any more.
    package var hasEnded: Bool {
        guard case .history(let history) = content else { return false }
        return history.hasEnded
    }
}

/// The forms that names and identifiers have in a journal.
enum SessionForm {
    static let domainBytesMax = 512
    static let uriBytesMax = 1_024
    static let userBytesMax = 256
    static let reasonBytesMax = 1_024

    /// Whether `text` is a session's name, `20260131T235959Z-0123456789abcdef`.
    static func isName(_ text: String) -> Bool {
        fits(text, "00000000T000000Z-xxxxxxxxxxxxxxxx")
    }

    /// Whether `text` is a uuid in lower case.
    static func isUUID(_ text: String) -> Bool {
        fits(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
    }

    /// As much of the beginning of `text` as fits into `count` bytes.
    static func cut(_ text: String, to count: Int) -> String {
        guard text.utf8.count > count else { return text }
        var (kept, used) = (String.UnicodeScalarView(), 0)
        for scalar in text.unicodeScalars {
            used += UTF8.width(scalar)
            guard used <= count else { break }
            kept.append(scalar)
        }
        return String(kept)
    }

    /// Whether `text` has a decimal digit for each `0`, a hexadecimal one for each `x`, and is else
    /// the same.
    private static func fits(_ text: String, _ pattern: StaticString) -> Bool {
        let bytes = Array(text.utf8)
        return pattern.withUTF8Buffer { pattern in
            guard bytes.count == pattern.count else { return false }
            return unsafe zip(bytes, pattern).allSatisfy { byte, wanted in
                let isDigit = UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                return switch wanted {
                case UInt8(ascii: "0"): isDigit
                case UInt8(ascii: "x"):
                    isDigit || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
                default: byte == wanted
                }
            }
        }
    }
}
