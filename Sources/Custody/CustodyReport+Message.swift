package import DiskFormats
internal import EngineProtocol

extension CustodyReport {
    private static let warningsMax = 100

    /// The message.
    package var bytes: [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .connected(let uri, let versions):
            writer.add(UInt8(1))
            writer.add(uri)
            writer.add(versions)
        case .domains(let domains):
            writer.add(UInt8(2))
            writer.add(list: domains) { $1.write(to: &$0) }
        case .domain(let facts):
            writer.add(UInt8(3))
            facts.write(to: &writer)
        case .held(let held):
            writer.add(UInt8(4))
            held.write(to: &writer)
        case .noted: writer.add(UInt8(5))
        case .invalidated(let ending):
            writer.add(UInt8(6))
            ending.write(to: &writer)
        case .released(let release):
            writer.add(UInt8(7))
            release.write(to: &writer)
        case .recovered(let sessions):
            writer.add(UInt8(8))
            writer.add(list: sessions) { $1.write(to: &$0) }
        case .failed(let failure):
            writer.add(UInt8(9))
            writer.add(failure.code)
            writer.add(failure.message)
            writer.add(failure.advice)
        }
        return writer.bytes
    }

    /// Reads a message, all of it.
    package init(_ bytes: [UInt8]) throws(DiskError) {
        var reader = MessageReader(bytes)
        switch try reader.u8() {
        case 1: self = .connected(uri: try reader.text(), versions: try reader.text())
        case 2:
            self = .domains(
                try reader.list(max: CustodyRequest.domainsMax) { reader throws(DiskError) in
                    try DomainFacts(&reader)
                }
            )
        case 3: self = .domain(try DomainFacts(&reader))
        case 4: self = .held(try Held(&reader))
        case 5: self = .noted
        case 6: self = .invalidated(try HoldEnding(&reader))
        case 7: self = .released(try Release(&reader))
        case 8:
            self = .recovered(
                try reader.list(max: CustodyRequest.domainsMax) { reader throws(DiskError) in
                    try RecoveredSession(&reader)
                }
            )
        case 9:
            let failure = CustodyFailure(
                code: try reader.u8(),
                try reader.text(),
                advice: try reader.text()
            )
            self = .failed(failure)
        case let kind: throw reader.malformed("report \(kind)")
        }
        try reader.end()
    }

    fileprivate static func warnings(
        _ reader: inout MessageReader
    ) throws(DiskError) -> [String] {
        try reader.list(max: warningsMax) { reader throws(DiskError) in try reader.text() }
    }
}

extension MessageReader {
    /// One of our words.
    fileprivate mutating func word<Word: RawRepresentable>(
        _ type: Word.Type
    ) throws(DiskError) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: try text()) else { throw malformed("unknown word") }
        return word
    }
}

extension DomainFacts {
    fileprivate func write(to writer: inout MessageWriter) {
        writer.add(uuid)
        writer.add(name)
        writer.add(optional: status.id) { $0.add(UInt32(bitPattern: $1)) }
        writer.add(status.state.rawValue)
        writer.add(optional: status.pauseReason) { $0.add($1.rawValue) }
        writer.add(status.job.rawValue)
        writer.add(status.hasManagedSave)
        writer.add(description)
    }

    fileprivate init(_ reader: inout MessageReader) throws(DiskError) {
        self.init(
            uuid: try reader.text(),
            name: try reader.text(),
            status: DomainStatus(
                id: try reader.optional { reader throws(DiskError) in
                    Int32(bitPattern: try reader.u32())
                },
                state: try reader.word(DomainState.self),
                pauseReason: try reader.optional { reader throws(DiskError) in
                    try reader.word(PauseReason.self)
                },
                job: try reader.word(DomainJob.self),
                hasManagedSave: try reader.flag()
            ),
            description: try reader.text()
        )
    }
}

extension Held {
    fileprivate func write(to writer: inout MessageWriter) {
        writer.add(session)
        facts.write(to: &writer)
        writer.add(mode.rawValue)
        writer.add(list: exports) { writer, export in
            writer.add(export.target)
            writer.add(export.socket)
        }
        writer.add(deadline)
        writer.add(list: warnings) { $0.add($1) }
    }

    fileprivate init(_ reader: inout MessageReader) throws(DiskError) {
        self.init(
            session: try reader.text(),
            facts: try DomainFacts(&reader),
            mode: try reader.word(HoldMode.self),
            exports: try reader.list(max: CustodyRequest.exportsMax) { reader throws(DiskError) in
                Export(target: try reader.text(), socket: try reader.text())
            },
            deadline: try reader.u64(),
            warnings: try CustodyReport.warnings(&reader)
        )
    }
}

extension HoldEnding {
    fileprivate func write(to writer: inout MessageWriter) {
        switch self {
        case .limit(let seconds):
            writer.add(UInt8(1))
            writer.add(seconds)
        case .touched(let sentence):
            writer.add(UInt8(2))
            writer.add(sentence)
        case .lost(let sentence):
            writer.add(UInt8(3))
            writer.add(sentence)
        }
    }

    fileprivate init(_ reader: inout MessageReader) throws(DiskError) {
        switch try reader.u8() {
        case 1: self = .limit(seconds: try reader.u32())
        case 2: self = .touched(try reader.text())
        case 3: self = .lost(try reader.text())
        case let kind: throw reader.malformed("ending \(kind)")
        }
    }
}

extension Release {
    fileprivate func write(to writer: inout MessageWriter) {
        writer.add(ending.rawValue)
        writer.add(resumption.rawValue)
        writer.add(pausedNanoseconds)
        writer.add(isIntact)
        writer.add(list: warnings) { $0.add($1) }
    }

    fileprivate init(_ reader: inout MessageReader) throws(DiskError) {
        self.init(
            ending: try reader.word(SessionRecord.Ending.self),
            resumption: try reader.word(SessionRecord.Resumption.self),
            pausedNanoseconds: try reader.u64(),
            isIntact: try reader.flag(),
            warnings: try CustodyReport.warnings(&reader)
        )
    }
}

extension RecoveredSession {
    fileprivate func write(to writer: inout MessageWriter) {
        writer.add(session)
        writer.add(uuid)
        writer.add(domain)
        writer.add(outcome.rawValue)
        writer.add(detail)
    }

    fileprivate init(_ reader: inout MessageReader) throws(DiskError) {
        self.init(
            session: try reader.text(),
            uuid: try reader.text(),
            domain: try reader.text(),
            outcome: try reader.word(Outcome.self),
            detail: try reader.text()
        )
    }
}
