internal import CLibvirt
internal import Linux

/// libvirt's event loop, which events and keep-alives need; one a process, on a thread of its own.
enum LibvirtEventLoop {
    /// Starts it where it does not run yet; to be called before the first connection is made.
    static func start() { _ = running }

    private static let running: Void = {
        // What libvirt prints by itself would go to the terminal of whoever is at work.
        unsafe virSetErrorFunc(nil) { _, _ in }
        guard virEventRegisterDefaultImpl() == 0 else { return }
        // Without a timer the loop could wait for ever, and miss what is added from other threads.
        _ = unsafe virEventAddTimeout(500, { _, _ in }, nil, nil)
        _ = WorkerThread {
            while true {
                if virEventRunDefaultImpl() < 0 { pauseThread(seconds: 0.1) }
            }
        }
    }()
}
