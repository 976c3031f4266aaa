import Foundation
import Testing

@testable import XML

/// What Python's xml.etree read in the samples (Samples/expected.py) is what is read here.
struct SampleTests {
    static let samples = [
        "corners", "live-file", "live-transient", "offline-nova", "offline-volumes",
    ]

    private func sample(_ name: String) throws -> String {
        let url = try #require(
            Bundle.module.url(forResource: "Samples/\(name)", withExtension: nil)
        )
        return String(decoding: try Data(contentsOf: url), as: UTF8.self)
    }

    private func json(_ text: String) -> String {
        var result = "\""
        for unit in text.utf16 {
            switch unit {
            case 0x22: result += "\\\""
            case 0x5C: result += "\\\\"
            case 0x0A: result += "\\n"
            case 0x0D: result += "\\r"
            case 0x09: result += "\\t"
            case 0x20..<0x7F: result += String(UnicodeScalar(UInt8(unit)))
            default: result += "\\u" + String(format: "%04x", unit)
            }
        }
        return result + "\""
    }

    private func name(_ name: XMLName) -> String {
        json(name.namespace.map { "{\($0)}\(name.local)" } ?? name.local)
    }

    private func lines(_ element: XMLElement, depth: Int = 0) -> [String] {
        let attributes = element.attributes.map { "[\(name($0.name)),\(json($0.value))]" }
        let list = attributes.joined(separator: ",")
        let line = "[\(name(element.name)),[\(list)],\(json(element.text))]"
        return [String(repeating: " ", count: depth) + line]
            + element.children.flatMap { lines($0, depth: depth + 1) }
    }

    @Test(arguments: samples)
    func `a sample is read as xml,etree reads it`(sample name: String) throws {
        let element = try XMLElement(try sample("\(name).xml"))
        let expected = try sample("\(name).expected").split(separator: "\n").map(String.init)
        #expect(lines(element) == expected)
    }

    @Test(arguments: samples)
    func `wherever a sample is cut off, it throws and does not trap`(sample name: String) throws {
        let text = Array(try sample("\(name).xml").utf8)
        // Behind the root's end tag there is only what may be missing.
        let end = try #require(text.indices.last { text[$0...].starts(with: "</".utf8) })
        for count in stride(from: 0, through: end, by: max(1, end / 400)) {
            #expect(throws: XMLError.self) { try XMLElement(Array(text[..<count])) }
        }
    }
}
