/// Whether the scratch files of a backup job have room enough.
///
/// What the guest overwrites while it is read goes into them. Once they are full, QEMU stops the guest:
/// so a hold does not begin without room for a tenth of the disks, and ends before none is left.
enum SpaceWatch {
    /// What has to stay free.
    static let floor: UInt64 = 64 << 20

    /// Why a job is not begun; nil where there is room, or nobody knows how much.
    static func shortage(_ order: HoldOrder, _ free: UInt64?) -> CustodyFailure? {
        guard let free else { return nil }
        let wanted = order.exports.reduce(floor) { sum, export in
            let (total, overflow) = sum.addingReportingOverflow(export.byteCount / 10)
            return overflow ? .max : total
        }
        guard free < wanted else { return nil }
        return CustodyFailure(
            code: 6,
            "There is too little room for what the guest writes while it is read: "
                + "\(free >> 20) MiB, where \(wanted >> 20) MiB are wanted.",
            advice: "Make room in \(order.stateDirectory), or use --pause=strict."
        )
    }

    /// Why reading has to end; nil where there is room, or nobody knows how much.
    static func runsOut(_ free: UInt64?) -> String? {
        guard let free, free < floor else { return nil }
        return "The guest has written so much that the room for its old content runs out."
    }
}
