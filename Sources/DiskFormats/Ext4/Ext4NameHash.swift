/// The hashes by which ext4 sorts the names of large directories.
///
/// Linux `fs/ext4/hash.c`. Each has a form for processors whose `char` is signed, and one for the
/// others: the bytes of a name over 0x7F count differently.
enum Ext4NameHash: UInt8 {
    case legacy = 0
    case halfMD4 = 1
    case tea = 2
    case legacyUnsigned = 3
    case halfMD4Unsigned = 4
    case teaUnsigned = 5

    /// The hash that the code in a directory's root block stands for; nil for one that needs a key.
    init?(code: UInt8, unsigned: Bool) {
        self.init(rawValue: unsigned && code <= 2 ? code + 3 : code)
    }

    /// The hash of `name` as it stands in index blocks: its lowest bit is left for another use.
    func hash(_ name: [UInt8], seed: [UInt32]) -> UInt32 {
        let isSigned = rawValue < 3
        let value: UInt32
        switch self {
        case .legacy, .legacyUnsigned: value = Self.legacy(name, isSigned)
        case .halfMD4, .halfMD4Unsigned:
            var state = Self.initial(seed)
            for start in stride(from: 0, to: name.count, by: 32) {
                Self.mixHalfMD4(&state, Self.words(name[start...], 8, isSigned))
            }
            value = state[1]
        case .tea, .teaUnsigned:
            var state = Self.initial(seed)
            for start in stride(from: 0, to: name.count, by: 16) {
                Self.mixTEA(&state, Self.words(name[start...], 4, isSigned))
            }
            value = state[0]
        }
        // The highest value is left for the end of a directory.
        return min(value & ~1, 0xFFFF_FFFC)
    }

    private static func initial(_ seed: [UInt32]) -> [UInt32] {
        let isSet = seed.count == 4 && seed.contains { $0 != 0 }
        return isSet ? seed : [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]
    }

    private static func widened(_ byte: UInt8, _ isSigned: Bool) -> UInt32 {
        isSigned ? UInt32(bitPattern: Int32(Int8(bitPattern: byte))) : UInt32(byte)
    }

    private static func legacy(_ name: [UInt8], _ isSigned: Bool) -> UInt32 {
        var latest: UInt32 = 0x12A3_FE2D
        var before: UInt32 = 0x37AB_E8F9
        for byte in name {
            var hash = before &+ (latest ^ (widened(byte, isSigned) &* 7_152_373))
            if hash & 0x8000_0000 != 0 { hash &-= 0x7FFF_FFFF }
            before = latest
            latest = hash
        }
        return latest << 1
    }

    /// Packs a name into `count` words, filled up with its length.
    private static func words(
        _ name: ArraySlice<UInt8>,
        _ count: Int,
        _ isSigned: Bool
    ) -> [UInt32] {
        let length = UInt32(truncatingIfNeeded: name.count)
        let half = length | length << 8
        let padding = half | half << 16
        var words: [UInt32] = []
        var value = padding
        for (index, byte) in name.prefix(count * 4).enumerated() {
            value = widened(byte, isSigned) &+ (value << 8)
            if index % 4 == 3 {
                words.append(value)
                value = padding
            }
        }
        if words.count < count { words.append(value) }
        while words.count < count { words.append(padding) }
        return words
    }

    private static func mixTEA(_ state: inout [UInt32], _ words: [UInt32]) {
        var (left, right, sum) = (state[0], state[1], UInt32(0))
        for _ in 0..<16 {
            sum &+= 0x9E37_79B9
            left &+= ((right << 4) &+ words[0]) ^ (right &+ sum) ^ ((right >> 5) &+ words[1])
            right &+= ((left << 4) &+ words[2]) ^ (left &+ sum) ^ ((left >> 5) &+ words[3])
        }
        state[0] &+= left
        state[1] &+= right
    }

    /// Three rounds of eight steps: MD4 with half of its words.
    private static func mixHalfMD4(_ state: inout [UInt32], _ words: [UInt32]) {
        let orders = [
            [0, 1, 2, 3, 4, 5, 6, 7], [1, 3, 5, 7, 0, 2, 4, 6], [3, 7, 2, 6, 1, 5, 0, 4],
        ]
        let shifts: [[UInt32]] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]]
        let constants: [UInt32] = [0, 0x5A82_7999, 0x6ED9_EBA1]
        var mixed = state
        for round in 0..<3 {
            for step in 0..<8 {
                // The four words take turns: a, d, c, b.
                let target = (4 - step % 4) % 4
                let x = mixed[(target + 1) % 4]
                let y = mixed[(target + 2) % 4]
                let z = mixed[(target + 3) % 4]
                let chosen: UInt32
                switch round {
                case 0: chosen = z ^ (x & (y ^ z))
                case 1: chosen = (x & y) &+ ((x ^ y) & z)
                default: chosen = x ^ y ^ z
                }
                let word = words[orders[round][step]] &+ constants[round]
                let sum = mixed[target] &+ chosen &+ word
                let shift = shifts[round][step % 4]
                mixed[target] = sum << shift | sum >> (32 - shift)
            }
        }
        for index in 0..<4 { state[index] &+= mixed[index] }
    }
}
