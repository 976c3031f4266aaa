/// Verifies an evidence bag, which a stranger may have made: everything in it is hostile.
///
/// Each file is read once, in pieces; no list of the files in it is held. What is compared is what
/// was hashed, also where somebody writes to the bag meanwhile.
package struct BagVerification {
    /// The directory or the tar.
    package let path: String
    /// Whose keys count.
    package let trust: BagTrust
    /// Whether a bag that nobody signed may pass, where it has no approval.
    package let allowsUnsigned: Bool

    /// Prepares; nothing happens yet.
    package init(_ path: String, trust: BagTrust, allowsUnsigned: Bool = false) {
        self.path = path
        self.trust = trust
        self.allowsUnsigned = allowsUnsigned
    }

    /// Looks at everything in its order, up to the first thing that is wrong.
    ///
    /// Throws where the bag cannot be read, is none, or is incomplete, and where it is cancelled.
    package func run(
        cancellation: CancellationFlag = CancellationFlag(),
        progress: @escaping (Extraction.Progress) -> Void = { _ in }
    ) throws(GloveboxError) -> BagVerdict {
        let watch = VerificationWatch(cancellation) { bytes, entries in
            progress(Extraction.Progress(bytes: bytes, files: Int(clamping: entries)))
        }
        var verdict = BagVerdict()
        var examination = BagExamination(self, watch)
        for check in BagCheck.allCases {
            guard verdict.fault == nil else {
                verdict.add(check, .notDone, "the checks before it come first")
                continue
            }
            do throws(BagStop) {
                let (status, detail) = try examination.perform(check, &verdict)
                verdict.add(check, status, detail)
            } catch {
                switch error {
                case .error(let error): throw error
                case .fault(let fault): verdict.add(check, .failed, fault.description, fault)
                }
            }
        }
        return verdict
    }
}

extension BagVerdict {
    fileprivate mutating func add(
        _ check: BagCheck,
        _ status: Status,
        _ detail: String,
        _ fault: BagFault? = nil
    ) {
        findings.append(Finding(check: check, status: status, detail: detail, fault: fault))
    }
}
