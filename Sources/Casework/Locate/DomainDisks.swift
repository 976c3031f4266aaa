internal import Linux

/// The disks of a domain: which are read here and how, and which are not and why.
package struct DomainDisks: Equatable, Sendable {
    /// A disk that is read by the files and formats that the description states.
    package struct Readable: Equatable, Sendable {
        /// How guest paths call it: its file's name, or where that is not its alone, ``target``.
        package let name: String
        /// The name of the device in the description, such as `vda`.
        package let target: String
        /// The file that QEMU opens first, as `CommandLineBytes` carries paths.
        package let path: String
        /// The files that it must be found to consist of.
        package let chain: PinnedChain
        /// What a user ought to know, a sentence each.
        package let caveats: [String]
    }

    /// A disk that is not read here.
    package struct Refused: Equatable, Sendable {
        /// The name of the device in the description; what guest paths would call it.
        package let target: String
        /// The kind of reason.
        package let reason: Reason
        /// What it is, a sentence.
        package let message: String
        /// What to do instead, a sentence.
        package let advice: String

        /// The refusal for whoever asks for this disk.
        package var error: GloveboxError { GloveboxError(.refused, message, advice: advice) }
    }

    /// Why a disk is not read here.
    package enum Reason: String, Sendable, CaseIterable {
        /// A drive without a medium.
        case empty
        /// A layer is a block device: iSCSI, Fibre Channel, LVM.
        case block
        /// A layer is reached over the network: Ceph RBD, NBD, iSCSI in QEMU.
        case network
        /// A layer is a volume of a storage pool of libvirt's.
        case volume
        /// A layer is a directory, an NVMe controller, a vhost-user process, or unknown.
        case source
        /// A layer is in a format that is not stated or not read here.
        case format
        /// A layer is encrypted.
        case encryption
        /// A layer has data elsewhere than its path and format say.
        case feature
        /// A job is copying it.
        case mirror
    }

    /// The disks that are read, in the order of the description.
    package let readable: [Readable]
    /// The others, in the order of the description.
    package let refused: [Refused]

    /// Judges the disks of `domain`; touches no file.
    package init(_ domain: DomainDescription) {
        var readable: [Readable] = []
        var refused: [Refused] = []
        for disk in domain.disks {
            do throws(Refused) {
                readable.append(try Self.readable(disk, called: Self.name(disk, of: domain)))
            } catch {
                refused.append(error)
            }
        }
        self.readable = readable
        self.refused = refused
    }

    private static func readable(
        _ disk: DomainDisk,
        called name: String
    ) throws(Refused) -> Readable {
        var pinned: [PinnedLayer] = []
        for (index, layer) in disk.layers.enumerated() {
            pinned.append(try RefusalText(disk, index).pinned(layer))
        }
        guard let top = pinned.first else { throw RefusalText(disk, 0).empty }
        if disk.mirror != nil { throw RefusalText(disk, 0).mirror }
        var caveats: [String] = []
        if disk.isShareable {
            caveats.append(
                "\(disk.target) is shareable: another domain may write to it while this is held."
            )
        }
        if disk.isTransient {
            caveats.append(
                "\(disk.target) is transient: libvirt throws away what the guest wrote to it since "
                    + "it was started."
            )
        }
        return Readable(
            name: name,
            target: disk.target,
            path: top.path,
            chain: PinnedChain(pinned, isComplete: disk.isChainComplete),
            caveats: caveats
        )
    }

    /// The file's name where no other disk could be meant by it, and otherwise the device's.
    private static func name(_ disk: DomainDisk, of domain: DomainDescription) -> String {
        guard let name = fileName(disk), !name.isEmpty else { return disk.target }
        let bytes = Array(name.utf8)
        let isTaken = domain.disks.contains { other in
            other.target != disk.target
                && (Array(other.target.utf8) == bytes
                    || fileName(other).map { Array($0.utf8) } == bytes)
        }
        return isTaken ? disk.target : name
    }

    private static func fileName(_ disk: DomainDisk) -> String? {
        guard case .file(let path) = disk.layers.first?.source else { return nil }
        return CommandLineBytes.encode(path.utf8).baseName
    }
}

extension DomainDisks.Refused: Error {}
