internal import DiskFormats
internal import EngineProtocol
internal import Linux
internal import Synchronization

/// Asks the worker; safe to use from several threads, which take turns.
///
/// The worker reads hostile disks, so nothing that it says is believed unchecked: an answer that does
/// not fit, or none in time, ends the conversation for good.
final class WorkerClient: Sendable {
    private let processes: EngineProcesses
    private let hold: Hold?
    /// Why the conversation has ended; nil while it goes on.
    private let ended = Mutex<WorkerFailure?>(nil)

    /// A check of a large volume takes hours; each of its programs has a limit of its own.
    private static let checkSecondsMax: UInt64 = 86_400
    /// Longer than one request takes on the slowest of hosts.
    private static let secondsMax: UInt64 = 300
    /// The worker itself gives up a launch before that.
    private static let launchSecondsMax: UInt64 = 1_500

    /// With `hold`, an answer only counts where the instance was held until it had come.
    init(_ processes: EngineProcesses, hold: Hold? = nil) {
        self.processes = processes
        self.hold = hold
    }

    /// Starts the appliance; true with KVM.
    func launch(
        _ launch: WorkerLaunch,
        progress: (String) -> Void
    ) throws(WorkerFailure) -> Bool {
        let request = WorkerRequest.launch(launch)
        var usesKVM = false
        try converse(request, seconds: Self.launchSecondsMax) { answer in
            switch answer {
            case .progress(let text): progress(text)
            case .launched(let kvm):
                usesKVM = kvm
                return .last
            default: return .unexpected
            }
            return .more
        }
        return usesKVM
    }

    /// Has volumes checked; the appliance ends with that.
    ///
    /// At most `countMax` reports come.
    func check(
        _ request: [UInt8],
        countMax: Int,
        progress: (String) -> Void
    ) throws(WorkerFailure) -> [[UInt8]] {
        var reports: [[UInt8]] = []
        try converse(.check(request), seconds: Self.checkSecondsMax) { answer in
            switch answer {
            case .progress(let text): progress(text)
            case .report(let report) where reports.count < countMax: reports.append(report)
            case .done: return .last
            default: return .unexpected
            }
            return .more
        }
        return reports
    }

    func volumes() throws(WorkerFailure) -> [WorkerVolume] {
        try ask(.volumes) { if case .volumes(let volumes) = $0 { volumes } else { nil } }
    }

    func unlock(
        disk: String,
        volume: String,
        key: [UInt8],
        keep: Bool
    ) throws(WorkerFailure) {
        try ask(.unlock(disk: disk, volume: volume, key: key, keep: keep)) {
            $0 == .done ? () : nil
        }
    }

    func open(disk: String, volume: String, replay: Bool) throws(WorkerFailure) -> WorkerMount {
        try ask(.open(disk: disk, volume: volume, replay: replay)) {
            if case .opened(let mount) = $0 { mount } else { nil }
        }
    }

    /// The names in a directory, as far as `heldBytesMax` hold them; whether those are all.
    func entries(
        _ mount: UInt32,
        _ path: [UInt8],
        heldBytesMax: Int
    ) throws(WorkerFailure) -> (entries: [WorkerEntry], areAll: Bool) {
        var entries: [WorkerEntry] = []
        var room = heldBytesMax
        try converse(.entries(mount: mount, path: path), seconds: Self.secondsMax) { answer in
            guard case .entries(let some, let isLast) = answer, isLast || !some.isEmpty else {
                return .unexpected
            }
            for entry in some where room >= 0 {
                room -= DirectoryEntry.heldBytes(nameLength: entry.name.count)
                if room >= 0 { entries.append(entry) }
            }
            return isLast ? .last : .more
        }
        return (entries, room >= 0)
    }

    func status(_ mount: UInt32, _ path: [UInt8]) throws(WorkerFailure) -> WorkerStatus {
        try ask(.status(mount: mount, path: path)) {
            if case .status(let status) = $0 { status } else { nil }
        }
    }

