internal import Glibc

/// The standard streams of this program.
package enum StandardStream: CInt, Sendable {
    /// Where results go.
    case output = 1
    /// Where messages go.
    case error = 2

    /// Whether it leads to a terminal.
    package var isTerminal: Bool { isatty(rawValue) == 1 }

    /// The width of its terminal in columns; nil where it is none.
    package var columns: Int? {
        var size = winsize()
        guard unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }

    /// Writes all of `bytes`.
    package func write(_ bytes: [UInt8]) throws(SystemError) {
        var done = 0
        while done < bytes.count {
            let written = retrying {
                unsafe bytes.withUnsafeBytes { bytes in
                    unsafe Glibc.write(
                        rawValue,
                        bytes.baseAddress?.advanced(by: done),
                        bytes.count - done
                    )
                }
            }
            guard written >= 0 else {
                throw .last("write", self == .output ? "standard output" : "standard error")
            }
            done += written
        }
    }
}

/// This process.
package enum Program {
    /// The arguments after the program's name, as bytes; they need not be UTF-8.
    package static var arguments: [[UInt8]] {
        (1..<max(1, Int(CommandLine.argc))).map { index in
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { return [] }
            let count = unsafe strlen(argument)
            return unsafe UnsafeRawBufferPointer(start: argument, count: count).map { $0 }
        }
    }

    /// Ends the process.
    package static func exit(_ code: CInt) -> Never { Glibc.exit(code) }
}
