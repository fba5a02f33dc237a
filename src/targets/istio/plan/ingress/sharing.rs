//! Pods that Istio cannot distinguish from others, on ingress.
//!
//! ```text
//! allow ingress lab/* -> garden/{app!=web}    no selector of Istio says that
//! allow ingress lab/* -> garden/{app=db}      closes these pods, and gets along with them what the first rule gives
//! ```
//!
//! The access of such pods is added to every AuthorizationPolicy that closes some of them, so that an allowed flow
//! always passes; pods that no policy closes stay open. Both are gaps of the rules about these pods.

use rustc_hash::FxHashSet;

use super::policies::Policies;
use crate::model::labels::PodSelector;
use crate::model::rules::{Direction, RuleId};
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, Gaps, IstioGap};
use crate::targets::istio::model::AccessRule;
use crate::targets::istio::plan::subjects::{Indistinct, Overlaps, Subject};

const IN: Direction = Direction::Ingress;

/// The access of a rule for pods that Istio cannot tell from others.
pub struct Shared<'a> {
    /// The rule.
    pub rule: RuleId,
    /// The pods.
    pub selector: &'a PodSelector,
    /// The access; `None` for none.
    pub access: Option<AccessRule>,
    /// Why Istio cannot distinguish them.
    pub why: Indistinct,
}

/// A rule that leaves some pods open because Istio cannot express its access.
pub struct LeftOpen {
    /// The pods.
    pub subject: Subject,
    /// The rule.
    pub rule: RuleId,
    /// The reason.
    pub why: String,
}

/// Adds the access of pods that Istio cannot distinguish to the policies that close some of them.
pub fn join(facts: &Facts<'_>, policies: &mut Policies, shared: Vec<Shared<'_>>) -> Findings {
    let mut findings = Findings::default();
    if shared.is_empty() {
        return findings;
    }
    let root = &facts.policy.settings.root_namespace;
    let closing = policies.drafts.iter().filter(|draft| !draft.deny).map(|draft| &draft.subject);
    let closing: Vec<Subject> = closing.cloned().collect();
    let closed: FxHashSet<&Subject> = closing.iter().collect();
    let mut overlaps = Overlaps::new(closing.iter());
    let mesh = policies.has(&Subject::mesh());
    for Shared { rule, selector, access, why } in shared {
        let whole = selector.namespace_name().filter(|name| *name != root).map(Subject::namespace);
        let whole = whole.filter(|subject| mesh || closed.contains(subject));
        if whole.is_none() && !mesh {
            findings.gap(rule, IN, &IstioGap::unable(why));
        }
        let subjects: Vec<Subject> = match whole {
            Some(subject) => vec![subject],
            None if mesh => vec![Subject::mesh()],
            None => overlaps.of(facts, selector).into_iter().map(|at| closing[at].clone()).collect(),
        };
        for subject in subjects {
            policies.add(&subject, false, access.clone(), rule);
            let jwt = facts.policy.rule(rule).and_then(|rule| rule.conditions.jwt.as_ref());
            if let (Some(_), Some(jwt)) = (&access, jwt) {
                policies.token(&subject, rule, jwt);
            }
            policies.draft(&subject, false).gaps.add(Some(rule), &IstioGap::shared(rule));
        }
    }
    findings
}

/// Returns the gaps of each rule whose pods get the access of other rules.
pub fn gaps(facts: &Facts<'_>, policies: &mut Policies, open: Vec<LeftOpen>) -> Findings {
    for LeftOpen { subject, rule, why } in open {
        policies.draft(&subject, false).gaps.add(Some(rule), &IstioGap::open(rule, why, None));
    }
    let mut findings = Findings::default();
    let drafts = &policies.drafts;
    if drafts.iter().all(|draft| draft.gaps.is_empty()) {
        return findings;
    }
    let mut overlaps = Overlaps::new(drafts.iter().map(|draft| &draft.subject));
    // For each policy, the gaps of all that may share pods with it.
    let mut gaps: Vec<Gaps> = vec![Gaps::default(); drafts.len()];
    for draft in drafts.iter().filter(|draft| !draft.gaps.is_empty()) {
        for other in overlaps.of(facts, &draft.subject.selector()) {
            gaps[other].add_all(&draft.gaps);
        }
    }
    for (draft, gaps) in drafts.iter().zip(&gaps).filter(|(draft, _)| !draft.deny) {
        for &rule in &draft.origins {
            gaps.of(rule).for_each(|gap| findings.gap(rule, IN, gap));
        }
    }
    findings
}
