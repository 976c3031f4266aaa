internal import DiskFormats
internal import Linux

/// A connected socket, until a deadline: whole pieces or an error.
struct Wire {
    let descriptor: FileDescriptor
    /// Of ``monotonicNanoseconds()``.
    let deadline: UInt64
    /// What is being done, for messages.
    let purpose: String

    func send(_ bytes: [UInt8]) throws(ConversationError) {
        do throws(SystemError) {
            try descriptor.send(bytes, deadline: deadline)
        } catch {
            throw ConversationError(error, during: purpose)
        }
    }

    func receive(into buffer: inout MutableRawSpan) throws(ConversationError) {
        do throws(SystemError) {
            try descriptor.receive(into: &buffer, deadline: deadline)
        } catch {
            throw ConversationError(error, during: purpose)
        }
    }

    func receive(count: Int) throws(ConversationError) -> Message {
        guard count > 0 else { return Message([]) }
        do throws(SystemError) {
            return Message(try descriptor.receive(count: count, deadline: deadline))
        } catch {
            throw ConversationError(error, during: purpose)
        }
    }
}
