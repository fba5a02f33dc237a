//! NetworkPolicies of the cluster, evaluated for one flow. The NetworkPolicies of a pod add up: each lets through the
//! flows that it names, and any of them closes its pods to all flows that none names.
//!
//! ```text
//! default deny ingress shop/*
//! NetworkPolicy shop/chart-open: ingress: [{}]                    # opens shop/web to lab/tool
//! ```

use smol_str::SmolStr;

use super::flows::{MOST, address, party};
use super::pods::Governed;
use super::shape::Shape;
use super::{Effect, Judged, Judges, Look, MOST_PARTS, Said, Sure};
use crate::inventory::{Inventory, Passage, Peer, PolicyObject, Says};
use crate::model::addresses::AddressSet;
use crate::model::ports::PortMatch;
use crate::model::rules::Direction;
use crate::policy::{Flow, Party};

/// A NetworkPolicy, beside the others of a pod.
pub(super) struct Judge<'a> {
    object: &'a PolicyObject,
    inventory: &'a Inventory,
    own: Vec<&'a PolicyObject>,
    theirs: Vec<&'a PolicyObject>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(look: &Look<'a>, governed: &Governed, object: &'a PolicyObject) -> Judge<'a> {
        let (own, theirs) = (look.own_for(&governed.pod), look.theirs_for(&governed.pod));
        Judge { object, inventory: &look.policy.inventory, own, theirs }
    }

    /// Returns whether the build closes the pod in a direction, with or without exceptions.
    fn is_closed(&self, direction: Direction) -> bool {
        self.own.iter().any(|object| passages(object, direction).is_some())
    }
}

impl Judges for Judge<'_> {
    fn shapes(&self, direction: Direction) -> Vec<Shape> {
        let Some(passages) = passages(self.object, direction) else { return Vec::new() };
        let anything = (!self.is_closed(direction)).then(Shape::default);
        passages.iter().take(MOST_PARTS).map(|passage| shape(self.inventory, passage)).chain(anything).collect()
    }

    fn size(&self) -> usize {
        let parts = |passage: &Passage| 1 + passage.peers.len() + passage.ports.len();
        let both = Direction::BOTH.into_iter().filter_map(|direction| passages(self.object, direction)).flatten();
        both.map(parts).sum()
    }

    fn concerns(&self, flow: &Flow, direction: Direction) -> bool {
        !self.is_closed(direction) || passes(self.object, flow, direction) > Sure::No
    }

    fn effects(&self, direction: Direction) -> &'static [Effect] {
        if self.is_closed(direction) { &[Effect::Opens] } else { &[Effect::Opens, Effect::Closes] }
    }

    fn judge(&self, flow: &Flow, direction: Direction, said: &Said) -> Option<Judged> {
        passages(self.object, direction)?;
        if !said.allows {
            let why = "objects of NetworkPolicy add up: delete it, or write a rule for what it lets through";
            return Judged::if_so(Effect::Opens, passes(self.object, flow, direction), why);
        }
        if self.is_closed(direction) {
            return None;
        }
        let passed = Sure::any(self.theirs.iter().map(|object| passes(object, flow, direction)));
        let why = "the build writes no NetworkPolicy for these pods, and this one closes them to all that none names";
        Judged::if_so(Effect::Closes, passed.not(), why)
    }
}

fn passages(object: &PolicyObject, direction: Direction) -> Option<&[Passage]> {
    match (&object.says, direction) {
        (Says::Network { ingress, .. }, Direction::Ingress) => ingress.as_deref(),
        (Says::Network { egress, .. }, Direction::Egress) => egress.as_deref(),
        _ => None,
    }
}

/// Returns whether a NetworkPolicy lets a flow through at one end; perhaps, if it names only some addresses of a host.
fn passes(object: &PolicyObject, flow: &Flow, direction: Direction) -> Sure {
    let passages = passages(object, direction).unwrap_or_default();
    Sure::any(passages.iter().map(|passage| contains(passage, flow, direction)))
}

fn contains(passage: &Passage, flow: &Flow, direction: Direction) -> Sure {
    let names: Vec<SmolStr> = match &flow.destination {
        Party::Pod(pod) => {
            let own = pod.ports.iter().filter(|port| Some(port.port) == flow.port && port.protocol == flow.protocol);
            own.filter_map(|port| port.name.clone()).collect()
        }
        Party::Address(_) | Party::Host { .. } => Vec::new(),
    };
    let on_port = |port: &PortMatch| port.matches(flow.port, flow.protocol, &names);
    if !passage.ports.is_empty() && !passage.ports.iter().any(on_port) {
        return Sure::No;
    }
    if passage.peers.is_empty() {
        return Sure::Yes;
    }
    let party = if direction == Direction::Egress { &flow.destination } else { &flow.source };
    Sure::any(passage.peers.iter().map(|peer| match (peer, party) {
        (Peer::Pods(selector), Party::Pod(pod)) => {
            Sure::from(selector.matches(&pod.namespace_labels, &pod.labels, &pod.account))
        }
        (Peer::Block(block), Party::Address(address)) => Sure::from(block.contains(*address)),
        (Peer::Block(block), Party::Host { at, .. }) => {
            let block = AddressSet { blocks: vec![block.clone()] };
            match at.overlaps(&block) {
                true if at.is_inside(&block) => Sure::Yes,
                true => Sure::Maybe,
                false => Sure::No,
            }
        }
        _ => Sure::No,
    }))
}

fn shape(inventory: &Inventory, passage: &Passage) -> Shape {
    let party = |peer: &Peer| match peer {
        Peer::Pods(selector) => party(inventory, selector),
        Peer::Block(block) => address(block).map(Party::Address),
    };
    let parties = passage.peers.iter().filter_map(party).take(MOST).collect();
    Shape { parties, ports: passage.ports.clone(), requests: Vec::new() }
}
