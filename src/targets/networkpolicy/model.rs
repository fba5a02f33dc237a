//! NetworkPolicies as types: no empty list of peers or ports (which would mean "all"), no protocol that they do not
//! know, and a peer that is pods of some namespaces or a block of addresses, never both.
//!
//! The contents of an object (`spec`) stand apart from the rules that it comes from (`provenance`), which a reader of
//! objects does not know.

use std::borrow::Cow;
use std::rc::Rc;

use crate::inventory::LabelledPods;
use crate::model::addresses::Block;
use crate::model::labels::{PodSelector, Requirements};
use crate::model::non_empty::NonEmpty;
use crate::model::port_list::PortList;
use crate::model::rules::{Direction, GrantId, RuleId};

/// The pods that an object selects: `podSelector`, in its own namespace.
pub type Subject<'a> = LabelledPods<'a>;

/// The peers of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peers<'a> {
    /// Every peer, inside the cluster and outside: an entry without `from` or `to`.
    Everything,
    /// Some peers.
    Some(NonEmpty<Peer<'a>>),
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer<'a> {
    /// Pods: `namespaceSelector` and `podSelector` together.
    Pods {
        /// Requirements on the labels of the namespace.
        namespace: Cow<'a, Requirements>,
        /// Requirements on the labels of the pod.
        labels: Cow<'a, Requirements>,
    },
    /// `ipBlock`.
    Block(Cow<'a, Block>),
}

impl<'a> Peer<'a> {
    /// Makes the peer of a selector that asks for no account.
    pub fn pods(selector: Cow<'a, PodSelector>) -> Peer<'a> {
        match selector {
            Cow::Borrowed(pods) => {
                Peer::Pods { namespace: Cow::Borrowed(&pods.namespace), labels: Cow::Borrowed(&pods.labels) }
            }
            Cow::Owned(pods) => Peer::Pods { namespace: Cow::Owned(pods.namespace), labels: Cow::Owned(pods.labels) },
        }
    }
}

/// A NetworkPolicy, and the rules that it comes from.
#[derive(Clone, Debug)]
pub struct Object<'p, 'a> {
    /// The contents of the object.
    pub spec: Spec<'p, 'a>,
    /// The rules behind the object.
    pub provenance: Provenance<'p>,
}

/// The contents of a NetworkPolicy: it isolates its pods in one direction, and lets through the flows that its entries
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec<'p, 'a> {
    /// Its namespace and `podSelector`.
    pub subject: Cow<'p, Subject<'a>>,
    /// `policyTypes`.
    pub direction: Direction,
    /// The number of the object, from 0, among several for the same pods.
    pub number: usize,
    /// `egress` or `ingress`.
    pub entries: Vec<Entry<'p, 'a>>,
}

/// One entry of `egress` or `ingress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'p, 'a> {
    /// `to` or `from`; `None` is every peer.
    pub peers: Option<Cow<'p, [Peer<'a>]>>,
    /// `ports`.
    pub ports: Cow<'p, PortList>,
}

/// The rules behind a NetworkPolicy.
#[derive(Clone, Debug)]
pub struct Provenance<'p> {
    /// The rules that isolate its pods.
    pub isolated_by: &'p [RuleId],
    /// For each entry, its causes.
    pub entries: Vec<Vec<&'p Cause>>,
}

/// The cause of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An allow.
    Rule(RuleId),
    /// A grant.
    Grant(GrantId),
    /// The denies of pods that no rule isolates: the entry is everything that they do not name.
    Rest(Rc<[RuleId]>),
}
