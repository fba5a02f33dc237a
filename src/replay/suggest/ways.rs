//! The ways to write a missing rule, the most specific first.
//!
//! ```text
//! the pods: by their workload, their labels, their account, or as the rule that isolates them says
//! the requests: by methods and paths, by methods, or all; only where the nearest allow asks for something too
//! the port: by its number; of a host also as what the log says that it carries, TLS or HTTP
//! ```

use std::collections::BTreeSet;

use smallvec::smallvec;

use super::kept::KeptFlow;
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::ports::{Ports, Protocol};
use crate::model::rules::{Direction, RuleId};
use crate::policy::{Party, Policy, endpoints};
use crate::replay::words::Words;

/// A way to say a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    source: Words,
    destination: Words,
    /// The port, and the conditions on requests.
    clause: String,
}

impl Way {
    /// Returns the rule, for one end or for both.
    pub fn text(&self, direction: Option<Direction>) -> String {
        let direction = direction.map(|direction| format!("{} ", direction.word())).unwrap_or_default();
        format!("allow {direction}{} -> {}:{}", self.source.text, self.destination.text, self.clause)
    }

    /// Returns roughly how much the rule would let through.
    pub fn width(&self) -> usize {
        let unasked = usize::from(!self.clause.contains(" where "));
        2 * (usize::from(self.source.width) + usize::from(self.destination.width)) + unasked
    }
}

/// Returns the ways to write a rule for flows that one end refuses.
pub(super) fn ways(
    policy: &Policy,
    flows: &[&KeptFlow],
    direction: Direction,
    isolated_by: RuleId,
    port: &str,
    asks: bool,
) -> Vec<Way> {
    let Some(first) = flows.first() else { return Vec::new() };
    let [mut sources, mut destinations] = first.who.each_ref().map(|who| Words::all(&policy.inventory, &who.party));
    destinations.extend(whereabouts(policy, &first.who[1].party, isolated_by));
    let subjects = if direction == Direction::Egress { &mut sources } else { &mut destinations };
    subjects.extend(isolating(policy, first.party(direction), direction, isolated_by));
    let mut clauses = if asks { requests(flows) } else { Vec::new() };
    clauses = clauses.into_iter().map(|asked| format!("{port}/http {asked}")).collect();
    clauses.push(port.to_owned());
    if let (Party::Host { .. }, Protocol::Tcp) = (&first.who[1].party, first.protocol) {
        let all = |told: fn(&KeptFlow) -> bool| flows.iter().all(|one| told(one));
        clauses.extend(all(|one| one.request.tls.is_some()).then(|| format!("{port}/tls")));
        clauses.extend(all(|one| one.request.method.is_some()).then(|| format!("{port}/http")));
    }
    let mut all = Vec::new();
    for clause in &clauses {
        for source in &sources {
            for destination in &destinations {
                let (source, destination) = (source.clone(), destination.clone());
                all.push(Way { source, destination, clause: clause.clone() });
            }
        }
    }
    all
}

/// Returns the endpoint of the rule that isolates a judged pod: a rule with these words isolates no other pod.
fn isolating(policy: &Policy, party: &Party, direction: Direction, rule: RuleId) -> Option<Words> {
    let Party::Pod(pod) = party else { return None };
    let mut members = policy.rule(rule)?.subject(direction).members.iter();
    let member = members.find(|member| match &member.what {
        What::Pods(pods) => pods.selector.matches(&pod.namespace_labels, &pod.labels, &pod.account),
        What::Addresses(_) | What::Host(_) => false,
    })?;
    let text = endpoints::source(&Endpoint { members: smallvec![member.clone()] });
    // An `except` would need braces, and a text with "more" is cut off.
    let whole = !text.contains(" except ") && !text.contains(" more");
    whole.then(|| Words::of_rule(text))
}

/// Returns the addresses of a host, if they are few: the `at` of another rule may give the host these addresses.
fn whereabouts(policy: &Policy, party: &Party, rule: RuleId) -> Option<Words> {
    const FEW: usize = 4;
    let Party::Host { at, .. } = party else { return None };
    let few = !at.blocks.is_empty() && at.blocks.len() <= FEW && *at != policy.internet;
    let span = policy.rule(rule)?.origin.span;
    let what = What::Addresses(AddressSet { blocks: at.blocks.clone() });
    few.then(|| {
        Words::of_rule(endpoints::source(&Endpoint { members: smallvec![Member { span, what, ports: Ports::All }] }))
    })
}

/// The most methods or paths that a rule lists. If there are more, the rule has no condition on them.
const MOST_LISTED: usize = 8;

/// Returns the conditions that the requests of some flows meet, the strictest first.
fn requests(flows: &[&KeptFlow]) -> Vec<String> {
    let (mut methods, mut paths, mut all_plain) = (BTreeSet::new(), BTreeSet::new(), true);
    for one in flows {
        let Some(method) = one.request.method.as_deref().filter(|method| is_method(method)) else { return Vec::new() };
        methods.insert(method);
        let path = one.request.path.as_deref().unwrap_or_default();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        all_plain &= is_plain(path);
        paths.insert(path);
    }
    if methods.len() > MOST_LISTED {
        return Vec::new();
    }
    let methods = format!("where method {}", methods.into_iter().collect::<Vec<_>>().join(", "));
    let said = all_plain && paths.len() <= MOST_LISTED;
    let paths: Vec<String> = paths.into_iter().map(|path| format!("\"{path}\"")).collect();
    let both = said.then(|| format!("{methods} where path {}", paths.join(", ")));
    both.into_iter().chain([methods]).collect()
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Returns whether a path is its own pattern: it has no wildcard, and the mesh's normalisation leaves it unchanged.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 200
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte))
        && !path.contains("//")
        && !path.split('/').any(|segment| segment == "." || segment == "..")
}
