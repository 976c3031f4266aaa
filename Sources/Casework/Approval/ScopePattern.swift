internal import DiskFormats

/// One glob of a scope: `/path` in the guest's own tree, or `DISK:VOLUME:/path` in that of a volume.
///
/// It covers what it matches and everything beneath. `*` stands for any bytes within a component,
/// `?` for one byte, `**` as a whole component for any number of components; `\*`, `\?`, `\\` and
/// `\xHH` are literal. Bytes are compared: letters that look alike are not equal.
package struct ScopePattern: Equatable, Sendable {
    /// What is wrong with a pattern; the end of a sentence.
    package struct Failure: Error, Equatable, Sendable {
        package let reason: String
    }

    /// The pattern as it is written.
    package let text: String
    /// Whether it is about the guest's own tree.
    package var isOfGuestTree: Bool { place == nil }

    private let place: Place?
    private let components: [Component]

    /// The longest pattern; a path of Linux is no longer.
    package static let byteCountMax = 4096

    private struct Place: Equatable {
        let disk: [UInt8]?
        let volume: [UInt8]?
    }

    private enum Component: Equatable {
        case anyNumber
        case name([Token])
    }

    private enum Token: Equatable {
        case byte(UInt8)
        case anyByte
        case anyBytes
    }

    /// Reads a pattern.
    package init(_ text: String) throws(Failure) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.byteCountMax else {
            throw Failure(reason: "has more than \(Self.byteCountMax) bytes")
        }
        // The approver has to see what is signed.
        guard text.unicodeScalars.allSatisfy(GuestName.isHarmless) else {
            throw Failure(reason: "has a character that cannot be seen; write its bytes as \\xHH")
        }
        self.text = text
        let (place, path) = try Self.split(bytes)
        self.place = place
        components = try Self.components(path)
    }

    /// A disk's name may have colons, a volume's has none; neither is followed by a slash.
    private static func split(
        _ bytes: [UInt8]
    ) throws(Failure) -> (Place?, ArraySlice<UInt8>) {
        if bytes.first == slash { return (nil, bytes[...]) }
        let start = bytes.indices.dropLast().first {
            bytes[$0] == UInt8(ascii: ":") && bytes[$0 + 1] == slash
        }
        guard let start, let colon = bytes[..<start].lastIndex(of: UInt8(ascii: ":")), colon > 0
        else { throw Failure(reason: "is neither /path nor DISK:VOLUME:/path") }
        func part(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
            bytes.elementsEqual([UInt8(ascii: "*")]) ? nil : Array(bytes)
        }
        let place = Place(disk: part(bytes[..<colon]), volume: part(bytes[(colon + 1)..<start]))
        return (place, bytes[(start + 1)...])
    }

    private static let slash = UInt8(ascii: "/")
    private static let dots = [[UInt8](".".utf8), [UInt8]("..".utf8)]

    private static func components(_ path: ArraySlice<UInt8>) throws(Failure) -> [Component] {
        let body = path.dropFirst()
        if body.isEmpty { return [] }
        var components: [Component] = []
        for part in body.split(separator: slash, omittingEmptySubsequences: false) {
            guard !part.isEmpty else {
                throw Failure(reason: "has an empty component: no // and no / at the end")
            }
            let component = part.elementsEqual("**".utf8) ? .anyNumber : try name(part)
            // Twice any number is any number.
            if component == .anyNumber, components.last == .anyNumber { continue }
            components.append(component)
        }
        return components
    }

    private static func name(_ part: ArraySlice<UInt8>) throws(Failure) -> Component {
        var tokens: [Token] = []
        var rest = part
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"): if tokens.last != .anyBytes { tokens.append(.anyBytes) }
            case UInt8(ascii: "?"): tokens.append(.anyByte)
            case UInt8(ascii: "\\"): tokens.append(.byte(try escaped(&rest)))
            default: tokens.append(.byte(byte))
            }
        }
        guard !dots.contains(where: { $0.map(Token.byte) == tokens }) else {
            throw Failure(reason: "has . or .. in it")
        }
        return .name(tokens)
    }

    private static func escaped(_ rest: inout ArraySlice<UInt8>) throws(Failure) -> UInt8 {
        switch rest.popFirst() {
        case UInt8(ascii: "*")?: return UInt8(ascii: "*")
        case UInt8(ascii: "?")?: return UInt8(ascii: "?")
        case UInt8(ascii: "\\")?: return UInt8(ascii: "\\")
        case UInt8(ascii: "x")?:
            guard let high = rest.popFirst().flatMap(digit),
                let low = rest.popFirst().flatMap(digit)
            else { throw Failure(reason: "has \\x without two hexadecimal digits") }
            let byte = high << 4 | low
            guard byte != 0, byte != slash else {
                throw Failure(reason: "has a byte that no name has: \\x00 or \\x2f")
            }
            return byte
        default: throw Failure(reason: "has a \\ that is followed by none of * ? \\ x")
        }
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - 55
        default: nil
        }
    }
}

extension ScopePattern {
    /// Whether the pattern names this volume; those of the guest's own tree name none.
    func names(_ volume: GuestPath.VolumeName) -> Bool {
        guard let place else { return false }
        // Bytes: to Swift, texts that Unicode calls equivalent are equal.
        return place.disk.map { $0 == Array(volume.disk.utf8) } ?? true
            && place.volume.map { $0 == Array(volume.volume.utf8) } ?? true
    }

    /// Whether it covers a path of these components.
    ///
    /// Total, and bounded by the length of the pattern times that of the path: what comes before the
    /// last `**` (or `*`) that fitted never needs another look, since anything may follow a match.
    func covers(_ path: [ArraySlice<UInt8>]) -> Bool {
        var next = 0
        var place = 0
        var star: (next: Int, place: Int)?
        while next < components.count {
            if components[next] == .anyNumber {
                next += 1
                star = (next, place)
                continue
            }
            guard place < path.count else { return false }
            if case .name(let tokens) = components[next], Self.fits(tokens, path[place]) {
                next += 1
                place += 1
            } else if let (afterStar, start) = star {
                next = afterStar
                place = start + 1
                star = (afterStar, place)
            } else {
                return false
            }
        }
        return true
    }

    private static func fits(_ tokens: [Token], _ name: ArraySlice<UInt8>) -> Bool {
        var next = 0
        var place = name.startIndex
        var star: (next: Int, place: Int)?
        while place < name.endIndex || next < tokens.count {
            if next < tokens.count {
                let token = tokens[next]
                if token == .anyBytes {
                    next += 1
                    star = (next, place)
                    continue
                }
                if place < name.endIndex, token == .anyByte || token == .byte(name[place]) {
                    next += 1
                    place += 1
                    continue
                }
            }
            guard let (afterStar, start) = star, start < name.endIndex else { return false }
            next = afterStar
            place = start + 1
            star = (afterStar, place)
        }
        return true
    }

    /// The pattern with each byte that is not printable ASCII as `\xHH`; nil where there is none.
    package var spelledOut: String? {
        guard text.utf8.contains(where: { $0 >= 0x80 }) else { return nil }
        var spelled = ""
        for byte in text.utf8 {
            if byte < 0x80 {
                spelled.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                spelled += "\\x" + String(byte, radix: 16)
            }
        }
        return spelled
    }
}
