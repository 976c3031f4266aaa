package import Digests
internal import JSON

/// What root demands on this host (schema `glovebox.policy/1`).
package struct Policy: Sendable {
    /// Which targets need an approval.
    package enum Demand: String, Sendable {
        /// Nova's instances.
        case instances
        /// Every target.
        case always
    }

    /// The policy's file.
    package let path: String
    /// Which targets need an approval.
    package let demand: Demand
    /// Where Nova keeps instances.
    package let instancesDirectories: [String]
    /// The longest that an approval may be valid, in hours.
    package let approvalHoursMax: Int?
    /// What the file was.
    package let digest: Digest
    private let files: Files
    private let directory: GuardedDirectory
    private let owner: UInt32?

    /// The names of its lists.
    private struct Files {
        let requesters: String?
        let approvers: String
        let operators: String
        let revoked: String?
    }

    package static let schema = "glovebox.policy/1"
    /// Where Nova keeps instances if nobody says otherwise.
    package static let usualInstancesDirectories = ["/var/lib/nova/instances"]

    private static let byteCountMax = 64 << 10

    /// Reads the policy at `path`; nil where there is none.
    ///
    /// It and its directory must belong to `owner` and be writable by nobody else; nil is for
    /// verifying with lists that the user chose, never for opening a target.
    package static func read(
        at path: String,
        owner: UInt32? = 0
    ) throws(PolicyError) -> Policy? {
        let (parent, name) = split(path)
        guard let directory = try GuardedDirectory(parent, owner: owner),
            let text = try directory.content(of: name, limit: byteCountMax)
        else { return nil }
        do throws(JSONError) {
            return try Policy(text, path: path, directory, owner)
        } catch {
            throw PolicyError(path: path, reason: "is not a policy: \(error)")
        }
    }

    private init(
        _ text: [UInt8],
        path: String,
        _ directory: GuardedDirectory,
        _ owner: UInt32?
    ) throws(JSONError) {
        var members = try JSONMembers(JSONValue(text), of: "the policy")
        let schema = try members.string("schema")
        guard Array(schema.utf8) == Array(Self.schema.utf8) else {
            throw JSONError("its schema is \"\(schema)\", not \"\(Self.schema)\"")
        }
        guard let demand = Demand(rawValue: try members.string("approval")) else {
            throw JSONError("\"approval\" is neither \"instances\" nor \"always\"")
        }
        let directories = try members.strings("instances_directories")
        guard !directories.isEmpty, directories.allSatisfy({ $0.utf8.first == 0x2F }) else {
            throw JSONError("\"instances_directories\" is not a list of absolute paths")
        }
        files = Files(
            requesters: try Self.name("requesters", in: &members),
            approvers: try Self.requiredName("approvers", in: &members),
            operators: try Self.requiredName("operators", in: &members),
            revoked: try Self.name("revoked", in: &members)
        )
        approvalHoursMax = try Self.hours(&members)
        try members.end()
        self.path = path
        self.demand = demand
        instancesDirectories = directories
        digest = Digest(of: text)
        self.directory = directory
        self.owner = owner
    }

    private static func hours(_ members: inout JSONMembers) throws(JSONError) -> Int? {
        guard let value = members.optional("approval_hours_max") else { return nil }
        guard case .integer(let hours) = value, 1...87_600 ~= hours else {
            throw JSONError("\"approval_hours_max\" is not a number of hours from 1 to 87600")
        }
        return Int(hours)
    }

    /// The name of a list: one in the policy's directory, or an absolute path.
    private static func name(
        _ member: String,
        in members: inout JSONMembers
    ) throws(JSONError) -> String? {
        guard let name = try members.optionalString(member) else { return nil }
        let (_, last) = split(name)
        guard !["", ".", ".."].contains(last), !name.utf8.contains(0),
            name.utf8.first == 0x2F || !name.utf8.contains(0x2F)
        else {
            throw JSONError("\"\(member)\" is neither a file's name nor an absolute path")
        }
        return name
    }

    private static func requiredName(
        _ member: String,
        in members: inout JSONMembers
    ) throws(JSONError) -> String {
        guard let name = try name(member, in: &members) else {
            throw JSONError("the policy lacks \"\(member)\"")
        }
        return name
    }

    private static func split(_ path: String) -> (parent: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        return (
            slash == path.startIndex ? "/" : String(path[..<slash]),
            String(path[slash...].dropFirst())
        )
    }

    /// Reads the lists, each once; any that is missing or wrong makes all of them worth nothing.
    ///
    /// Where no requesters are named, operators may ask.
    package func lists() throws(PolicyError) -> TrustLists {
        var digests: [(name: String, digest: Digest)] = []
        let requesters = try list(files.requesters ?? files.operators, "requesters", &digests)
        let approvers = try list(files.approvers, "approvers", &digests)
        let operators = try list(files.operators, "operators", &digests)
        var revoked: [UInt8]?
        if let name = files.revoked {
            let content = try content(name)
            digests.append(("revoked", Digest(of: content)))
            revoked = content
        }
        return TrustLists(
            requesters: requesters,
            approvers: approvers,
            operators: operators,
            revoked: revoked,
            approvalHoursMax: approvalHoursMax,
            policyDigest: digest,
            digests: digests
        )
    }

    private func list(
        _ file: String,
        _ name: String,
        _ digests: inout [(name: String, digest: Digest)]
    ) throws(PolicyError) -> SignerList {
        let text = try content(file)
        digests.append((name, Digest(of: text)))
        do throws(SignerList.Failure) { return try SignerList(text) } catch {
            throw PolicyError(path: place(of: file), reason: "is not a list of signers: \(error)")
        }
    }

    private func content(_ file: String) throws(PolicyError) -> [UInt8] {
        var directory: GuardedDirectory? = directory
        var name = file
        if file.utf8.first == 0x2F {
            let parts = Self.split(file)
            directory = try GuardedDirectory(parts.parent, owner: owner)
            name = parts.name
        }
        guard let text = try directory?.content(of: name, limit: SignerList.byteCountMax) else {
            throw PolicyError(path: place(of: file), reason: "is missing, and \(path) names it")
        }
        return text
    }

    private func place(of file: String) -> String {
        file.utf8.first == 0x2F ? file : "\(Self.split(path).parent)/\(file)"
    }
}
