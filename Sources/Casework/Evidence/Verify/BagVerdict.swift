package import DiskFormats
internal import Linux

/// What is looked at in a bag, in this order.
package enum BagCheck: String, CaseIterable, Sendable {
    /// The outer tar or the directory: each file that has to be there, nothing else, canonical.
    case form
    /// bagit.txt and bag-info.txt are as they are written, and fit the payload.
    case information
    /// The tag files have the digests that tagmanifest-sha256.txt states.
    case tagFiles = "tag-files"
    /// The payload has the digests that manifest-sha256.txt states.
    case payload
    /// files.jsonl and files.tar say the same, entry by entry, contents included.
    case records
    /// source.json can be read.
    case source
    /// custody.jsonl is an unbroken chain with the events in their order.
    case custody
    /// Requester and approver signed the approval, and it was valid when it was used.
    case approval
    /// Everything that was taken lies inside the approval's scope.
    case scope
    /// The operator signed the bag.
    case seal
    /// Somebody vouches for the keys: lists of signers name them.
    case trust
}

/// What is wrong with a bag, and where.
package struct BagFault: Error, Equatable, Sendable {
    /// Where it was noticed.
    package enum Place: Equatable, Sendable {
        /// The bag as a whole.
        case bag
        /// A file of it.
        case file(BagFile)
        /// A line of a file, counted from 1.
        case line(BagFile, Int)
        /// A byte of a file, counted from 0.
        case byte(BagFile, UInt64)
        /// A byte of the outer tar, counted from 0.
        case outerByte(UInt64)
    }

    /// Where it was noticed.
    package let place: Place
    /// What is wrong: a sentence without its end, names in it escaped.
    package let reason: String

    /// Creates a fault.
    package init(_ place: Place, _ reason: String) {
        self.place = place
        self.reason = reason
    }
}

extension BagFault: CustomStringConvertible {
    /// `data/custody.jsonl, line 3: …`.
    package var description: String {
        switch place {
        case .bag: reason
        case .file(let file): "\(file.rawValue): \(reason)"
        case .line(let file, let line): "\(file.rawValue), line \(line): \(reason)"
        case .byte(let file, let offset): "\(file.rawValue), byte \(offset): \(reason)"
        case .outerByte(let offset): "byte \(offset) of the tar: \(reason)"
        }
    }
}

/// What became of a verification.
package struct BagVerdict: Sendable {
    /// What became of one check.
    package enum Status: String, Sendable {
        case passed = "ok"
        case failed
        case notDone = "not-done"
    }

    /// One check.
    package struct Finding: Sendable {
        package let check: BagCheck
        package let status: Status
        /// What was seen, or why nothing was looked at; names in it escaped.
        package let detail: String
        /// What is wrong, where the check failed.
        package let fault: BagFault?
    }

    /// One for each check, in their order.
    package internal(set) var findings: [Finding] = []
    /// Whether the bag is one tar.
    package internal(set) var isTar = false
    /// What the bag calls itself.
    package internal(set) var name = ""
    /// The approval, as far as it could be read.
    package internal(set) var approval: ApprovedDocument?
    /// Why it was taken, where there is no approval.
    package internal(set) var reason: String?
    /// Who signed the bag.
    package internal(set) var operatorKey: BagKey?
    /// When the bag was sealed, by its own word.
    package internal(set) var sealed: Timestamp?
    /// How many entries files.tar has.
    package internal(set) var entries: UInt64 = 0
    /// Content in bytes, holes included.
    package internal(set) var contentBytes: UInt64 = 0
    /// Whether all content that was asked for is there, by the bag's own word.
    package internal(set) var isComplete: Bool?

    /// The first thing that is wrong.
    package var fault: BagFault? { findings.lazy.compactMap(\.fault).first }
    /// Whether nothing is wrong.
    package var isVerified: Bool { fault == nil }
}

/// A key that signed, and who it is.
package struct BagKey: Equatable, Sendable {
    /// Who it is by the list; nil where no list names the key.
    package let principal: String?
    /// The key's fingerprint.
    package let fingerprint: String
}

/// Why a verification ends early.
enum BagStop: Error {
    /// Something is wrong with the bag.
    case fault(BagFault)
    /// It cannot be read, or is no bag.
    case error(GloveboxError)

    /// Something is wrong at `place`.
    static func fault(_ place: BagFault.Place, _ reason: String) -> BagStop {
        .fault(BagFault(place, reason))
    }

    /// A system call failed.
    static func system(_ error: SystemError) -> BagStop {
        .error(GloveboxError(.unreadable, "\(error)"))
    }
}
