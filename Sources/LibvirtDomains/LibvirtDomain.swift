internal import CLibvirt
internal import Custody
internal import Glibc

/// A domain on a connection, which it keeps open.
///
/// May be used by several threads at once, as ``LibvirtConnection`` says.
@safe final class LibvirtDomain: DomainControl, @unchecked Sendable {
    let uuid: String
    let name: String
    private let pointer: virDomainPtr
    private let connection: LibvirtConnection

    /// More than any domain's description has.
    private static let descriptionBytesMax = 8 << 20

    /// Takes over `pointer`, also where it throws.
    init(
        _ pointer: virDomainPtr,
        of connection: LibvirtConnection
    ) throws(DomainControlError) {
        unsafe self.pointer = pointer
        self.connection = connection
        guard let uuid = unsafe Self.uuid(of: pointer),
            let name = unsafe virDomainGetName(pointer)
        else {
            let error = connection.error("virDomainGetUUIDString")
            unsafe virDomainFree(pointer)
            throw error
        }
        self.uuid = uuid
        self.name = unsafe String(cString: name)
    }

    deinit { unsafe virDomainFree(pointer) }

    /// The uuid in lower case; asks nobody.
    static func uuid(of pointer: virDomainPtr?) -> String? {
        var text = [CChar](repeating: 0, count: Int(VIR_UUID_STRING_BUFLEN))
        guard unsafe virDomainGetUUIDString(pointer, &text) == 0 else { return nil }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self).lowercased()
    }

    func status() throws(DomainControlError) -> DomainStatus {
        // First of all: it waits for what is being done with the domain, such as a suspend, by
        // whomever. A state from before that would be an old one.
        let job = try job()
        var state: Int32 = 0
        var reason: Int32 = 0
        guard unsafe virDomainGetState(pointer, &state, &reason, 0) == 0 else {
            throw connection.error("virDomainGetState")
        }
        let known = DomainState(libvirt: state)
        // The number that the pointer was found with may be that of an earlier run.
        let id = try currentID()
        let saved = unsafe virDomainHasManagedSaveImage(pointer, 0)
        return DomainStatus(
            id: known == .shutOff ? nil : id,
            state: known,
            pauseReason: known == .paused ? PauseReason(libvirt: reason) : nil,
            job: known == .shutOff ? .none : job,
            hasManagedSave: saved == 1
        )
    }

    private func currentID() throws(DomainControlError) -> Int32? {
        let connected = unsafe virDomainGetConnect(pointer)
        guard let again = unsafe virDomainLookupByUUIDString(connected, uuid) else {
            throw connection.error("virDomainLookupByUUIDString")
        }
        defer { unsafe virDomainFree(again) }
        let id = unsafe virDomainGetID(again)
        return id == .max ? nil : Int32(bitPattern: id)
    }

    private func job() throws(DomainControlError) -> DomainJob {
        var type: Int32 = 0
        var values: virTypedParameterPtr?
        var count: Int32 = 0
        guard unsafe virDomainGetJobStats(pointer, &type, &values, &count, 0) == 0 else {
            let error = connection.error("virDomainGetJobStats")
            guard let job = DomainJob(unanswered: error) else { throw error }
            return job
        }
        defer { unsafe virTypedParamsFree(values, count) }
        guard type != Int32(bitPattern: VIR_DOMAIN_JOB_NONE.rawValue) else { return .none }
        var operation: Int32 = 0
        let found = unsafe virTypedParamsGetInt(
            values,
            count,
            VIR_DOMAIN_JOB_OPERATION,
            &operation
        )
        return found == 1 ? DomainJob(libvirt: operation) : .other
    }

    func isOccupied() throws(DomainControlError) -> Bool {
        var info = virDomainControlInfo()
        guard unsafe virDomainGetControlInfo(pointer, &info, 0) == 0 else {
            let error = connection.error("virDomainGetControlInfo")
            if [.wrongState, .unsupported].contains(error.kind) { return false }
            throw error
        }
        // While a job like a backup runs, calls besides it are told as a job.
        return [VIR_DOMAIN_CONTROL_OCCUPIED.rawValue, VIR_DOMAIN_CONTROL_JOB.rawValue]
            .contains(info.state)
    }

    func description() throws(DomainControlError) -> String {
        guard let text = unsafe virDomainGetXMLDesc(pointer, 0) else {
            throw connection.error("virDomainGetXMLDesc")
        }
        defer { unsafe free(text) }
        return try bounded(unsafe String(cString: text))
    }

    func suspend() throws(DomainControlError) {
        guard unsafe virDomainSuspend(pointer) == 0 else {
            throw connection.error("virDomainSuspend")
        }
    }

    func resume() throws(DomainControlError) {
        guard unsafe virDomainResume(pointer) == 0 else {
            throw connection.error("virDomainResume")
        }
    }

    func beginBackup(_ xml: String) throws(DomainControlError) {
        guard unsafe virDomainBackupBegin(pointer, xml, nil, 0) == 0 else {
            throw connection.error("virDomainBackupBegin")
        }
    }

    func backupDescription() throws(DomainControlError) -> String? {
        guard let text = unsafe virDomainBackupGetXMLDesc(pointer, 0) else {
            let error = connection.error("virDomainBackupGetXMLDesc")
            let isNone =
                error.code == Int32(bitPattern: VIR_ERR_NO_DOMAIN_BACKUP.rawValue)
                || [.wrongState, .unsupported].contains(error.kind)
            if isNone { return nil }
            throw error
        }
        defer { unsafe free(text) }
        return try bounded(unsafe String(cString: text))
    }

    func abortJob() throws(DomainControlError) {
        guard unsafe virDomainAbortJob(pointer) == 0 else {
            throw connection.error("virDomainAbortJob")
        }
    }

    func events() -> [DomainEvent] { connection.takeEvents(of: uuid) }

    private func bounded(_ text: String) throws(DomainControlError) -> String {
        guard text.utf8.count <= Self.descriptionBytesMax else {
            throw DomainControlError(.failed, "the description of \(name) is too long")
        }
        return text
    }
}

