/// `4.2 GiB` for a number of bytes: three significant digits, binary units.
func humanSize(_ bytes: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var index = 0
    var value = Double(bytes)
    while value >= 1000, index < units.count - 1 {
        value /= 1024
        index += 1
    }
    if index == 0 { return "\(bytes) B" }
    let digits = value < 10 ? 2 : value < 100 ? 1 : 0
    return "\(fixed(value, digits)) \(units[index])"
}

/// A number with so many decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
    let scale = (0..<decimals).reduce(1.0) { scale, _ in scale * 10 }
    let scaled = UInt64((value * scale).rounded())
    guard decimals > 0 else { return "\(scaled)" }
    let whole = scaled / UInt64(scale)
    let fraction = String(scaled % UInt64(scale))
    let zeros = String(repeating: "0", count: decimals - fraction.count)
    return "\(whole).\(zeros)\(fraction)"
}

/// A bar of `width` cells that is filled to `fraction`.
func bar(_ fraction: Double, width: Int) -> String {
    let filled = Int((min(max(fraction, 0), 1) * Double(width)).rounded())
    return String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
}

extension String {
    /// Filled with blanks on the right up to `width` characters.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }

    /// Filled with blanks on the left up to `width` characters.
    func aligned(to width: Int) -> String {
        String(repeating: " ", count: Swift.max(0, width - count)) + self
    }
}
