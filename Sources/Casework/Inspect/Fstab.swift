/// One line of a guest's `/etc/fstab` that mounts a file system somewhere.
package struct FstabEntry: Equatable, Sendable {
    /// What is mounted, as written, such as `UUID=…`, `LABEL=…` or `/dev/vda1`.
    package let device: [UInt8]
    /// Where, as components without empty ones; the root is the empty array.
    package let mountPoint: [[UInt8]]
    /// The type that the line names.
    package let type: [UInt8]
    /// Whether the guest mounts it by itself: not where the options say `noauto`.
    package let isAutomatic: Bool
    /// Whether the guest starts without it as well (`nofail`), or needs it for starting only: the
    /// EFI system partition holds boot loaders, and no file of the guest's own.
    package let isExpendable: Bool
    /// Whether it is the EFI system partition, by where it is mounted.
    package let isBootPartition: Bool
    /// The subvolume of a btrfs, as components; nil where the options name none.
    package let subvolume: [[UInt8]]?
}

/// The mounts that a guest declares.
package enum Fstab {
    /// The most that is read of an fstab; real ones are a few hundred bytes.
    package static let byteCountMax = 256 * 1024

    /// The lines of fstab(5) that mount something at an absolute path; others are skipped.
    ///
    /// Fields are separated by blanks; `\040` and other octal escapes stand for their bytes.
    package static func parse(_ text: [UInt8]) -> [FstabEntry] {
        text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard fields.count >= 3, fields[0].first != UInt8(ascii: "#"),
                fields[1].first == UInt8(ascii: "/")
            else { return nil }
            return FstabEntry(
                device: unquoted(unescaped(fields[0])),
                mountPoint: GuestPath.components(of: unescaped(fields[1])),
                type: unescaped(fields[2]),
                isAutomatic: isAutomatic(fields.count > 3 ? fields[3] : []),
                isExpendable: isExpendable(fields.count > 3 ? fields[3] : [], at: fields[1]),
                isBootPartition: isBootPartition(fields[1]),
                subvolume: subvolume(fields.count > 3 ? fields[3] : [])
            )
        }
    }

    /// systemd mounts what is `noauto` as well, where it is to do so on first use.
    private static func isAutomatic(_ options: ArraySlice<UInt8>) -> Bool {
        let names = options.split(separator: UInt8(ascii: ","))
        return !names.contains { $0.elementsEqual("noauto".utf8) }
            || names.contains { $0.elementsEqual("x-systemd.automount".utf8) }
    }

    private static func isExpendable(
        _ options: ArraySlice<UInt8>,
        at mountPoint: ArraySlice<UInt8>
    ) -> Bool {
        options.split(separator: UInt8(ascii: ",")).contains { $0.elementsEqual("nofail".utf8) }
            || isBootPartition(mountPoint)
    }

    private static func subvolume(_ options: ArraySlice<UInt8>) -> [[UInt8]]? {
        let key = [UInt8]("subvol=".utf8)
        let option = options.split(separator: UInt8(ascii: ",")).last { $0.starts(with: key) }
        return option.map { GuestPath.components(of: unescaped($0.dropFirst(key.count))) }
    }

    private static func isBootPartition(_ mountPoint: ArraySlice<UInt8>) -> Bool {
        ["/boot/efi", "/efi"].contains { mountPoint.elementsEqual($0.utf8) }
    }

    private static func unescaped(_ field: ArraySlice<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = field
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                digits.allSatisfy({ (0x30...0x37).contains($0) }),
                let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    /// `UUID="…"` means the same as `UUID=…`.
    private static func unquoted(_ device: [UInt8]) -> [UInt8] {
        device.contains(UInt8(ascii: "=")) ? device.filter { $0 != UInt8(ascii: "\"") } : device
    }
}
