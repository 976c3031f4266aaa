internal import CLinux
internal import Glibc

/// Pipes: the usual way out for an archive or a file.
extension FileDescriptor {
    /// Standard output, under a descriptor of its own.
    package static func standardOutput() throws(SystemError) -> FileDescriptor {
        try duplicate(1, "standard output")
    }

    /// Standard error, under a descriptor of its own.
    package static func standardError() throws(SystemError) -> FileDescriptor {
        try duplicate(2, "standard error")
    }

    private static func duplicate(
        _ number: CInt,
        _ name: String
    ) throws(SystemError) -> FileDescriptor {
        let copy = retrying { fcntl(number, F_DUPFD_CLOEXEC, 3) }
        guard copy >= 0 else { throw .last("fcntl", name) }
        return FileDescriptor(adopting: copy, path: name)
    }

    /// Both ends of a new pipe.
    package static func pipe() throws(SystemError) -> (
        reading: FileDescriptor, writing: FileDescriptor
    ) {
        var ends: [CInt] = [-1, -1]
        guard unsafe glovebox_pipe(&ends) == 0 else { throw .last("pipe", "") }
        return (
            FileDescriptor(adopting: ends[0], path: "pipe"),
            FileDescriptor(adopting: ends[1], path: "pipe")
        )
    }

    /// Lets a pipe hold up to `bytes`; no error where it is none or the system grants less.
    package func widenPipe(to bytes: Int) {
        _ = glovebox_set_pipe_size(number, CInt(clamping: bytes))
    }

    /// Moves up to `count` bytes at `offset` of `file` into this pipe, without copying (splice(2)).
    ///
    /// Returns how many were moved, 0 at the end of the file, or nil where the two cannot be spliced.
    package func splice(
        from file: FileDescriptor,
        at offset: UInt64,
        count: Int
    ) throws(SystemError) -> Int? {
        let moved = retrying {
            glovebox_splice(file.number, Int64(clamping: offset), number, count)
        }
        if moved >= 0 { return moved }
        if errno == EINVAL || errno == ENOSYS { return nil }
        throw .last("splice", path)
    }

    /// Runs `body` with SIGPIPE blocked, so that a reader who has gone is the error EPIPE.
    package static func withoutPipeSignal<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var pipe = sigset_t()
        var before = sigset_t()
        var pending = sigset_t()
        unsafe sigemptyset(&pipe)
        unsafe sigaddset(&pipe, SIGPIPE)
        unsafe sigpending(&pending)
        let pendingBefore = unsafe sigismember(&pending, SIGPIPE) == 1
        unsafe pthread_sigmask(SIG_BLOCK, &pipe, &before)
        defer {
            var none = timespec()
            if !pendingBefore { while unsafe sigtimedwait(&pipe, nil, &none) == SIGPIPE {} }
            unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
        }
        return try body()
    }
}

extension SystemError {
    /// Whether it says that nobody reads a pipe any more.
    package var isClosedPipe: Bool { errno == EPIPE }
}
