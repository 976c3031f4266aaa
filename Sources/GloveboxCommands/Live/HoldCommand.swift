internal import ArgumentParser
internal import Casework
internal import Glovebox
internal import Linux

struct HoldCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Run several commands while an instance is held once.",
        discussion: """
            Examples:
              glovebox hold domain:web-1 -- 'ls -l /etc' 'cat /etc/fstab'
              glovebox hold --approval case-17.json domain:UUID < commands.txt
              echo 'extract /etc /var/log --to-tar logs.tar' | glovebox hold domain:web-1

            Each command is one argument after --, or one line of standard input: disks, ls, stat, cat, \
            find, df, extract or fsck, without TARGET, and without the options that say how TARGET is \
            opened: those are given to hold. Words are split as a shell does it, with quotes; nothing \
            else of a shell is known. Empty lines and lines that begin with # are passed over.

            All commands are read and checked before the instance is touched. The first that fails ends \
            the hold, unless --keep-going is given; the exit code is that of the first failure.
            """
    )

    @OptionGroup var options: TargetOptions

    @Flag(name: .shortAndLong, help: "Go on with the next command where one fails.")
    var keepGoing = false

    @Argument(help: "Image file, instance directory, or domain:NAME.")
    var target: String

    @Argument(
        parsing: .postTerminator,
        help: "The commands, each one argument; standard input where there is none."
    )
    var commands: [String] = []

    /// Enough for any list that people write.
    private static let inputBytesMax = 1 << 20

    func run() throws {
        let lines = commands.isEmpty ? try linesOfInput() : commands
        var held: [HeldCommand] = []
        for line in lines {
            if let command = try HeldCommand(line, target: target) { held.append(command) }
        }
        guard let first = held.first else {
            throw GloveboxError(
                .usage,
                "There is no command to run.",
                advice: "Give them after --, or as lines of standard input."
            )
        }
        if let bag = held.dropLast().first(where: \.isBag) {
            throw GloveboxError(
                .usage,
                "\(bag.line): an evidence bag says how the hold ended.",
                advice: "Make it the last command."
            )
        }
        try options.withInstance(at: target, for: first.purpose) { instance in
            for command in held { try instance.require(command.purpose) }
            try HoldScope.$instance.withValue(instance) { try run(held) }
        }
    }

    private func run(_ commands: [HeldCommand]) throws {
        var failure: (any Error)?
        for command in commands {
            do { try command.run() } catch {
                guard keepGoing else { throw error }
                if failure == nil { failure = error }
                if let error = error as? GloveboxError { Message.say("glovebox: \(error)") }
            }
        }
        if let failure { throw failure }
    }

    private func linesOfInput() throws -> [String] {
        let text = try fileContent("/dev/stdin", limit: Self.inputBytesMax)
        return text.split(separator: UInt8(ascii: "\n")).map { CommandLineBytes.encode(Array($0)) }
    }
}

/// The instance that `hold` has opened, for the commands that run within it.
enum HoldScope {
    @TaskLocal static var instance: Instance?

    /// What becomes of the hold of `instance` after a command; nil where others follow.
    static func release(after instance: Instance) -> HoldReport? {
        self.instance == nil ? instance.release() : nil
    }
}

/// A command that opens a target.
protocol TargetCommand: ParsableCommand {
    var options: TargetOptions { get }
}

extension DisksCommand: TargetCommand {}
extension ListCommand: TargetCommand {}
extension StatCommand: TargetCommand {}
extension CatCommand: TargetCommand {}
extension FindCommand: TargetCommand {}
extension UsageCommand: TargetCommand {}
extension ExtractCommand: TargetCommand {}
extension FsckCommand: TargetCommand {}

extension TargetSettings {
    /// Whether nothing is said about how the target is opened.
    fileprivate var saysOnlyHowToPrint: Bool {
        self == TargetSettings(json: json, verbose: verbose)
    }
}

/// A command of a list, parsed.
struct HeldCommand {
    private let command: any ParsableCommand
    /// The command as it was given.
    let line: String
    /// What it opens the instance for.
    let purpose: Purpose
    /// Whether it makes an evidence bag, which says how the hold ended, and so ends it.
    let isBag: Bool

    private static let purposes: [String: Purpose] = [
        "disks": .list, "ls": .list, "stat": .list, "find": .list, "df": .list, "cat": .read,
        "extract": .extract, "fsck": .check,
    ]

    /// Parses a line; nil where there is none.
    init?(_ line: String, target: String) throws {
        guard let words = CommandWords.split(line) else {
            throw GloveboxError(.usage, "A quote is not closed: \(line)")
        }
        guard let name = words.first, !name.hasPrefix("#") else { return nil }
        guard let purpose = Self.purposes[name] else {
            let known = Self.purposes.keys.sorted().joined(separator: ", ")
            throw GloveboxError(
                .usage,
                "\(name) is no command that reads a held instance.",
                advice: "These are: \(known)."
            )
        }
        let parsed: any ParsableCommand
        do {
            parsed = try GloveboxCommand.parseAsRoot([name, target] + words.dropFirst())
        } catch {
            let text = GloveboxCommand.message(for: error)
            throw GloveboxError(.usage, "\(line): \(text)")
        }
        guard let known = parsed as? any TargetCommand, known.options.settings.saysOnlyHowToPrint
        else {
            throw GloveboxError(
                .usage,
                "\(line): how the target is opened is said to hold, for all its commands."
            )
        }
        command = parsed
        isBag = (parsed as? ExtractCommand)?.to != nil
        self.purpose = purpose
        self.line = line
    }

    func run() throws {
        var command = command
        try command.run()
    }
}

/// Splits a line into words as a shell does, with quotes and backslashes.
enum CommandWords {
    /// The words; nil where a quote is not closed.
    static func split(_ line: String) -> [String]? {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in line {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open {
                    quote = nil
                } else {
                    word = (word ?? "") + String(character)
                }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == " " || character == "\t" {
                if let done = word { words.append(done) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil, !isEscaped else { return nil }
        if let done = word { words.append(done) }
        return words
    }
}
