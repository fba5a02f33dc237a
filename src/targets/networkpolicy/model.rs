//! What a NetworkPolicy can say, as types: no empty list of peers or ports (which would mean "all"), no protocol but
//! those that it knows, and a peer that is pods of some namespaces or a block of addresses, never both.
//!
//! What an object says (its `spec`) stands apart from the rules that it comes from (its `provenance`): a reader of
//! objects knows the former alone.

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
    /// Everybody, inside the cluster and outside: an entry without `from` or `to`.
    Everything,
    /// These.
    Some(NonEmpty<Peer<'a>>),
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer<'a> {
    /// Pods: `namespaceSelector` and `podSelector` together.
    Pods {
        /// On the labels of the namespace.
        namespace: Cow<'a, Requirements>,
        /// On the labels of the pod.
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

/// A NetworkPolicy with what it comes from.
#[derive(Clone, Debug)]
pub struct Object<'p, 'a> {
    /// What it says.
    pub spec: Spec<'p, 'a>,
    /// What it comes from.
    pub provenance: Provenance<'p>,
}

/// What a NetworkPolicy says: it isolates its pods in one direction, and lets through what its entries name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec<'p, 'a> {
    /// Its namespace and `podSelector`.
    pub subject: Cow<'p, Subject<'a>>,
    /// `policyTypes`.
    pub direction: Direction,
    /// Which one it is of several objects for the same pods, counted from 0.
    pub number: usize,
    /// `egress` or `ingress`.
    pub entries: Vec<Entry<'p, 'a>>,
}

/// One entry of `egress` or `ingress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'p, 'a> {
    /// `to` or `from`; `None` is everybody.
    pub peers: Option<Cow<'p, [Peer<'a>]>>,
    /// `ports`.
    pub ports: Cow<'p, PortList>,
}

/// What a NetworkPolicy comes from.
#[derive(Clone, Debug)]
pub struct Provenance<'p> {
    /// The rules that isolate its pods.
    pub isolated_by: &'p [RuleId],
    /// For each entry, why it is there.
    pub entries: Vec<Vec<&'p Cause>>,
}

/// Why something is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An allow.
    Rule(RuleId),
    /// A grant.
    Grant(GrantId),
    /// No rule isolates these pods: it is everything but what these deny rules name.
    Rest(Rc<[RuleId]>),
}
