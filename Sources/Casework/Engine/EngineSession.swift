internal import DiskFormats
package import EngineProtocol
internal import Linux
internal import Synchronization

/// Disks served by helpers outside this process, for as long as the value lives.
///
/// A guardian process holds the helpers. Whatever ends this process, it ends them and removes what
/// they have made; where the guardian itself is ended, this process does both.
package final class EngineSession: Sendable {
    /// A disk that is served.
    package typealias Export = GuardianReport.Export

    /// How an engine is started.
    package struct Options: Sendable {
        /// The path of `glovebox-engine`, where it is not the one that belongs to this program.
        package var program: String?
        /// How long starting may take, in seconds; one more for each disk.
        package var startSeconds: Double

        /// Creates options.
        package init(program: String? = nil, startSeconds: Double = 40) {
            self.program = program
            self.startSeconds = startSeconds
        }
    }

    /// The servers of the disks, in the order of the disks.
    package let exports: [Export]
    /// The directory of all that the helpers make.
    package let directory: String
    /// What a user ought to know, a sentence each.
    package let warnings: [String]
    /// The guardian's process, for tests that end it.
    package var guardianID: Int32 { watch.guardian.processID }

    private let watch: GuardianWatch
    private let workerChannel: Mutex<Channel?>

    /// Starts the helpers that serve `disks`, and returns when all of them answer.
    ///
    /// The disks' own descriptors are what is served; no path is opened again.
    package init(
        serving disks: [AttachedDisk],
        options: Options = Options()
    ) throws(GloveboxError) {
        let end = deadline(inSeconds: options.startSeconds + Double(disks.count))
        let formats = try Self.formats(of: disks)
        let directory = EngineDirectory.newPath()
        let program = try EngineProgram.find(options.program)
        let watch: GuardianWatch
        let worker: Channel
        do throws(SystemError) {
            let (ours, theirs) = try Channel.pair(named: "the guardian's channel")
            let (front, back) = try Channel.pair(named: "the worker's channel")
            var plan = ChildProcess.Plan(
                program: program,
                arguments: ["guardian"],
                environment: EngineEnvironment.fixed
                    + OwnProcess.variables(EngineEnvironment.passedOn)
            )
            plan.descriptors[EngineDescriptor.control] = theirs.descriptor
            plan.descriptors[EngineDescriptor.worker] = back.descriptor
            for (index, file) in disks.flatMap(\.hostFiles).enumerated() {
                plan.descriptors[EngineDescriptor.firstFile + Int32(index)] = file
            }
            // Not tied to this thread: it has to outlive this process, for a moment.
            plan.newSession = true
            let guardian = try ChildProcess(plan)
            watch = GuardianWatch(guardian, ours, directory)
            worker = front
        } catch {
            throw GloveboxError(.unreadable, "The engine could not be started: \(error).")
        }
        let hold = disks.lazy.compactMap(\.hold).first
        do throws(GloveboxError) {
            // Before it opens anything: whoever holds the instance can end it from now on.
            try hold?.connected(readers: [watch.guardian.processID])
        } catch {
            watch.guardian.kill()
            throw error
        }
        watch.begin(.start(directory: directory, disks: formats, areShared: hold != nil))
        do throws(GloveboxError) {
            (exports, warnings) = try watch.waitUntilReady(deadline: end)
            try Self.check(exports, disks)
        } catch {
            watch.end()
            throw error
        }
        self.directory = directory
        self.watch = watch
        workerChannel = Mutex(worker)
    }

    deinit { watch.end() }

    /// Starts the worker, and gives the channel to it; once.
    package func startWorker() throws(GloveboxError) -> Channel {
        let channel = workerChannel.withLock { $0.take() }
        guard let channel else {
            throw GloveboxError(.wrongState, "The engine's worker has been started already.")
        }
        try watch.startWorker(deadline: deadline(inSeconds: 10))
        return channel
    }

    /// Ends all helpers, and returns when nothing of them is left.
    package func end() { watch.end() }

    /// Why the helpers, or the worker, are of no more use; nil where they are.
    ///
    /// To be asked when a channel or a server does not answer: the reason may take a moment to come.
    package func failure(waitingSeconds: Double = 0) -> GloveboxError? {
        watch.failure(deadline: deadline(inSeconds: waitingSeconds))
    }

    private static func formats(
        of disks: [AttachedDisk]
    ) throws(GloveboxError) -> [[LayerFormat]] {
        guard disks.count <= GuardianRequest.disksMax else {
            throw GloveboxError(
                .unreadable,
                "The engine serves \(GuardianRequest.disksMax) disks at once, not \(disks.count)."
            )
        }
        guard disks.allSatisfy({ $0.hostFiles.count == $0.layers.count && !$0.layers.isEmpty })
        else {
            throw GloveboxError(.unreadable, "The engine serves disks in files only.")
        }
        return disks.map { $0.layers.map { $0.format == .qcow2 ? .qcow2 : .raw } }
    }

    /// What is served has the size of what was checked; QEMU counts in sectors.
    private static func check(
        _ exports: [Export],
        _ disks: [AttachedDisk]
    ) throws(GloveboxError) {
        guard exports.count == disks.count else {
            throw GloveboxError(.unreadable, "The engine serves other disks than it was given.")
        }
        for (export, disk) in zip(exports, disks) {
            let expected = (disk.source.byteCount + 511) / 512 * 512
            guard export.byteCount == expected || export.byteCount == disk.source.byteCount else {
                throw GloveboxError(
                    .unreadable,
                    "\(disk.path): QEMU gives it \(export.byteCount) bytes instead of \(expected)."
                )
            }
        }
    }
}
