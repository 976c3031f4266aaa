internal import Custody
internal import Linux
internal import Synchronization

/// Decides for each read whether the disks are still held, before it and after it.
///
/// Once it is closed and idle, no read of before is under way and none begins: what is told to the
/// custodian then is true. Any number of threads pass at once.
final class HoldGate: Sendable {
    private let isOpen = Atomic(false)
    private let readers = Atomic(0)
    private let deadline = Atomic(UInt64(0))
    private let pauseSecondsMax = Atomic(UInt32(0))
    private let why = Mutex<HoldEnding?>(nil)

    /// Lets readers in until `deadline`, in monotonic nanoseconds, or until it is closed.
    ///
    /// One that was closed before stays closed.
    func open(until deadline: UInt64, pauseSecondsMax: UInt32) {
        self.deadline.store(deadline, ordering: .sequentiallyConsistent)
        self.pauseSecondsMax.store(pauseSecondsMax, ordering: .sequentiallyConsistent)
        why.withLock { why in
            if why == nil { isOpen.store(true, ordering: .sequentiallyConsistent) }
        }
    }

    /// Lets nobody in any more; the first reason is kept.
    func close(_ ending: HoldEnding) {
        why.withLock { why in
            why = why ?? ending
            isOpen.store(false, ordering: .sequentiallyConsistent)
        }
    }

    /// Lets nobody in any more because nobody is to read any more, and waits until nobody does.
    func finish() {
        // Where the time is over by now, that is why.
        _ = isHeld
        shut()
        waitUntilIdle()
    }

    /// Lets nobody in any more, without a reason.
    func shut() { isOpen.store(false, ordering: .sequentiallyConsistent) }

    /// Why it was closed too early; nil where it was not.
    var ending: HoldEnding? { why.withLock { $0 } }

    /// Whether the disks are held, as far as it is known here; closes it where its time is over.
    var isHeld: Bool {
        guard isOpen.load(ordering: .sequentiallyConsistent) else { return false }
        guard monotonicNanoseconds() >= deadline.load(ordering: .sequentiallyConsistent) else {
            return true
        }
        close(.limit(seconds: pauseSecondsMax.load(ordering: .sequentiallyConsistent)))
        return false
    }

    /// A read begins; false where it may not, and has not.
    func enter() -> Bool {
        // First counted, then asked: whoever closes it either is seen here or waits for us.
        readers.add(1, ordering: .sequentiallyConsistent)
        if isHeld { return true }
        readers.subtract(1, ordering: .sequentiallyConsistent)
        return false
    }

    /// A read has ended; false where what it gave is not to be used.
    func leave() -> Bool {
        let wasHeld = isHeld
        readers.subtract(1, ordering: .sequentiallyConsistent)
        return wasHeld
    }

    /// Waits until no read is under way that has been let in.
    ///
    /// Without end: where a read hangs, nobody may be told that none is under way.
    func waitUntilIdle() {
        while readers.load(ordering: .sequentiallyConsistent) > 0 { pauseThread(seconds: 0.0005) }
    }
}

extension HoldEnding {
    /// A sentence that a terminal may be shown.
    var sentence: String {
        switch self {
        case .limit(let seconds):
            "The longest pause of \(seconds) s was over before everything was read."
        case .touched(let text), .lost(let text): HoldText.sentence(text)
        }
    }
}