extension DomainState {
    /// libvirt's virDomainState.
    init(libvirt state: Int32) {
        switch virDomainState(rawValue: UInt32(bitPattern: state)) {
        case VIR_DOMAIN_RUNNING: self = .running
        case VIR_DOMAIN_BLOCKED: self = .blocked
        case VIR_DOMAIN_PAUSED: self = .paused
        case VIR_DOMAIN_SHUTDOWN: self = .shuttingDown
        case VIR_DOMAIN_SHUTOFF: self = .shutOff
        case VIR_DOMAIN_CRASHED: self = .crashed
        case VIR_DOMAIN_PMSUSPENDED: self = .sleeping
        default: self = .none
        }
    }
}

extension PauseReason {
    /// libvirt's virDomainPausedReason.
    init(libvirt reason: Int32) {
        switch virDomainPausedReason(rawValue: UInt32(bitPattern: reason)) {
        case VIR_DOMAIN_PAUSED_UNKNOWN: self = .unknown
        case VIR_DOMAIN_PAUSED_USER: self = .user
        case VIR_DOMAIN_PAUSED_MIGRATION: self = .migration
        case VIR_DOMAIN_PAUSED_SAVE: self = .save
        case VIR_DOMAIN_PAUSED_DUMP: self = .dump
        case VIR_DOMAIN_PAUSED_IOERROR: self = .ioError
        case VIR_DOMAIN_PAUSED_WATCHDOG: self = .watchdog
        case VIR_DOMAIN_PAUSED_FROM_SNAPSHOT: self = .fromSnapshot
        case VIR_DOMAIN_PAUSED_SHUTTING_DOWN: self = .shuttingDown
        case VIR_DOMAIN_PAUSED_SNAPSHOT: self = .snapshot
        case VIR_DOMAIN_PAUSED_CRASHED: self = .crashed
        case VIR_DOMAIN_PAUSED_STARTING_UP: self = .startingUp
        case VIR_DOMAIN_PAUSED_POSTCOPY: self = .postCopy
        case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: self = .postCopyFailed
        default: self = .other
        }
    }
}

extension DomainJob {
    /// What libvirt's refusal to tell of a job says about it; nil where that is nothing.
    init?(unanswered error: DomainControlError) {
        switch (error.kind, virErrorNumber(rawValue: UInt32(bitPattern: error.code))) {
        // Somebody else's call has had the domain for thirty seconds: QEMU does not answer it.
        case (.wrongState, VIR_ERR_OPERATION_TIMEOUT), (.wrongState, VIR_ERR_RESOURCE_BUSY):
            self = .other
        // It does not run, or the driver knows of no jobs.
        case (.wrongState, _), (.unsupported, _): self = .none
        // "backup job data missing": it runs, and is suspended and resumed, like any other.
        case (_, VIR_ERR_INTERNAL_ERROR): self = .unknown
        default: return nil
        }
    }

    /// libvirt's virDomainJobOperation.
    init(libvirt operation: Int32) {
        switch virDomainJobOperation(rawValue: UInt32(bitPattern: operation)) {
        case VIR_DOMAIN_JOB_OPERATION_BACKUP: self = .backup
        case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
            self = .migration
        case VIR_DOMAIN_JOB_OPERATION_SAVE, VIR_DOMAIN_JOB_OPERATION_RESTORE: self = .save
        case VIR_DOMAIN_JOB_OPERATION_DUMP: self = .dump
        case VIR_DOMAIN_JOB_OPERATION_SNAPSHOT, VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT:
            self = .snapshot
        default: self = .other
        }
    }
}
