//! PeerAuthentications of the cluster: the mode of mutual TLS that the callers of a pod meet, and its effect on them.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> farm/mill:9090
//! PeerAuthentication istio-system/default: mode: STRICT           # closes farm/mill: an address has no identity
//! ```
//!
//! A pod obeys the PeerAuthentication that selects it by labels, else its namespace's, else the mesh's; `UNSET` leaves
//! a mode to the next one out, and of two of the same scope the older counts (`ComposePeerAuthentication` in Istio's
//! `pilot/pkg/security/authn`). Under `STRICT` callers without an identity are refused. Under `DISABLE` no caller has
//! one, so that no rule by identity matches, be it an allow or a deny.

use std::net::{IpAddr, Ipv4Addr};

use super::flows::address;
use super::pods::{Governed, has_identity};
use super::shape::Shape;
use super::{Effect, Judged, Judges, Look, Said, Sure};
use crate::inventory::mesh::{Mtls, Peering};
use crate::inventory::{Pods, PolicyObject, Says};
use crate::model::ports::Protocol;
use crate::model::rules::Direction;
use crate::policy::{Flow, Party, eval};

/// A mode that a port may have, and the object that sets it.
type Mode<'a> = (Mtls, Option<&'a PolicyObject>);

/// How close to a pod an object is: by labels, by namespace, or mesh-wide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    Mesh,
    Namespace,
    Workload,
}

/// Returns how close to its pods an object is.
pub(super) fn closeness(object: &PolicyObject, root: &str) -> Closeness {
    match &object.pods {
        Pods::Labels(labels) if labels.is_any() && object.namespace == root => Closeness::Mesh,
        Pods::Labels(labels) if labels.is_any() => Closeness::Namespace,
        _ => Closeness::Workload,
    }
}

/// Returns the modes that a port may have by some objects which all select its pod; several modes where the ages of two
/// objects of the same scope are not known.
pub(super) fn modes<'a>(objects: &[&'a PolicyObject], root: &str, port: u16) -> Vec<Mode<'a>> {
    let mut modes: Vec<Mode<'a>> = vec![(Mtls::Permissive, None)];
    for level in [Closeness::Mesh, Closeness::Namespace, Closeness::Workload] {
        let here: Vec<(&PolicyObject, &Peering)> = objects
            .iter()
            .filter(|object| closeness(object, root) == level)
            .filter_map(|object| match &object.says {
                Says::Peer(peering) => Some((*object, peering)),
                _ => None,
            })
            .collect();
        let may_count = |one: &PolicyObject| here.iter().all(|(other, _)| !is_older(other, one));
        let counting: Vec<_> = here.iter().filter(|(object, _)| may_count(object)).collect();
        if counting.is_empty() {
            continue;
        }
        let around = std::mem::take(&mut modes);
        for (object, peering) in counting {
            let on_port = peering.ports.iter().find(|(number, _)| *number == port && level == Closeness::Workload);
            let own = on_port.and_then(|(_, mode)| *mode).or(peering.mode);
            modes.extend(around.iter().map(|outer| own.map_or(*outer, |mode| (mode, Some(*object)))));
        }
        let mut seen: Vec<(Mtls, Option<*const PolicyObject>)> = Vec::new();
        modes.retain(|(mode, object)| {
            let key = (*mode, object.map(std::ptr::from_ref));
            let new = !seen.contains(&key);
            seen.push(key);
            new
        });
    }
    modes
}

/// Returns whether an object is surely older than another.
fn is_older(one: &PolicyObject, other: &PolicyObject) -> bool {
    matches!((&one.created, &other.created), (Some(one), Some(other)) if one < other)
}

/// A PeerAuthentication, beside the others of a pod.
pub(super) struct Judge<'a> {
    governed: &'a Governed,
    object: &'a PolicyObject,
    own: Vec<&'a PolicyObject>,
    all: Vec<&'a PolicyObject>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(look: &Look<'a>, governed: &'a Governed, object: &'a PolicyObject) -> Judge<'a> {
        let own = look.own_for(&governed.pod);
        let all = own.iter().copied().chain(look.theirs_for(&governed.pod)).collect();
        Judge { governed, object, own, all }
    }
}

impl Judges for Judge<'_> {
    fn shapes(&self, direction: Direction) -> Vec<Shape> {
        (direction == Direction::Ingress).then(Shape::default).into_iter().collect()
    }

    fn judge(&self, flow: &Flow, direction: Direction, said: &Said) -> Option<Judged> {
        let port = flow.port.filter(|_| direction == Direction::Ingress && flow.protocol == Protocol::Tcp)?;
        let root = &self.governed.policy.settings.root_namespace;
        let after = modes(&self.all, root, port);
        let mut theirs = after.iter().filter(|(_, by)| by.is_some_and(|one| std::ptr::eq(one, self.object))).peekable();
        // Under the build's own objects, whichever of two counts, the flow passes as the source says.
        let wanted = Sure::from(said.allows);
        let as_said = |mode: &Mode<'_>| passes(self.governed, flow, mode.0) == wanted;
        if theirs.peek().is_none() || !modes(&self.own, root, port).iter().all(as_said) {
            return None;
        }
        let found = theirs.filter_map(|(mode, _)| {
            let passes = passes(self.governed, flow, *mode);
            let why = why(said.allows, *mode);
            match said.allows {
                true => Judged::if_so(Effect::Closes, passes.not(), why),
                false => Judged::if_so(Effect::Opens, passes, why),
            }
        });
        let found = found.max_by_key(|judged| judged.sure)?;
        Some(Judged { sure: found.sure && after.len() == 1, ..found })
    }
}

/// Returns why a mode changes the source's verdict about a flow.
fn why(allows: bool, mode: Mtls) -> &'static str {
    match (allows, mode) {
        (true, Mtls::Strict) => "under STRICT callers without a sidecar are refused: they have no certificate",
        (true, _) => "without mutual TLS no caller has an identity, and these rules let callers in by theirs",
        (false, Mtls::Disable) => "without mutual TLS no caller has an identity, by which these rules deny",
        (false, _) => "under PERMISSIVE a caller may come without its identity, by which these rules deny",
    }
}

/// Returns whether a pod whose callers meet a mode lets a flow in, by the rules of the source as Istio can tell
/// callers.
fn passes(governed: &Governed, flow: &Flow, mode: Mtls) -> Sure {
    let allows = |flow: &Flow| {
        let verdict = eval(&governed.policy, flow);
        Sure::from(verdict.ends.iter().all(|end| end.direction != Direction::Ingress || end.allows()))
    };
    let identity = match &flow.source {
        Party::Pod(caller) => has_identity(governed, caller),
        Party::Address(_) | Party::Host { .. } => false,
    };
    match (mode, identity) {
        (Mtls::Strict, false) => Sure::No,
        (Mtls::Strict, true) => allows(flow),
        (Mtls::Disable, _) | (Mtls::Permissive, false) => allows(&unknown(governed, flow)),
        // A pod that avoids its sidecar has no identity.
        (Mtls::Permissive, true) => allows(flow).max(allows(&unknown(governed, flow)).min(Sure::Maybe)),
    }
}

/// Returns a flow as it looks when the caller has no identity: as from an address of pods.
fn unknown(governed: &Governed, flow: &Flow) -> Flow {
    let Party::Pod(_) = &flow.source else { return flow.clone() };
    let known = governed.policy.pod_addresses.blocks.iter().find_map(address);
    Flow { source: Party::Address(known.unwrap_or(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)))), ..flow.clone() }
}
