/// Calls `body` with `strings` as C takes a list of them: each ends with a zero, the list with NULL.
///
/// A string that has a zero inside ends there. The list lives until `body` returns.
package func withCStrings<Result>(
    _ strings: [some Collection<UInt8>],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    // One block for all bytes: a list can be as long as a directory.
    let byteCount = strings.reduce(strings.count) { $0 + $1.count }
    let block = UnsafeMutablePointer<CChar>.allocate(capacity: byteCount)
    let list = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
        .allocate(capacity: strings.count + 1)
    defer {
        unsafe block.deallocate()
        unsafe list.deallocate()
    }
    var next = unsafe block
    for (index, string) in strings.enumerated() {
        unsafe (list + index).initialize(to: next)
        for byte in string {
            unsafe next.initialize(to: CChar(bitPattern: byte))
            unsafe next += 1
        }
        unsafe next.initialize(to: 0)
        unsafe next += 1
    }
    unsafe (list + strings.count).initialize(to: nil)
    return unsafe body(list)
}

/// Calls `body` with `strings` as a C program gets its arguments.
package func withCStrings<Result>(
    _ strings: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    unsafe withCStrings(strings.map(\.utf8), body)
}
