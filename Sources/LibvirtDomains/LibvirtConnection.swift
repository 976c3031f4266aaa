internal import CLibvirt
internal import Custody
internal import Glibc
internal import Linux

/// A connection to libvirt, with its events.
///
/// libvirt's objects may be used by several threads at once
/// (https://libvirt.org/api.html, "Thread safety"); each is freed once, by `deinit`.
@safe final class LibvirtConnection: DomainConnection, @unchecked Sendable {
    let uri: String
    let versions: String
    private let pointer: virConnectPtr
    private let queue: EventQueue
    /// libvirt's numbers of the callbacks; touched by `init` and `deinit` only.
    private var callbacks: [Int32] = []
    private var listensToClose = false

    /// A libvirtd that hangs is given up after about so many seconds: calls fail instead of blocking.
    private static let keepAliveSeconds: Int32 = 2
    private static let keepAliveCount: UInt32 = 4

    var signal: FileDescriptor { queue.signal }

    init(_ uri: String) throws(DomainControlError) {
        LibvirtEventLoop.start()
        do throws(SystemError) { queue = try EventQueue() } catch {
            throw DomainControlError(.failed, "\(error)")
        }
        guard let pointer = unsafe virConnectOpen(uri) else {
            let error = DomainControlError.last("virConnectOpen")
            // Whatever the reason, there is no connection.
            throw DomainControlError(.connectionLost, code: error.code, error.message)
        }
        unsafe self.pointer = pointer
        self.uri = unsafe Self.text(virConnectGetURI(pointer)) ?? uri
        versions = unsafe Self.versions(of: pointer)
        // Not known to drivers without a daemon, which cannot hang either.
        _ = unsafe virConnectSetKeepAlive(pointer, Self.keepAliveSeconds, Self.keepAliveCount)
        try listen()
    }

    deinit {
        // Each callback holds the connection: without this it would stay open for ever.
        for callback in callbacks {
            _ = unsafe virConnectDomainEventDeregisterAny(pointer, callback)
        }
        if listensToClose { _ = unsafe virConnectUnregisterCloseCallback(pointer, onClose) }
        _ = unsafe virConnectClose(pointer)
    }

    /// Whether it still leads to libvirt.
    var isAlive: Bool { unsafe virConnectIsAlive(pointer) == 1 }

    /// The events of a domain and of the connection since the last call.
    func takeEvents(of uuid: String) -> [DomainEvent] { queue.take(uuid) }

    func domain(named name: String) throws(DomainControlError) -> any DomainControl {
        // To libvirt a text ends at the first NUL: what comes after it would not count.
        guard !name.isEmpty, name.utf8.count <= 1_000, !name.utf8.contains(0) else {
            throw DomainControlError(.usage, "\"\(harmless(name))\" is no name of a domain")
        }
        let exact = unsafe try lookup("virDomainLookupByUUIDString") {
            unsafe Self.isUUID(name) ? virDomainLookupByUUIDString(pointer, name) : nil
        }
        if let exact { return exact }
        let named = unsafe try lookup("virDomainLookupByName") {
            unsafe virDomainLookupByName(pointer, name)
        }
        let numbered = unsafe try lookup("virDomainLookupByID") {
            guard let id = Int32(name), id >= 0, "\(id)" == name else { return nil }
            return unsafe virDomainLookupByID(pointer, id)
        }
        if let named, let numbered, named.uuid != numbered.uuid {
            throw DomainControlError(
                .usage,
                "\(name) is the id of one domain and the name of another: give the uuid, "
                    + "\(numbered.uuid) or \(named.uuid)"
            )
        }
        guard let found = named ?? numbered else {
            throw DomainControlError(
                .noDomain,
                code: Int32(bitPattern: VIR_ERR_NO_DOMAIN.rawValue),
                "there is no domain \(harmless(name)) at \(harmless(uri))"
            )
        }
        return found
    }

