import DiskFormats
import Foundation
import Glibc
import Linux
import Synchronization
import TestSupport
import Testing

@testable import Casework

/// A small bag that a foreign program made: Tests/Integration/bag_maker.py.
private final class ForeignBag: Sendable {
    let directory: String
    let trust: BagTrust

    static let python = "/usr/bin/python3"
    static let isPossible =
        FileManager.default.isExecutableFile(atPath: python)
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh-keygen")

    init() throws {
        // In memory, since each byte of it is changed in its place.
        let memory = "/dev/shm"
        let isThere = FileManager.default.isWritableFile(atPath: memory)
        let parent = isThere ? memory : FileManager.default.temporaryDirectory.path
        directory = "\(parent)/glovebox-bag-\(UUID())"
        try FileManager.default.createDirectory(
            atPath: directory,
            withIntermediateDirectories: true
        )
        let maker = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Integration/bag_maker.py")
        let process = Process()
        process.executableURL = URL(filePath: Self.python)
        process.arguments = ["-B", maker.path, directory]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileReadUnknown) }
        trust = BagTrust(
            requesters: try Self.list("\(directory)/requesters"),
            approvers: try Self.list("\(directory)/approvers"),
            operators: try Self.list("\(directory)/operators"),
            origin: "the test"
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private static func list(_ path: String) throws -> SignerList {
        try SignerList(fileContent(path, limit: 1 << 20))
    }

    /// Whether a bag is taken for verified.
    func isVerified(_ path: String) -> Bool {
        guard let verdict = try? BagVerification(path, trust: trust).run() else { return false }
        return verdict.isVerified
    }

    /// A copy of a form of the bag, for one thread.
    func copy(_ form: String, _ number: Int) throws -> String {
        let copy = "\(directory)/\(number)-\(UUID()).\(form)"
        try FileManager.default.copyItem(atPath: "\(directory)/case-17.\(form)", toPath: copy)
        return copy
    }

    /// The files of a form of the bag, relative to it.
    func files(_ form: String) throws -> [String] {
        if form == "tar" { return [""] }
        return BagFile.allCases.map { "/\($0.rawValue)" }
    }
}

/// Every position is tried where GLOVEBOX_SOAK is set.
private enum Soak {
    static let isOn = ProcessInfo.processInfo.environment["GLOVEBOX_SOAK"]?.isEmpty == false
    static func step(_ usual: Int) -> Int { isOn ? 1 : usual }
}

struct BagDamageTests {
    private static let threads = max(2, ProcessInfo.processInfo.activeProcessorCount)
    private static let masks: [UInt8] = [0x01, 0x20, 0x80]

    @Test(
        .enabled(if: ForeignBag.isPossible, "needs python3 and ssh-keygen"),
        arguments: ["tar", "bag"]
    )
    func `a changed byte anywhere in a bag, and every truncation, is noticed`(form: String) throws {
        let bag = try ForeignBag()
        #expect(bag.isVerified("\(bag.directory)/case-17.\(form)"))
        let files = try bag.files(form)
        let unnoticed = Mutex<[String]>([])
        let count = Mutex(0)
        concurrently(Self.threads) { thread in
            do {
                let copy = try bag.copy(form, thread)
                for file in files {
                    let original = try fileContent(copy + file, limit: 1 << 20)
                    let open = try FileDescriptor.open(copy + file, O_RDWR)
                    for position in stride(from: thread, to: original.count, by: Self.threads) {
                        let byte = original[position]
                        // Each byte is changed once, and in long runs in all three ways.
                        let chosen = Soak.isOn ? Self.masks : [Self.masks[position % 3]]
                        for mask in chosen {
                            try open.put(byte ^ mask, at: position)
                            count.withLock { $0 += 1 }
                            guard bag.isVerified(copy) else { continue }
                            unnoticed.withLock { $0.append("\(file) byte \(position) ^ \(mask)") }
                        }
                        try open.put(byte, at: position)
                    }
                    let step = Soak.step(97)
                    let lengths = stride(from: 0, to: original.count, by: step)
                    for length in lengths where length / step % Self.threads == thread {
                        try open.truncate(to: UInt64(length))
                        guard bag.isVerified(copy) else { continue }
                        unnoticed.withLock { $0.append("\(file) cut to \(length)") }
                    }
                    let span = original.span
                    try open.write(span.raw, at: 0)
                }
                // What was put back is the bag again: nothing above failed for another reason.
                if !bag.isVerified(copy) { unnoticed.withLock { $0.append("not put back") } }
            } catch {
                unnoticed.withLock { $0.append("\(error)") }
            }
        }
        #expect(unnoticed.withLock { $0 } == [])
        #expect(count.withLock { $0 } > 10_000)
    }
}

