//! From drafts to objects: one for each subject and direction that is isolated.
//!
//! ```netpol
//! allow egress garden/* -> db/*:5432
//! allow egress { garden/*, shop/* } -> db/*:5432
//! ```
//!
//! Two rules that say the same of `garden` give one entry, whose comment names both:
//!
//! ```yaml
//! namespace: garden
//! namespace: shop
//! - { protocol: TCP, port: 5432 }
//! ```
//!
//! An object that `kubectl apply` would not take becomes several: objects of the same pods add up.

use std::borrow::Cow;
use std::collections::hash_map::Entry as Place;

use rustc_hash::FxHashMap;

use super::model::{Cause, Entry, Object, Peer, Peers, Provenance, Spec};
use super::plan::{Draft, Plan, Term};
use crate::model::labels::{Requirements, Test};
use crate::model::port_list::PortList;
use crate::model::rules::Direction;

/// Returns the objects of a plan, by direction, in the order in which their subjects were first met.
pub(super) fn emit<'p, 'a>(plan: &'p Plan<'a>) -> impl Iterator<Item = Object<'p, 'a>> {
    let drafts = Direction::BOTH.into_iter().flat_map(|direction| {
        plan.drafts.isolated(direction).map(move |(_, subject, draft)| (direction, subject, draft))
    });
    drafts.flat_map(|(direction, subject, draft)| {
        let object = move |(number, entries): (usize, Vec<Caused<'p, 'a>>)| {
            let (entries, causes) = entries.into_iter().unzip();
            // Each of several objects isolates the pods; the first names the rules that want it.
            let isolated_by = if number == 0 { draft.isolated_by.as_slice() } else { &[] };
            let spec = Spec { subject: Cow::Borrowed(subject), direction, number, entries };
            Object { spec, provenance: Provenance { isolated_by, entries: causes } }
        };
        divided(entries(draft)).into_iter().enumerate().map(object)
    })
}

/// An entry, and all its causes.
type Caused<'p, 'a> = (Entry<'p, 'a>, Vec<&'p Cause>);

/// Returns the entries of an object; several rules with the same peers and ports give one.
fn entries<'p, 'a>(draft: &'p Draft<'a>) -> Vec<Caused<'p, 'a>> {
    let new = |term: &'p Term<'a>| {
        let peers = match &*term.peers {
            Peers::Everything => None,
            Peers::Some(list) => Some(Cow::Borrowed(list.as_slice())),
        };
        (Entry { peers, ports: Cow::Borrowed(&term.ports) }, vec![&term.cause])
    };
    if let [term] = draft.terms.as_slice() {
        return vec![new(term)];
    }
    let mut entries: Vec<Caused<'p, 'a>> = Vec::with_capacity(draft.terms.len());
    let mut known: FxHashMap<(&Peers<'a>, &PortList), usize> = FxHashMap::default();
    for term in &draft.terms {
        match known.entry((&*term.peers, &term.ports)) {
            Place::Occupied(at) => {
                let causes = &mut entries[*at.get()].1;
                if !causes.contains(&&term.cause) {
                    causes.push(&term.cause);
                }
            }
            Place::Vacant(place) => {
                place.insert(entries.len());
                entries.push(new(term));
            }
        }
    }
    entries
}

/// Divides entries among objects that Kubernetes takes: `kubectl apply` keeps a copy of each in its annotations, which
/// have 256 KiB.
fn divided<'p, 'a>(entries: Vec<Caused<'p, 'a>>) -> Vec<Vec<Caused<'p, 'a>>> {
    const MOST: usize = 200 * 1024;
    const AROUND: usize = 1500;
    let weight = |peers: &[Peer<'_>]| AROUND + peers.iter().map(peer_weight).sum::<usize>();
    let of_entry = |entry: &Entry<'_, '_>| weight(entry.peers.as_deref().unwrap_or_default());
    let total: usize = entries.iter().map(|(entry, _)| of_entry(entry)).sum();
    if total <= MOST {
        return vec![entries];
    }
    let mut objects: Vec<Vec<Caused<'p, 'a>>> = vec![Vec::new()];
    let mut bytes = 0;
    let mut add = |entry: Entry<'p, 'a>, causes: Vec<&'p Cause>| {
        let weight = of_entry(&entry);
        if bytes > 0 && bytes + weight > MOST {
            objects.push(Vec::new());
            bytes = 0;
        }
        bytes += weight;
        if let Some(object) = objects.last_mut() {
            object.push((entry, causes));
        }
    };
    for (entry, causes) in entries {
        let Some(Cow::Borrowed(mut left)) = entry.peers else {
            add(entry, causes);
            continue;
        };
        let with = |peers| Entry { peers: Some(peers), ports: entry.ports.clone() };
        let mut add = |peers: &'p [Peer<'a>]| match peers {
            // A block with thousands of holes is divided into smaller blocks.
            [Peer::Block(block)] if weight(peers) > MOST => {
                for part in block.divided((MOST - AROUND) / BLOCK - 2) {
                    add(with(Cow::Owned(vec![Peer::Block(Cow::Owned(part))])), causes.clone());
                }
            }
            _ => add(with(Cow::Borrowed(peers)), causes.clone()),
        };
        while weight(left) > MOST && left.len() > 1 {
            let mut fits = 0;
            let end = left.iter().position(|peer| {
                fits += peer_weight(peer);
                fits > MOST - AROUND
            });
            let (first, rest) = left.split_at(end.unwrap_or(left.len()).max(1));
            add(first);
            left = rest;
        }
        add(left);
    }
    objects
}

/// About how many bytes of YAML a hole of a block is.
const BLOCK: usize = 60;

/// Returns about how many bytes of YAML a peer is.
fn peer_weight(peer: &Peer<'_>) -> usize {
    const AROUND: usize = 70;
    const REQUIREMENT: usize = 40;
    let requirements = |list: &Requirements| -> usize {
        let values = |test: &Test| match test {
            Test::In(values) | Test::NotIn(values) => values.iter().map(|value| value.len() + 4).sum(),
            Test::Exists | Test::DoesNotExist => 0,
        };
        list.list().iter().map(|one| REQUIREMENT + one.key.len() + values(&one.test)).sum()
    };
    match peer {
        Peer::Pods { namespace, labels } => AROUND + requirements(namespace) + requirements(labels),
        Peer::Block(block) => AROUND + block.except.len() * BLOCK,
    }
}
