internal import Glibc

/// The terminal that a person sits at, whatever the standard streams lead to.
package enum ControllingTerminal {
    /// Asks for a line that is not shown while it is typed; nil where there is no terminal, or the
    /// line is empty.
    ///
    /// A signal that ends the program meanwhile leaves the terminal as it was.
    package static func askSecretly(_ prompt: String) -> [UInt8]? {
        guard let terminal = try? FileDescriptor.open("/dev/tty", O_RDWR | O_NOCTTY) else {
            return nil
        }
        var before = termios()
        guard unsafe tcgetattr(terminal.number, &before) == 0 else { return nil }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        silent.c_lflag |= tcflag_t(ECHONL)
        var signals = sigset_t()
        var unblocked = sigset_t()
        unsafe sigfillset(&signals)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, &unblocked)
        guard unsafe tcsetattr(terminal.number, TCSAFLUSH, &silent) == 0 else { return nil }
        defer {
            unsafe tcsetattr(terminal.number, TCSAFLUSH, &before)
            unsafe pthread_sigmask(SIG_SETMASK, &unblocked, nil)
        }
        write(prompt, to: terminal)
        return line(from: terminal)
    }

    /// Asks for a line; nil where there is no terminal, or the line is empty.
    package static func ask(_ prompt: String) -> [UInt8]? {
        guard let terminal = try? FileDescriptor.open("/dev/tty", O_RDWR | O_NOCTTY) else {
            return nil
        }
        write(prompt, to: terminal)
        return line(from: terminal)
    }

    private static func write(_ text: String, to terminal: FileDescriptor) {
        let bytes = [UInt8](text.utf8)
        _ = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.write(terminal.number, $0.baseAddress, $0.count)
        }
    }

    private static func line(from terminal: FileDescriptor) -> [UInt8]? {
        var line = [UInt8](repeating: 0, count: 4_096)
        let count = retrying {
            unsafe line.withUnsafeMutableBytes {
                unsafe read(terminal.number, $0.baseAddress, $0.count)
            }
        }
        guard count > 0 else { return nil }
        line.removeSubrange(count...)
        if line.last == UInt8(ascii: "\n") { line.removeLast() }
        return line.isEmpty ? nil : line
    }
}
