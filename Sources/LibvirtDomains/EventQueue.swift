internal import Custody
internal import Linux
internal import Synchronization

/// Events between libvirt's thread, which must not wait, and whoever acts on them.
final class EventQueue: Sendable {
    /// Becomes readable when there are events.
    let signal: FileDescriptor
    private let bell: FileDescriptor
    private let pending = Mutex<[(uuid: String?, event: DomainEvent)]>([])

    /// Far more than a domain has in any time; a host's other domains count too.
    private static let countMax = 1_000

    init() throws(SystemError) { (signal, bell) = try FileDescriptor.pipe() }

    /// Adds an event of one domain, or of the connection.
    func add(_ event: DomainEvent, of uuid: String?) {
        pending.withLock { events in
            // One byte while there are events: the pipe never fills, and none is read in vain.
            if events.isEmpty { try? bell.write([0]) }
            if events.count < Self.countMax {
                events.append((uuid, event))
            } else if events.last?.event != .lost {
                events.append((nil, .lost))
            }
        }
    }

    /// The events of a domain and of the connection since the last call; those of others are dropped.
    func take(_ uuid: String) -> [DomainEvent] {
        let events = pending.withLock { events in
            defer { events = [] }
            if !events.isEmpty { _ = try? signal.readSome(1) }
            return events
        }
        return events.filter { $0.uuid == nil || $0.uuid == uuid }.map(\.event)
    }
}
