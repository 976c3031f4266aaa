internal import CLinux
internal import Glibc

/// Which files this process, and what it starts, can still open: an allow-list that the kernel
/// keeps (Landlock).
///
/// TCP, abstract sockets and signals to others are refused as well where the kernel knows how.
package struct Confinement {
    /// The version of the kernel's Landlock interface; nil where it has none or it is switched off.
    package static var kernelVersion: Int? {
        let version = glovebox_landlock_version()
        return version > 0 ? Int(version) : nil
    }

    /// What of the confinement this kernel does not have, a sentence for the user; nil where it has
    /// all that is asked for.
    package static var shortfall: String? {
        switch kernelVersion {
        case nil:
            "This kernel has no Landlock: the engine's processes are confined by their user, limits "
                + "and rights alone."
        case .some(..<3):
            "This kernel's Landlock is of version \(kernelVersion ?? 0): it does not keep "
                + "the engine's processes from truncating files (version 3 does)."
        default: nil
        }
    }

    private enum Place {
        case number(CInt)
        case path(String)
    }

    private struct Rule {
        let place: Place
        let executes: Bool
        let writes: Bool
    }

    private var rules: [Rule] = []

    /// Nothing is allowed.
    package init() {}

    /// Allows reading the open file with this number, whatever it is called.
    package mutating func allowReading(inherited number: Int32) {
        rules.append(Rule(place: .number(number), executes: false, writes: false))
    }

    /// Allows reading, and running where `executing`, what lies at or beneath `path`.
    ///
    /// A path that does not exist is passed over.
    package mutating func allowReading(_ path: String, executing: Bool = false) {
        rules.append(Rule(place: .path(path), executes: executing, writes: false))
    }

    /// Allows everything but running at or beneath `path`.
    package mutating func allowWriting(_ path: String) {
        rules.append(Rule(place: .path(path), executes: false, writes: true))
    }

    /// Confines the process for good; false where this kernel cannot.
    ///
    /// New privileges have to be renounced before. To be called while there is one thread only.
    package func apply() throws(SystemError) -> Bool {
        guard let version = Self.kernelVersion else { return false }
        let number = glovebox_landlock_create(CInt(version))
        guard number >= 0 else { throw .last("landlock_create_ruleset", "") }
        let set = FileDescriptor(adopting: number, path: "Landlock ruleset")
        for rule in rules { try add(rule, to: set, CInt(version)) }
        guard glovebox_landlock_restrict(set.number) == 0 else {
            throw .last("landlock_restrict_self", "")
        }
        return true
    }

    private func add(
        _ rule: Rule,
        to set: FileDescriptor,
        _ version: CInt
    ) throws(SystemError) {
        var isDirectory = false
        var opened: FileDescriptor?
        let number: CInt
        switch rule.place {
        case .number(let inherited): number = inherited
        case .path(let path):
            do throws(SystemError) {
                let file = try FileDescriptor.open(path, FileDescriptor.pathOnly)
                isDirectory = try file.status().kind == .directory
                number = file.number
                opened = file
            } catch {
                if error.errno == ENOENT || error.errno == ENOTDIR { return }
                throw error
            }
        }
        defer { withExtendedLifetime(opened) {} }
        let result = glovebox_landlock_allow(
            set.number,
            number,
            isDirectory ? 1 : 0,
            rule.executes ? 1 : 0,
            rule.writes ? 1 : 0,
            version
        )
        guard result == 0 else {
            throw .last("landlock_add_rule", opened?.path ?? "descriptor \(number)")
        }
    }
}
