import Glovebox

/// Lists a directory of a guest and prints a file, without the command-line tool.
///
///     swift run list-and-read /var/lib/nova/instances/UUID /etc /etc/hostname
@main
struct ListAndRead {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4 else {
            print("usage: list-and-read TARGET DIRECTORY FILE")
            return
        }
        let instance = try Instance(at: arguments[1], for: .read)

        let directory = try instance.file(arguments[2])
        for entry in try directory.fileSystem.entries(of: directory.inode).entries {
            let inode = try directory.fileSystem.inode(entry.inode)
            print(inode.size, inode.modified.iso8601, String(decoding: entry.name, as: UTF8.self))
        }

        let file = try instance.file(arguments[3])
        let content = try file.fileSystem.content(of: file.inode, limit: 1 << 20)
        print(String(decoding: content, as: UTF8.self))
    }
}
