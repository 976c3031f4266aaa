package import DiskFormats
internal import Glibc
internal import Synchronization

/// What every block source promises, as questions to any of them.
///
/// Each function returns what was found wrong, a sentence each; nothing where all is well.
package struct BlockSourceConformance: Sendable {
    private let source: any BlockSource
    private let content: [UInt8]
    private let seed: UInt64

    /// Asks `source`, which is to have exactly `content`.
    package init(_ source: any BlockSource, content: [UInt8], seed: UInt64) {
        self.source = source
        self.content = content
        self.seed = seed
    }

    /// All the questions.
    package func violations() -> [String] {
        let found = size() + bytes() + ends() + runs()
        return found.isEmpty ? concurrentReads() : found
    }

    private func size() -> [String] {
        source.byteCount == UInt64(content.count)
            ? [] : ["the size is \(source.byteCount) instead of \(content.count)"]
    }

    /// Exact bytes at random ranges, both ends among them.
    package func bytes(ranges: Int = 200) -> [String] {
        var random = Repeatable(state: seed)
        var found = check(0..<content.count)
        for _ in 0..<ranges { found += check(range(&random)) }
        for count in [1, 2, 511, 512, 513, 4_096] where count <= content.count {
            found += check(0..<count) + check((content.count - count)..<content.count)
        }
        for position in [0, content.count / 2, content.count] {
            found += check(position..<position)
        }
        return found
    }

    /// Past the end nothing is read, and zero bytes are fine up to it.
    package func ends() -> [String] {
        let end = UInt64(content.count)
        var found: [String] = []
        for (offset, count) in [
            (end, 1), (end + 1, 0), (end - min(end, 1), 2), (0, content.count + 1),
            (UInt64.max, 1), (UInt64.max - 3, 8), (end &+ 512, 512), (1 << 62, 4_096),
        ] {
            do throws(DiskError) {
                _ = try source.bytes(at: offset, count: count)
                found.append("\(count) bytes at \(offset) were read past the end")
            } catch {
                if error.reason != .truncated {
                    found.append("\(count) bytes at \(offset): \(error) instead of truncated")
                }
            }
        }
        for offset in [end, end &+ 1, UInt64.max]
        where (try? source.run(at: offset, limit: 1)) != nil {
            found.append("there is a run at \(offset), past the end")
        }
        return found
    }

    /// Runs cover the disk without gap or overlap, none is longer than asked for, and those that
    /// are zeros read as zeros.
    package func runs() -> [String] {
        var random = Repeatable(state: seed)
        var position: UInt64 = 0
        while position < source.byteCount {
            let limit = UInt64.random(in: 1...max(1, source.byteCount / 8), using: &random)
            let run: BlockRun
            do throws(DiskError) { run = try source.run(at: position, limit: limit) } catch {
                return ["no run at \(position): \(error)"]
            }
            guard run.length >= 1, run.length <= limit,
                run.length <= source.byteCount - position
            else { return ["the run at \(position), at most \(limit), has \(run.length) bytes"] }
            let end = position + run.length
            if case .zeros = run.origin, end <= UInt64(content.count),
                content[Int(position)..<Int(end)].contains(where: { $0 != 0 })
            {
                return ["the run of zeros at \(position) is none"]
            }
            position = end
        }
        if source.byteCount > 0, (try? source.run(at: 0, limit: 0)) != nil {
            return ["a run of at most 0 bytes was given"]
        }
        return []
    }

    /// Many readers at once see the same bytes.
    package func concurrentReads(readers: Int = 8, ranges: Int = 60) -> [String] {
        let found = Mutex<[String]>([])
        concurrently(readers) { reader in
            var random = Repeatable(state: seed &+ UInt64(reader))
            for _ in 0..<ranges {
                let wrong = check(range(&random))
                if !wrong.isEmpty { found.withLock { $0 += wrong } }
            }
        }
        return found.withLock { $0 }
    }

    /// A read that touches a fault throws and changes nothing into zeros; every other one is exact.
    package func faults(_ isFaulty: (Range<UInt64>) -> Bool, ranges: Int = 300) -> [String] {
        var random = Repeatable(state: seed)
        var found: [String] = []
        for _ in 0..<ranges {
            let range = range(&random)
            let place = UInt64(range.lowerBound)..<UInt64(range.upperBound)
            guard !range.isEmpty, isFaulty(place) else {
                found += check(range)
                continue
            }
            do throws(DiskError) {
                _ = try source.bytes(at: place.lowerBound, count: range.count)
                found.append("\(range) was read although some of it cannot be")
            } catch {
                if ![.unreadable, .truncated].contains(error.reason) { found.append("\(error)") }
            }
        }
        return found
    }

    private func range(_ random: inout Repeatable) -> Range<Int> {
        let start = Int.random(in: 0...content.count, using: &random)
        let most = Bool.random(using: &random) ? 700 : 300_000
        return start..<min(content.count, start + Int.random(in: 0...most, using: &random))
    }

    private func check(_ range: Range<Int>) -> [String] {
        do throws(DiskError) {
            let bytes = try source.bytes(at: UInt64(range.lowerBound), count: range.count)
            guard bytes.count == range.count, isSame(bytes, content, from: range.lowerBound) else {
                let wrong = zip(range, bytes).first { content[$0] != $1 }?.0 ?? range.lowerBound
                return ["\(range) differs, at \(wrong) first"]
            }
            return []
        } catch {
            return ["\(range): \(error)"]
        }
    }
}

/// Whether `bytes` stand in `content` from `start` on.
///
/// The C library's comparison: a debug build takes seconds for what is compared byte by byte.
private func isSame(_ bytes: [UInt8], _ content: [UInt8], from start: Int) -> Bool {
    guard start + bytes.count <= content.count else { return false }
    return unsafe bytes.withUnsafeBytes { bytes in
        unsafe content.withUnsafeBytes { content in
            let part = unsafe UnsafeRawBufferPointer(rebasing: content[start...])
            guard let one = bytes.baseAddress, let other = part.baseAddress else { return true }
            return unsafe memcmp(one, other, bytes.count) == 0
        }
    }
}
