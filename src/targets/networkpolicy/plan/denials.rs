//! The index of the denies of one direction, by the pods that they govern and the peers that they name: a policy may
//! have thousands of denies beside thousands of allows for other pods.
//!
//! ```text
//! allow ingress a/* -> shop/{app=web}     a pod may have both labels, so each deny for `tier=old` concerns the allow,
//! deny ingress b/* -> shop/{tier=old}     and none of those that name `b` takes anything out of it
//! ```

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::difference::{Denied, DeniedPeer, overlaps};
use super::drafts::Term;
use crate::model::labels::{NAMESPACE_NAME, Requirements, Test};
use crate::model::networks::Networks;
use crate::targets::networkpolicy::model::{Peer, Peers, Subject};

/// Groups of denies, each for the pods of one subject, under the numbers of the groups.
pub struct Denials<'d, 'a> {
    groups: Vec<&'d [Denied<'a>]>,
    pods: ByPods,
    peers: FxHashMap<&'a SmolStr, ByPeer>,
}

/// The index of a deny: the number of its group, and its index in the group.
type Place = (usize, usize);

/// Denies of the pods of one namespace by their peers.
#[derive(Default)]
struct ByPeer {
    /// Denied networks without exceptions, by the index of their denies.
    networks: Networks<Place>,
    /// Denied pods of named namespaces.
    named: FxHashMap<SmolStr, Vec<Place>>,
    other_addresses: Vec<Place>,
    other_pods: Vec<Place>,
}

impl<'d, 'a: 'd> Denials<'d, 'a> {
    /// Indexes the denies of some subjects.
    pub fn new<'s>(subjects: impl Iterator<Item = (&'s Subject<'a>, &'d [Denied<'a>])>) -> Denials<'d, 'a>
    where
        'a: 's,
    {
        let (mut groups, mut pods) = (Vec::new(), ByPods::default());
        let mut of_namespaces: FxHashMap<&'a SmolStr, Vec<(Place, &'d Denied<'a>)>> = FxHashMap::default();
        for (group, (subject, denied)) in subjects.enumerate() {
            groups.push(denied);
            pods.insert(subject, group);
            let placed = denied.iter().enumerate().map(|(at, denied)| ((group, at), denied));
            of_namespaces.entry(subject.namespace).or_default().extend(placed);
        }
        let peers = of_namespaces.into_iter().map(|(name, denied)| (name, ByPeer::new(denied)));
        Denials { groups, pods, peers: peers.collect() }
    }

    /// Returns the subjects of the groups.
    pub fn pods(&self) -> &ByPods {
        &self.pods
    }

    /// Returns the denies that may name some flows of a subject's term, in order, by their groups.
    pub fn meeting(&self, subject: &Subject<'_>, term: &Term<'_>) -> Vec<(usize, Vec<&'d Denied<'a>>)> {
        // Two look-ups give candidates, one by pods and one by peers; the shorter list is used.
        let most = self.pods.most(subject);
        if most == 0 {
            return Vec::new();
        }
        let near = self.peers.get(subject.namespace).map(|peers| peers.near(term, most)).unwrap_or_default();
        let places: Vec<Place> = match near {
            Some(mut near) => {
                near.sort_unstable();
                near.dedup();
                near.retain(|(group, _)| self.pods.is_overlapping(*group, subject));
                near
            }
            None => {
                let groups = self.pods.overlapping(subject).into_iter();
                groups.flat_map(|group| (0..self.groups[group].len()).map(move |at| (group, at))).collect()
            }
        };
        let mut found: Vec<(usize, Vec<&'d Denied<'a>>)> = Vec::new();
        for (group, at) in places {
            let denied = &self.groups[group][at];
            if overlaps(term, denied) {
                match found.last_mut().filter(|(of, _)| *of == group) {
                    Some((_, list)) => list.push(denied),
                    None => found.push((group, vec![denied])),
                }
            }
        }
        found
    }
}

