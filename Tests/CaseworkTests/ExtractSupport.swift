import Casework
import DiskFormats
import Foundation
import Linux
import Synchronization
import TestSupport
import Testing

/// A directory that goes away with the value.
final class Scratch {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "glovebox-extract-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { _ = try? run("rm", "-rf", path) }
}

/// Runs a program, and fails the test where it fails.
@discardableResult
func run(_ arguments: String..., input: String? = nil) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment
    environment["LC_ALL"] = "C.UTF-8"
    process.environment = environment
    let output = Pipe()
    process.standardOutput = output
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let errorBytes = Mutex(Data())
    let drain = Thread {
        let data = errors.fileHandleForReading.readEverything()
        errorBytes.withLock { $0 = data }
    }
    drain.start()
    let text = output.fileHandleForReading.readEverything()
    process.waitUntilExit()
    if process.terminationStatus != 0 {
        Thread.sleep(forTimeInterval: 0.05)
        let reason = errorBytes.withLock { String(decoding: $0, as: UTF8.self) }
        Issue.record("\(arguments.prefix(3)) ended with \(process.terminationStatus): \(reason)")
    }
    return String(decoding: text, as: UTF8.self)
}

/// Describes what lies beneath a directory, one line for each name, from Python's view of it.
let describeTree = """
    import hashlib, os, stat, sys
    root = os.fsencode(sys.argv[1])
    inodes = {}
    lines = []
    def visit(path):
        for name in os.listdir(root + b'/' + path if path else root):
            full = path + b'/' + name if path else name
            real = root + b'/' + full
            st = os.lstat(real)
            kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink',
                stat.S_IFCHR: 'char', stat.S_IFBLK: 'block', stat.S_IFIFO: 'fifo'}[stat.S_IFMT(st.st_mode)]
            words = [full.hex(), kind, oct(st.st_mode & 0o7777)[2:], str(st.st_mtime_ns)]
            if kind == 'file':
                hash = hashlib.sha256()
                with open(real, 'rb') as f:
                    position = 0
                    while st.st_size:
                        try: start = os.lseek(f.fileno(), position, os.SEEK_DATA)
                        except OSError: break
                        position = os.lseek(f.fileno(), start, os.SEEK_HOLE)
                        f.seek(start)
                        data = f.read(position - start)
                        for at in range(0, len(data), 4096):
                            block = data[at:at + 4096]
                            if block.strip(b'\\0'):
                                hash.update(b'%d:' % (start + at) + block.rstrip(b'\\0'))
                words += [str(st.st_size), hash.hexdigest(), str(st.st_nlink)]
                words += ['sparse' if st.st_blocks * 512 < st.st_size else 'full']
            if kind == 'symlink': words.append(os.readlink(real).hex())
            if kind in ('char', 'block'): words += [str(os.major(st.st_rdev)), str(os.minor(st.st_rdev))]
            if kind != 'symlink':
                for key in sorted(os.listxattr(real)):
                    if key != 'security.selinux':
                        words.append(key + '=' + os.getxattr(real, key).hex())
            lines.append(' '.join(words))
            if kind == 'directory': visit(full)
    visit(b'')
    print('\\n'.join(sorted(lines)))
    """

/// Describes an archive, one line for each entry, from Python's view of it.
let describeArchive = """
    import hashlib, os, sys, tarfile
    kinds = {b'0': 'file', b'1': 'link', b'2': 'symlink', b'3': 'char', b'4': 'block', b'5': 'directory', b'6': 'fifo'}
    archive = tarfile.open(sys.argv[1], encoding='utf-8', errors='surrogateescape')
    for member in archive:
        kind = 'file' if member.issparse() else kinds[member.type]
        words = [os.fsencode(member.name).hex(), kind, oct(member.mode)[2:], str(member.uid), str(member.gid)]
        words.append(member.pax_headers.get('mtime', str(member.mtime)))
        if kind == 'file': words.append(str(member.size))
        if kind in ('link', 'symlink'): words.append(os.fsencode(member.linkname).hex())
        if kind == 'file' and member.size < 1 << 26: words.append(hashlib.sha256(archive.extractfile(member).read()).hexdigest())
        print(' '.join(words))
    """

/// What foreign programs say of a directory, line by line.
func tree(_ path: String) throws -> [String] {
    try run("python3", "-c", describeTree, path).split(separator: "\n").map(String.init)
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

func hex(_ text: String) -> String { hex([UInt8](text.utf8)) }

extension FakeFileSystem {
    /// Extracts the whole tree into a directory.
    func extract(
        to path: String,
        _ change: (inout Extraction.Options) -> Void = { _ in }
    ) -> ExtractionReport {
        var options = Extraction.Options()
        change(&options)
        let root = Extraction.Root(self, inode: rootInode, guestPath: [0x2F], name: [])
        return Extraction([root], to: .directory(path: path), options: options).run()
    }

    /// Extracts the whole tree into an archive at `path`.
    func archive(
        to path: String,
        cancellation: CancellationFlag = CancellationFlag(),
        _ change: (inout Extraction.Options) -> Void = { _ in }
    ) throws -> ExtractionReport {
        var options = Extraction.Options()
        change(&options)
        let file = try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        let root = Extraction.Root(self, inode: rootInode, guestPath: [0x2F], name: [])
        let extraction = Extraction([root], to: .archive(file), options: options)
        return extraction.run(cancellation: cancellation)
    }
}

extension ExtractionReport {
    /// The skipped paths as text, with their reasons.
    var skippedPaths: [String: Reason] {
        Dictionary(
            skipped.map { (String(decoding: $0.path, as: UTF8.self), $0.reason) },
            uniquingKeysWith: { first, _ in first }
        )
    }
}

/// Bytes that repeat nowhere in a test.
func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: state >> (8 * shift))) }
    }
    return [UInt8](bytes[..<count])
}
