import Foundation
import Testing

@testable import DiskFormats

@Suite struct GuestNameTests {
    @Test(arguments: [
        ("plain name", "plain name"),
        ("ümläut 🧤", "ümläut 🧤"),
        ("line\nfeed", #"line\x0afeed"#),
        ("\u{1B}[31mred", #"\x1b[31mred"#),
        ("back\\slash", #"back\x5cslash"#),
        ("a\u{202E}b", #"a\xe2\x80\xaeb"#),
        ("c1\u{9B}2J", #"c1\xc2\x9b2J"#),
    ])
    func `what a terminal acts on is escaped`(name: String, shown: String) {
        #expect(GuestName.escaped([UInt8](name.utf8)) == shown)
    }

    @Test func `bytes that are not UTF-8 are escaped one by one`() {
        #expect(GuestName.escaped([0x61, 0xFF, 0xC3, 0x28, 0x62]) == #"a\xff\xc3(b"#)
    }
}

@Suite struct TimestampTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00"), (-1, "1969-12-31T23:59:59"),
        (951_782_400, "2000-02-29T00:00:00"), (4_102_444_799, "2099-12-31T23:59:59"),
        (-2_147_483_648, "1901-12-13T20:45:52"), (15_032_385_535, "2446-05-10T22:38:55"),
        (253_402_300_799, "9999-12-31T23:59:59"),
    ])
    func `seconds become the date that date(1) prints`(seconds: Int64, date: String) {
        let time = Timestamp(seconds: seconds, nanoseconds: 7)
        #expect(time.iso8601 == date + ".000000007Z")
        #expect(Timestamp(iso8601: time.iso8601) == time)
    }

    @Test func `every day of 800 years agrees with Foundation`() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        for day in stride(from: -146_097, to: 146_097, by: 17) {
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            let parts = calendar.dateComponents([.year, .month, .day], from: date)
            let text = Timestamp(seconds: Int64(day) * 86_400).iso8601
            let year = try #require(parts.year)
            guard date.timeIntervalSince1970 > -12_219_292_800 else { continue }
            let expected = String(format: "%04d-%02d-%02d", year, parts.month ?? 0, parts.day ?? 0)
            #expect(text.hasPrefix(expected), "day \(day)")
        }
    }

    @Test(arguments: [
        "", "2026", "2026-02-30", "2026-13-01", "2026-01-01T25:00:00Z", "2026-01-01x",
    ])
    func `what is no time is refused`(text: String) {
        #expect(Timestamp(iso8601: text) == nil)
    }
}
