/// Where the checkers run: the appliance, with the volume writable on a layer that is thrown away.
///
/// Tests put recorded answers in its place.
public protocol CheckShell {
    /// Runs a command and waits for its end, at most as long as its limit.
    ///
    /// Throws where the place itself is gone, not where the command fails.
    mutating func run(_ command: CheckCommand) throws(CheckShellError) -> CheckStep
}

/// The place where the checkers run is gone, with everything that was done there.
public struct CheckShellError: Error, Equatable, Sendable {
    /// What happened; a clause that can follow a colon.
    public var reason: String

    /// Creates an error.
    public init(_ reason: String) { self.reason = reason }
}

/// A command for the shell of the appliance.
public struct CheckCommand: Sendable, Equatable {
    /// What a person would type; the report shows it.
    public var name: String
    /// The shell's words; `$d` is the volume's device and `$m` a directory to mount it on.
    public var script: String
    /// How long the file system's size lets it take.
    public var pace: Pace

    /// How long a command may take.
    public enum Pace: Sendable {
        /// It looks at a header.
        case short
        /// It reads the whole file system.
        case long
    }

    /// Creates a command whose script is its name with the device at the end.
    init(_ name: String, pace: Pace = .long) {
        self.init(name, script: "\(name) $d", pace: pace)
    }

    init(_ name: String, script: String, pace: Pace = .long) {
        self.name = name
        self.script = script
        self.pace = pace
    }
}

extension CheckCommand {
    /// Mounts the volume writable and unmounts it, so that the kernel replays its log and deals with
    /// files that were deleted while open; then what the kernel said.
    ///
    /// mount(8) alone does not say why it failed.
    static func mountAndUnmount(_ type: String) -> CheckCommand {
        CheckCommand(
            "mount -t \(type)",
            script: """
                dmesg -C; mkdir -p $m; mount -t \(type) -o nosuid,nodev,noexec $d $m; e=$?
                [ $e = 0 ] && { umount $m; e=$?; }
                dmesg | grep -v ': [0-9a-f]*0: [0-9a-f ]*  '; exit $e
                """
        )
    }

    /// The names in the directory that repairs move files to, one a line.
    static func lostAndFound(_ type: String, options: String) -> CheckCommand {
        CheckCommand(
            "ls lost+found",
            script: """
                mkdir -p $m; mount -t \(type) -o ro,nosuid,nodev,noexec,\(options) $d $m || exit 32
                [ ! -d $m/lost+found ] || ls -A -b $m/lost+found; umount $m
                """
        )
    }
}
