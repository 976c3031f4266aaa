package import DiskFormats

/// Writes the fields of a message, one after another: integers little-endian, runs of bytes and
/// lists behind their 32-bit count.
package struct MessageWriter: Sendable {
    /// What has been written so far.
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func add<T: FixedWidthInteger & UnsignedInteger>(_ value: T) {
        unsafe withUnsafeBytes(of: value.littleEndian) { unsafe bytes.append(contentsOf: $0) }
    }

    package mutating func add(_ value: Int64) { add(UInt64(bitPattern: value)) }

    package mutating func add(_ value: Bool) { bytes.append(value ? 1 : 0) }

    package mutating func add(_ value: [UInt8]) {
        add(UInt32(clamping: value.count))
        bytes.append(contentsOf: value)
    }

    package mutating func add(_ value: String) { add(Array(value.utf8)) }

    /// A list: its count, then each element as `element` writes it.
    package mutating func add<Element>(
        list: [Element],
        _ element: (inout MessageWriter, Element) -> Void
    ) {
        add(UInt32(clamping: list.count))
        for value in list { element(&self, value) }
    }

    /// Whether the value is there, then the value.
    package mutating func add<Value>(
        optional: Value?,
        _ value: (inout MessageWriter, Value) -> Void
    ) {
        add(optional != nil)
        if let optional { value(&self, optional) }
    }
}

/// Reads the fields of a message in the order in which ``MessageWriter`` wrote them.
///
/// The other side is not trusted: it reads hostile disks and may have been taken over by one. Each
/// field is checked against what is left, and ``end()`` refuses what nobody has read.
package struct MessageReader: Sendable {
    private let bytes: [UInt8]
    private var position = 0

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package mutating func integer<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: T.Type
    ) throws(DiskError) -> T {
        let value = try peek(type)
        position += MemoryLayout<T>.size
        return value
    }

    private func peek<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ type: T.Type
    ) throws(DiskError) -> T {
        let span = bytes.span
        return try span.raw.le(type, at: position)
    }

    package mutating func u8() throws(DiskError) -> UInt8 { try integer(UInt8.self) }
    package mutating func u16() throws(DiskError) -> UInt16 { try integer(UInt16.self) }
    package mutating func u32() throws(DiskError) -> UInt32 { try integer(UInt32.self) }
    package mutating func u64() throws(DiskError) -> UInt64 { try integer(UInt64.self) }
    package mutating func i64() throws(DiskError) -> Int64 { Int64(bitPattern: try u64()) }

    package mutating func flag() throws(DiskError) -> Bool {
        switch try u8() {
        case 0: return false
        case 1: return true
        default: throw malformed("a flag is neither 0 nor 1")
        }
    }

    package mutating func run() throws(DiskError) -> [UInt8] {
        let count = Int(try u32())
        guard count <= bytes.count - position else { throw malformed("\(count) bytes announced") }
        let run = Array(bytes[position..<(position + count)])
        position += count
        return run
    }

    package mutating func text() throws(DiskError) -> String {
        String(decoding: try run(), as: UTF8.self)
    }

    /// A list of at most `max` elements, each at least one byte long.
    package mutating func list<Element>(
        max: Int,
        _ element: (inout MessageReader) throws(DiskError) -> Element
    ) throws(DiskError) -> [Element] {
        let count = Int(try u32())
        guard count <= max, count <= bytes.count - position else {
            throw malformed("\(count) elements announced")
        }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    package mutating func optional<Value>(
        _ value: (inout MessageReader) throws(DiskError) -> Value
    ) throws(DiskError) -> Value? {
        try flag() ? try value(&self) : nil
    }

    /// Throws where bytes are left.
    package func end() throws(DiskError) {
        guard position == bytes.count else {
            throw malformed("\(bytes.count - position) bytes too many")
        }
    }

    package func malformed(_ detail: String) -> DiskError {
        DiskError(.inconsistent, "message of the engine", at: UInt64(position), detail)
    }
}
