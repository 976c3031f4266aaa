import Casework
import EngineProtocol
import Linux

/// A front process for tests: serves the disks that its arguments name, until it is told to end.
///
/// Arguments: `--engine PATH`, `--pause` for a line of input to wait for once the disks are checked,
/// then `raw:PATH` or `qcow2:PATH` for each disk. It prints a line of JSON when all is ready, does what the lines on its standard input say (`worker`, `end`), and ends
/// with 5 and a sentence when the engine fails.
@main
struct EngineDriver {
    static func main() {
        do throws(GloveboxError) {
            try run()
        } catch {
            try? StandardStream.error.write([UInt8]("\(error)\n".utf8))
            Program.exit(error.kind.rawValue)
        }
    }

    private static func run() throws(GloveboxError) {
        var arguments = Program.arguments.map { String(decoding: $0, as: UTF8.self) }
        var options = EngineSession.Options()
        if arguments.first == "--engine", arguments.count > 1 {
            options.program = arguments[1]
            arguments.removeFirst(2)
        }
        let pauses = arguments.first == "--pause"
        if pauses { arguments.removeFirst() }
        var disks: [AttachedDisk] = []
        for argument in arguments { disks.append(try attached(argument)) }
        say(#"{"attached":true}"#)
        let input = FileDescriptor.inherited(0, "standard input")
        if pauses { _ = try? input.readSome(100) }
        let session = try EngineSession(serving: disks, options: options)
        let exports = session.exports.map {
            #"{"socket":"\#($0.socket)","bytes":\#($0.byteCount)}"#
        }
        let warnings = session.warnings.map { #""\#($0)""# }
        say(
            """
            {"guardian":\(session.guardianID),"directory":"\(session.directory)",\
            "exports":[\(exports.joined(separator: ","))],\
            "warnings":[\(warnings.joined(separator: ","))]}
            """
        )
        try obey(session, input)
    }

    private static func attached(_ argument: String) throws(GloveboxError) -> AttachedDisk {
        let parts = argument.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let format = ImageFormat(rawValue: String(parts[0])) else {
            throw GloveboxError(.usage, "No format in \(argument).")
        }
        do throws(AttachError) {
            return try attach(String(parts[1]), options: AttachOptions(format: format))
        } catch {
            throw GloveboxError(error)
        }
    }

    private static func obey(
        _ session: EngineSession,
        _ input: FileDescriptor
    ) throws(GloveboxError) {
        var worker: Channel?
        while true {
            if let failure = session.failure() { throw failure }
            let ready = try? waitForAny(
                of: [(input.number, .readable)],
                deadline: deadline(inSeconds: 0.02)
            )
            guard ready?.first?.isEmpty == false else { continue }
            let line = (try? input.readSome(100)).map { String(decoding: $0, as: UTF8.self) }
            switch line {
            case "worker\n":
                worker = try session.startWorker()
                say(#"{"worker":true}"#)
            default:
                session.end()
                withExtendedLifetime(worker) {}
                return
            }
        }
    }

    private static func say(_ line: String) {
        try? StandardStream.output.write([UInt8]("\(line)\n".utf8))
    }
}
