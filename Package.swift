// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// Lets the checked readers in DiskFormats/Bytes hand out spans that cannot outlive their bytes.
let spans: [SwiftSetting] = [.enableExperimentalFeature("Lifetimes")]

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser",
    package: "swift-argument-parser"
)

/// A C target under Sources/CLibraries: a shim of a few lines, so that Swift sees a plain function.
func shim(_ name: String, libraries: [String] = []) -> Target {
    .target(
        name: name,
        path: "Sources/CLibraries/\(name)",
        linkerSettings: libraries.map { .linkedLibrary($0) }
    )
}

let package = Package(
    name: "glovebox",
    products: [
        .library(name: "DiskFormats", targets: ["DiskFormats"]),
        .library(name: "Glovebox", targets: ["Glovebox"]),
        .executable(name: "glovebox", targets: ["glovebox"]),
        .executable(name: "glovebox-engine", targets: ["glovebox-engine"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        shim("CLinux"),
        shim("CArchive", libraries: ["archive"]),
        shim("CCompression", libraries: ["z", "zstd"]),
        shim("CChecksums"),
        shim("CDigest", libraries: ["nettle"]),
        .systemLibrary(name: "CNBD", path: "Sources/CLibraries/CNBD", pkgConfig: "libnbd"),
        .systemLibrary(
            name: "CGuestfs",
            path: "Sources/CLibraries/CGuestfs",
            pkgConfig: "libguestfs"
        ),
        .systemLibrary(
            name: "CLibvirt",
            path: "Sources/CLibraries/CLibvirt",
            pkgConfig: "libvirt"
        ),
        .target(name: "Linux", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "DiskFormats", dependencies: ["CChecksums"], swiftSettings: strict + spans),
        .target(name: "Digests", dependencies: ["CDigest"], swiftSettings: strict),
        .target(name: "JSON", dependencies: ["DiskFormats", "Linux"], swiftSettings: strict),
        .target(name: "XML", swiftSettings: strict),
        .target(
            name: "Compression",
            dependencies: ["CCompression", "DiskFormats"],
            swiftSettings: strict
        ),
        .target(name: "ArchiveFile", dependencies: ["CArchive"], swiftSettings: strict),
        .target(
            name: "EngineProtocol",
            dependencies: ["DiskFormats", "Linux"],
            swiftSettings: strict
        ),
        .target(
            name: "Custody",
            dependencies: ["DiskFormats", "Digests", "EngineProtocol", "JSON", "Linux"],
            swiftSettings: strict
        ),
        .target(
            name: "LibvirtDomains",
            dependencies: ["CLibvirt", "Custody", "Linux"],
            swiftSettings: strict
        ),
        .target(
            name: "NBDClient",
            dependencies: ["CNBD", "DiskFormats", "Linux"],
            swiftSettings: strict
        ),
        .target(
            name: "NetworkBlock",
            dependencies: ["DiskFormats", "Linux"],
            swiftSettings: strict
        ),
        .target(
            name: "Checkers",
            dependencies: ["DiskFormats", "EngineProtocol"],
            swiftSettings: strict
        ),
        .target(
            name: "GuestfsEngine",
            dependencies: ["CGuestfs", "Checkers", "EngineProtocol", "DiskFormats", "Linux"],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "glovebox-engine",
            dependencies: [
                "Custody", "EngineProtocol", "GuestfsEngine", "LibvirtDomains", "NBDClient",
                "DiskFormats", "Linux",
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Casework",
            dependencies: [
                "DiskFormats", "Compression", "ArchiveFile", "Custody", "EngineProtocol", "Linux",
                "Digests", "JSON", "NetworkBlock", "XML",
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Glovebox",
            dependencies: [
                "Casework", "Checkers", "Custody", "DiskFormats", "Digests", "JSON", "Linux",
            ],
            swiftSettings: strict
        ),
        .target(
            name: "GloveboxCommands",
            dependencies: [
                "Glovebox", "Casework", "Checkers", "Custody", "DiskFormats", "Digests", "JSON",
                "Linux", argumentParser,
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "glovebox",
            dependencies: ["GloveboxCommands"],
            swiftSettings: strict
        ),
        .target(
            name: "TestSupport",
            dependencies: ["DiskFormats"],
            path: "Tests/Support",
            exclude: ["hostile_server.py"],
            swiftSettings: strict
        ),
        .target(
            name: "LiveSupport",
            dependencies: ["Casework", "Custody", "DiskFormats", "EngineProtocol", "Linux"],
            path: "Tests/LiveSupport",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "engine-driver",
            dependencies: ["Casework", "EngineProtocol", "Linux"],
            path: "Tests/EngineDriver",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "custody-engine",
            dependencies: ["Custody", "LibvirtDomains", "Linux"],
            path: "Tests/CustodyEngine",
            swiftSettings: strict
        ),
        .target(
            name: "FuzzTargets",
            dependencies: ["DiskFormats"],
            path: "Fuzz/Targets",
            swiftSettings: strict
        ),
        .testTarget(
            name: "GloveboxCommandsTests",
            dependencies: [
                "GloveboxCommands", "Glovebox", "Casework", "Checkers", "Custody", "DiskFormats",
                "JSON", "Linux", "LiveSupport", argumentParser,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CheckersTests",
            dependencies: ["Checkers", "DiskFormats", "EngineProtocol"],
            resources: [.copy("Recorded")],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CheckRunnerTests",
            dependencies: ["Checkers", "GuestfsEngine"],
            swiftSettings: strict
        ),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
        .testTarget(
            name: "JSONTests",
            dependencies: ["JSON", "DiskFormats"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "XMLTests",
            dependencies: ["XML"],
            resources: [.copy("Samples")],
            swiftSettings: strict
        ),
        .testTarget(name: "DigestsTests", dependencies: ["Digests"], swiftSettings: strict),
        .testTarget(
            name: "DiskFormatsTests",
            dependencies: ["DiskFormats", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "NBDClientTests",
            dependencies: ["NBDClient", "DiskFormats", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "NetworkBlockTests",
            dependencies: ["NetworkBlock", "DiskFormats", "Linux", "TestSupport"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "LibvirtDomainsTests",
            dependencies: ["LibvirtDomains", "Custody", "Linux"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CustodyTests",
            dependencies: [
                "Casework", "Custody", "DiskFormats", "Digests", "EngineProtocol", "JSON", "Linux",
                "TestSupport",
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CaseworkTests",
            dependencies: [
                "Casework", "Custody", "DiskFormats", "Linux", "Compression", "ArchiveFile",
                "EngineProtocol", "Digests", "JSON", "LiveSupport", "TestSupport", "XML",
            ],
            resources: [.copy("Domains")],
            swiftSettings: strict
        ),
    ]
)
