extension Timestamp {
    /// UTC, ISO 8601, with nine decimals: `2026-01-31T12:00:00.123456789Z`.
    ///
    /// Years outside 0–9999 get a sign and as many digits as they need, as ISO 8601 allows by
    /// agreement; every value has exactly one form.
    public var iso8601: String {
        var text: [UInt8] = []
        text.reserveCapacity(32)
        appendISO8601(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends ``iso8601`` as ASCII; `decimals` false leaves the fraction out.
    package func appendISO8601(to text: inout [UInt8], decimals: Bool = true) {
        let (days, second) = seconds.floored(by: 86_400)
        let (year, month, day) = Self.civil(days)
        if year < 0 || year > 9999 { text.append(year < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+")) }
        text.append(decimal: year.magnitude, width: 4)
        // One growth for all of it: listings have four of these a line.
        text.append(addingCapacity: 26) { text in
            text.append(UInt8(ascii: "-"))
            text.append(twoDigits: month)
            text.append(UInt8(ascii: "-"))
            text.append(twoDigits: day)
            text.append(UInt8(ascii: "T"))
            text.append(twoDigits: second / 3600)
            text.append(UInt8(ascii: ":"))
            text.append(twoDigits: second / 60 % 60)
            text.append(UInt8(ascii: ":"))
            text.append(twoDigits: second % 60)
            if decimals {
                text.append(UInt8(ascii: "."))
                text.append(UInt8(ascii: "0") + UInt8(nanoseconds / 100_000_000))
                text.append(twoDigits: Int64(nanoseconds / 1_000_000 % 100))
                text.append(twoDigits: Int64(nanoseconds / 10_000 % 100))
                text.append(twoDigits: Int64(nanoseconds / 100 % 100))
                text.append(twoDigits: Int64(nanoseconds % 100))
            }
            text.append(UInt8(ascii: "Z"))
        }
    }

    /// Days since 1970-01-01 as a date of the proleptic Gregorian calendar.
    ///
    /// Counts years from March, so that the leap day comes last and months have a fixed pattern.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = (days + 719_468).floored(by: 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// Reads `2026-01-31`, `2026-01-31T12:00:00Z`, with or without decimals; nil for all else.
    public init?(iso8601 text: String) {
        var digits = Substring(text)
        func number(_ count: Int) -> Int64? {
            let part = digits.prefix(count)
            guard part.utf8.count == count, part.utf8.allSatisfy({ 48...57 ~= $0 }) else {
                return nil
            }
            digits.removeFirst(count)
            return Int64(part)
        }
        func skip(_ character: Character) -> Bool {
            guard digits.first == character else { return false }
            digits.removeFirst()
            return true
        }
        guard let year = number(4), skip("-"), let month = number(2), skip("-"),
            let day = number(2), 1...12 ~= month, 1...31 ~= day
        else { return nil }
        var seconds: Int64 = 0
        var nanoseconds: UInt32 = 0
        if !digits.isEmpty {
            guard skip("T") || skip(" "), let hour = number(2), skip(":"), let minute = number(2),
                hour < 24, minute < 60
            else { return nil }
            seconds = hour * 3600 + minute * 60
            if skip(":") {
                guard let second = number(2), second <= 60 else { return nil }
                seconds += second
                if skip(".") {
                    let fraction = digits.prefix { $0.isASCII && $0.isNumber }
                    guard let value = UInt32((fraction + "000000000").prefix(9)), !fraction.isEmpty
                    else { return nil }
                    nanoseconds = value
                    digits.removeFirst(fraction.count)
                }
            }
            guard skip("Z"), digits.isEmpty else { return nil }
        }
        // The inverse of `civil`: years from March, then whole eras of 400 years.
        let marchYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = marchYear.floored(by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        guard Self.civil(days) == (year, month, day) else { return nil }
        self.init(seconds: days * 86_400 + seconds, nanoseconds: nanoseconds)
    }
}

extension Int64 {
    /// Quotient and remainder, the remainder never negative.
    fileprivate func floored(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension OutputSpan<UInt8> {
    /// Appends a number below 100 as two digits.
    @inline(__always)
    fileprivate mutating func append(twoDigits value: Int64) {
        append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 10))
        append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
    }
}

extension [UInt8] {
    /// Appends `value` in decimal, with zeros in front up to `width` digits, at most 20.
    package mutating func append(decimal value: UInt64, width: Int = 1) {
        var digits: InlineArray<20, UInt8> = .init(repeating: UInt8(ascii: "0"))
        var first = 20
        var rest = value
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        first = Swift.min(first, Swift.max(0, 20 - width))
        append(addingCapacity: 20 - first) { text in
            for index in first..<20 { text.append(digits[index]) }
        }
    }
}
