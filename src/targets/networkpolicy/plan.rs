//! From rules and grants to subjects, each with what it lets through in each direction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use super::model::{Cause, Scope, Side, Term};
use super::reach::{Facts, Reach};
use super::shared::{self, Given};
use crate::inventory::{MeantPods, Perhaps, Untold, Within};
use crate::model::endpoint::Endpoint;
use crate::model::labels::{NAMESPACE_NAME, PodSelector, Requirement, Test};
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::{Grant, GrantReason};
use crate::targets::{Kept, Traffics};

/// What is found out about one end of a rule on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    /// Whether some pods of the subject are selected exactly.
    pub(super) selected: bool,
    /// Why some are not.
    pub(super) why: Option<Untold>,
    /// Whether the subject's namespaces come from the inventory.
    pub(super) enumerated: bool,
    /// Whether some of the pods that are only maybe meant are isolated by no object.
    pub(super) uncovered: bool,
    /// For which traffic a host without addresses is among the peers, so that other hosts pass too.
    pub(super) envelope: Traffics,
    /// The service account whose pods no labels tell, where peers had to be made wider.
    pub(super) widened: Option<SmolStr>,
    /// For which traffic they had to be.
    pub(super) widened_on: Traffics,
    /// A rule whose pods no labels tell from this one's, which get what it gives too, and for which traffic.
    pub(super) joined: Option<(RuleId, Traffics)>,
    /// For which traffic clients are let in by the proxies in front, which nobody names.
    pub(super) behind_proxies: Traffics,
    /// Whether something was taken out for this deny rule.
    pub(super) taken: bool,
    /// Why something could not be taken out for it.
    pub(super) leak: Option<Kept>,
}

/// The subjects of a policy and what they let through.
pub(super) struct Plan<'a> {
    /// The policy and what follows from it.
    pub(super) facts: Facts<'a>,
    /// The subjects, in the order in which they were first met.
    pub(super) scopes: Vec<Scope<'a>>,
    /// For each subject, its directions: egress, ingress.
    pub(super) sides: Vec<[Side<'a>; 2]>,
    /// What is found out about each end of the part.
    pub(super) findings: Vec<Finding>,
    /// What is granted to pods that may be meant, as far as other rules isolate them.
    wide: [FxHashMap<Perhaps<'a>, Vec<Meant<'a>>>; 2],
    /// The ends of rules by the pods that they may mean.
    pub(super) maybe: [FxHashMap<Perhaps<'a>, Vec<usize>>; 2],
    index: FxHashMap<Scope<'a>, usize>,
    expanded: FxHashMap<&'a PodSelector, Rc<Expanded<'a>>>,
}

/// What is let through, and the pods for which it is meant.
type Meant<'a> = (Rc<Term<'a>>, &'a PodSelector);

/// A selector's subjects, by number.
pub(super) struct Expanded<'a> {
    /// The subjects that are meant for certain.
    pub(super) scopes: SmallVec<[usize; 1]>,
    maybe: Vec<Perhaps<'a>>,
    why: Option<Untold>,
    enumerated: bool,
}