impl ByPeer {
    fn new(list: Vec<(Place, &Denied<'_>)>) -> ByPeer {
        let mut by_peer = ByPeer::default();
        let mut networks = Vec::new();
        for (at, denied) in list {
            match &denied.peer {
                DeniedPeer::Addresses(set) if set.blocks.iter().all(|block| block.except.is_empty()) => {
                    networks.extend(set.blocks.iter().map(|block| (block.net, at)));
                }
                DeniedPeer::Addresses(_) => by_peer.other_addresses.push(at),
                DeniedPeer::Pods(pods) => match pods.namespace.values(NAMESPACE_NAME) {
                    Some(names) => {
                        names.iter().for_each(|name| by_peer.named.entry(name.clone()).or_default().push(at));
                    }
                    None => by_peer.other_pods.push(at),
                },
            }
        }
        by_peer.networks = Networks::new(networks);
        by_peer
    }

    /// Returns the denies whose peers may overlap those of a term, some perhaps several times; `None` if they are more
    /// than `most`, or if the term is for every peer.
    fn near(&self, term: &Term<'_>, most: usize) -> Option<Vec<Place>> {
        let Peers::Some(peers) = &*term.peers else { return None };
        let mut near: Vec<Place> = Vec::new();
        let room = |near: &Vec<Place>| (most + 1).saturating_sub(near.len());
        let (mut any_pods, mut any_block) = (false, false);
        for peer in peers.as_slice() {
            let left = room(&near);
            match peer {
                Peer::Block(block) => {
                    any_block = true;
                    near.extend(self.networks.meeting(&block.net).map(|(_, at)| *at).take(left));
                }
                Peer::Pods { namespace, .. } => {
                    any_pods = true;
                    match namespace.values(NAMESPACE_NAME) {
                        Some(names) => {
                            near.extend(names.iter().filter_map(|name| self.named.get(name)).flatten().take(left));
                        }
                        None => near.extend(self.named.values().flatten().take(left)),
                    }
                }
            }
        }
        let others = [any_block.then_some(&self.other_addresses), any_pods.then_some(&self.other_pods)];
        let left = room(&near);
        near.extend(others.into_iter().flatten().flatten().take(left));
        (near.len() <= most).then_some(near)
    }
}

/// Numbered sets of pods, found by the sets that may share a pod with them.
#[derive(Default)]
pub struct ByPods {
    namespaces: FxHashMap<SmolStr, ByLabels>,
    all: FxHashMap<usize, Requirements>,
}

/// Sets of labels of one namespace.
#[derive(Default)]
struct ByLabels {
    /// The sets that require one of some values for a key, by key.
    keyed: BTreeMap<SmolStr, ByValue>,
    /// The others.
    open: Vec<usize>,
}

/// Sets that require one of some values for one key.
#[derive(Default)]
struct ByValue {
    values: BTreeMap<SmolStr, Vec<usize>>,
    count: usize,
}

impl ByPods {
    /// Adds the pods of a subject under a number.
    pub fn insert(&mut self, subject: &Subject<'_>, at: usize) {
        self.all.insert(at, subject.labels.clone().into_owned());
        let index = self.namespaces.entry(subject.namespace.clone()).or_default();
        let listed = subject.labels.list().iter().find_map(|requirement| match &requirement.test {
            Test::In(values) => Some((&requirement.key, values)),
            _ => None,
        });
        match listed {
            Some((key, values)) => {
                let by_value = index.keyed.entry(key.clone()).or_default();
                by_value.count += values.len();
                for value in values {
                    by_value.values.entry(value.clone()).or_default().push(at);
                }
            }
            None => index.open.push(at),
        }
    }

    /// Returns those that share a pod with a subject, in the order of their numbers.
    pub fn overlapping(&self, subject: &Subject<'_>) -> Vec<usize> {
        let Some(index) = self.namespaces.get(subject.namespace) else { return Vec::new() };
        let mut found = index.open.clone();
        for (key, by_value) in &index.keyed {
            match subject.labels.values(key) {
                Some(values) => found.extend(values.iter().filter_map(|value| by_value.values.get(value)).flatten()),
                None => found.extend(by_value.values.values().flatten()),
            }
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|at| self.is_overlapping(*at, subject));
        found
    }

    /// Returns whether one of them, of the subject's namespace, shares a pod with it.
    fn is_overlapping(&self, at: usize, subject: &Subject<'_>) -> bool {
        self.all.get(&at).is_some_and(|labels| labels.overlaps(&subject.labels))
    }

    /// Returns the most sets that must be compared to find those that share a pod with a subject.
    fn most(&self, subject: &Subject<'_>) -> usize {
        let Some(index) = self.namespaces.get(subject.namespace) else { return 0 };
        let count = |(key, by_value): (&SmolStr, &ByValue)| match subject.labels.values(key) {
            Some(values) => values.iter().filter_map(|value| by_value.values.get(value)).map(Vec::len).sum(),
            None => by_value.count,
        };
        index.open.len() + index.keyed.iter().map(count).sum::<usize>()
    }

    /// Returns whether all pods of a subject are in one of them.
    pub fn is_inside_one(&self, subject: &Subject<'_>) -> bool {
        let Some(index) = self.namespaces.get(subject.namespace) else { return false };
        // A set that requires a value of a key contains only sets that require one too.
        let keyed = index.keyed.iter().filter_map(|(key, by_value)| {
            let values = subject.labels.values(key)?;
            Some(values.iter().filter_map(|value| by_value.values.get(value)).flatten())
        });
        let mut around = index.open.iter().chain(keyed.flatten());
        around.any(|at| self.all.get(at).is_some_and(|labels| subject.labels.implies(labels)))
    }
}
