internal import Casework
internal import Glovebox
internal import Linux

/// How a command starts the engine, and what it says meanwhile.
struct EngineSettings {
    /// Where glovebox-engine is; nil where it is to be found.
    let path: String?
    /// Files with passphrases; `-` is standard input.
    let keyFiles: [String]
    /// Whether the user wants the engine and nothing else.
    let isAsked: Bool

    /// A passphrase is short; what is longer is not one.
    private static let keyBytesMax = 8_192

    /// What ``Engine`` needs; nil where no engine is installed and nobody asked for it.
    func setup() throws(GloveboxError) -> Engine.Setup? {
        let isNeeded = isAsked || !keyFiles.isEmpty
        guard let launcher = try EngineStart.launcher(path: path, isNeeded: isNeeded) else {
            return nil
        }
        let line = StartLine()
        return Engine.Setup(
            launcher: launcher,
            keys: try keys(),
            askKey: Self.askKey,
            progress: { line.show($0) },
            warn: { Message.warn($0) }
        )
    }

    private func keys() throws(GloveboxError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        for file in keyFiles {
            var key: [UInt8]
            do throws(SystemError) {
                let name = file == "-" ? "/dev/stdin" : file
                key = try fileContent(name, limit: Self.keyBytesMax)
            } catch {
                throw GloveboxError(.usage, "The key cannot be read: \(error).")
            }
            if key.last == UInt8(ascii: "\n") { key.removeLast() }
            guard !key.isEmpty, !key.contains(0) else {
                throw GloveboxError(.usage, "\(file) holds no passphrase.")
            }
            keys.append(key)
        }
        return keys
    }

    /// Asks on the terminal; nil where there is none, or nothing is typed.
    @Sendable private static func askKey(_ volume: String) -> [UInt8]? {
        ControllingTerminal.askSecretly("Passphrase of \(volume): ")
    }
}

/// The line on standard error that tells how far the start of the engine is.
final class StartLine: Sendable {
    /// Shows `text`; an empty one ends the line.
    func show(_ text: String) {
        let isTerminal = StandardStream.error.isTerminal
        if isTerminal {
            let columns = StandardStream.error.columns ?? 80
            let line = text.isEmpty ? "" : "glovebox: \(text.prefix(max(0, columns - 12)))…"
            try? StandardStream.error.write([UInt8]("\r\u{1B}[K\(line)".utf8))
        } else if !text.isEmpty {
            Message.say("glovebox: \(text)")
        }
    }
}
