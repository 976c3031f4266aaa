import DiskFormats
import Foundation
import TestSupport
import Testing

@testable import NetworkBlock

/// What servers that keep the protocol give.
@Suite struct NetworkBlockSourceTests {
    /// Random bytes with holes among them, of an odd number of sectors.
    static func content(_ seed: UInt64, count: Int = 3 << 20 + 512) -> [UInt8] {
        var random = Repeatable(state: seed)
        var bytes = random.bytes(count)
        for start in [65_536, 1 << 20] where start + 200_000 <= count {
            bytes.replaceSubrange(start..<(start + 200_000), with: repeatElement(0, count: 200_000))
        }
        return bytes
    }

    static func open(
        _ server: NBDServer,
        export: String = "",
        options: NetworkBlockSource.Options = .init()
    ) throws(DiskError) -> NetworkBlockSource {
        try NetworkBlockSource(
            socket: server.socket,
            export: export,
            name: "disk",
            options: options
        )
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"))
    func `a named export of qemu-nbd is a block source`() throws {
        let content = Self.content(1)
        let server = try NBDServer.qemu(content, export: "vda")
        let source = try Self.open(server, export: "vda")
        #expect(source.facts.allowsSeveralConnections && source.facts.hasStructuredReplies)
        #expect(source.facts.tellsAllocation && source.facts.isReadOnly)
        #expect(
            BlockSourceConformance(source, content: content, seed: 2).violations() == []
        )
        let error = #expect(throws: DiskError.self) { try Self.open(server, export: "vdb") }
        #expect(error?.detail.contains("no export “vdb”") == true)
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"), arguments: [1, 2])
    func `a layered qcow2 is one, also where few clients are let in`(_ clients: Int) throws {
        let content = Self.content(3, count: 2 << 20)
        let server = try NBDServer(
            "/bin/sh",
            [
                "-c",
                """
                qemu-img create -q -f qcow2 -b IMAGE -F raw IMAGE.top 3M &&
                qemu-io -f qcow2 -c 'write -P 9 512k 64k' -c 'write -z 1536k 64k' IMAGE.top \
                    >/dev/null &&
                exec qemu-nbd -r -t -e \(clients) -A -f qcow2 -x vda -k SOCKET IMAGE.top
                """,
            ],
            content: content
        )
        var expected = content + [UInt8](repeating: 0, count: 1 << 20)
        expected.replaceSubrange(524_288..<589_824, with: repeatElement(9, count: 65_536))
        expected.replaceSubrange(1_572_864..<1_638_400, with: repeatElement(0, count: 65_536))
        let source = try Self.open(server, export: "vda")
        #expect(
            BlockSourceConformance(source, content: expected, seed: 4).violations() == []
        )
        #expect(
            try source.run(at: 1_572_900, limit: 4_096)
                == BlockRun(length: 4_096, origin: .zeros(layer: nil))
        )
    }

    @Test(
        .enabled(if: NBDServer.hasNBDKit, "nbdkit is not installed"),
        arguments: [
            [], ["--filter=blocksize-policy", "blocksize-minimum=4096", "blocksize-maximum=65536"],
            ["--filter=noparallel"], ["--filter=noextents"], ["--no-sr"],
            ["--filter=multi-conn", "multi-conn-mode=disable"],
        ]
    )
    func `an export of nbdkit is a block source`(_ filter: [String]) throws {
        let content = Self.content(5, count: 1 << 20)
        let filters = filter.filter { $0.hasPrefix("--") }
        let parameters = filter.filter { !$0.hasPrefix("--") }
        let server = try NBDServer(
            "/usr/bin/nbdkit",
            ["-f", "-r", "-U", "SOCKET"] + filters + ["file", "file=IMAGE"] + parameters,
            content: content
        )
        let source = try Self.open(server)
        #expect(
            BlockSourceConformance(source, content: content, seed: 6).violations() == []
        )
    }

    @Test(.enabled(if: NBDServer.hasNBDKit, "nbdkit is not installed"))
    func `an error of the server is an error here, and spoils no other read`() throws {
        let content = Self.content(7, count: 1 << 20)
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
        let source = try Self.open(server)
        let conformance = BlockSourceConformance(source, content: content, seed: 8)
        #expect(conformance.faults({ $0.overlaps(bad) }, ranges: 100) == [])
        let error = #expect(throws: DiskError.self) { try source.bytes(at: 524_000, count: 4_096) }
        #expect(error?.reason == .unreadable && error?.structure == "disk")
        #expect(error?.detail.contains("EIO") == true)
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"))
    func `an export of another size than expected is refused`() throws {
        let content = Self.content(9, count: 1 << 20)
        let server = try NBDServer.qemu(content)
        let right = NetworkBlockSource.Options(expectedByteCount: 1 << 20)
        #expect(try Self.open(server, options: right).byteCount == 1 << 20)
        for size in [0, 1 << 20 - 512, 1 << 20 + 1] as [UInt64] {
            let wrong = NetworkBlockSource.Options(expectedByteCount: size)
            let error = #expect(throws: DiskError.self) { try Self.open(server, options: wrong) }
            #expect(error?.reason == .inconsistent)
        }
    }

    @Test(.enabled(if: NBDServer.hasQEMU, "qemu-utils is not installed"))
    func `a source that was disconnected reads nothing, and the server notices`() throws {
        let server = try NBDServer(
            "/usr/bin/qemu-nbd",
            ["-r", "-e", "0", "-f", "raw", "-k", "SOCKET", "IMAGE"],
            content: Self.content(10, count: 1 << 20)
        )
        let source = try Self.open(server)
        #expect(try source.bytes(at: 0, count: 512).count == 512)
        source.disconnect()
        let error = #expect(throws: DiskError.self) { try source.bytes(at: 0, count: 512) }
        #expect(error?.detail.contains("disconnected") == true)
        #expect(server.hasEnded(inSeconds: 5))
    }
}
