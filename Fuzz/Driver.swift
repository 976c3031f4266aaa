// The entry points of libFuzzer; built by Fuzz/build, and not part of the package.
import FuzzTargets
import Glibc

private let target: FuzzTarget = {
    guard let name = getenv("GLOVEBOX_FUZZ_TARGET"),
        let target = FuzzTarget(rawValue: String(cString: name))
    else {
        print("GLOVEBOX_FUZZ_TARGET names no target; use Fuzz/run")
        exit(2)
    }
    return target
}()

/// Runs the target that the environment names on one input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    target.run([UInt8](UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}
