internal import DiskFormats
internal import Linux

/// Owners, attributes, permissions and times, in the order in which each survives the next.
extension DirectoryExtraction {
    /// Sets what a file gets once its content is written.
    func finish(_ item: PlannedItem, _ file: FileDescriptor) throws(SystemError) {
        let inode = item.inode
        if extraction.options.keepsOwners {
            try file.setOwner(user: inode.userID, group: inode.groupID)
        }
        setAttributes(item, file)
        if inode.permissions & 0o7000 != 0 { report.add(.skipped(guestPath(item), .specialBits)) }
        guard extraction.options.restoresMetadata else { return }
        try file.setPermissions(inode.permissions & 0o777)
        let time = inode.modified
        try file.setModified(seconds: time.seconds, nanoseconds: time.nanoseconds)
    }

    /// Sets what a directory gets once everything in it is written.
    func finishDirectory(_ item: PlannedItem, _ target: TargetDirectory) {
        do throws(SystemError) {
            try finish(item, target.root.openDirectory(beneath: item.path))
        } catch {
            report.add(.problem(guestPath(item), .system(error), nil))
        }
    }

    private func setAttributes(_ item: PlannedItem, _ file: FileDescriptor) {
        guard item.inode.mayHaveAttributes else { return }
        let attributes: [ExtendedAttribute]
        do throws(DiskError) {
            let fileSystem = extraction.roots[item.root].fileSystem
            attributes = try fileSystem.extendedAttributes(of: item.inode.number)
        } catch {
            report.add(.problem(guestPath(item), .disk(error), nil))
            return
        }
        var leftOut = false
        for attribute in attributes {
            if extraction.options.keepsAllAttributes || attribute.name.starts(with: "user.".utf8) {
                do throws(SystemError) {
                    try file.setExtendedAttribute(attribute.name, attribute.value)
                } catch {
                    leftOut = true
                }
            } else if !attribute.name.elementsEqual("security.selinux".utf8) {
                // A label says nothing outside the guest and stands on every file of some systems.
                leftOut = true
            }
        }
        if leftOut { report.add(.skipped(guestPath(item), .attributes)) }
    }
}

extension FileExtent {
    /// Its range on the volume, where it has one.
    var placeOnVolume: (offset: UInt64, length: UInt64)? {
        if case .volume(let offset) = content { return (offset, length) }
        return nil
    }

    /// The same extent in pieces of at most `most` bytes; what holds no data stays whole.
    func pieces(of most: UInt64) -> [FileExtent] {
        guard hasData, length > most else { return [self] }
        return stride(from: fileOffset, to: fileOffset + length, by: Int(most)).map {
            part($0..<($0 + min(most, fileOffset + length - $0)))
        }
    }
}

extension [ContentReader.Loss] {
    /// The same losses with those that touch made one.
    func joined() -> [ContentReader.Loss] {
        reduce(into: []) { all, loss in
            guard let last = all.last, last.range.upperBound == loss.range.lowerBound else {
                return all.append(loss)
            }
            let range = last.range.lowerBound..<loss.range.upperBound
            all[all.count - 1] = ContentReader.Loss(range: range, error: last.error)
        }
    }
}
