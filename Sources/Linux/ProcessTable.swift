internal import CLinux
internal import Glibc

/// The processes of one session, and their end.
package enum ProcessTable {
    /// What /proc says of a process, as far as it is used here.
    package struct Entry: Equatable, Sendable {
        /// Its number.
        package let processID: Int32
        /// Whether it has ended and only waits for its parent to notice.
        package let isZombie: Bool
        /// Its parent.
        package let parentID: Int32
        /// Its session, named by the process that leads it.
        package let session: Int32
        /// When it started, in clock ticks since the host's start; nil where the line is cut off.
        package let startTicks: UInt64?
    }

    /// What is known of a process; nil where there is none.
    package static func entry(_ process: Int32) -> Entry? {
        guard let file = try? FileDescriptor.open("/proc/\(process)/stat", O_RDONLY),
            let content = try? file.readAll(limit: 4_096)
        else { return nil }
        return entry(process, stat: content)
    }

    /// Reads a line of proc(5)'s `stat`: the program's name is in parentheses and can hold any byte.
    static func entry(_ process: Int32, stat: [UInt8]) -> Entry? {
        guard let end = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = stat[(end + 1)...].split(whereSeparator: { $0 == 0x20 || $0 == 0x0A })
        guard fields.count > 3, let state = fields[0].first,
            let parent = Int32(String(decoding: fields[1], as: UTF8.self)),
            let session = Int32(String(decoding: fields[3], as: UTF8.self))
        else { return nil }
        return Entry(
            processID: process,
            isZombie: state == UInt8(ascii: "Z") || state == UInt8(ascii: "X"),
            parentID: parent,
            session: session,
            startTicks: fields.count > 19
                ? UInt64(String(decoding: fields[19], as: UTF8.self)) : nil
        )
    }

    /// Every process that can be seen.
    package static func all() throws(SystemError) -> [Entry] {
        try directoryNames("/proc").compactMap { Int32($0) }.compactMap(entry)
    }

    /// Kills all living members of the session that `leader` led, and its living children; returns
    /// how many there were.
    ///
    /// The caller is the leader, or its parent and has not yet taken note of its end: so its number
    /// cannot have passed to another process, nor can that of its session.
    package static func killSession(of leader: Int32) throws(SystemError) -> Int {
        var killed = 0
        for entry in try all() where belongs(entry, leader) {
            let number = glovebox_pidfd_open(entry.processID)
            guard number >= 0 else { continue }
            let descriptor = FileDescriptor(adopting: number, path: "process")
            // The number may have passed to another process until it was opened: look again.
            guard let now = self.entry(entry.processID), belongs(now, leader) else { continue }
            if glovebox_pidfd_signal(descriptor.number, SIGKILL) == 0 { killed += 1 }
        }
        return killed
    }

    private static func belongs(_ entry: Entry, _ leader: Int32) -> Bool {
        !entry.isZombie && entry.processID != leader
            && (entry.session == leader || entry.parentID == leader)
    }

    /// Kills all of a session until none is left, or until `deadline`; false where some were.
    package static func endSession(of leader: Int32, deadline: UInt64) throws(SystemError) -> Bool {
        while true {
            let killed = try killSession(of: leader)
            // Ours that have ended, adopted ones included.
            if leader == getpid() { while glovebox_reap_any() > 0 {} }
            if killed == 0 { return true }
            guard monotonicNanoseconds() < deadline else { return false }
            usleep(2_000)
        }
    }
}
