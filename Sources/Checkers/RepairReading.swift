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
