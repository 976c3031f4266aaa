/// Turns ext4's form of a POSIX ACL into the one that Linux' getxattr gives.
///
/// On disk (`fs/ext4/acl.h`): version 1, and entries of tag and permissions, followed by an id only
/// for named users and groups. For programs (`include/uapi/linux/posix_acl_xattr.h`): version 2, and
/// all entries with an id.
enum Ext4AccessControl {
    static func linuxForm(of disk: [UInt8]) throws(DiskError) -> [UInt8] {
        let span = disk.span
        let raw = span.raw
        guard try raw.u32(at: 0) == 1 else {
            throw DiskError(.unsupported, "", "an access control list of version other than 1")
        }
        var linux: [UInt8] = [2, 0, 0, 0]
        var at = 4
        while at < raw.byteCount {
            let tag = try raw.u16(at: at)
            linux += try raw.array(at: at, count: 4)
            switch tag {
            case 0x02, 0x08:  // ACL_USER, ACL_GROUP
                linux += try raw.array(at: at + 4, count: 4)
                at += 8
            case 0x01, 0x04, 0x10, 0x20:  // ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER
                linux += [0xFF, 0xFF, 0xFF, 0xFF]
                at += 4
            default:
                throw DiskError(.outOfRange, "", "an access control entry of tag \(tag)")
            }
        }
        return linux
    }
}