/// Archive and records by themselves, where no digest stands in front of them.
struct BagReaderDamageTests {
    private func part(_ file: BagFile, _ bytes: [UInt8]) throws -> BagPart {
        BagPart(
            file: file,
            descriptor: try .inMemory("part", bytes),
            offset: 0,
            size: UInt64(bytes.count)
        )
    }

    /// Whether archive and records are taken for the same; ends in any case.
    private func fits(_ archive: [UInt8], _ records: [UInt8]) throws -> Bool {
        var pass = PayloadPass(
            try part(.archive, archive),
            try part(.records, records),
            nil,
            VerificationWatch(CancellationFlag()) { _, _ in }
        )
        _ = try pass.run()
        return pass.fault == nil
    }

    @Test(.enabled(if: ForeignBag.isPossible, "needs python3 and ssh-keygen"))
    func `changed and truncated archives and records are judged without a trap`() throws {
        let bag = try ForeignBag()
        let data = "\(bag.directory)/case-17.bag/data"
        let archive = try fileContent("\(data)/files.tar", limit: 1 << 20)
        let records = try fileContent("\(data)/files.jsonl", limit: 1 << 20)
        #expect(try fits(archive, records))
        var random = Repeatable(state: 1)
        for _ in 0..<(Soak.isOn ? 100_000 : 1_500) {
            var changed = (archive, records)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let byte = UInt8.random(in: 0...255, using: &random)
                if Bool.random(using: &random) {
                    // Where headers and maps are; behind them there are only zeros.
                    changed.0[Int.random(in: 0..<6_144, using: &random)] = byte
                } else {
                    changed.1[Int.random(in: 0..<records.count, using: &random)] = byte
                }
            }
            _ = try fits(changed.0, changed.1)
        }
        for length in stride(from: 0, to: archive.count, by: Soak.step(61)) {
            #expect(try !fits(Array(archive[..<length]), records), "archive cut to \(length)")
        }
        for length in stride(from: 0, to: records.count - 1, by: Soak.step(7)) {
            // A note at the end may be missing: only the digest knows of it.
            let cut = Array(records[..<length])
            let isWhole = cut.last == UInt8(ascii: "\n") && cut.count { $0 == 0x0A } == 5
            #expect(try fits(archive, cut) == isWhole, "records cut to \(length)")
        }
    }

    @Test func `times are read as libarchive writes them`() {
        func time(_ text: String) -> Timestamp? { PaxRecords.time(Array(text.utf8)) }
        #expect(time("0") == Timestamp(seconds: 0))
        #expect(time("1700000000.5") == Timestamp(seconds: 1_700_000_000, nanoseconds: 500_000_000))
        #expect(time("-1.75") == Timestamp(seconds: -2, nanoseconds: 250_000_000))
        #expect(time("-2") == Timestamp(seconds: -2))
        #expect(time("9223372036854775807.999999999")?.seconds == .max)
        #expect(time("-9223372036854775807.5")?.seconds == .min)
        for wrong in ["", "-", ".5", "1.", "1.50", "01", "1e3", "+1", "9223372036854775808"] {
            #expect(time(wrong) == nil, "\(wrong)")
        }
    }

    @Test func `an outer header is read only as it is written`() throws {
        for size: UInt64 in [0, 1, 511, (8 << 30) - 1, 8 << 30, 1 << 62] {
            let header = OuterTarHeader(name: Array("case-17/bagit.txt".utf8), size: size)
            #expect(header.block.count == 512)
            #expect(OuterTarHeader(header.block) == header)
        }
        var beyond = OuterTarHeader(name: [0x61], size: 8 << 30).block
        beyond[128] = 0x80
        #expect(OuterTarHeader(beyond) == nil)
    }
}

extension FileDescriptor {
    /// Writes one byte.
    fileprivate func put(_ byte: UInt8, at position: Int) throws {
        let bytes = [byte]
        let span = bytes.span
        try write(span.raw, at: UInt64(position))
    }
}
