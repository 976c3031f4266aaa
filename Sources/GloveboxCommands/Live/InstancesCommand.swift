internal import ArgumentParser
internal import Casework
internal import Custody
internal import Glovebox

struct InstancesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "instances",
        abstract: "List the instances of this host, with their disks.",
        discussion: """
            Examples:
              glovebox instances
              glovebox instances --running
              glovebox instances --json | jq -r .uuid
              glovebox instances web-1

            An instance is a domain of libvirt; what Nova calls it, whose it is and its flavor come from \
            Nova's metadata in the domain. Each disk has its name in guest paths, its format, its size \
            and the files of its image chain; for a disk that cannot be read here it says why. Nothing \
            of any guest is read.

            domain:NAME, with the name, id or uuid, is a TARGET of all commands that read an image.
            """
    )

    @Option(help: ArgumentHelp("Which libvirt, if not the host's own.", valueName: "uri"))
    var connect: String?

    @Option(
        help: ArgumentHelp(
            "Where glovebox-engine is, if not beside this program.",
            valueName: "file"
        )
    )
    var enginePath: String?

    @Flag(help: "Only those that run, or are paused.")
    var running = false

    @Flag(help: "Print JSON, one object a line; docs/json.md describes it.")
    var json = false

    @Argument(help: "Only this one: a name, id or uuid.")
    var domain: String?

    func run() throws {
        let client = try CustodianClient(uri: connect, starting: CustodianProgram(path: enginePath))
        defer { client.end() }
        let domains = try domain.map { [try client.find($0)] } ?? client.list()
        var output = StandardOutput()
        if !json { try output.line(InstanceRow.heading) }
        var failure: GloveboxError?
        for facts in domains.sorted(by: Self.order) where !running || facts.status.id != nil {
            let row = InstanceRow(facts)
            try output.write(json ? row.json : row.lines.flatMap(Message.harmlessLine))
            if failure == nil { failure = row.failure }
        }
        try output.flush()
        if let failure { throw failure }
    }

    /// Those that run first, by their ids; then the others, by name.
    private static func order(_ left: DomainFacts, _ right: DomainFacts) -> Bool {
        switch (left.status.id, right.status.id) {
        case (let left?, let right?): left < right
        case (.some, nil): true
        case (nil, .some): false
        case (nil, nil): left.name < right.name
        }
    }
}
