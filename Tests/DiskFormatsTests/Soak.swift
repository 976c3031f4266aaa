import Foundation

/// Tests that go through long structures in steps go byte by byte where GLOVEBOX_SOAK is set.
enum Soak {
    static let isOn = ProcessInfo.processInfo.environment["GLOVEBOX_SOAK"]?.isEmpty == false

    /// The step to take: `usual` in short runs.
    static func step(_ usual: Int) -> Int { isOn ? 1 : usual }
}
