import Testing

@testable import XML

struct XMLReaderTests {
    private func read(_ text: String) throws(XMLError) -> XMLElement { try XMLElement(text) }

    private static let sample = #"""
        <?xml version="1.0" encoding="UTF-8"?><!-- c --><d:a xmlns:d='urn:d' x='&#x41;é'>
        t&amp;<b d:y="1"/><![CDATA[<]]><?p i?></d:a>
        """#

    @Test func `elements, attributes and text are read, and prefixes resolved`() throws {
        let element = try read(Self.sample)
        #expect(element.name == XMLName("a", in: "urn:d"))
        #expect(element.attribute("x") == "Aé")
        #expect(element.text == "\nt&<")
        #expect(element.children("b").first?.attributes.first?.name == XMLName("y", in: "urn:d"))
        #expect(element.children("b").first?.attribute("y") == nil)
        #expect(element.children("c").isEmpty)
    }

    @Test(arguments: [
        "", " ", "text", "<", "<a", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a/>x", "x<a/>",
        "<a></a></a>", "<a><b></a></b>", "<a/ >", "< a/>", "<a></ a>", "<1/>", "<-a/>", "<a b/>",
        "<a b=/>", "<a b=c/>", "<a b='c/>", "<a b='c'd='e'/>", "<a b='<'/>", "<a b='&'/>",
        "<a>&</a>", "<a>&lt</a>", "<a>&nbsp;</a>", "<a>&#;</a>", "<a>&#x;</a>", "<a>&#X41;</a>",
        "<a>&#4a;</a>", "<a>&#0;</a>", "<a>&#8;</a>", "<a>&#xD800;</a>", "<a>&#xFFFE;</a>",
        "<a>&#x110000;</a>", "<a>&#99999999999999999999999;</a>", "<a>&#-1;</a>", "<a>&LT;</a>",
        "<a>]]></a>", "<a>x]]]></a>", "<a><!-- -- --></a>", "<a><!-- --->", "<a><![CDATA[</a>",
        "<![CDATA[x]]>", "<a><!x></a>", "<a><?xml version='1.0'?></a>", "<a><?XmL ?></a>",
        "<a><??></a>", "<a><?p/?></a>", " <?xml version='1.0'?><a/>", "\u{FEFF}<a/>",
        "<?xml?><a/>", "<?xml encoding='UTF-8'?><a/>", "<?xml version='1.1'?><a/>",
        "<?xml version='1.0' encoding='UTF-16'?><a/>", "<?xml version='1.0' version='1.0'?><a/>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "<?xml version='1.0' x='y'?><a/>",
        "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>", "<?xml version='1.0'><a/>",
        "<?xml version='1.0'encoding='UTF-8'?><a/>", "<a\u{0}/>", "<a>\u{0}</a>", "<a>\u{8}</a>",
        "<a b='\u{1F}'/>", "<a>\u{FFFE}</a>", "<a>\u{FFFF}</a>", "<a b='\u{C}'/>",
    ])
    func `what is not well-formed, or not XML 1,0 in UTF-8, is refused`(text: String) {
        #expect(throws: XMLError.self) { try read(text) }
    }

    @Test(arguments: [
        "<a b='1' b='2'/>", "<a b='1' b='1'/>", "<a xmlns='x' xmlns='y'/>",
        "<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>", "<p:a/>", "<a p:b=''/>",
        "<a><b xmlns:p='u'/><p:c/></a>", "<a xmlns:p=''/>", "<a xmlns:xmlns='u'/>",
        "<a xmlns:xml='u'/>", "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>", "<xmlns:a/>", "<:a/>", "<a:/>",
        "<a:b:c xmlns:a='u'/>", "<a xmlns:p='u'><?p:q?></a>", "<a :b=''/>", "<a xmlns:='u'/>",
        "<a xmlns:p='u' p:1=''/>",
    ])
    func `attributes that occur twice and prefixes that are nobody's are refused`(text: String) {
        #expect(throws: XMLError.self) { try read(text) }
    }

    @Test func `names that only look alike are two names`() throws {
        // To Swift's String these are equal.
        let element = try read("<a \u{E9}='1' e\u{301}='2'/>")
        #expect(element.attributes.map(\.value) == ["1", "2"])
        #expect(element.attribute("e\u{301}") == "2")
    }

    @Test(arguments: [
        "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "<!doctype a><a/>",
        """
        <?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;">
        <!ENTITY lol2 "&lol1;&lol1;&lol1;">]><lolz>&lol2;</lolz>
        """,
    ])
    func `a DOCTYPE is refused where it begins`(text: String) throws {
        let error = #expect(throws: XMLError.self) { try read(text) }
        let before = try #require(text.firstRange(of: "<!")?.lowerBound)
        #expect(error?.offset == text.utf8.distance(from: text.startIndex, to: before))
        #expect(error?.reason.contains("DOCTYPE") == true)
    }

    @Test(arguments: [
        [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82],
        [0x80], [0xC3], [0xF0, 0x9F, 0x98],
    ])
    func `bytes that are not UTF-8 are refused where they stand`(bytes: [UInt8]) {
        let text = Array("<a>é".utf8) + bytes + Array("</a>".utf8)
        let error = #expect(throws: XMLError.self) { try XMLElement(text) }
        #expect(error?.offset == 5 && error?.reason == "it is not UTF-8")
    }

    @Test func `the error names the byte at which it was noticed`() {
        let error = #expect(throws: XMLError.self) { try read("<a><b x='1' x='2'/></a>") }
        #expect(error == XMLError("an attribute occurs twice", at: 12))
        #expect(error?.description == "an attribute occurs twice (at byte 12)")
    }

    @Test func `sixty-four levels are read and more are refused`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
        }
        var element = try read(nested(64))
        for _ in 1..<64 { element = try #require(element.children.first) }
        #expect(element.children.isEmpty)
        let error = #expect(throws: XMLError.self) { try read(nested(65)) }
        #expect(error?.offset == 64 * 3)
        #expect(throws: XMLError.self) { try read(String(repeating: "<a>", count: 1_000_000)) }
    }

    @Test func `two hundred thousand nodes are read and more are refused`() throws {
        for (count, fits) in [(199_999, true), (200_000, false)] {
            let children = "<a>" + String(repeating: "<b/>", count: count) + "</a>"
            #expect(((try? read(children)) != nil) == fits)
            let attributes = (0..<count).map { " a\($0)=''" }.joined()
            #expect(((try? read("<a\(attributes)/>")) != nil) == fits)
        }
        let comments = "<a>" + String(repeating: "<!---->", count: 200_000) + "</a>"
        #expect(throws: XMLError.self) { try read(comments) }
    }

    @Test func `many declarations of prefixes cost no more than as many attributes`() throws {
        let declarations = (0..<60_000).map { " xmlns:p\($0)='u\($0)'" }.joined()
        let children = String(repeating: "<p0:b/>", count: 60_000)
        let element = try read("<a\(declarations)>\(children)</a>")
        #expect(element.children.last?.name == XMLName("b", in: "u0"))
    }

    @Test func `one attribute by many prefixes costs no more than as many attributes`() throws {
        let attributes = (0..<20_000).map { " xmlns:p\($0)='u\($0)' p\($0):a=''" }.joined()
        #expect(try read("<a\(attributes)/>").attributes.count == 20_000)
    }

    @Test func `eight mebibytes are read and a byte more is refused`() throws {
        let frame = "<a b=''/>".utf8.count
        func text(_ count: Int) -> [UInt8] {
            Array("<a b='".utf8) + [UInt8](repeating: 0x78, count: count - frame)
                + Array("'/>".utf8)
        }
        let element = try XMLElement(text(XMLElement.byteCountMax))
        #expect(element.attribute("b")?.utf8.count == XMLElement.byteCountMax - frame)
        #expect(throws: XMLError.self) { try XMLElement(text(XMLElement.byteCountMax + 1)) }
    }

    @Test func `every truncation throws and none traps`() throws {
        let text = Array(Self.sample.utf8)
        _ = try XMLElement(text)
        for count in 0..<text.count {
            #expect(throws: XMLError.self) { try XMLElement(Array(text[..<count])) }
        }
    }

    @Test func `every changed byte throws or reads, and none traps`() {
        let text = Array(Self.sample.utf8)
        for index in text.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = text
                changed[index] = byte
                _ = try? XMLElement(changed)
            }
        }
    }
}
