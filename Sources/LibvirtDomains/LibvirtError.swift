internal import CLibvirt
internal import Custody

extension DomainControlError {
    /// What libvirt says about the last call of this thread, which failed; to be asked at once.
    static func last(
        _ call: String,
        isAlive: () -> Bool = { true }
    ) -> DomainControlError {
        let error = unsafe virGetLastError()
        let code = unsafe error?.pointee.code ?? 0
        let origin = unsafe error?.pointee.domain ?? 0
        let message =
            unsafe error?.pointee.message.map { unsafe String(cString: $0) } ?? "no reason"
        let kind = isAlive() ? Kind(code: code, origin: origin) : .connectionLost
        return DomainControlError(kind, code: code, "libvirt: \(harmless(message)) (\(call))")
    }
}

/// The first line of a text from elsewhere, without what a terminal acts on.
func harmless(_ text: String) -> String {
    let line = text.unicodeScalars.prefix { $0 != "\n" }.prefix(500)
    return String(
        String.UnicodeScalarView(
            line.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? "?" : $0 }
        )
    )
}

extension DomainControlError.Kind {
    /// What an error number of libvirt's means here (virterror.h).
    init(code: Int32, origin: Int32) {
        switch virErrorNumber(rawValue: UInt32(bitPattern: code)) {
        case VIR_ERR_NO_DOMAIN: self = .noDomain
        case VIR_ERR_OPERATION_INVALID, VIR_ERR_OPERATION_TIMEOUT, VIR_ERR_RESOURCE_BUSY:
            self = .wrongState
        case VIR_ERR_NO_SUPPORT, VIR_ERR_OPERATION_UNSUPPORTED, VIR_ERR_CONFIG_UNSUPPORTED,
            VIR_ERR_ARGUMENT_UNSUPPORTED:
            self = .unsupported
        case VIR_ERR_NO_CONNECT, VIR_ERR_RPC: self = .connectionLost
        case VIR_ERR_SYSTEM_ERROR, VIR_ERR_INTERNAL_ERROR:
            // The client of the protocol, and the driver that uses it.
            let ofProtocol = [VIR_FROM_RPC, VIR_FROM_REMOTE].map { Int32(bitPattern: $0.rawValue) }
            self = ofProtocol.contains(origin) ? .connectionLost : .failed
        default: self = .failed
        }
    }
}
