internal import Casework
internal import Glovebox

extension Instance {
    /// The volumes within those of a disk; none, with a warning, where the appliance would be needed
    /// for them and the instance is held, for which nobody has accepted so long a pause.
    func innerVolumesAtHand(of disk: Disk) throws(GloveboxError) -> [Volume] {
        do throws(GloveboxError) { return try innerVolumes(of: disk) } catch {
            guard error.kind == .wrongState, let hold, hold.isHeld else { throw error }
            Message.warn("\(disk.name): the volumes within others are not shown. \(error)")
            return []
        }
    }
}
