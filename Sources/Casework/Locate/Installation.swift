package import Linux

/// Where the running program is installed, and what lies there with it: the policy and the state.
///
/// Only the place of the program's own file decides, so that no option and no variable of the
/// environment leads to another policy; tests install into a prefix of their own.
package struct Installation: Equatable, Sendable {
    /// PREFIX, where the program is `PREFIX/bin/NAME`; `/usr` for one in a directory of another name.
    package let prefix: String

    /// The installation that a program of this path belongs to.
    package init(program: String) {
        let parts = program.split(separator: "/")
        guard program.hasPrefix("/"), parts.count > 2, parts.dropLast().last == "bin" else {
            prefix = "/usr"
            return
        }
        prefix = "/" + parts.dropLast(2).joined(separator: "/")
    }

    /// The installation of the running program, by its file as the kernel knows it.
    package static func current() throws(SystemError) -> Installation {
        Installation(program: try OwnProcess.program())
    }

    /// The directory of the policy and its lists.
    package var settingsDirectory: String {
        prefix == "/usr" ? "/etc/glovebox" : "\(prefix)/etc/glovebox"
    }

    /// The policy file.
    package var policyPath: String { "\(settingsDirectory)/policy.json" }

    /// The directory of root's state, such as the audit log.
    package var systemStateDirectory: String {
        ["/usr", "/usr/local"].contains(prefix)
            ? "/var/lib/glovebox" : "\(prefix)/var/lib/glovebox"
    }

    /// The directory of state: `chosen` by the user, or else root's, or the user's own in `home`.
    ///
    /// Nil where a user who is not root has no home.
    package func stateDirectory(chosen: String?, userID: UInt32, home: String?) -> String? {
        if let chosen { return chosen }
        if userID == 0 { return systemStateDirectory }
        guard let home, home.hasPrefix("/") else { return nil }
        return "\(home)/.local/state/glovebox"
    }
}
