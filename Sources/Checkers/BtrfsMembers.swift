/// Which devices of a btrfs over several are there, and which belong to it.
struct BtrfsMembers {
    /// The numbers of the devices that carry its superblock; a number twice is a copy.
    let present: [Int]
    /// The numbers that its chunk tree names; empty where that cannot be read.
    let named: Set<Int>

    /// Reads lines `here DEVICE NUMBER` and `member NUMBER`.
    init(_ step: CheckStep) {
        let lines = step.lines.map { $0.split(separator: " ") }
        present = lines.compactMap { words in
            words.count == 3 && words[0] == "here" ? Int(words[2]) : nil
        }
        named = Set(
            lines.compactMap { words in
                words.count == 2 && words[0] == "member" ? Int(words[1]) : nil
            }
        )
    }

    /// Why it cannot be checked as a whole; nil where it can.
    func problem(_ deviceCount: Int) -> String? {
        let spans = "It spans \(deviceCount) devices, and"
        if let copied = present.first(where: { one in present.count { $0 == one } > 1 }) {
            return "\(spans) there is more than one that calls itself device \(copied)."
        }
        let missing = named.subtracting(present).sorted().map { String($0) }
        if !missing.isEmpty {
            return missing.count == 1
                ? "\(spans) device \(missing[0]) is missing."
                : "\(spans) devices \(missing.joined(separator: ", ")) are missing."
        }
        return present.count < deviceCount ? "\(spans) only \(present.count) can be seen." : nil
    }
}
