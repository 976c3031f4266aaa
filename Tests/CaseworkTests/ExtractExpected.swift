import DiskFormats
import Foundation
import TestSupport

/// What ``describeTree`` says of a fake tree that was taken out whole.
///
/// Written down from the tree itself; the sums of contents come from Python again.
struct Expected {
    private let source: FakeFileSystem

    init(_ source: FakeFileSystem) { self.source = source }

    func lines() throws -> [String] {
        var lines: [String] = []
        var names: [UInt64: Int] = [:]
        TreeWalk.run(source, from: 2) { event in
            if case .item(let item) = event { names[item.entry.inode, default: 0] += 1 }
            return .enter
        }
        var items: [(path: [UInt8], inode: Inode)] = []
        TreeWalk.run(source, from: 2) { event in
            if case .item(let item) = event, case .success(let inode) = item.inode {
                items.append((item.path, inode))
            }
            return .enter
        }
        for (path, inode) in items where inode.type != .socket {
            lines.append(try line(path, inode, names: names[inode.number] ?? 0))
        }
        return lines.sorted()
    }

    private func line(_ path: [UInt8], _ inode: Inode, names: Int) throws -> String {
        let nanoseconds = inode.modified.seconds * 1_000_000_000 + Int64(inode.modified.nanoseconds)
        let mode = String(inode.permissions, radix: 8)
        var words = [hex(path), inode.type.rawValue, mode, "\(nanoseconds)"]
        switch inode.type {
        case .regular:
            let extents = try source.extents(of: inode.number, in: 0..<inode.size)
            let hash = try run("python3", "-c", Self.hash, try blocks(extents))
            let stored = extents.reduce(UInt64(0)) {
                switch $1.content {
                case .volume, .inline: $0 + ($1.length + 4_095) / 4_096 * 4_096
                default: $0
                }
            }
            words += ["\(inode.size)", hash.trimmingCharacters(in: .newlines), "\(names)"]
            words.append(stored < inode.size ? "sparse" : "full")
        case .symbolicLink: words.append(hex(try source.linkTarget(of: inode.number)))
        case .characterDevice, .blockDevice:
            words += ["\(inode.device?.major ?? 0)", "\(inode.device?.minor ?? 0)"]
        default: break
        }
        let attributes = try source.extendedAttributes(of: inode.number)
        words += attributes.map { String(decoding: $0.name, as: UTF8.self) + "=" + hex($0.value) }
            .sorted()
        return words.joined(separator: " ")
    }

    /// Writes each extent with data to a file of its own; gives their offsets and paths.
    private func blocks(_ extents: [FileExtent]) throws -> String {
        var words: [String] = []
        for extent in extents {
            let bytes: [UInt8]
            switch extent.content {
            case .volume(let offset):
                bytes = try source.volume.bytes(at: offset, count: Int(extent.length))
            case .inline(let content): bytes = content
            default: continue
            }
            let path = NSTemporaryDirectory() + "glovebox-extent-\(UUID().uuidString)"
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            words.append("\(extent.fileOffset)=\(path)")
        }
        return words.joined(separator: "|")
    }

    private static let hash = """
        import hashlib, os, sys
        hash = hashlib.sha256()
        for word in filter(None, sys.argv[1].split('|')):
            start, path = word.split('=', 1)
            data = open(path, 'rb').read()
            os.unlink(path)
            for at in range(0, len(data), 4096):
                block = data[at:at + 4096]
                if block.strip(b'\\0'):
                    hash.update(b'%d:' % (int(start) + at) + block.rstrip(b'\\0'))
        print(hash.hexdigest())
        """
}

extension FakeFileSystem {
    /// How many names there are below the root.
    var nameCount: Int { listings.values.reduce(0) { $0 + $1.entries.count } }
}
