package import ArgumentParser

/// The root of the command line.
package struct GloveboxCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "glovebox",
        abstract: "Look into the disk of a broken instance without touching it.",
        discussion: """
            TARGET is an image file (qcow2 or raw), an instance directory of Nova, such as \
            /var/lib/nova/instances/UUID, or domain:NAME for an instance that runs here, which is \
            suspended meanwhile. It is opened read-only; no kernel mount, and no root but for domain:.

            A path in the guest is /path (the guest's own tree, as its fstab mounts it) or \
            DISK:VOLUME:/path, such as disk:p1:/etc/fstab or disk.local::/note.

            Exit codes: 0 done · 1 found something (fsck, verify, audit) · 2 usage · 3 refused · 4 no such \
            instance, volume or path · 5 damaged, unsupported, or only partly read · 6 in use or in the wrong state · \
            7 something is still held: run glovebox recover · 70 a bug · 130 interrupted, cleaned up.
            """,
        version: Version.text,
        subcommands: [
            DisksCommand.self, ListCommand.self, StatCommand.self, CatCommand.self,
            FindCommand.self, UsageCommand.self, ExtractCommand.self, FsckCommand.self,
            InstancesCommand.self, HoldCommand.self, SessionsCommand.self, RecoverCommand.self,
            ApproveCommand.self, VerifyCommand.self, AuditCommand.self,
        ]
    )

    package init() {}
}

/// Which Glovebox this is.
enum Version {
    static let text = "0.1.0"
}
