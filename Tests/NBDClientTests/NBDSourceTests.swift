import DiskFormats
import Foundation
import TestSupport
import Testing

@testable import NBDClient

/// What servers that keep the protocol give.
@Suite struct NBDSourceTests {
    /// Random bytes with holes among them, of an odd number of sectors.
    static func content(_ seed: UInt64, count: Int = 3 << 20 + 512) -> [UInt8] {
        var random = Repeatable(state: seed)
        var bytes = random.bytes(count)
        for start in [65_536, 1 << 20] where start + 200_000 <= count {
            bytes.replaceSubrange(start..<(start + 200_000), with: repeatElement(0, count: 200_000))
        }
        return bytes
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"))
    func `an export of qemu-nbd is a block source`() throws {
        let content = Self.content(1)
        let server = try NBDServer.qemu(content)
        let source = try NBDSource(socket: server.socket, name: "disk")
        #expect(source.facts.allowsSeveralConnections && source.facts.hasStructuredReplies)
        #expect(source.facts.tellsAllocation && source.facts.tellsDepth)
        #expect(
            BlockSourceConformance(source, content: content, seed: 2).violations() == []
        )
    }

    @Test(
        .enabled(if: NBDServer.hasNBDKit, "nbdkit is not installed"),
        arguments: [
            [], ["--filter=blocksize-policy", "blocksize-minimum=4096", "blocksize-maximum=65536"],
            ["--filter=noparallel"], ["--filter=noextents"], ["--no-sr"],
        ]
    )
    func `an export of nbdkit is a block source`(_ filter: [String]) throws {
        let content = Self.content(3, count: 1 << 20)
        let filters = filter.filter { $0.hasPrefix("--") }
        let parameters = filter.filter { !$0.hasPrefix("--") }
        let server = try NBDServer(
            "/usr/bin/nbdkit",
            ["-f", "-r", "-U", "SOCKET"] + filters + ["file", "file=IMAGE"] + parameters,
            content: content
        )
        let source = try NBDSource(socket: server.socket, name: "disk")
        #expect(
            BlockSourceConformance(source, content: content, seed: 4).violations() == []
        )
    }

    @Test(.enabled(if: NBDServer.hasNBDKit, "nbdkit is not installed"))
    func `an error of the server is an error here, and never zeros`() throws {
        let content = Self.content(5, count: 1 << 20)
        let bad: Range<UInt64> = 524_288..<528_384
        let script = """
            if [ "$4" -lt \(bad.upperBound) ] && [ $(($4 + $3)) -gt \(bad.lowerBound) ]; then
                echo EIO bad sector >&2; exit 1; fi
            dd if=IMAGE skip=$4 count=$3 iflag=count_bytes,skip_bytes status=none
            """
        let server = try NBDServer(
            "/usr/bin/nbdkit",
            [
                "-f", "-r", "-U", "SOCKET", "eval", "get_size=echo \(content.count)",
                "pread=\(script)",
            ],
            content: content
        )
        let source = try NBDSource(socket: server.socket, name: "disk 7")
        let conformance = BlockSourceConformance(source, content: content, seed: 6)
        #expect(conformance.faults({ $0.overlaps(bad) }, ranges: 100) == [])
        let error = #expect(throws: DiskError.self) { try source.bytes(at: 524_000, count: 4_096) }
        #expect(error?.reason == .unreadable && error?.structure == "disk 7")
        #expect(error?.detail.contains("EIO") == true)
    }

    @Test(.enabled(if: NBDServer.hasNBDKit, "nbdkit is not installed"))
    func `errors that come now and then spoil no other read`() throws {
        let content = Self.content(7, count: 1 << 20)
        let server = try NBDServer(
            "/usr/bin/nbdkit",
            [
                "-f", "-r", "-U", "SOCKET", "--filter=error", "file", "file=IMAGE",
                "error-pread=EIO", "error-pread-rate=30%",
            ],
            content: content
        )
        let source = try NBDSource(socket: server.socket, name: "disk")
        var random = Repeatable(state: 8)
        var failures = 0
        for _ in 0..<300 {
            let start = Int.random(in: 0..<(content.count - 5_000), using: &random)
            let bytes: [UInt8]
            do throws(DiskError) {
                bytes = try source.bytes(at: UInt64(start), count: 5_000)
            } catch {
                failures += 1
                continue
            }
            #expect(bytes.elementsEqual(content[start..<(start + 5_000)]))
        }
        #expect((30...200).contains(failures))
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"))
    func `runs name the layer that bytes come from`() throws {
        let server = try NBDServer(
            "/bin/sh",
            [
                "-c",
                """
                qemu-img create -q -f qcow2 -b IMAGE -F raw IMAGE.top 4M &&
                qemu-io -f qcow2 -c 'write -P 9 1M 64k' -c 'write -z 2M 64k' IMAGE.top >/dev/null &&
                exec qemu-nbd -r -t -e 0 -A -f qcow2 -k SOCKET IMAGE.top
                """,
            ],
            content: [UInt8](repeating: 7, count: 3 << 20)
        )
        let source = try NBDSource(socket: server.socket, name: "disk")
        let expected: [(UInt64, BlockRun.Origin)] = [
            (0, .computed(layer: 1)), (1 << 20, .computed(layer: 0)),
            (2 << 20, .zeros(layer: 0)), (3 << 20 - 1, .computed(layer: 1)),
        ]
        for (offset, origin) in expected {
            #expect(try source.run(at: offset, limit: 1 << 20).origin == origin)
        }
        #expect(try source.run(at: 1 << 20, limit: 1 << 20).length == 65_536)
        #expect(try source.run(at: 1 << 20, limit: 100).length == 100)
        guard case .zeros = try source.run(at: 3 << 20, limit: .max).origin else {
            Issue.record("past the end of the base there are zeros")
            return
        }
    }
}
