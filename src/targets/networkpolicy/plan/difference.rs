//! Differences: the rest of a term when denies take their part out.
//!
//! ```netpol
//! allow egress garden/* -> 203.0.113.0/24
//! deny egress garden/* -> 203.0.113.64/26
//! ```
//!
//! leaves a block with a hole:
//!
//! ```yaml
//! cidr: 203.0.113.0/24
//! - 203.0.113.64/26
//! ```

use std::borrow::Cow;
use std::rc::Rc;

use smol_str::SmolStr;

use super::drafts::Term;
use crate::model::addresses::{AddressSet, Block};
use crate::model::labels::{Account, PodSelector, joined as joined_selectors};
use crate::model::non_empty::NonEmpty;
use crate::model::port_list::PortList;
use crate::model::rules::RuleId;
use crate::targets::Kept;
use crate::targets::networkpolicy::model::{Cause, Peer, Peers};

/// A part of a deny: one kind of peer on some ports.
#[derive(Clone, Debug)]
pub struct Denied<'a> {
    /// The rule.
    pub rule: RuleId,
    /// The peers; wider than the rule if `unsayable` says why.
    pub peer: DeniedPeer<'a>,
    /// The ports.
    pub ports: PortList,
    /// The reason why no object can leave out exactly this part.
    pub unsayable: Option<Kept>,
    /// Other port names that may stand for the same numbers.
    pub alike: Alike,
}

/// Port names that may stand for the numbers of other names.
#[derive(Clone, Debug)]
pub enum Alike {
    /// Every name: no pods are known.
    Every,
    /// Some names, on some of the known pods.
    Some(Vec<SmolStr>),
}

impl Denied<'_> {
    /// Returns whether some ports have another name that may stand for one of the numbers.
    fn may_mean(&self, ports: &PortList) -> bool {
        let own: Vec<_> = self.ports.names().collect();
        !own.is_empty()
            && ports.names().any(|(transport, name)| {
                let beside = own.iter().any(|(of, _)| *of == transport) && !own.contains(&(transport, name));
                beside
                    && match &self.alike {
                        Alike::Every => true,
                        Alike::Some(names) => names.contains(name),
                    }
            })
    }
}

/// Peers of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum DeniedPeer<'a> {
    /// Pods.
    Pods(Cow<'a, PodSelector>),
    /// Addresses.
    Addresses(Cow<'a, AddressSet>),
}

impl DeniedPeer<'_> {
    fn pods(&self) -> Option<&PodSelector> {
        match self {
            DeniedPeer::Pods(pods) => Some(pods),
            DeniedPeer::Addresses(_) => None,
        }
    }

    fn addresses(&self) -> Option<&AddressSet> {
        match self {
            DeniedPeer::Pods(_) => None,
            DeniedPeer::Addresses(set) => Some(set),
        }
    }
}

/// The rest of a term.
#[derive(Debug)]
pub struct Left<'a> {
    /// The terms that are left; none if nothing is.
    pub terms: Vec<Rc<Term<'a>>>,
    /// The rules of which something was taken out.
    pub taken: Vec<RuleId>,
    /// The rules of which something was not taken out, with the reason.
    pub kept: Vec<(RuleId, Kept)>,
    /// Whether the rest falls into too many parts.
    pub too_many: bool,
}

/// Peers of one kind while a difference is made.
#[derive(Clone)]
enum PeerPart<'a> {
    Everything,
    Pods(Cow<'a, PodSelector>),
    /// Addresses; the flag marks addresses that are everything except pods.
    Addresses(AddressSet, bool),
}

/// Returns whether a deny may name some flows of a term.
pub fn overlaps(term: &Term<'_>, denied: &Denied<'_>) -> bool {
    if !term.ports.overlaps(&denied.ports) && !denied.may_mean(&term.ports) {
        return false;
    }
    let Peers::Some(peers) = &*term.peers else { return true };
    peers.as_slice().iter().any(|peer| match (peer, &denied.peer) {
        (Peer::Pods { namespace, labels }, DeniedPeer::Pods(taken)) => {
            namespace.overlaps(&taken.namespace) && labels.overlaps(&taken.labels)
        }
        (Peer::Block(block), DeniedPeer::Addresses(taken)) => taken.blocks.iter().any(|other| meet(block, other)),
        _ => false,
    })
}

