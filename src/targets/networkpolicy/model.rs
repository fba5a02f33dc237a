//! What a NetworkPolicy can say, as types: no empty list of peers or ports (which would mean "all"), no protocol but
//! those that it knows, and a peer that is pods of some namespaces or a block of addresses, never both.

use crate::model::rules::{GrantId, RuleId};
use std::borrow::Cow;
use std::rc::Rc;

use super::ports::PortList;
use crate::inventory::LabelledPods;
use crate::model::addresses::Block;
use crate::model::labels::Requirements;

/// A list with at least one item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NonEmpty<T>(Vec<T>);

impl<T> NonEmpty<T> {
    /// Makes the list; `None` where there is no item.
    pub(super) fn new(list: Vec<T>) -> Option<NonEmpty<T>> {
        (!list.is_empty()).then_some(NonEmpty(list))
    }

    /// Returns the items.
    pub(super) fn as_slice(&self) -> &[T] {
        &self.0
    }
}

/// The pods that an object selects: `podSelector` in its own namespace.
pub(super) type Scope<'a> = LabelledPods<'a>;

/// Who is on the other side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peers<'a> {
    /// Everybody, inside the cluster and outside: a rule without `from` or `to`.
    Everything,
    /// These.
    Some(NonEmpty<Peer<'a>>),
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer<'a> {
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

/// What a rule of an object lets through: some peers on some ports.
#[derive(Clone, Debug)]
pub(super) struct Term<'a> {
    /// The peers.
    pub(super) peers: Rc<Peers<'a>>,
    /// The ports, those of the destination pod.
    pub(super) ports: PortList,
    /// Why it is there.
    pub(super) cause: Cause,
}

/// Why something is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// An allow rule.
    Rule(RuleId),
    /// A grant.
    Grant(GrantId),
    /// No rule isolates these pods: it is everything but what these deny rules name.
    Rest(Rc<[RuleId]>),
}

/// One direction of one subject: an object, where it isolates.
#[derive(Debug, Default)]
pub(super) struct Side<'a> {
    /// Whether the subject is isolated in this direction; only then is there an object.
    pub(super) isolated: bool,
    /// The rules that isolate it.
    pub(super) isolated_by: Vec<RuleId>,
    /// What is let through.
    pub(super) terms: Vec<Rc<Term<'a>>>,
}
