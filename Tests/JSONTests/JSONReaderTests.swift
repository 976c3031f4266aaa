import Testing

@testable import JSON

struct JSONReaderTests {
    private func read(_ text: String) throws -> JSONValue { try JSONValue(Array(text.utf8)) }

    @Test func `every kind of value is read`() throws {
        let text =
            #" {"a":[1,-2,9223372036854775807],"b":{"c":null},"d":true,"é":"x\n\u00e9\ud83d\ude00"} "#
        let value = try read(text)
        var members = try JSONMembers(value, of: "it")
        #expect(
            try members.array("a") == [.integer(1), .integer(-2), .integer(.max)]
        )
        #expect(try members.value("b") == .object([.init(name: "c", value: .null)]))
        #expect(try members.boolean("d"))
        #expect(try members.string("é") == "x\né😀")
        try members.end()
    }

    @Test(arguments: [
        #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, "{}x", "", " ", "{", "[1,]", "[1 2]", "01",
        "-0", "1.0", "1e3", "9223372036854775808", "tru", #""\x""#, #""\u12""#, #""\ud800""#,
        #""\udc00""#, #""\ud800\u0041""#, "\"\n\"", "\"", "{1:2}", #"{"a"}"#, "nul", "+1",
        "\u{FEFF}1",
        String(repeating: "[", count: 33) + String(repeating: "]", count: 33), "'a'", "NaN",
    ])
    func `what readers could differ on is refused`(text: String) {
        #expect(throws: JSONError.self) { try read(text) }
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        #expect(throws: JSONError.self) { try JSONValue([0x22, 0xFF, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue([0x22, 0xC0, 0x80, 0x22]) }
    }

    @Test func `names that only look alike are two names`() throws {
        // To Swift's String these are equal.
        let value = try read("{\"\\u00e9\":1,\"e\\u0301\":2}")
        guard case .object(let members) = value else { throw JSONError("no object") }
        #expect(members.count == 2)
    }

    @Test func `every truncation throws and none traps`() throws {
        let text = Array(#"{"a":[1,-2,{"b":"\ud83d\ude00\n"}],"c":true}"#.utf8)
        _ = try JSONValue(text)
        for count in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONValue(Array(text[..<count])) }
        }
    }

    @Test func `every changed byte throws or reads, and none traps`() {
        let text = Array(#"{"a":[1,-2,{"b":"\ud83d\ude00\n"}],"c":true}"#.utf8)
        for index in text.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[index] = byte
                _ = try? JSONValue(changed)
            }
        }
    }

    @Test func `a member that nobody asked for is an error`() throws {
        var members = try JSONMembers(read(#"{"a":1,"b":2}"#), of: "it")
        #expect(try members.integer("a", as: UInt8.self) == 1)
        #expect(throws: JSONError("it has \"b\", which means nothing here")) { try members.end() }
        #expect(throws: JSONError.self) { try members.string("missing") }
    }

    @Test func `base64 has one text for each value`() {
        for bytes in [[], [0], [0, 255], [1, 2, 3], Array(0...255)] as [[UInt8]] {
            var text: [UInt8] = []
            Base64.append(bytes, to: &text)
            #expect(Base64.decode(text) == bytes)
        }
        for wrong in [
            "A", "AA=", "AB==", "AAB=", "A===", "=AAA", "AA=A", "AA==AAAA", "AA\n=", "A-A=",
        ] {
            #expect(Base64.decode(Array(wrong.utf8)) == nil, "\(wrong)")
        }
    }
}