    func domains() throws(DomainControlError) -> [any DomainControl] {
        var list: UnsafeMutablePointer<virDomainPtr?>?
        let count = unsafe virConnectListAllDomains(pointer, &list, 0)
        guard count >= 0 else { throw error("virConnectListAllDomains") }
        defer { unsafe free(list) }
        var domains: [LibvirtDomain] = []
        var failure: DomainControlError?
        for index in 0..<Int(count) {
            guard let domain = unsafe list?[index] else { continue }
            do throws(DomainControlError) {
                domains.append(unsafe try LibvirtDomain(domain, of: self))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return domains
    }

    /// What libvirt says about the last call of this thread, which failed.
    func error(_ call: String) -> DomainControlError {
        DomainControlError.last(call) { isAlive }
    }

    /// The domain that `body` finds; nil where there is none.
    private func lookup(
        _ call: String,
        _ body: () -> virDomainPtr?
    ) throws(DomainControlError) -> LibvirtDomain? {
        virResetLastError()
        if let domain = unsafe body() { return unsafe try LibvirtDomain(domain, of: self) }
        guard unsafe virGetLastError() != nil else { return nil }
        let error = error(call)
        guard error.kind == .noDomain else { throw error }
        return nil
    }

    private static func isUUID(_ text: String) -> Bool {
        let lengths = text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count)
        return lengths == [8, 4, 4, 4, 12]
            && text.allSatisfy { $0 == "-" || $0.isASCII && $0.isHexDigit }
    }

    private static func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String? {
        guard let pointer = unsafe pointer else { return nil }
        defer { unsafe free(pointer) }
        return unsafe String(cString: pointer)
    }

    private static func versions(of pointer: virConnectPtr) -> String {
        var hypervisor: UInt = 0
        var library: UInt = 0
        var name = "hypervisor"
        if let type = unsafe virConnectGetType(pointer) { name = unsafe String(cString: type) }
        _ = unsafe virConnectGetVersion(pointer, &hypervisor)
        _ = unsafe virConnectGetLibVersion(pointer, &library)
        return "libvirt \(version(library)), \(name) \(version(hypervisor))"
    }

    /// Major times a million, minor times a thousand, release.
    private static func version(_ number: UInt) -> String {
        "\(number / 1_000_000).\(number / 1_000 % 1_000).\(number % 1_000)"
    }
}

// MARK: Events

extension LibvirtConnection {
    private func listen() throws(DomainControlError) {
        let register = "virConnectDomainEventRegisterAny"
        callbacks.append(
            unsafe try lending(register) {
                unsafe glovebox_on_lifecycle(pointer, onLifecycle, $0, onRelease)
            }
        )
        callbacks.append(
            unsafe try lending(register) {
                unsafe glovebox_on_reboot(pointer, onReboot, $0, onRelease)
            }
        )
        // The driver for tests has no daemon; it accepts the callback and never gives it back.
        guard !uri.hasPrefix("test:") else { return }
        _ = unsafe try lending("virConnectRegisterCloseCallback") {
            unsafe virConnectRegisterCloseCallback(pointer, onClose, $0, onRelease)
        }
        listensToClose = true
    }

    /// Lends the queue to a callback, which gives it back when it is no longer called; one that
    /// libvirt refuses never is, and gives nothing back.
    private func lending(
        _ call: String,
        _ register: (UnsafeMutableRawPointer) -> Int32
    ) throws(DomainControlError) -> Int32 {
        let lent = unsafe Unmanaged.passRetained(queue)
        let number = unsafe register(lent.toOpaque())
        guard number >= 0 else {
            let error = error(call)
            unsafe lent.release()
            throw error
        }
        return number
    }
}

private func queue(_ opaque: UnsafeMutableRawPointer?) -> EventQueue? {
    unsafe opaque.map { unsafe Unmanaged<EventQueue>.fromOpaque($0).takeUnretainedValue() }
}

private func onRelease(_ opaque: UnsafeMutableRawPointer?) {
    if let opaque = unsafe opaque { unsafe Unmanaged<EventQueue>.fromOpaque(opaque).release() }
}

private func onClose(
    _ connection: virConnectPtr?,
    _ reason: Int32,
    _ opaque: UnsafeMutableRawPointer?
) {
    unsafe queue(opaque)?.add(.connectionClosed, of: nil)
}

private func onReboot(
    _ connection: virConnectPtr?,
    _ domain: virDomainPtr?,
    _ opaque: UnsafeMutableRawPointer?
) {
    unsafe queue(opaque)?.add(.rebooted, of: LibvirtDomain.uuid(of: domain))
}

private func onLifecycle(
    _ connection: virConnectPtr?,
    _ domain: virDomainPtr?,
    _ event: Int32,
    _ detail: Int32,
    _ opaque: UnsafeMutableRawPointer?
) -> Int32 {
    guard let event = DomainEvent(lifecycle: event, detail: detail) else { return 0 }
    unsafe queue(opaque)?.add(event, of: LibvirtDomain.uuid(of: domain))
    return 0
}

extension DomainEvent {
    /// What an event of the domain's life means here; nil for what does not concern a run.
    fileprivate init?(lifecycle event: Int32, detail: Int32) {
        switch virDomainEventType(rawValue: UInt32(bitPattern: event)) {
        case VIR_DOMAIN_EVENT_STARTED: self = .started
        case VIR_DOMAIN_EVENT_SUSPENDED:
            let ioError = Int32(bitPattern: VIR_DOMAIN_EVENT_SUSPENDED_IOERROR.rawValue)
            self = detail == ioError ? .ioError : .suspended
        case VIR_DOMAIN_EVENT_RESUMED: self = .resumed
        case VIR_DOMAIN_EVENT_STOPPED:
            let migrated = Int32(bitPattern: VIR_DOMAIN_EVENT_STOPPED_MIGRATED.rawValue)
            self = detail == migrated ? .migrated : .stopped
        case VIR_DOMAIN_EVENT_SHUTDOWN: self = .stopped
        case VIR_DOMAIN_EVENT_PMSUSPENDED: self = .sleeping
        case VIR_DOMAIN_EVENT_CRASHED: self = .crashed
        default: return nil
        }
    }
}
