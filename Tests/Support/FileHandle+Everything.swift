package import Foundation
internal import Glibc

extension FileHandle {
    /// All bytes up to the end of a pipe.
    ///
    /// Foundation's own call ends the process where a signal interrupts the read, as the end of
    /// another child does.
    package func readEverything() -> Data {
        var data = Data()
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe Glibc.read(fileDescriptor, &piece, piece.count)
            if count > 0 {
                data.append(contentsOf: piece[..<count])
            } else if count == 0 || errno != EINTR {
                return data
            }
        }
    }
}
