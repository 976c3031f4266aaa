/// The name of an element or an attribute.
package struct XMLName: Hashable, Sendable {
    /// What its prefix stands for, or for an element without one the default namespace.
    package let namespace: String?
    /// The name without its prefix.
    package let local: String

    /// Creates a name.
    package init(_ local: String, in namespace: String? = nil) {
        self.local = local
        self.namespace = namespace
    }

    /// Byte for byte: to Swift, texts that look alike are equal.
    package static func == (left: XMLName, right: XMLName) -> Bool {
        guard left.local.utf8.elementsEqual(right.local.utf8) else { return false }
        guard let one = left.namespace, let other = right.namespace else {
            return left.namespace == nil && right.namespace == nil
        }
        return one.utf8.elementsEqual(other.utf8)
    }

    /// By the same bytes as ``==(_:_:)``.
    package func hash(into hasher: inout Hasher) {
        for byte in local.utf8 { hasher.combine(byte) }
        for byte in namespace?.utf8 ?? "".utf8 { hasher.combine(byte) }
    }

    /// Whether it is `local` without a namespace, as are all of libvirt's own.
    package func isPlain(_ local: String) -> Bool {
        namespace == nil && self.local.utf8.elementsEqual(local.utf8)
    }
}

/// An element of an XML text that was read strictly (``XMLElement/init(_:)``).
package struct XMLElement: Equatable, Sendable {
    /// An attribute of an element.
    package struct Attribute: Equatable, Sendable {
        /// Its name; one without a prefix has no namespace.
        package let name: XMLName
        /// Its value, references resolved.
        package let value: String
    }

    /// Its name.
    package let name: XMLName
    /// Its attributes in the order of the text, without the declarations of namespaces.
    package let attributes: [Attribute]
    /// The elements directly in it.
    package let children: [XMLElement]
    /// The text directly in it, all pieces together, white space and all.
    package let text: String

    /// The value of the attribute of that name without a namespace.
    package func attribute(_ name: String) -> String? {
        attributes.first { $0.name.isPlain(name) }?.value
    }

    /// The elements directly in it of that name without a namespace.
    package func children(_ name: String) -> [XMLElement] {
        children.filter { $0.name.isPlain(name) }
    }
}
