//! The egress rule ends: the pods of each, and the items that they may reach.
//!
//! ```text
//! allow egress garden/{app=web} -> zenquotes.io:443    garden's app=web: isolated, and the host on 443 as TLS
//! ```
//!
//! Grants for the cluster's DNS are among the rule ends: they allow and do not isolate.

use std::rc::Rc;

use smallvec::{SmallVec, smallvec};

use super::destinations::{Destinations, Reach};
use super::host_ports::HostPorts;
use crate::model::labels::PodSelector;
use crate::model::rules::{Action, Direction, RuleId};
use crate::policy::GrantReason;
use crate::targets::istio::facts::Facts;
use crate::targets::istio::findings::{Findings, IstioGap, Note};
use crate::targets::istio::plan::subjects::obeyed::Statement;
use crate::targets::istio::plan::subjects::{Finder, Kind};

const OUT: Direction = Direction::Egress;

/// The reason why a deny is not enforced if no rule isolates its pods.
pub const NOT_ISOLATED: &str = "nothing isolates these pods on their way out, and Istio has no deny there";

/// A rule end, or a grant.
pub struct EgressEnd {
    /// The rule; for a grant, the rules that gave rise to it.
    pub rules: SmallVec<[RuleId; 1]>,
    /// Its action.
    pub action: Action,
    /// Whether it isolates the pods: a grant does not.
    pub isolates: bool,
    /// Its destination.
    pub reach: Option<Rc<Reach>>,
}

impl EgressEnd {
    /// Returns whether the end allows everything.
    pub fn is_everything(&self) -> bool {
        self.reach.as_ref().is_some_and(|reach| reach.everything)
    }

    /// Returns why the end leaves its pods open: Istio cannot express its destination.
    pub fn unable(&self) -> Option<&String> {
        self.reach.as_ref().filter(|_| self.isolates)?.unable.as_ref()
    }
}

/// The rule ends of the way out, by number.
#[derive(Default)]
pub struct Ends<'a> {
    /// The pods of each.
    pub statements: Vec<Statement<'a>>,
    list: Vec<EgressEnd>,
}

impl<'a> Ends<'a> {
    /// Returns an end.
    pub fn get(&self, at: u32) -> &EgressEnd {
        &self.list[at as usize]
    }

    /// Returns the ends, each with its pods.
    pub fn iter(&self) -> impl Iterator<Item = (&Statement<'a>, &EgressEnd)> {
        self.statements.iter().zip(&self.list)
    }

    fn push(&mut self, finder: &mut Finder<'_, 'a>, selector: &'a PodSelector, end: EgressEnd) {
        let gives = end.action != Action::Deny;
        self.statements.push(Statement { selector, subjects: finder.find(selector), gives });
        self.list.push(end);
    }

    /// Returns all ends except some.
    fn without(self, left_out: &[u32]) -> Ends<'a> {
        let kept = (0..).zip(self.statements.into_iter().zip(self.list));
        let kept = kept.filter(|(at, _)| left_out.binary_search(at).is_err());
        let (statements, list) = kept.map(|(_, end)| end).unzip();
        Ends { statements, list }
    }
}

/// Gathers the rule ends and grants of the way out.
pub fn gather<'a>(facts: &Facts<'a>, destinations: &mut Destinations<'_, 'a>) -> (Ends<'a>, Findings) {
    let mut finder = Finder::new(facts, Kind::Sidecar);
    let (mut ends, mut findings) = (Ends::default(), Findings::default());
    for (at, rule) in facts.part.rules(OUT) {
        let reach = (rule.action == Action::Allow).then(|| destinations.of_rule(rule));
        reach.iter().flat_map(|reach| reach.notes()).for_each(|note| findings.add(at, OUT, note));
        for (_, pods) in rule.source.pods() {
            if facts.gateway_of(&pods.selector).is_some() {
                findings.gap(at, OUT, &IstioGap::unable("no object of Istio stops a gateway on its way out"));
                continue;
            }
            let (action, isolates) = (rule.action, rule.action != Action::Deny);
            let end = EgressEnd { rules: smallvec![at], action, isolates, reach: reach.clone() };
            ends.push(&mut finder, &pods.selector, end);
        }
    }
    for (_, grant) in facts.part.grants().filter(|(_, grant)| grant.reason == GrantReason::Dns) {
        let reach = destinations.of_dns(&grant.destination);
        for (_, pods) in grant.source.pods() {
            if facts.gateway_of(&pods.selector).is_some() {
                continue;
            }
            let (rules, reach) = (facts.part.first_of(&grant.because, 32), Some(Rc::clone(&reach)));
            let end = EgressEnd { rules, action: Action::Allow, isolates: false, reach };
            ends.push(&mut finder, &pods.selector, end);
        }
    }
    (ends, findings)
}

/// Leaves the pods open whose rules name more ports of a host than its ServiceEntry can have.
pub fn open_full_hosts<'a>(
    facts: &Facts<'a>,
    mut ends: Ends<'a>,
    destinations: &Destinations<'_, 'a>,
) -> (Ends<'a>, Findings) {
    let mut findings = Findings::default();
    let reaches = ends.list.iter().map(|end| end.reach.as_deref());
    let asked = HostPorts::new(facts, &ends.statements, reaches, destinations);
    if !asked.some_are_many() {
        return (ends, findings);
    }
    for (statement, end) in ends.statements.iter().zip(&mut ends.list) {
        let Some(reach) = &end.reach else { continue };
        let Some(why) = asked.too_many(statement, reach, destinations) else { continue };
        end.rules.iter().for_each(|&rule| findings.gap(rule, OUT, &IstioGap::unable(why.clone())));
        end.reach = Some(Rc::new(Reach { unable: Some(why), ..Reach::clone(reach) }));
    }
    (ends, findings)
}

/// Leaves out some denies that are not enforced; the list of their numbers is sorted.
pub fn leave_out<'a>(ends: Ends<'a>, denies: &[u32]) -> (Ends<'a>, Findings) {
    let mut findings = Findings::default();
    for &at in denies {
        if let Some(&rule) = ends.get(at).rules.first() {
            findings.gap(rule, OUT, &IstioGap::unable(NOT_ISOLATED));
        }
    }
    (ends.without(denies), findings)
}

impl Reach {
    /// Returns the notes about a rule with this destination.
    fn notes(&self) -> impl Iterator<Item = Note> {
        let gap = self.gap.clone().map(Note::Gap);
        let unable = self.unable.clone().map(|why| match &self.portless {
            Some(what) => IstioGap::mendable(why, format!("name the ports of {what}, as in `:443`")).at_worst(),
            None => IstioGap::unable(why),
        });
        let unable = unable.map(Note::Gap);
        let narrower = self.narrower.clone().map(|(flows, words)| Note::narrower(flows, words));
        let everything = self.everything.then_some(Note::Everything);
        let unread = self.unread.then_some(Note::Unread);
        let anywhere = (!self.at_any_address.is_empty()).then(|| Note::AtAnyAddress(self.at_any_address.clone()));
        [gap, unable, narrower, everything, unread, anywhere].into_iter().flatten()
    }
}
