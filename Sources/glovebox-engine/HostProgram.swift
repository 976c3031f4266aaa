internal import Glibc
internal import Linux

/// Programs of the host that are started, and what they need.
enum HostProgram {
    private static let directories = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"]

    /// Where libraries are, QEMU's modules among them.
    static let libraries = [
        "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
        "/usr/local/lib64",
    ]

    /// Where programs and libraries are.
    static let all = directories + libraries + ["/usr", "/opt"]

    /// What libguestfs builds its appliance from besides, and what it asks of the system.
    static let system = [
        "/boot", "/proc", "/sys", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random",
        "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/pacman",
    ]

    /// What libraries look into when they are loaded.
    static let settings = [
        "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/gnutls", "/etc/crypto-policies",
        "/etc/ssl/openssl.cnf", "/usr/share/crypto-policies", "/dev/null", "/dev/urandom",
        "/dev/random", "/sys/devices/system/cpu",
    ]

    /// The path of a program; PATH has no say in it.
    static func path(_ name: String) throws(SystemError) -> String {
        for directory in directories {
            let path = "\(directory)/\(name)"
            if (try? FileDescriptor.open(path, FileDescriptor.pathOnly)) != nil { return path }
        }
        throw SystemError(call: "execve", path: name, errno: ENOENT)
    }
}
