import Linux
import Synchronization

@testable import Custody

/// A journal of which one record cannot be written, or none from there on; counted from 1, without
/// the one that opens it.
final class FailingJournal: SessionWriting, Sendable {
    private let session: Session
    private let failing: Int
    private let isForGood: Bool
    private let count = Mutex(0)

    init(_ session: Session, at failing: Int, isForGood: Bool) {
        (self.session, self.failing, self.isForGood) = (session, failing, isForGood)
    }

    func append(_ record: SessionRecord) throws(SystemError) {
        let number = count.withLock { count in
            count += 1
            return count
        }
        guard number != failing, !isForGood || number < failing else {
            throw SystemError(call: "pwrite", path: "journal", errno: 5)
        }
        try session.append(record)
    }
}

/// A number that threads share.
final class SharedNumber: Sendable {
    private let number: Mutex<UInt64>
    init(_ value: UInt64) { number = Mutex(value) }
    var value: UInt64 {
        get { number.withLock { $0 } }
        set { number.withLock { $0 = newValue } }
    }
}
