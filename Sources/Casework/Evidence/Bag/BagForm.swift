internal import Linux

/// How the files of a bag become a directory or a tar.
///
/// In this order: the archive, the records, then whole files. Nothing of it has its final name before
/// ``publish()``, and nothing is left after ``discard()``.
protocol BagForm: AnyObject {
    /// What the lines of `files.jsonl` are written to, at the same time as the archive.
    var records: FileDescriptor { get }

    /// A file without a name, for what has to wait.
    func scratch() throws(SystemError) -> FileDescriptor
    /// What `files.tar` is written to, from its position on.
    func beginArchive() throws(SystemError) -> FileDescriptor
    /// Ends `files.tar`, of so many bytes.
    func endArchive(_ byteCount: UInt64) throws(SystemError)
    /// Ends `files.jsonl`, of so many bytes.
    func endRecords(_ byteCount: UInt64) throws(SystemError)
    /// Adds a whole file.
    func add(_ member: BagFile, _ content: [UInt8]) throws(SystemError)
    /// Brings everything to the disk; it still has no name.
    func synchronize() throws(SystemError)
    /// Gives the bag its name, at which nothing may be by then.
    func publish() throws(SystemError)
    /// Removes what is there.
    func discard()
}
