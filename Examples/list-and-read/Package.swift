// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "list-and-read",
    dependencies: [.package(name: "glovebox", path: "../..")],
    targets: [
        .executableTarget(
            name: "list-and-read",
            dependencies: [.product(name: "Glovebox", package: "glovebox")]
        )
    ]
)