fn meet(a: &Block, b: &Block) -> bool {
    if b.except.is_empty() {
        return a.meets(&b.net);
    }
    if !(a.net.contains(&b.net) || b.net.contains(&a.net)) {
        return false;
    }
    AddressSet { blocks: vec![a.clone()] }.overlaps(&AddressSet { blocks: vec![b.clone()] })
}

/// Returns a term less the flows that denies name; those that name none of them may be left out. `pod_addresses` are
/// empty where they are not known. The rest has at most so many parts, `most`.
pub fn subtract<'a>(term: &Term<'a>, denied: &[&Denied<'a>], pod_addresses: &AddressSet, most: usize) -> Left<'a> {
    let mut left = Left { terms: Vec::new(), taken: Vec::new(), kept: Vec::new(), too_many: false };
    let mut parts = parts(term, pod_addresses);
    let mut said: Vec<&Denied> = Vec::new();
    for batch in batches(denied) {
        let hits =
            |one: &&&Denied| parts.iter().any(|(part, ports)| part_overlaps(part, one) && ports.overlaps(&one.ports));
        for one in &batch.of {
            if parts.iter().any(|(part, ports)| part_overlaps(part, one) && one.may_mean(ports)) {
                left.kept.push((one.rule, Kept::TwoPortNames));
            }
        }
        let hit: Vec<&Denied> = batch.of.iter().filter(hits).copied().collect();
        if hit.is_empty() {
            continue;
        }
        match batch.less(&parts, pod_addresses, most) {
            Err(Kept::TooManyParts) => {
                left.too_many = true;
                return left;
            }
            Ok(next) => {
                parts = next;
                left.taken.extend(hit.iter().map(|one| one.rule));
                said.extend(hit);
            }
            Err(why) => left.kept.extend(hit.iter().map(|one| (one.rule, why))),
        }
    }
    // Plugins disagree whether a block of addresses matches pods inside it. So pods are taken out of everything only
    // where their addresses are known.
    if pod_addresses.blocks.is_empty() {
        let beside = |one: &&&Denied| {
            matches!(one.peer, DeniedPeer::Pods(_))
                && parts
                    .iter()
                    .any(|(part, ports)| matches!(part, PeerPart::Addresses(_, true)) && ports.overlaps(&one.ports))
        };
        let unsafe_rules: Vec<RuleId> = said.iter().filter(beside).map(|one| one.rule).collect();
        if !unsafe_rules.is_empty() {
            let rest: Vec<&Denied<'a>> =
                denied.iter().copied().filter(|one| !unsafe_rules.contains(&one.rule)).collect();
            let mut again = subtract(term, &rest, pod_addresses, most);
            again.kept.extend(left.kept);
            again.kept.extend(unsafe_rules.into_iter().map(|rule| (rule, Kept::BesidePods)));
            return again;
        }
    }
    left.terms = joined(parts, &term.cause);
    left
}

/// Denies that are taken out at once, as one.
struct Batch<'d, 'a> {
    of: Vec<&'d Denied<'a>>,
    named: Vec<Cow<'d, Denied<'a>>>,
}

/// Returns denies that differ in their ports as one.
fn joined_ports<'d, 'a>(denies: &[&'d Denied<'a>]) -> Vec<Cow<'d, Denied<'a>>> {
    let [first, others @ ..] = denies else { return Vec::new() };
    if others.is_empty() {
        return vec![Cow::Borrowed(first)];
    }
    let entries = denies.iter().flat_map(|denied| denied.ports.ranges_of_one().into_iter().flatten()).cloned();
    let ports = NonEmpty::new(entries.collect()).map_or(PortList::All, PortList::Some);
    vec![Cow::Owned(Denied { ports, ..Denied::clone(first) })]
}

impl<'a> Batch<'_, 'a> {
    /// Returns whether a deny differs from those of the batch in its ports alone, none of which has a name.
    fn differs_in_ports(&self, one: &Denied<'a>) -> bool {
        let transport = |denied: &Denied<'_>| denied.ports.ranges_of_one()?.first().map(|entry| entry.transport);
        self.of.first().is_some_and(|first| {
            first.unsayable.is_none()
                && one.unsayable.is_none()
                && first.peer == one.peer
                && transport(first).is_some_and(|own| transport(one) == Some(own))
        })
    }

    fn less(
        &self,
        parts: &[(PeerPart<'a>, PortList)],
        pod_addresses: &AddressSet,
        most: usize,
    ) -> Result<Vec<(PeerPart<'a>, PortList)>, Kept> {
        let mut left = parts.to_vec();
        for one in &self.named {
            if let Some(why) = one.unsayable {
                return Err(why);
            }
            left = less(&left, one, pod_addresses, most)?;
        }
        Ok(left)
    }
}

/// Joins denies on all ports: a thousand that name one block each are taken out of `0.0.0.0/0` as one list. Denies in a
/// row of the same peers on other ports become one too.
fn batches<'d, 'a>(denied: &[&'d Denied<'a>]) -> Vec<Batch<'d, 'a>> {
    let (mut batches, mut pods, mut addresses): (Vec<Batch>, Vec<&Denied>, Vec<&Denied>) = Default::default();
    for &one in denied {
        match &one.peer {
            DeniedPeer::Pods(_) if one.ports == PortList::All && one.unsayable.is_none() => pods.push(one),
            DeniedPeer::Addresses(_) if one.ports == PortList::All && one.unsayable.is_none() => addresses.push(one),
            _ => match batches.last_mut().filter(|last| last.differs_in_ports(one)) {
                Some(last) => last.of.push(one),
                None => batches.push(Batch { of: vec![one], named: Vec::new() }),
            },
        }
    }
    for batch in &mut batches {
        batch.named = joined_ports(&batch.of);
    }
    let with = |peer, first: &Denied<'a>| Cow::Owned(Denied { peer, ..first.clone() });
    if let [first, _, ..] = pods.as_slice() {
        let selectors: Vec<PodSelector> = pods.iter().filter_map(|one| one.peer.pods().cloned()).collect();
        let named = joined_selectors(&selectors)
            .into_iter()
            .map(|pods| with(DeniedPeer::Pods(Cow::Owned(pods)), first))
            .collect();
        batches.push(Batch { of: std::mem::take(&mut pods), named });
    }
    if let [first, _, ..] = addresses.as_slice() {
        let blocks = addresses.iter().filter_map(|one| one.peer.addresses()).flat_map(|set| set.blocks.iter().cloned());
        let named = vec![with(DeniedPeer::Addresses(Cow::Owned(AddressSet { blocks: blocks.collect() })), first)];
        batches.push(Batch { of: std::mem::take(&mut addresses), named });
    }
    let single = |one| Batch { of: vec![one], named: vec![Cow::Borrowed(one)] };
    batches.extend(pods.into_iter().chain(addresses).map(single));
    batches
}

fn parts<'a>(term: &Term<'a>, pod_addresses: &AddressSet) -> Vec<(PeerPart<'a>, PortList)> {
    let Peers::Some(peers) = &*term.peers else { return vec![(PeerPart::Everything, term.ports.clone())] };
    let mut parts = Vec::new();
    let mut blocks = Vec::new();
    for peer in peers.as_slice() {
        match peer {
            Peer::Pods { namespace, labels } => {
                let pods = PodSelector {
                    namespace: namespace.clone().into_owned(),
                    labels: labels.clone().into_owned(),
                    account: Account::Not(Vec::new()),
                };
                parts.push((PeerPart::Pods(Cow::Owned(pods)), term.ports.clone()));
            }
            Peer::Block(block) => blocks.push(block.clone().into_owned()),
        }
    }
    if !blocks.is_empty() {
        let addresses = AddressSet { blocks }.subtract(pod_addresses);
        parts.push((PeerPart::Addresses(addresses, false), term.ports.clone()));
    }
    parts
}

fn part_overlaps(part: &PeerPart<'_>, denied: &Denied<'_>) -> bool {
    match (part, &denied.peer) {
        (PeerPart::Everything, _) => true,
        (PeerPart::Pods(pods), DeniedPeer::Pods(taken)) => pods.overlaps(taken),
        (PeerPart::Addresses(set, _), DeniedPeer::Addresses(taken)) => set.overlaps(taken),
        _ => false,
    }
}

/// Returns the parts less the flows of one deny, or why no object can express the rest.
fn less<'a>(
    parts: &[(PeerPart<'a>, PortList)],
    denied: &Denied<'a>,
    pod_addresses: &AddressSet,
    most: usize,
) -> Result<Vec<(PeerPart<'a>, PortList)>, Kept> {
    let mut left = Vec::new();
    for (part, ports) in parts {
        if left.len() > most {
            return Err(Kept::TooManyParts);
        }
        if !part_overlaps(part, denied) || !ports.overlaps(&denied.ports) {
            left.push((part.clone(), ports.clone()));
            continue;
        }
        // The ports that stay keep the same peers; the denied ports keep the other peers.
        let other_peers = match (part, &denied.peer) {
            (PeerPart::Everything, DeniedPeer::Pods(taken)) => {
                let mut rest = pods_but(&PodSelector::any(), taken);
                rest.push(PeerPart::Addresses(AddressSet::everything().subtract(pod_addresses), true));
                rest
            }
            (PeerPart::Everything, DeniedPeer::Addresses(taken)) => {
                let rest = AddressSet::everything().subtract(taken).subtract(pod_addresses);
                let mut list = vec![PeerPart::Pods(Cow::Owned(PodSelector::any()))];
                list.extend((!rest.is_empty()).then_some(PeerPart::Addresses(rest, true)));
                list
            }
            (PeerPart::Pods(pods), DeniedPeer::Pods(taken)) => pods_but(pods, taken),
            (PeerPart::Addresses(set, beside), DeniedPeer::Addresses(taken)) => {
                let rest = set.subtract(taken);
                (!rest.is_empty()).then_some(PeerPart::Addresses(rest, *beside)).into_iter().collect()
            }
            (part, _) => vec![part.clone()],
        };
        if let Some(stay) = ports.subtract(&denied.ports).map_err(|_| Kept::PortName)? {
            let same_peers = match (part, &denied.peer) {
                (PeerPart::Pods(pods), DeniedPeer::Pods(taken)) => {
                    pods.intersect(taken).map(|both| PeerPart::Pods(Cow::Owned(both)))
                }
                (PeerPart::Addresses(set, beside), DeniedPeer::Addresses(taken)) => {
                    Some(PeerPart::Addresses(set.intersect(taken), *beside))
                }
                (part, _) => Some(part.clone()),
            };
            left.extend(same_peers.map(|part| (part, stay)));
        }
        // Pods and addresses that the rule does not name keep all their ports; everything is divided by ports already.
        let kept = match part {
            PeerPart::Everything => ports.intersect(&denied.ports).map_err(|_| Kept::PortName)?,
            _ => Some(ports.clone()),
        };
        if let Some(kept) = kept {
            left.extend(other_peers.into_iter().map(|part| (part, kept.clone())));
        }
    }
    Ok(left)
}

fn pods_but<'a>(pods: &PodSelector, taken: &PodSelector) -> Vec<PeerPart<'a>> {
    pods.subtract(taken).into_iter().map(|set| PeerPart::Pods(Cow::Owned(set))).collect()
}

/// Joins the parts that have the same ports to one term each.
fn joined<'a>(parts: Vec<(PeerPart<'a>, PortList)>, cause: &Cause) -> Vec<Rc<Term<'a>>> {
    let mut groups: Vec<(PortList, Vec<Peer<'a>>)> = Vec::new();
    let mut terms = Vec::new();
    let term = |peers, ports| Rc::new(Term { peers: Rc::new(peers), ports, cause: cause.clone() });
    for (part, ports) in parts {
        let peers: Vec<Peer<'a>> = match part {
            PeerPart::Everything => {
                terms.push(term(Peers::Everything, ports));
                continue;
            }
            PeerPart::Pods(pods) => vec![Peer::pods(pods)],
            PeerPart::Addresses(set, _) => set.blocks.into_iter().map(|block| Peer::Block(Cow::Owned(block))).collect(),
        };
        match groups.iter_mut().find(|(have, _)| *have == ports) {
            Some((_, list)) => list.extend(peers),
            None => groups.push((ports, peers)),
        }
    }
    let groups = groups.into_iter().filter_map(|(ports, peers)| Some(term(Peers::Some(NonEmpty::new(peers)?), ports)));
    terms.extend(groups);
    terms
}
