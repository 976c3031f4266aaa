import ArgumentParser
import Testing

@testable import GloveboxCommands

/// The short way past the parser must not change what a command line means.
@Suite struct PlainArgumentsTests {
    /// What the parser makes of the arguments; nil where it refuses them, or reads another command.
    private func parsed(_ arguments: [String]) -> PlainArguments.Job? {
        switch try? GloveboxCommand.parseAsRoot(arguments) {
        case let command as DisksCommand: .disks(command.job)
        case let command as CatCommand: .cat(command.job)
        case let command as ListCommand: .list(command.job)
        default: nil
        }
    }

    /// Words that a command line of `cat` or `ls` is made of, in every order up to three of them.
    private static let words = [
        "-l", "-R", "--", "-", "", "--json", "--format=raw", "--help", "-lR", "disk", "/etc", "ls",
        "a b", "disk:p1:/x", "\u{10FEFF}",
    ]

    private static func vectors(_ length: Int) -> [[String]] {
        (0..<length).reduce([[]]) { vectors, _ in
            vectors.flatMap { vector in words.map { vector + [$0] } }
        }
    }

    @Test(arguments: ["disks", "cat", "ls", "stat", "help", "", "-l"])
    func `what is read without the parser means the same to it`(_ name: String) {
        var taken = 0
        for length in 0...3 {
            for rest in Self.vectors(length) {
                guard let job = PlainArguments.job([name] + rest) else { continue }
                taken += 1
                #expect(parsed([name] + rest) == job, "\([name] + rest)")
            }
        }
        #expect((taken > 0) == ["disks", "cat", "ls"].contains(name))
    }

    @Test func `the forms that scripts use go past the parser`() {
        #expect(PlainArguments.job(["disks", "disk"]) == .disks(DisksJob(target: "disk")))
        let all = PlainArguments.job(["cat", "disk", "/a", "/b"])
        #expect(all == .cat(CatJob(target: "disk", paths: ["/a", "/b"])))
        #expect(PlainArguments.job(["ls", "disk"]) == .list(ListJob(target: "disk")))
        let long = ListJob(long: true, target: "disk", path: "/etc")
        #expect(PlainArguments.job(["ls", "-l", "disk", "/etc"]) == .list(long))
    }

    @Test(arguments: [
        [], ["disks"], ["disks", "a", "b"], ["disks", "--json", "a"], ["cat"], ["cat", "disk"],
        ["ls"], ["ls", "disk", "/a", "/b"], ["ls", "disk", "-l"],
        ["cat", "--json", "disk", "/a"], ["cat", "disk", "--", "-a"], ["cat", "disk", ""],
        ["--version"], ["help", "cat"], ["cats", "disk", "/a"],
    ])
    func `everything else is left to the parser`(_ arguments: [String]) {
        #expect(PlainArguments.job(arguments) == nil)
    }
}
