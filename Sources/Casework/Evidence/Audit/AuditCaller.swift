internal import JSON
internal import Linux

/// Who runs this program, as far as the kernel and sudo say.
///
/// The names are read from /etc/passwd itself: a static program cannot ask the host's name services.
/// Whoever comes from elsewhere (LDAP) is recorded by number.
struct AuditCaller {
    /// The user of the process.
    let userID = OwnProcess.userID
    /// Who logged in, which su and sudo do not change; nil for what no login started.
    let login: String?
    /// Who called sudo, as it says itself; only as true as its environment.
    let sudoUser: String?

    private static let unset = UInt32.max
    private static let nameBytesMax = 256
    private static let passwordFileBytesMax = 4 << 20

    init() {
        login = Self.loginID.map { Self.name(of: $0) ?? "\($0)" }
        sudoUser = OwnProcess.variable("SUDO_USER").map { String($0.prefix(Self.nameBytesMax)) }
    }

    /// One word for whoever it is, such as `alice`, for people who find what was left behind.
    var shortName: String { login ?? sudoUser ?? (userID == 0 ? "root" : "uid \(userID)") }

    func write(to json: inout JSONText) {
        json.member("uid", UInt64(userID))
        if let login { json.member("login", login) }
        if let sudoUser { json.member("sudo_user", sudoUser) }
        json.member("pid", Int(OwnProcess.processID))
    }

    private static var loginID: UInt32? {
        let file = try? FileDescriptor.openFile("/proc/self/loginuid")
        guard let content = try? file?.bytes(in: 0..<32) else { return nil }
        let digits = String(decoding: content.prefix { $0 != 0x0A }, as: UTF8.self)
        guard let number = UInt32(digits), number != unset else { return nil }
        return number
    }

    private static func name(of user: UInt32) -> String? {
        let content = try? fileContent("/etc/passwd", limit: passwordFileBytesMax)
        return content.flatMap { name(of: user, in: $0) }
    }

    /// The name of `user` in a file as passwd(5) describes it.
    static func name(of user: UInt32, in passwordFile: [UInt8]) -> String? {
        let number = Array("\(user)".utf8)
        for line in passwordFile.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard fields.count >= 3, fields[2].elementsEqual(number), !fields[0].isEmpty,
                fields[0].count <= nameBytesMax
            else { continue }
            return String(validating: fields[0], as: UTF8.self)
        }
        return nil
    }
}
