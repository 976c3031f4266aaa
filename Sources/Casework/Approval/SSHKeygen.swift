package import DiskFormats
package import Linux

/// What the signatures of Glovebox are for; each has a namespace of its own.
package enum SignaturePurpose: String, Sendable {
    /// The requester's, on an approval document.
    case request = "glovebox-request"
    /// The approver's, on the same document.
    case approval = "glovebox-approval"
    /// The operator's, on a bag.
    case bag = "glovebox-bag"
}

/// Why a signature does not count.
package enum SignatureError: Error, Equatable, Sendable {
    /// It is not the text that ssh-keygen writes.
    case malformed
    /// It was made for something else.
    case wrongNamespace(String)
    /// Its key stands on no list.
    case unknownKey(fingerprint: String)
    /// Its key is on the list of revoked keys, or that list cannot be read.
    case revoked(signer: String)
    /// ssh-keygen rejects it, in its own words.
    case rejected(signer: String, String)
    /// ssh-keygen could not sign, in its own words.
    case notSigned(String)
    /// ssh-keygen could not be run.
    case system(SystemError)
}

/// Signs and verifies by OpenSSH's own program, with an environment that nobody else has made.
package enum SSHKeygen {
    static let program = "/usr/bin/ssh-keygen"

    /// Verifies that `signature` is one of `data` for `purpose` by somebody on `list`.
    ///
    /// The lists that ssh-keygen gets are the bytes that were read here, from memory. `revoked` is a
    /// list of revoked keys, or a KRL; `time` is when the key has to be valid by its line.
    package static func verify(
        _ data: [UInt8],
        _ signature: SSHSignature,
        for purpose: SignaturePurpose,
        by list: SignerList,
        revoked: [UInt8]?,
        at time: Timestamp
    ) throws(SignatureError) -> SignerList.Signer {
        guard signature.namespace == purpose.rawValue else {
            throw .wrongNamespace(signature.namespace)
        }
        guard let signer = list.signer(with: signature.key) else {
            throw .unknownKey(fingerprint: signature.key.fingerprint)
        }
        let run: ProgramRun
        let isRevoked: Bool
        do throws(SystemError) {
            run = try Self.run(data, signature, purpose, signer, revoked, time)
            if run.succeeded { return signer }
            // Of a revoked key ssh-keygen does not say that this is what is wrong.
            isRevoked =
                revoked == nil
                ? false : try Self.run(data, signature, purpose, signer, nil, time).succeeded
        } catch {
            throw .system(error)
        }
        if isRevoked { throw .revoked(signer: signer.principal) }
        throw .rejected(signer: signer.principal, said(run))
    }

    private static func run(
        _ data: [UInt8],
        _ signature: SSHSignature,
        _ purpose: SignaturePurpose,
        _ signer: SignerList.Signer,
        _ revoked: [UInt8]?,
        _ time: Timestamp
    ) throws(SystemError) -> ProgramRun {
        var plan = ChildProcess.Plan(program: program)
        plan.arguments = [
            "-Y", "verify", "-n", purpose.rawValue, "-I", signer.principal,
            "-f", "/proc/self/fd/3", "-s", "/proc/self/fd/4", "-O", "verify-time=\(time.compact)Z",
        ]
        plan.descriptors[3] = try .inMemory("signers", signer.line + [UInt8(ascii: "\n")])
        plan.descriptors[4] = try .inMemory("signature", signature.armour)
        if let revoked {
            plan.arguments += ["-r", "/proc/self/fd/5"]
            plan.descriptors[5] = try .inMemory("revoked", revoked)
        }
        return try ProgramRun(plan, input: data)
    }

    /// Signs `data` with the key in the file `key`, or the agent's where that is a public key.
    ///
    /// `agent` is the path of the agent's socket, if there is one. ssh-keygen may ask for a passphrase
    /// on the terminal.
    package static func sign(
        _ data: [UInt8],
        for purpose: SignaturePurpose,
        key: String,
        agent: String?
    ) throws(SignatureError) -> SSHSignature {
        var plan = ChildProcess.Plan(program: program)
        plan.arguments = ["-Y", "sign", "-q", "-n", purpose.rawValue, "-f", key]
        plan.environment = agent.map { ["SSH_AUTH_SOCK=\($0)"] } ?? []
        let run: ProgramRun
        do throws(SystemError) { run = try ProgramRun(plan, input: data, seconds: 600) } catch {
            throw .system(error)
        }
        guard run.succeeded else { throw .notSigned(said(run)) }
        guard let signature = SSHSignature(run.output), signature.namespace == purpose.rawValue
        else { throw .notSigned("it wrote something that is no signature") }
        return signature
    }

    /// What it wrote, on one line.
    private static func said(_ run: ProgramRun) -> String {
        let lines = (run.messages + run.output).split(whereSeparator: { $0 == 0x0A || $0 == 0x0D })
        let text = lines.map { GuestName.escaped(Array($0)) }.joined(separator: "; ")
        return text.isEmpty ? "ssh-keygen \(run.ending)" : text
    }
}

extension Timestamp {
    /// `YYYYMMDDHHMMSS` in UTC, as ssh-keygen takes it; the fraction is left out.
    fileprivate var compact: String {
        var text: [UInt8] = []
        Timestamp(seconds: seconds, nanoseconds: 0).appendISO8601(to: &text)
        return String(decoding: text.filter { 0x30...0x39 ~= $0 }.prefix(14), as: UTF8.self)
    }
}
