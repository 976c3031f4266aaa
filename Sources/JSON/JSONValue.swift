/// A value of a JSON text that was read strictly (``JSONValue/init(_:)``).
package enum JSONValue: Equatable, Sendable {
    case object([Member])
    case array([JSONValue])
    case string(String)
    /// A whole number; others are not read.
    case integer(Int64)
    case boolean(Bool)
    case null

    /// A member of an object.
    package struct Member: Equatable, Sendable {
        /// Its name.
        package let name: String
        /// Its value.
        package let value: JSONValue
    }

    /// What kind of value it is, as an error calls it.
    package var kind: String {
        switch self {
        case .object: "an object"
        case .array: "a list"
        case .string: "a text"
        case .integer: "a number"
        case .boolean: "true or false"
        case .null: "null"
        }
    }
}

/// The members of an object, each of which is asked for once.
///
/// What nobody asked for is an error: a reader that passes over what it does not know would accept
/// what somebody else reads differently.
package struct JSONMembers {
    private var members: [JSONValue.Member]
    /// What the object is called in errors.
    private let object: String

    /// Takes `value` apart, which has to be an object.
    package init(_ value: JSONValue, of object: String) throws(JSONError) {
        guard case .object(let members) = value else {
            throw JSONError("\(object) is \(value.kind), not an object")
        }
        self.members = members
        self.object = object
    }

    /// The value of that name, which must be there.
    package mutating func value(_ name: String) throws(JSONError) -> JSONValue {
        guard let value = optional(name) else { throw JSONError("\(object) lacks \"\(name)\"") }
        return value
    }

    /// The value of that name, if it is there.
    package mutating func optional(_ name: String) -> JSONValue? {
        guard let index = members.firstIndex(where: { $0.name == name }) else { return nil }
        return members.remove(at: index).value
    }

    /// Whether there is one of that name that was not asked for yet.
    package func contains(_ name: String) -> Bool { members.contains { $0.name == name } }

    /// The text of that name.
    package mutating func string(_ name: String) throws(JSONError) -> String {
        guard case .string(let text) = try value(name) else { throw wrong(name, "a text") }
        return text
    }

    /// The text of that name, if it is there.
    package mutating func optionalString(_ name: String) throws(JSONError) -> String? {
        guard let value = optional(name) else { return nil }
        guard case .string(let text) = value else { throw wrong(name, "a text") }
        return text
    }

    /// The number of that name, which must fit.
    package mutating func integer<Value: FixedWidthInteger>(
        _ name: String,
        as type: Value.Type = Value.self
    ) throws(JSONError) -> Value {
        guard case .integer(let number) = try value(name), let fitting = Value(exactly: number)
        else { throw wrong(name, "a whole number that fits") }
        return fitting
    }

    /// The truth value of that name.
    package mutating func boolean(_ name: String) throws(JSONError) -> Bool {
        guard case .boolean(let value) = try value(name) else { throw wrong(name, "true or false") }
        return value
    }

    /// The list of that name.
    package mutating func array(_ name: String) throws(JSONError) -> [JSONValue] {
        guard case .array(let values) = try value(name) else { throw wrong(name, "a list") }
        return values
    }

    /// The list of texts of that name.
    package mutating func strings(_ name: String) throws(JSONError) -> [String] {
        var strings: [String] = []
        for value in try array(name) {
            guard case .string(let text) = value else { throw wrong(name, "a list of texts") }
            strings.append(text)
        }
        return strings
    }

    /// Throws where there is a member that was not asked for.
    package func end() throws(JSONError) {
        guard let unknown = members.first else { return }
        throw JSONError("\(object) has \"\(unknown.name)\", which means nothing here")
    }

    private func wrong(_ name: String, _ wanted: String) -> JSONError {
        JSONError("\"\(name)\" of \(object) is not \(wanted)")
    }
}
