internal import CGuestfs
internal import DiskFormats
internal import Glibc
internal import Linux

// Devices, the layers above them, and mounts.
extension GuestfsHandle {
    /// Adds an export as a read-only drive that /dev/disk/guestfs knows as `label`.
    ///
    /// The format is said, so that what stands on the disk cannot choose one.
    func addDrive(socket: String, label: String) throws(GuestfsError) {
        let code = unsafe label.withCString { label in
            unsafe "raw".withCString { format in
                unsafe "nbd".withCString { protocolName in
                    unsafe withCStrings([[UInt8]("unix:\(socket)".utf8)]) { server in
                        var options = unsafe guestfs_add_drive_opts_argv()
                        unsafe options.bitmask =
                            GLOVEBOX_DRIVE_READONLY | GLOVEBOX_DRIVE_FORMAT
                            | GLOVEBOX_DRIVE_LABEL | GLOVEBOX_DRIVE_PROTOCOL
                            | GLOVEBOX_DRIVE_SERVER
                        unsafe options.readonly = 1
                        unsafe options.format = format
                        unsafe options.label = label
                        unsafe options.protocol = protocolName
                        unsafe options.server = UnsafePointer(server)
                        return unsafe guestfs_add_drive_opts_argv(pointer, "", &options)
                    }
                }
            }
        }
        try check(code)
    }

    /// The device of each label.
    func labelledDevices() throws(GuestfsError) -> [String: String] {
        let pairs = unsafe try names(guestfs_list_disk_labels(pointer))
        var devices: [String: String] = [:]
        for index in stride(from: 0, to: pairs.count - 1, by: 2) {
            devices[pairs[index]] = pairs[index + 1]
        }
        return devices
    }

    func size(of device: String) throws(GuestfsError) -> UInt64 {
        let size = unsafe guestfs_blockdev_getsize64(pointer, device)
        guard size >= 0 else { throw failure() }
        return UInt64(size)
    }

    /// What blkid finds on a device, by its names for it, such as `TYPE`; empty where it finds nothing.
    func signature(of device: String) -> [String: [UInt8]] {
        let found = (unsafe try? texts(guestfs_blkid(pointer, device))) ?? []
        var tags: [String: [UInt8]] = [:]
        for index in stride(from: 0, to: found.count - 1, by: 2) {
            tags[String(decoding: found[index], as: UTF8.self)] = found[index + 1]
        }
        return tags
    }

    func partitions() throws(GuestfsError) -> [String] {
        unsafe try names(guestfs_list_partitions(pointer))
    }

    /// Starts arrays of which members are missing, where that leaves no hole, and stops all of them
    /// from being synchronised: members would be written anew, into the throw-away layer.
    func startArrays() throws(GuestfsError) {
        _ = try shell(
            """
            for m in /sys/block/md*/md; do
            [ "$(cat $m/array_state)" != inactive ] || mdadm --run /dev/$(basename ${m%/md})
            echo frozen > $m/sync_action
            done >/dev/null 2>&1; :
            """
        )
    }

    func arrays() throws(GuestfsError) -> [String] {
        unsafe try names(guestfs_list_md_devices(pointer))
    }

    /// The identifier of an array, in hexadecimal digits alone.
    func identifier(of array: String) throws(GuestfsError) -> String {
        let pairs = unsafe try names(guestfs_md_detail(pointer, array))
        for index in stride(from: 0, to: pairs.count - 1, by: 2) where pairs[index] == "uuid" {
            return pairs[index + 1].filter(\.isHexDigit).lowercased()
        }
        return ""
    }

    /// Finds volume groups on all devices, and makes their volumes appear.
    ///
    /// Of a group that lacks physical volumes, the first call activates none and the second one those
    /// that lack nothing, and fails for the rest.
    func activateVolumeGroups() throws(GuestfsError) {
        try check(unsafe guestfs_lvm_scan(pointer, 1))
        if unsafe guestfs_vg_activate_all(pointer, 1) == -1, !isReady { throw failure() }
    }

    func volumeGroups() throws(GuestfsError) -> [String] {
        unsafe try names(guestfs_vgs(pointer))
    }

    /// `/dev/VG/LV` of all volume groups.
    func logicalVolumes() throws(GuestfsError) -> [String] {
        unsafe try names(guestfs_lvs(pointer))
    }

    /// The identifiers of a volume group's physical volumes, without hyphens.
    func physicalVolumes(of group: String) throws(GuestfsError) -> [String] {
        unsafe try names(guestfs_vgpvuuids(pointer, group)).map { $0.filter { $0 != "-" } }
    }

    /// Opens an encrypted volume as /dev/mapper/`name`.
    func unlock(_ device: String, key: [UInt8], as name: String) throws(GuestfsError) {
        var secret = terminated(key)
        defer { unsafe explicit_bzero(&secret, secret.count) }
        var options = unsafe guestfs_cryptsetup_open_argv()
        unsafe options.bitmask = 0
        try check(unsafe guestfs_cryptsetup_open_argv(pointer, device, secret, name, &options))
    }

    func makeMountPoint(_ path: String) throws(GuestfsError) {
        try check(unsafe guestfs_mkmountpoint(pointer, path))
    }

    func mount(
        _ device: String,
        type: String,
        options: String,
        at path: String
    ) throws(GuestfsError) {
        try check(unsafe guestfs_mount_vfs(pointer, options, type, device, path))
    }

    func unmount(_ path: String) throws(GuestfsError) {
        try check(unsafe guestfs_umount(pointer, path))
    }

    /// The size of a mounted file system and what is free of it.
    func usage(_ path: String) throws(GuestfsError) -> FileSystemSummary {
        guard let found = unsafe guestfs_statvfs(pointer, path) else { throw failure() }
        defer { unsafe guestfs_free_statvfs(found) }
        let unit = UInt64(clamping: unsafe found.pointee.frsize)
        func bytes(_ blocks: Int64) -> UInt64 { UInt64(clamping: blocks) &* unit }
        return FileSystemSummary(
            type: "",
            blockSize: Int(clamping: unsafe found.pointee.bsize),
            totalBytes: bytes(unsafe found.pointee.blocks),
            freeBytes: bytes(unsafe found.pointee.bfree),
            availableBytes: bytes(unsafe found.pointee.bavail),
            totalInodes: UInt64(clamping: unsafe found.pointee.files),
            freeInodes: UInt64(clamping: unsafe found.pointee.ffree)
        )
    }

    /// Bytes of a device.
    func read(device: String, at offset: Int64, count: Int) throws(GuestfsError) -> [UInt8] {
        var size = 0
        let result = unsafe guestfs_pread_device(pointer, device, CInt(count), offset, &size)
        guard let result = unsafe result else { throw failure() }
        defer { unsafe free(result) }
        return unsafe Array(UnsafeRawBufferPointer(start: result, count: size))
    }

    /// What the appliance's kernel has said so far.
    func kernelMessages() throws(GuestfsError) -> [UInt8] {
        unsafe try text(guestfs_dmesg(pointer))
    }

    /// Whether the appliance still answers.
    var isReady: Bool { unsafe guestfs_is_ready(pointer) == 1 }
}
