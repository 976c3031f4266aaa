/// What a repair left, before it is called fixed or not.
struct RepairReading {
    let isClean: Bool
    let moved: [String]
    let losses: [String]

    /// The rehearsal's result, with what ran.
    func rehearsal(_ steps: [CheckStep]) -> Rehearsal {
        let outcome: Rehearsal.Outcome =
            !isClean ? .notRepairable : moved.isEmpty && losses.isEmpty ? .fixed : .fixedWithLosses
        return Rehearsal(
            outcome: outcome,
            reason: outcome == .notRepairable ? reason(steps) : "",
            movedCount: moved.count,
            moved: moved,
            lostCount: losses.count,
            lost: losses,
            steps: steps
        )
    }

    private func reason(_ steps: [CheckStep]) -> String {
        if let step = steps.first(where: { $0.ending == .timedOut }) {
            return "\(step.command) did not end in its time."
        }
        return "It is not clean when it is checked again after the repair."
    }
}

extension CheckStep {
    /// The lines that hold one of `phrases`.
    func lines(holding phrases: [String]) -> [String] {
        lines.filter { line in phrases.contains { line.contains($0) } }.map { String($0) }
    }

    /// What ``CheckCommand/lostAndFound(_:options:)`` found; nothing where it could not mount.
    var namesMoved: [String] { code == 0 ? lines.map { String($0) } : [] }
}
