internal import Linux

/// Where the program is that holds foreign libraries and helpers.
package enum EngineProgram {
    private static let name = "glovebox-engine"

    /// The path of the engine, which is executable.
    ///
    /// `explicit` where it is given, else what was installed with this program, else what lies beside
    /// it, as in a build folder. PATH has no say in it.
    package static func find(_ explicit: String?) throws(GloveboxError) -> String {
        let places: [String]
        if let explicit {
            places = [explicit]
        } else {
            let own: String
            do throws(SystemError) { own = try OwnProcess.program() } catch {
                throw GloveboxError(.unreadable, "\(error).")
            }
            let directory = own.split(separator: "/").dropLast()
            places = [
                "/"
                    + (directory.dropLast() + ["libexec", "glovebox", Self.name[...]])
                    .joined(separator: "/"),
                "/" + (directory + [Self.name[...]]).joined(separator: "/"),
            ]
        }
        for place in places {
            guard let file = try? FileDescriptor.open(place, FileDescriptor.pathOnly),
                let status = try? file.status()
            else { continue }
            if status.kind == .regular, status.permissions & 0o111 != 0 { return place }
        }
        throw GloveboxError(
            .unreadable,
            "The program \(Self.name) is needed for this and is not there: "
                + places.joined(separator: ", ") + ".",
            advice: "Install it with make install, or say where it is with --engine-path."
        )
    }
}
