//! Pods whose egress a Sidecar must restrict.
//!
//! ```text
//! allow egress garden/*         -> a.example:443/tls    isolates all pods of garden
//! allow egress garden/{app=web} -> anywhere             leaves app=web open, which is meant
//! allow egress garden/{app=db}  -> 10.0.0.0/8           leaves app=db open: a Sidecar lists no network on all ports
//! ```
//!
//! A pod is restricted if a rule isolates it and no rule leaves it open.

use super::ends::Ends;
use crate::model::rules::Action;
use crate::targets::istio::findings::{Gaps, IstioGap};
use crate::targets::istio::plan::subjects::obeyed::Division;

/// The outcome for an object's pods.
#[derive(Clone, Debug, Default)]
pub struct Isolation {
    /// Whether a rule isolates them.
    pub isolated: bool,
    /// The rule end that leaves them open.
    pub open: Option<u32>,
    /// The rule end that also leaves the pods of enclosed objects open.
    open_inside: Option<u32>,
    /// The gaps of the rules about them.
    pub gaps: Gaps,
    /// The headless Services by which the rules about them let out requests to any address, each with its port.
    pub at_any_address: Vec<(String, u16)>,
}

impl Isolation {
    /// Returns whether an object has to restrict its pods.
    pub fn restricts(&self) -> bool {
        self.isolated && self.open.is_none()
    }
}

/// Returns the isolation of each object's pods.
pub fn isolations(ends: &Ends<'_>, division: &Division) -> Vec<Isolation> {
    let mut all: Vec<Isolation> = Vec::with_capacity(division.objects.len());
    for object in &division.objects {
        let around = object.around.map(|around| &all[around]);
        let isolated = around.is_some_and(|around| around.isolated);
        let everything = |at: &u32| ends.get(*at).is_everything();
        let unable = |at: &u32| ends.get(*at).unable().is_some();
        let own = |test: &dyn Fn(&u32) -> bool| object.own.iter().copied().find(|at| test(at));
        let inherited = around.and_then(|around| around.open_inside);
        let open_inside = own(&everything).or_else(|| own(&unable)).or(inherited);
        let joined = || object.joined.iter().copied().find(|at| everything(at) || unable(at));
        let mut isolation = Isolation {
            isolated: isolated || object.own.iter().any(|&at| ends.get(at).isolates),
            open: open_inside.or_else(joined),
            open_inside,
            gaps: Gaps::default(),
            at_any_address: around.map(|around| around.at_any_address.clone()).unwrap_or_default(),
        };
        let reached = object.own.iter().chain(&object.joined).filter_map(|&at| ends.get(at).reach.as_deref());
        isolation.at_any_address.extend(reached.flat_map(|reach| reach.at_any_address.iter().cloned()));
        // A rule that allows everything leaves all of the pods open on purpose.
        let meant = open_inside.is_some_and(|at| everything(&at));
        if let (true, false, Some(open)) = (isolation.isolated, meant, isolation.open.map(|at| ends.get(at)))
            && let Some(&rule) = open.rules.first()
        {
            let reach = open.reach.as_deref();
            let why = reach.and_then(|reach| reach.unable.clone()).unwrap_or_else(|| "everything".into());
            let portless = reach.and_then(|reach| reach.portless.clone());
            isolation.gaps.add(Some(rule), &IstioGap::open(rule, why, portless));
        }
        for end in object.joined.iter().map(|&at| ends.get(at)).filter(|end| end.isolates) {
            if let Some(&rule) = end.rules.first() {
                isolation.gaps.add(Some(rule), &IstioGap::shared(rule));
            }
        }
        all.push(isolation);
    }
    all
}

/// Returns the denies that need an object whose pods no rule isolates, although a rule isolates some of them. Without
/// these denies, the isolated pods can have a Sidecar.
pub fn useless_denies(ends: &Ends<'_>, division: &Division, isolations: &[Isolation]) -> Vec<u32> {
    let isolating = |at: &u32| ends.get(*at).isolates;
    let objects = division.objects.iter().zip(isolations);
    let useless = objects.filter(|(object, state)| !state.isolated && object.joined.iter().any(isolating));
    let denies = |at: &u32| ends.get(*at).action == Action::Deny;
    let mut list: Vec<u32> = useless.flat_map(|(object, _)| object.own.iter().copied().filter(denies)).collect();
    list.sort_unstable();
    list.dedup();
    list
}
