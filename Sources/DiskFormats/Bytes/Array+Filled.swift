extension Array<UInt8> {
    /// An array of `count` bytes, zero until `fill` overwrites them.
    package init(
        count: Int,
        filledBy fill: (inout MutableRawSpan) throws(DiskError) -> Void
    ) throws(DiskError) {
        self.init(repeating: 0, count: count)
        var span = mutableSpan
        var raw = unsafe span.mutableBytes
        try fill(&raw)
    }
}
