package import DiskFormats
internal import Linux

extension ApprovalGate {
    /// Decides whether `target` may be opened for `purpose` on this host, before any disk of it is
    /// attached.
    ///
    /// `file` is the approval that was given, if one was. What policy holds, only the place of the
    /// running program says. Throws `refused` with what is missing and how to ask for it.
    package static func admit(
        _ target: Target,
        for purpose: Purpose,
        approval file: String?,
        attaching options: AttachOptions
    ) throws(GloveboxError) -> Admission {
        let policy = try hostPolicy()
        return try admit(
            target,
            for: purpose,
            approval: file,
            attaching: options,
            under: policy.policy,
            at: policy.path
        )
    }

    /// This host's policy, nil where there is none, and where it would be.
    package static func hostPolicy() throws(GloveboxError) -> (policy: Policy?, path: String) {
        let path: String
        do throws(SystemError) { path = try Installation.current().policyPath } catch {
            throw GloveboxError(.refused, "Which policy holds cannot be told: \(error).")
        }
        do throws(PolicyError) { return (try Policy.read(at: path), path) } catch {
            throw refusal(error)
        }
    }

    /// Verifies the approval in `file` by this host's policy, for now.
    package static func verify(_ file: String) throws(GloveboxError) -> Approval {
        let (policy, path) = try hostPolicy()
        return try verify(file, under: policy, at: path)
    }

    /// The lists of `policy`, as they are now.
    package static func lists(of policy: Policy) throws(GloveboxError) -> TrustLists {
        do throws(PolicyError) { return try policy.lists() } catch { throw refusal(error) }
    }

    static func admit(
        _ target: Target,
        for purpose: Purpose,
        approval file: String?,
        attaching options: AttachOptions,
        under policy: Policy?,
        at policyPath: String
    ) throws(GloveboxError) -> Admission {
        let directories = policy?.instancesDirectories ?? Policy.usualInstancesDirectories
        let survey = try TargetSurvey(target, options, NovaInstances(directories))
        let isNeeded = policy?.demand == .always || survey.isOfInstance
        guard let file else {
            guard isNeeded else {
                return Admission(approval: nil, instance: nil, seen: survey.seen)
            }
            throw missing(target, purpose, survey, policy, policyPath)
        }
        let approval = try verify(file, under: policy, at: policyPath)
        guard approval.actions.contains(purpose) else {
            let actions = approval.actions.map(\.rawValue).joined(separator: ", ")
            throw GloveboxError(
                .refused,
                "Approval \(approval.id) allows \(actions), but not \(purpose.rawValue).",
                advice: "Ask for an approval whose actions have \(purpose.rawValue)."
            )
        }
        try match(approval, target, survey)
        return Admission(approval: approval, instance: survey.instance, seen: survey.seen)
    }

    private static func verify(
        _ file: String,
        under policy: Policy?,
        at policyPath: String
    ) throws(GloveboxError) -> Approval {
        guard let policy else { throw noPolicy("Nobody can approve on this host", policyPath) }
        let lists = try lists(of: policy)
        let files = try ApprovalFiles(file)
        do throws(ApprovalError) {
            return try verify(
                document: files.document,
                requestSignature: files.requestSignature,
                approvalSignature: files.approvalSignature,
                lists: lists,
                at: .now
            )
        } catch {
            throw GloveboxError(.refused, error.description)
        }
    }

    /// Whether the approval is about this target; what it says of digests is left to
    /// ``Admission/confirm(_:)``, which has the opened files.
    private static func match(
        _ approval: Approval,
        _ target: Target,
        _ survey: TargetSurvey
    ) throws(GloveboxError) {
        switch approval.subject {
        case .image where target.domain != nil:
            throw GloveboxError(
                .refused,
                "The approval is for an image of certain bytes, which a domain's disk is not.",
                advice: "Ask for an approval of the instance."
            )
        case .image:
            guard target.disks.count == 1 else {
                throw GloveboxError(
                    .refused,
                    "The approval is for one image, and \(target.path) has "
                        + "\(target.disks.count) disks.",
                    advice: "Give the image itself as TARGET."
                )
            }
        case .instance(let uuid):
            if let stranger = survey.firstPlace(notOf: uuid) {
                throw GloveboxError(
                    .refused,
                    "The approval is for instance \(uuid), but \(stranger).",
                    advice: "Ask for an approval of what you want to read."
                )
            }
        }
    }

    private static func missing(
        _ target: Target,
        _ purpose: Purpose,
        _ survey: TargetSurvey,
        _ policy: Policy?,
        _ policyPath: String
    ) -> GloveboxError {
        var what = "The policy of this host demands an approval for every target"
        if survey.isOfInstance {
            what =
                survey.instance.map { "\(target.path) is of Nova's instance \($0)" }
                ?? "\(target.path) has files in a directory of Nova's instances"
            what += ", and reading it needs an approval"
        }
        guard policy != nil else { return noPolicy(what, policyPath) }
        return GloveboxError(
            .refused,
            "\(what).",
            advice: "Ask for it: glovebox approve request \(target.path) --ticket TICKET "
                + "--scope /path --actions \(purpose.rawValue) --approver NAME --expires 8h "
                + "--reason TEXT --key KEY -o FILE; once it is signed, give --approval FILE."
        )
    }

    private static func noPolicy(_ what: String, _ path: String) -> GloveboxError {
        GloveboxError(
            .refused,
            "\(what), and there is no policy that says who approves.",
            advice: "Root writes it to \(path), as docs/approval.md describes."
        )
    }

    private static func refusal(_ error: PolicyError) -> GloveboxError {
        GloveboxError(
            .refused,
            "Nothing is opened, since the policy cannot be relied on: \(error)",
            advice: "Policy, lists and their directory are root's, and written by nobody else."
        )
    }
}

extension Timestamp {
    /// The time by the host's clock.
    package static var now: Timestamp {
        let now = WallClock.now
        return Timestamp(seconds: now.seconds, nanoseconds: now.nanoseconds)
    }
}