/// Returns the place of a direction in a pair.
pub(super) fn side(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

impl<'a> Plan<'a> {
    /// Makes the plan of a policy, deny rules left aside.
    pub(super) fn new(facts: Facts<'a>) -> Plan<'a> {
        let mut plan = Plan {
            facts,
            scopes: Vec::new(),
            sides: Vec::new(),
            findings: vec![Finding::default(); facts.part.ends().count()],
            wide: Default::default(),
            maybe: Default::default(),
            index: FxHashMap::default(),
            expanded: FxHashMap::default(),
        };
        for (end, (at, direction, rule)) in facts.part.ends().enumerate() {
            if rule.action != Action::Deny {
                plan.add_rule(end, at, rule, direction);
            }
        }
        for (at, grant) in facts.part.grants() {
            plan.add_grant(at, grant);
        }
        for direction in Direction::BOTH {
            let given = plan.spread_wide(direction);
            shared::judge(&mut plan, direction, &given);
        }
        plan
    }

    /// Returns the number of a subject.
    pub(super) fn scope(&mut self, scope: Scope<'a>) -> usize {
        let (scopes, sides) = (&mut self.scopes, &mut self.sides);
        *self.index.entry(scope).or_insert_with_key(|scope| {
            scopes.push(scope.clone());
            sides.push(Default::default());
            scopes.len() - 1
        })
    }

    /// Returns what is found out about an end of a rule.
    pub(super) fn finding(&mut self, rule: RuleId, direction: Direction) -> Option<&mut Finding> {
        self.facts.part.position(rule, direction).map(|end| &mut self.findings[end])
    }

    /// Returns the subjects of a member of an end of the part, and notes what they are.
    pub(super) fn expand(&mut self, end: usize, selector: &'a PodSelector) -> Rc<Expanded<'a>> {
        let expanded = self.expanded(selector);
        let finding = &mut self.findings[end];
        finding.selected |= !expanded.scopes.is_empty();
        finding.enumerated |= expanded.enumerated;
        if finding.why.is_none() {
            finding.why.clone_from(&expanded.why);
        }
        expanded
    }

    fn expanded(&mut self, selector: &'a PodSelector) -> Rc<Expanded<'a>> {
        if let Some(scope) = plain_subject(selector) {
            let scopes = smallvec![self.scope(scope)];
            return Rc::new(Expanded { scopes, maybe: Vec::new(), why: None, enumerated: false });
        }
        if let Some(expanded) = self.expanded.get(selector) {
            return Rc::clone(expanded);
        }
        let MeantPods { certain, perhaps: maybe, untold: why, from_inventory: enumerated } =
            self.facts.policy.inventory.meant(selector);
        let scopes = certain.into_iter().map(|pods| self.scope(pods)).collect();
        let expanded = Rc::new(Expanded { scopes, maybe, why, enumerated });
        self.expanded.insert(selector, Rc::clone(&expanded));
        expanded
    }

    fn add_rule(&mut self, end: usize, at: RuleId, rule: &'a Rule, direction: Direction) {
        let reaches = match rule.action {
            Action::Allow => self.facts.of_rule(rule, direction, &mut self.findings[end]),
            Action::Deny | Action::Isolate => Vec::new(),
        };
        for (member, (_, pods)) in rule.subject(direction).pods().enumerate() {
            let expanded = self.expand(end, &pods.selector);
            for &scope in &expanded.scopes {
                let side = &mut self.sides[scope][side(direction)];
                side.isolated = true;
                side.isolated_by.push(at);
            }
            for term in terms(&reaches, member, Cause::Rule(at)) {
                for &scope in &expanded.scopes {
                    self.sides[scope][side(direction)].terms.push(Rc::clone(&term));
                }
                self.add_wide(direction, &expanded.maybe, &(term, &pods.selector));
            }
            for wide in &expanded.maybe {
                self.maybe[side(direction)].entry(wide.clone()).or_default().push(end);
            }
        }
    }

    fn add_grant(&mut self, at: GrantId, grant: &'a Grant) {
        let direction = grant.direction;
        // That a grant is wider than its rule is said of the rule.
        let mut finding = Finding::default();
        let reaches = match direction {
            Direction::Egress => self.facts.outward(&grant.destination, &mut finding),
            Direction::Ingress => self.facts.inward(&grant.source, &grant.destination, &mut finding),
        };
        let subject: &'a Endpoint = grant.subject();
        for (member, (_, pods)) in subject.pods().enumerate() {
            let terms = terms(&reaches, member, Cause::Grant(at));
            if grant.reason == GrantReason::Istiod && self.facts.policy.inventory.given {
                terms.into_iter().for_each(|term| self.add_meshed(direction, &(term, &pods.selector)));
                continue;
            }
            let expanded = self.expanded(&pods.selector);
            for term in terms {
                for &scope in &expanded.scopes {
                    let side = &mut self.sides[scope][side(direction)];
                    if side.isolated {
                        side.terms.push(Rc::clone(&term));
                        continue;
                    }
                    let Scope { namespace, labels } = self.scopes[scope].clone();
                    let wide = Perhaps { within: Within::Namespace(namespace), labels, all: true };
                    self.add_wide(direction, &[wide], &(Rc::clone(&term), &pods.selector));
                }
                self.add_wide(direction, &expanded.maybe, &(term, &pods.selector));
            }
        }
    }

    /// Gives a term to the pods that have a sidecar, as the inventory shows them.
    fn add_meshed(&mut self, direction: Direction, term: &Meant<'a>) {
        let inventory = &self.facts.policy.inventory;
        for namespace in self.facts.part.namespaces() {
            let pods = inventory.meshed(namespace).into_iter();
            let pods: Vec<Perhaps<'a>> = pods
                .map(|labels| Perhaps { within: Within::Namespace(namespace), labels: Cow::Owned(labels), all: true })
                .collect();
            self.add_wide(direction, &pods, term);
        }
    }

    fn add_wide(&mut self, direction: Direction, pods: &[Perhaps<'a>], term: &Meant<'a>) {
        for wide in pods {
            self.wide[side(direction)].entry(wide.clone()).or_default().push(term.clone());
        }
    }

    /// Gives what is for pods that may be meant, or that are isolated only in part, to those of them that some rule
    /// isolates: an object for the others would isolate them. Where an isolated subject holds another one, it is enough
    /// to give it to the former. Returns what is given to pods that may not be meant.
    fn spread_wide(&mut self, direction: Direction) -> Vec<Given<'a>> {
        let mut given = Vec::new();
        let mut all_wide: Vec<_> = std::mem::take(&mut self.wide[side(direction)]).into_iter().collect();
        if all_wide.is_empty() {
            return given;
        }
        all_wide.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut isolated: BTreeMap<&'a SmolStr, Vec<usize>> = BTreeMap::new();
        for (at, sides) in self.sides.iter().enumerate() {
            if sides[side(direction)].isolated {
                isolated.entry(self.scopes[at].namespace).or_default().push(at);
            }
        }
        for list in isolated.values_mut() {
            self.keep_widest(list);
        }
        let inventory = &self.facts.policy.inventory;
        for (wide, terms) in all_wide {
            let targets: Vec<usize> = match wide.within {
                Within::Namespace(namespace) => isolated.get(namespace).into_iter().flatten().copied().collect(),
                Within::Meeting(required) => {
                    let possible = |name: &&SmolStr| inventory.meets(name, required) != Some(false);
                    isolated.iter().filter(|(name, _)| possible(name)).flat_map(|(_, list)| list).copied().collect()
                }
            };
            let givers = shared::givers(self, &terms);
            for at in targets {
                let Some(labels) = self.scopes[at].labels.intersect(&wide.labels) else { continue };
                let namespace = self.scopes[at].namespace;
                let sure = match wide.within {
                    Within::Namespace(_) => true,
                    Within::Meeting(required) => inventory.meets(namespace, required) == Some(true),
                };
                let meant = wide.all && sure;
                if !meant && givers.iter().any(|list| !list.is_empty()) {
                    given.push(Given { namespace, labels: labels.clone(), givers: givers.clone() });
                }
                let target = if labels == *self.scopes[at].labels {
                    at
                } else {
                    self.scope(Scope { namespace, labels: Cow::Owned(labels) })
                };
                let target = &mut self.sides[target][side(direction)];
                target.isolated = true;
                target.terms.extend(terms.iter().map(|(term, _)| Rc::clone(term)));
            }
        }
        given
    }

    /// Keeps the subjects of one namespace that hold all others. Only the subject of all pods is looked for: to compare
    /// each with each would cost more than it saves.
    fn keep_widest(&self, list: &mut Vec<usize>) {
        if let Some(all) = list.iter().copied().find(|&at| self.scopes[at].labels.is_any()) {
            *list = vec![all];
        }
    }
}

/// Returns the pods of a selector as the one subject that they are where it names its namespace and no account, as most
/// do.
fn plain_subject(selector: &PodSelector) -> Option<Scope<'_>> {
    match selector.namespace.list() {
        [Requirement { key, test: Test::In(names) }] if key == NAMESPACE_NAME && selector.account.is_any() => {
            let [namespace] = names.as_slice() else { return None };
            Some(Scope { namespace, labels: Cow::Borrowed(&selector.labels) })
        }
        _ => None,
    }
}

/// Makes the terms of one member of the governed side.
fn terms<'a>(reaches: &[Reach<'a>], member: usize, cause: Cause) -> Vec<Rc<Term<'a>>> {
    let of_member = reaches.iter().filter(|reach| reach.member.is_none_or(|of| of == member));
    of_member
        .map(|reach| {
            let (peers, ports) = (Rc::clone(&reach.peers), reach.ports.clone());
            Rc::new(Term { peers, ports, cause: cause.clone() })
        })
        .collect()
}
