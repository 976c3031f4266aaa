/// The forms that scripts call for each instance or file: `disks TARGET`, `cat TARGET PATH…`,
/// `ls [-l] TARGET [PATH]`.
///
/// ArgumentParser takes about as long to begin as such a command takes in all, so these go past
/// it. Whatever has another option, or not this number of arguments, is left to the parser; what both
/// understand they understand alike.
enum PlainArguments {
    /// What such arguments ask for.
    enum Job: Equatable {
        case disks(DisksJob)
        case cat(CatJob)
        case list(ListJob)

        func run() throws {
            switch self {
            case .disks(let job): try job.run()
            case .cat(let job): try job.run()
            case .list(let job): try job.run()
            }
        }
    }

    /// What the arguments ask for, or nil where the parser has to read them.
    static func job(_ arguments: [String]) -> Job? {
        guard let name = arguments.first else { return nil }
        var rest = Array(arguments.dropFirst())
        var long = false
        if name == "ls", rest.first == "-l" {
            long = true
            rest.removeFirst()
        }
        guard !rest.contains(where: { $0.hasPrefix("-") || $0.isEmpty }) else { return nil }
        switch (name, rest.count) {
        case ("disks", 1): return .disks(DisksJob(target: rest[0]))
        case ("cat", 2...): return .cat(CatJob(target: rest[0], paths: Array(rest.dropFirst())))
        case ("ls", 1): return .list(ListJob(long: long, target: rest[0]))
        case ("ls", 2): return .list(ListJob(long: long, target: rest[0], path: rest[1]))
        default: return nil
        }
    }
}
