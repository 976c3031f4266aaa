internal import Glibc

extension Confinement {
    /// How deep, and how many names: more than any host has in its settings.
    private static let publicDepthMax = 16
    private static let publicNamesMax = 100_000

    /// Allows reading what everybody may read beneath the directory `path`: for a process that may
    /// read more.
    ///
    /// A directory in which all is public is allowed as a whole, any other by what is in it. Links
    /// are passed over: what they lead to counts where it stands.
    package mutating func allowReadingWhatIsPublic(in path: String) {
        var names = 0
        let found = Self.publicPlaces(path, 0, &names)
        for place in found.isAll ? [path] : found.places { allowReading(place) }
    }

    private static func publicPlaces(
        _ path: String,
        _ depth: Int,
        _ names: inout Int
    ) -> (isAll: Bool, places: [String]) {
        guard depth < publicDepthMax, let entries = try? directoryNames(path) else {
            return (false, [])
        }
        var isAll = true
        var places: [String] = []
        for entry in entries {
            names += 1
            guard names <= publicNamesMax else { return (false, places) }
            let place = "\(path)/\(entry)"
            guard let file = try? FileDescriptor.open(place, FileDescriptor.pathOnlyNoFollow),
                let status = try? file.status()
            else {
                isAll = false
                continue
            }
            switch status.kind {
            case .symbolicLink: continue
            case .regular where status.permissions & 0o004 != 0: places.append(place)
            case .directory where status.permissions & 0o005 == 0o005:
                let within = publicPlaces(place, depth + 1, &names)
                isAll = isAll && within.isAll
                places += within.isAll ? [place] : within.places
            default: isAll = false
            }
        }
        return (isAll, places)
    }
}
