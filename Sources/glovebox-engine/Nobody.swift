internal import Glibc
internal import Linux

/// The user of no importance that helpers are where the caller is root.
enum Nobody {
    // And not QEMU's own user: that one owns the disks of all other instances.
    static let userID: UInt32 = 65_534

    /// Says, in the arguments of a role, that this step has been taken.
    private static let mark = "dropped"

    /// Where root begins a role: prepares, and begins it again as nobody.
    ///
    /// The one right that is kept is that of reading files: images belong to other users, and this
    /// program may lie in a directory of root's. What that leads to is bounded by Landlock. Returns
    /// the role's own arguments, where it is to go on.
    static func become(
        _ role: String,
        _ arguments: [String],
        groups: [UInt32] = [],
        prepare: () throws(SystemError) -> Void = {},
        environment: () -> [String]
    ) throws(SystemError) -> [String] {
        let isDropped = arguments.first == mark
        guard Privilege.isRoot else { return isDropped ? Array(arguments.dropFirst()) : arguments }
        guard !isDropped else { throw SystemError(call: "setpriv", path: "", errno: EPERM) }
        try prepare()
        let list = groups.map { "\($0)" }.joined(separator: ",")
        try OwnProcess.become(
            HostProgram.path("setpriv"),
            arguments: [
                "--reuid", "\(userID)", "--regid", "\(userID)",
                groups.isEmpty ? "--clear-groups" : "--groups=\(list)",
                "--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search",
                "--bounding-set", "-all,+dac_read_search", "--no-new-privs", "--",
                try OwnProcess.program(), role, mark,
            ] + arguments,
            // After `prepare`, which may set variables.
            environment: environment()
        )
    }
}
