package import DiskFormats
internal import Linux

/// An export of an NBD server at a Unix socket as a block source, in memory-safe Swift.
///
/// All the bytes or an error; the size is that of the handshake. Nothing but reads, questions for
/// block states and the farewell is ever sent. Several threads read through as many connections
/// where the server allows that, and take turns where not. Every request ends within its time-out.
/// An error that the server reports concerns that read alone; where a conversation breaks, by a
/// time-out, a server that has gone or one that breaks the protocol, the source is of no more use:
/// what would answer a new connection need not be the same export.
package final class NetworkBlockSource: BlockSource {
    /// How to talk to a server.
    package struct Options: Sendable {
        /// How long the handshake, or one request, may take.
        package let timeoutSeconds: Double
        /// How many connections there are at most.
        package let connectionsMax: Int
        /// The size that the export must have, where it is known.
        package let expectedByteCount: UInt64?

        /// Creates options.
        package init(
            timeoutSeconds: Double = 30,
            connectionsMax: Int = 4,
            expectedByteCount: UInt64? = nil
        ) {
            // A day is for ever, and can be counted in nanoseconds.
            self.timeoutSeconds = min(max(0, timeoutSeconds), 86_400)
            self.connectionsMax = max(1, connectionsMax)
            self.expectedByteCount = expectedByteCount
        }
    }

    /// What the server said in the handshake.
    package let facts: ExportFacts
    /// What errors call it.
    package let name: String
    private let socket: String
    private let export: String
    private let options: Options
    private let pool: Monitor<Pool>

    private struct Pool {
        var idle: [Connection]
        /// How many there are, idle and in use.
        var count: Int
        var countMax: Int
        /// Why nothing is read any more.
        var failure: ConversationError?
    }

    /// Connects to `export` of the server at `socket`; the empty name is that of its default one.
    package init(
        socket: String,
        export: String,
        name: String,
        options: Options = Options()
    ) throws(DiskError) {
        do throws(ConversationError) {
            let first = try Connection(
                socket: socket,
                export: export,
                connectSeconds: options.timeoutSeconds,
                timeoutSeconds: options.timeoutSeconds
            )
            facts = first.facts
            if let expected = options.expectedByteCount, expected != facts.byteCount {
                throw .inconsistent(
                    "the server exports \(facts.byteCount) bytes where \(expected) are expected"
                )
            }
            let most = first.facts.allowsSeveralConnections ? options.connectionsMax : 1
            pool = Monitor(Pool(idle: [first], count: 1, countMax: most))
        } catch {
            throw DiskError(error.reason, name, "connecting failed: \(error.message)")
        }
        self.socket = socket
        self.export = export
        self.name = name
        self.options = options
    }

    deinit { disconnect() }

    /// The size that the server gave in the handshake.
    package var byteCount: UInt64 { facts.byteCount }

    /// Reads in pieces that the server takes.
    package func read(into buffer: inout MutableRawSpan, at offset: UInt64) throws(DiskError) {
        try checkRange(offset, buffer.byteCount)
        let alignment = Int(facts.alignment)
        var done = 0
        while done < buffer.byteCount {
            let position = offset + UInt64(done)
            let rest = buffer.byteCount - done
            let skew = Int(position % facts.alignment)
            if skew == 0, rest >= alignment {
                let count = min(rest / alignment * alignment, Int(facts.requestBytes))
                var part = buffer._mutatingExtracting(done..<(done + count))
                try request(into: &part, at: position)
                done += count
            } else {
                let count = min(rest, alignment - skew)
                let block = try Array(count: alignment) { span throws(DiskError) in
                    try request(into: &span, at: position - UInt64(skew))
                }
                let span = block.span
                buffer.copy(span.raw.extracting(skew..<(skew + count)), to: done)
                done += count
            }
        }
    }

    private func request(
        into part: inout MutableRawSpan,
        at offset: UInt64
    ) throws(DiskError) {
        let what = "reading \(part.byteCount) bytes failed"
        var connection = try take(at: offset)
        do throws(ConversationError) {
            try connection.read(into: &part, at: offset)
        } catch {
            throw give(connection, after: error, at: offset, what)
        }
        give(connection)
    }

    /// What `base:allocation` says; where the server does not tell, all of it counts as computed.
    package func run(at offset: UInt64, limit: UInt64) throws(DiskError) -> BlockRun {
        try checkRun(offset, limit)
        let wanted = min(limit, byteCount - offset)
        guard facts.tellsAllocation else {
            return BlockRun(length: wanted, origin: .computed(layer: 0))
        }
        let skew = offset % facts.alignment
        // A request's length has 32 bits; the end of the export is aligned.
        let end = min(skew + min(wanted, 1 << 30) + facts.alignment - 1, 1 << 31)
        let count = UInt32(end / facts.alignment * facts.alignment)
        var connection = try take(at: offset)
        let extent: (length: UInt32, readsAsZeros: Bool)
        do throws(ConversationError) {
            extent = try connection.extent(at: offset - skew, count: count)
            guard UInt64(extent.length) > skew else {
                throw .violation("the server gives an extent that is less than a block")
            }
        } catch {
            throw give(connection, after: error, at: offset, "asking for extents failed")
        }
        give(connection)
        return BlockRun(
            length: min(wanted, UInt64(extent.length) - skew),
            origin: extent.readsAsZeros ? .zeros(layer: nil) : .computed(layer: 0)
        )
    }

    // MARK: Connections

    private enum Turn {
        case use(Connection)
        case connect
        case fail(ConversationError)
    }

    /// A further connection is a convenience: its handshake must not hold up a reader for long.
    private static let furtherConnectSecondsMax = 2.0

    private func take(at offset: UInt64) throws(DiskError) -> Connection {
        while true {
            let turn = pool.wait { pool -> Turn? in
                if let failure = pool.failure { return .fail(failure) }
                if let connection = pool.idle.popLast() { return .use(connection) }
                guard pool.count < pool.countMax else { return nil }
                pool.count += 1
                return .connect
            }
            switch turn {
            case .use(let connection):
                return connection
            case .fail(let failure):
                let message = "not read since the server failed: \(failure.message)"
                throw DiskError(failure.reason, name, at: offset, message)
            case .connect:
                if let connection = try connectFurther(at: offset) { return connection }
            }
        }
    }

    /// One more connection, or nil where the server gives none, as it may at any time.
    private func connectFurther(at offset: UInt64) throws(DiskError) -> Connection? {
        let connection: Connection
        do throws(ConversationError) {
            connection = try Connection(
                socket: socket,
                export: export,
                connectSeconds: min(options.timeoutSeconds, Self.furtherConnectSecondsMax),
                timeoutSeconds: options.timeoutSeconds
            )
        } catch {
            pool.update {
                $0.count -= 1
                // The first connection stays, or has failed, which ends it all.
                $0.countMax = max(1, $0.count)
            }
            return nil
        }
        guard connection.facts == facts else {
            let error = ConversationError.inconsistent("the export is not the one it was")
            throw give(connection, after: error, at: offset, "connecting again failed")
        }
        return connection
    }

    /// Puts a connection back after a request that went well.
    private func give(_ connection: Connection) {
        let isUnwanted = pool.update { pool in
            if pool.failure == nil { pool.idle.append(connection) }
            return pool.failure != nil
        }
        var connection = connection
        if isUnwanted { connection.disconnect() }
    }

    /// Puts a connection back, or ends it all, after `error`; returns what to throw.
    private func give(
        _ connection: Connection,
        after error: ConversationError,
        at offset: UInt64,
        _ what: String
    ) -> DiskError {
        if error.endsConversation { end(with: error) } else { give(connection) }
        return DiskError(error.reason, name, at: offset, "\(what): \(error.message)")
    }

    /// Ends all conversations; what is under way elsewhere may still come to its end.
    ///
    /// Whoever reads afterwards gets an error.
    package func disconnect() {
        end(
            with: ConversationError(
                reason: .unreadable,
                message: "disconnected",
                endsConversation: true
            )
        )
    }

    private func end(with error: ConversationError) {
        let idle = pool.update { pool in
            pool.failure = pool.failure ?? error
            defer { pool.idle = [] }
            return pool.idle
        }
        for var connection in idle { connection.disconnect() }
    }
}
