package import DiskFormats
internal import Linux

/// An NBD export at a Unix socket as a block source.
///
/// All the bytes or an error; the size is that of the handshake. Several threads read through as
/// many connections where the server allows that, and take turns where not. A connection that broke
/// is replaced for the next request.
package final class NBDSource: BlockSource {
    /// How to talk to a server.
    package struct Options: Sendable {
        /// How long the handshake, or one request, may take.
        package var timeoutSeconds: Double
        /// How many connections there are at most.
        package var connectionsMax: Int

        /// Creates options.
        package init(timeoutSeconds: Double = 30, connectionsMax: Int = 4) {
            self.timeoutSeconds = timeoutSeconds
            self.connectionsMax = max(1, connectionsMax)
        }
    }

    /// What the server said in the handshake.
    package let facts: NBDFacts
    /// What errors call it.
    package let name: String
    private let socket: String
    private let options: Options
    private let pool: Monitor<Pool>

    private struct Pool {
        var idle: [NBDConnection]
        /// How many there are, idle and in use.
        var count: Int
    }

    /// Connects to the server at `socket`.
    package init(
        socket: String,
        name: String,
        options: Options = Options()
    ) throws(DiskError) {
        let first: NBDConnection
        do throws(NBDError) {
            first = try NBDConnection(socket: socket, timeoutSeconds: options.timeoutSeconds)
        } catch {
            throw DiskError(.unreadable, name, "connecting failed: \(error)")
        }
        self.socket = socket
        self.name = name
        self.options = options
        facts = first.facts
        pool = Monitor(Pool(idle: [first], count: 1))
    }

    /// The size that the server gave in the handshake.
    package var byteCount: UInt64 { facts.byteCount }

    /// Reads in pieces that the server takes.
    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        guard buffer.byteCount > 0 else { return }
        let connection = try take(at: offset)
        defer { put(connection) }
        var done = 0
        while done < buffer.byteCount {
            let position = offset + UInt64(done)
            let rest = buffer.byteCount - done
            let skew = Int(position % facts.alignment)
            if skew == 0, rest >= Int(facts.alignment) {
                let whole = rest / Int(facts.alignment) * Int(facts.alignment)
                let count = min(whole, Int(facts.requestBytes))
                var part = buffer._mutatingExtracting(done..<(done + count))
                try read(connection, into: &part, at: position)
                done += count
            } else {
                let count = min(rest, Int(facts.alignment) - skew)
                let block = try Array(count: Int(facts.alignment)) { span throws(DiskError) in
                    try read(connection, into: &span, at: position - UInt64(skew))
                }
                let span = block.span
                buffer.copy(span.raw.extracting(skew..<(skew + count)), to: done)
                done += count
            }
        }
    }

    private func read(
        _ connection: NBDConnection,
        into part: inout MutableRawSpan,
        at offset: UInt64
    ) throws(DiskError) {
        do throws(NBDError) {
            try unsafe part.withUnsafeMutableBytes { bytes throws(NBDError) in
                try unsafe connection.read(into: bytes, at: offset)
            }
        } catch {
            throw DiskError(
                .unreadable,
                name,
                at: offset,
                "reading \(part.byteCount) bytes failed: \(error)"
            )
        }
    }

    /// What `base:allocation` and `qemu:allocation-depth` say; where the server tells neither, all
    /// of it counts as computed.
    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRange(offset, 1)
        guard limit > 0 else { throw DiskError(.truncated, name, at: offset, "no bytes wanted") }
        let wanted = min(limit, byteCount - offset)
        guard facts.tellsAllocation || facts.tellsDepth else {
            return BlockRun(length: wanted, origin: .computed(layer: 0))
        }
        let skew = offset % facts.alignment
        // A request's length has 32 bits.
        let most: UInt64 = 1 << 31
        let count = min(
            (wanted + skew + facts.alignment - 1) / facts.alignment * facts.alignment,
            most
        )
        let connection = try take(at: offset)
        defer { put(connection) }
        let extents: NBDExtents
        do throws(NBDError) {
            extents = try connection.extents(at: offset - skew, count: count)
        } catch {
            throw DiskError(.unreadable, name, at: offset, "asking for extents failed: \(error)")
        }
        let length = [extents.allocation?.length, extents.depth?.length].compactMap(\.self).min()
        guard let length, UInt64(length) > skew else {
            throw DiskError(.inconsistent, name, at: offset, "the server gives no extent there")
        }
        return BlockRun(length: min(wanted, UInt64(length) - skew), origin: Self.origin(extents))
    }

    private static func origin(_ extents: NBDExtents) -> BlockRun.Origin {
        let depth = extents.depth.map { Int($0.flags) } ?? 1
        if extents.readsAsZeros { return .zeros(layer: depth > 0 ? depth - 1 : nil) }
        return .computed(layer: max(0, depth - 1))
    }

    /// Whether the server still answers a request in time, be it with an error.
    package func answers() -> Bool {
        guard byteCount > 0 else { return true }
        do throws(DiskError) {
            let connection = try take(at: 0)
            defer { put(connection) }
            let count = Int(min(facts.alignment, byteCount))
            _ = try? Array(count: count) { span throws(DiskError) in
                try read(connection, into: &span, at: 0)
            }
            return !connection.isBroken
        } catch {
            return false
        }
    }

    // MARK: Connections

    private enum Turn {
        case use(NBDConnection)
        case connect
    }

    private func take(at offset: UInt64) throws(DiskError) -> NBDConnection {
        let most = facts.allowsSeveralConnections ? options.connectionsMax : 1
        let turn = pool.wait { pool -> Turn? in
            if let connection = pool.idle.popLast() { return .use(connection) }
            guard pool.count < most else { return nil }
            pool.count += 1
            return .connect
        }
        if case .use(let connection) = turn { return connection }
        do throws(NBDError) {
            let connection = try NBDConnection(
                socket: socket,
                timeoutSeconds: options.timeoutSeconds
            )
            guard connection.facts == facts else {
                throw NBDError(errno: 0, message: "the export is not the one it was")
            }
            return connection
        } catch {
            pool.update { $0.count -= 1 }
            throw DiskError(.unreadable, name, at: offset, "connecting again failed: \(error)")
        }
    }

    private func put(_ connection: NBDConnection) {
        pool.update {
            if connection.isBroken { $0.count -= 1 } else { $0.idle.append(connection) }
        }
    }
}