    func linkTarget(_ mount: UInt32, _ path: [UInt8]) throws(WorkerFailure) -> [UInt8] {
        try ask(.linkTarget(mount: mount, path: path)) {
            if case .bytes(let bytes) = $0 { bytes } else { nil }
        }
    }

    func attributes(
        _ mount: UInt32,
        _ path: [UInt8]
    ) throws(WorkerFailure) -> [ExtendedAttribute] {
        try ask(.attributes(mount: mount, path: path)) {
            if case .attributes(let attributes) = $0 { attributes } else { nil }
        }
    }

    /// Exactly `count` bytes, at most ``WorkerRequest/readBytesMax``.
    func read(
        _ mount: UInt32,
        _ path: [UInt8],
        at offset: UInt64,
        count: Int
    ) throws(WorkerFailure) -> [UInt8] {
        let request = WorkerRequest.read(
            mount: mount,
            path: path,
            offset: offset,
            count: UInt32(count)
        )
        return try ask(request) {
            if case .bytes(let bytes) = $0, bytes.count == count { bytes } else { nil }
        }
    }
}

extension WorkerClient {
    private enum Next {
        case more
        case last
        case unexpected
    }

    private func ask<Value>(
        _ request: WorkerRequest,
        _ pick: (WorkerAnswer) -> Value?
    ) throws(WorkerFailure) -> Value {
        var value: Value?
        try converse(request, seconds: Self.secondsMax) { answer in
            value = pick(answer)
            return value == nil ? .unexpected : .last
        }
        guard let value else { throw Self.nonsense }
        return value
    }

    private static let nonsense = WorkerFailure(
        .appliance,
        "the engine answered something that makes no sense"
    )

    /// Sends `request` and hands each answer to `take`, until it is the last.
    private func converse(
        _ request: WorkerRequest,
        seconds: UInt64,
        _ take: (WorkerAnswer) -> Next
    ) throws(WorkerFailure) {
        let failure = ended.withLock { ended -> WorkerFailure? in
            if let ended { return ended }
            do throws(WorkerFailure) {
                try checkHold()
                try exchange(request, seconds: seconds, take)
                try checkHold()
                return nil
            } catch {
                if error.kind == .appliance || error.kind == .channel { ended = error }
                return error
            }
        }
        if let failure { throw failure }
    }

    private func checkHold() throws(WorkerFailure) {
        guard let hold else { return }
        do throws(GloveboxError) { try hold.check() } catch {
            throw WorkerFailure(.channel, error.message)
        }
    }

    private func exchange(
        _ request: WorkerRequest,
        seconds: UInt64,
        _ take: (WorkerAnswer) -> Next
    ) throws(WorkerFailure) {
        do throws(SystemError) { try processes.channel.send(request.message) } catch {
            throw WorkerFailure(.channel, "the engine has ended (\(error.reason))")
        }
        while true {
            switch try answer(within: seconds) {
            case .failure(let failure): throw failure
            case let answer:
                switch take(answer) {
                case .more: continue
                case .last: return
                case .unexpected: throw Self.nonsense
                }
            }
        }
    }

    private func answer(within seconds: UInt64) throws(WorkerFailure) -> WorkerAnswer {
        let message: [UInt8]?
        do throws(SystemError) {
            let deadline = monotonicNanoseconds() + seconds * 1_000_000_000
            message = try processes.channel.receive(deadline: deadline)
        } catch {
            let reason = error.name == "ETIMEDOUT" ? "gave no answer for \(seconds) s" : "has ended"
            throw WorkerFailure(.channel, "the engine \(reason) (\(error.reason))")
        }
        guard let message else { throw WorkerFailure(.channel, "the engine has ended") }
        do throws(DiskError) { return try WorkerAnswer(message: message) } catch {
            throw WorkerFailure(.appliance, "\(Self.nonsense.message): \(error.detail)")
        }
    }
}
