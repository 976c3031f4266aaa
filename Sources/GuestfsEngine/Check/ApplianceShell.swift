internal import Checkers

/// The shell in which one volume is checked.
struct ApplianceShell: CheckShell {
    private let appliance: any CheckPlace
    private let device: String
    private let longSeconds: Int

    private static let shortSeconds = 120
    /// How long the appliance itself may take beyond what its `timeout` grants.
    private static let graceSeconds = 60
    /// What is read of a program's text: its beginning, and its end.
    private static let headBytes = 1 << 20
    private static let tailBytes = 16 << 10

    /// Finds the volume among the appliance's devices.
    init(_ volume: CheckVolume, in appliance: any CheckPlace) throws(CheckShellError) {
        self.appliance = appliance
        self.longSeconds = 900 + Int(clamping: volume.byteCount >> 30) * 30
        if let inner = volume.inner {
            device = try appliance.device(ofInner: inner, on: volume.disk)
            guard Self.isPlainInner(device) else {
                throw CheckShellError("the volume's name is none that LVM gives")
            }
            return
        }
        let said = try appliance.run(
            Self.finding(volume, on: appliance.device(volume.disk)),
            seconds: Self.shortSeconds
        )
        let device =
            String(decoding: said, as: UTF8.self)
            .split(whereSeparator: \.isNewline).last.map { String($0) } ?? ""
        let isPlain = device.utf8.allSatisfy {
            $0 == UInt8(ascii: "/") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        }
        guard device.hasPrefix("/dev/"), isPlain else {
            throw CheckShellError("the appliance has no device for the volume")
        }
        self.device = device
    }

    /// Whether nothing in a path means something to a shell: LVM's names, lvm(8), have letters,
    /// digits and `+_.-`.
    private static func isPlainInner(_ device: String) -> Bool {
        let names = device.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        return device.hasPrefix("/dev/")
            && names.allSatisfy { !["", ".", ".."].contains($0) }
            && device.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || "/+_.-".utf8.contains(byte)
            }
    }

    /// The kernel's own partition where it lies exactly there, otherwise a loop device: which bytes
    /// are the volume has been decided, and a kernel may read a damaged table in another way.
    private static func finding(_ volume: CheckVolume, on disk: String) -> String {
        """
        b=$(readlink -f \(disk)); n=${b##*/}; d=
        if [ \(volume.start) = 0 ] && [ "$(blockdev --getsize64 $b)" = \(volume.byteCount) ]; then d=$b
        else for p in /sys/block/$n/$n*; do
        [ "$(cat $p/start)" = \(volume.start / 512) ] && [ "$(cat $p/size)" = \(volume.byteCount / 512) ] \
        && d=/dev/${p##*/}
        done 2>/dev/null; fi
        [ -n "$d" ] || d=$(losetup -f --show -o \(volume.start) --sizelimit \(volume.byteCount) $b)
        echo $d
        """
    }

    mutating func run(_ command: CheckCommand) throws(CheckShellError) -> CheckStep {
        let seconds = command.pace == .short ? Self.shortSeconds : longSeconds
        let said = try appliance.run(
            wrapped(command.script, seconds: seconds),
            seconds: seconds + Self.graceSeconds
        )
        return try Self.step(command.name, said)
    }

    /// Folds the streams into one, bounds what comes out without stopping the program, and ends with
    /// a line that tells its exit code.
    private func wrapped(_ script: String, seconds: Int) -> String {
        """
        export LC_ALL=C LANG=C d=\(device) m=/run/glovebox
        cat > /run/glovebox.sh <<'END-OF-SCRIPT'
        \(script)
        END-OF-SCRIPT
        { timeout -k 10 \(seconds) sh /run/glovebox.sh; echo $? > /run/glovebox.code; } 2>&1 </dev/null \
        | { head -c \(Self.headBytes); tail -c \(Self.tailBytes); } | tr -d '\\000'
        umount $m 2>/dev/null
        printf '\\n%s' "$(cat /run/glovebox.code)"
        """
    }

    private static func step(
        _ name: String,
        _ said: [UInt8]
    ) throws(CheckShellError) -> CheckStep {
        guard let end = said.lastIndex(of: UInt8(ascii: "\n")),
            let code = Int(String(decoding: said[(end + 1)...], as: UTF8.self))
        else {
            throw CheckShellError("the appliance did not say how \(name) ended")
        }
        // 124 and 137 are timeout(1)'s.
        return CheckStep(
            command: name,
            ending: code == 124 || code == 137 ? .timedOut : .exited(code),
            text: String(decoding: said[..<end], as: UTF8.self),
            isTruncated: end > headBytes
        )
    }
}
