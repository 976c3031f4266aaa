internal import ArgumentParser
internal import Casework
internal import JSON
internal import Linux

/// Runs the command that the arguments name, and ends with the exit code that fits.
package enum CommandLineProgram {
    private static let usageError: Int32 = 2
    private static let bug: Int32 = 70

    /// Never returns; every error has been said on standard error by then.
    package static func main() -> Never {
        let arguments = Program.arguments.map(CommandLineBytes.encode)
        let json = arguments.prefix { $0 != "--" }.contains("--json")
        do {
            if let job = PlainArguments.job(arguments) {
                try job.run()
            } else {
                var command = try GloveboxCommand.parseAsRoot(arguments)
                try command.run()
            }
            Program.exit(0)
        } catch let error as GloveboxError {
            Program.exit(say(error.description, code: error.kind.rawValue, json: json))
        } catch let error as SystemError {
            Program.exit(say("\(error)", code: GloveboxError.Kind.unreadable.rawValue, json: json))
        } catch let code as ExitCode {
            Program.exit(code.rawValue)
        } catch {
            Program.exit(finish(error, json: json))
        }
    }

    /// What ArgumentParser throws: help and version, which are results, and usage errors.
    private static func finish(_ error: any Error, json: Bool) -> Int32 {
        let text = GloveboxCommand.fullMessage(for: error)
        switch GloveboxCommand.exitCode(for: error) {
        case .success:
            do { try StandardStream.output.write([UInt8]("\(text)\n".utf8)) } catch { return bug }
            return 0
        case .validationFailure:
            guard json else {
                Message.say(text)
                return usageError
            }
            return say(GloveboxCommand.message(for: error), code: usageError, json: true)
        default:
            return say("This is a bug in glovebox: \(error)", code: bug, json: json)
        }
    }

    private static func say(_ text: String, code: Int32, json: Bool) -> Int32 {
        guard json else {
            Message.say("glovebox: \(text)")
            return code
        }
        var document = JSONText()
        document.object { document in
            document.key("error")
            document.object { document in
                document.member("message", Message.readable(text))
                document.member("exit_code", Int(code))
            }
        }
        Message.say(String(decoding: document.bytes, as: UTF8.self))
        return code
    }
}
