// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "hold-and-read",
    dependencies: [.package(name: "glovebox", path: "../..")],
    targets: [
        .executableTarget(
            name: "hold-and-read",
            dependencies: [.product(name: "Glovebox", package: "glovebox")]
        )
    ]
)
