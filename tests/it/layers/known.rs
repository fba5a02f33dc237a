//! Where a layer rightly refuses what the source allows, and what is not asked.

use netpol::model::ports::Protocol;
use netpol::model::rules::{Action, Direction, RuleId};

use super::judge::{Case, Finding};
use super::world::Role;

/// Returns whether a flow that is refused is so for a reason that the language or a judgement names.
pub fn narrower(case: &Case, finding: &Finding) -> bool {
    // NetworkPolicy never is.
    if finding.by != "istio" || finding.protocol != Protocol::Tcp {
        return false;
    }
    let Some(to) = finding.to else { return false };
    let target = &case.world.pods[to];
    // Egress to pods goes through their Services.
    let by_address = finding.from.is_some() && finding.way == "pod";
    let governed = finding.from.is_some_and(|from| {
        let source = &case.world.pods[from];
        source.role == Role::Sidecar && !case.governing(&source.source, Direction::Egress).is_empty()
    });
    if by_address && governed {
        return true;
    }
    let ingress: Vec<RuleId> = case.speaking(&target.source, Direction::Ingress);
    let of = |at: &RuleId| &case.build.policy.rules[at.index()];
    // Who dials a pod's own address has no identity, and where a rule names pods, nobody comes in without one.
    if by_address && ingress.iter().any(|at| of(at).source.pods().next().is_some() && of(at).action != Action::Isolate)
    {
        return true;
    }
    let plain = finding.from.is_none_or(|from| case.world.pods[from].role == Role::Plain);
    let says = |rule: &RuleId| {
        case.build.judgements().iter().any(|one| one.rule == *rule && !one.remarks().narrower.is_empty())
    };
    plain && ingress.iter().any(says)
}

/// Returns whether a flow concerns a pod that the inventory lacks, and no object of Istio tells it from others: those
/// that labels alone do not select are listed by workload.
pub fn listed(case: &Case, finding: &Finding) -> bool {
    let later = |pod: Option<usize>| pod.is_some_and(|at| !case.world.pods[at].known);
    case.world.given && (later(finding.from) || later(finding.to))
}
