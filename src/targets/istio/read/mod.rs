//! What Istio's objects let in, as sets of flows: read from objects, whoever wrote them, and not from what a plan meant.
//!
//! ```text
//! AuthorizationPolicy garden/web: selector app: web, ALLOW, principals: [cluster.local/ns/lab/sa/curl], ports: ["8080"]
//!     into garden: app=web only from lab/@curl with its sidecar, on TCP 8080; the other pods from everybody
//! ```
//!
//! A receiving sidecar looks at a connection in this order: strict mTLS (PeerAuthentication) refuses callers without an
//! identity; a `DENY` that matches refuses; where some `ALLOW` selects the pod, one of them must match
//! (`security/v1beta1/authorization_policy.proto` and `peer_authentication.proto` of Istio's API). It sees TCP alone.
//!
//! The sets are about flows that go through the sidecars of both ends. The caller of such a flow has an identity if its
//! pod has a sidecar.

mod authorization;
pub mod egress;
mod values;

use smol_str::SmolStr;

use crate::flows::{Flows, Set, Side, Terms};
use crate::inventory::mesh::{Mtls, Peering};
use crate::inventory::{Pods, PolicyKind, PolicyObject, Says};
use crate::model::labels::{PodSelector, Requirements};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::policy::Policy;
use crate::source::Span;

/// Something of an object that no set can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The object.
    pub origin: Span,
    /// What is not understood, in words.
    pub what: String,
}

/// The objects of a mesh that decide what its pods receive.
pub struct Ingress<'a> {
    policy: &'a Policy,
    objects: Vec<&'a PolicyObject>,
}

impl<'a> Ingress<'a> {
    /// Takes the objects that decide what pods receive from all objects of a mesh.
    pub fn new(policy: &'a Policy, objects: impl IntoIterator<Item = &'a PolicyObject>) -> Ingress<'a> {
        Ingress { policy, objects: objects.into_iter().filter(|object| Ingress::decides(object)).collect() }
    }

    /// Returns whether an object decides what pods receive.
    pub fn decides(object: &PolicyObject) -> bool {
        !matches!(object.kind, PolicyKind::NetworkPolicy | PolicyKind::Sidecar)
    }

    /// Adds what the objects speak of to the values in play.
    pub fn terms(&self, terms: &mut Terms) -> Result<(), NotUnderstood> {
        terms.addresses(&self.policy.pod_addresses);
        for object in &self.objects {
            terms.pods(&self.selected(object)?);
            match &object.says {
                Says::Authorization(says) => authorization::terms(self.policy, object, says, terms)?,
                Says::Tokens(issuers) => {
                    for issuer in issuers {
                        terms.token(Some(issuer.url.clone()), None);
                        issuer.audiences.iter().for_each(|one| terms.claim(vec!["aud".into()], one.clone()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the flows that the sidecars of the pods of a place let in, among those that are `asked` for. The space must be
    /// made of [`Ingress::terms`].
    pub fn row(&self, flows: &mut Flows, place: u32, asked: Set) -> Result<Set, NotUnderstood> {
        let namespace = flows.space.namespace(place).cloned();
        let root = &self.policy.settings.root_namespace;
        let here = |object: &&&PolicyObject| object.namespace == *root || Some(&object.namespace) == namespace.as_ref();
        let objects: Vec<&PolicyObject> = self.objects.iter().filter(here).copied().collect();
        let strict = self.strict(flows, &objects, place, asked)?;
        let judged = authorization::row(self, flows, &objects)?;
        let identified = self.identified(flows);
        let d = &mut flows.diagrams;
        let unknown = d.minus(strict, identified);
        let judged = d.minus(judged, unknown);
        let tcp = flows.port(&PortMatch::range(1, u16::MAX, Protocol::Tcp));
        let unseen = flows.diagrams.complement(tcp);
        let row = flows.diagrams.or(judged, unseen);
        Ok(flows.with_place(row, true, place))
    }

    /// Returns the flows on which mutual TLS is demanded: a pod goes by its own PeerAuthentication, else by its
    /// namespace's, else by the mesh's, each of which may leave the mode to the next.
    fn strict(
        &self,
        flows: &mut Flows,
        objects: &[&PolicyObject],
        place: u32,
        asked: Set,
    ) -> Result<Set, NotUnderstood> {
        let namespace = flows.space.namespace(place).cloned();
        let namespace = namespace.as_ref();
        let root = &self.policy.settings.root_namespace;
        let peers = || {
            objects.iter().filter_map(|object| match &object.says {
                Says::Peer(says) => Some((*object, says)),
                _ => None,
            })
        };
        let whole = |object: &PolicyObject| matches!(&object.pods, Pods::Labels(labels) if labels.is_any());
        let mut strict = Set::NONE;
        // One of the mesh, then one of the namespace; one with a selector in the root namespace is for that one alone.
        let own = namespace.map(SmolStr::as_str).filter(|name| name != root);
        for level in [Some(root.as_str()), own].into_iter().flatten() {
            for (_, says) in peers().filter(|(object, _)| object.namespace == level && whole(object)) {
                strict = mode(flows, says, strict);
            }
        }
        let mut selected = Set::NONE;
        let outer = strict;
        for (object, says) in peers().filter(|(object, _)| Some(&object.namespace) == namespace && !whole(object)) {
            let pods = self.pods(flows, object)?;
            let twice = flows.diagrams.and(pods, selected);
            let twice = flows.with_place(twice, true, place);
            if flows.diagrams.and(twice, asked) != Set::NONE {
                let what = "of two PeerAuthentications for one pod the older one counts".to_owned();
                return Err(NotUnderstood { origin: object.origin, what });
            }
            let own = mode(flows, says, outer);
            let d = &mut flows.diagrams;
            selected = d.or(selected, pods);
            let own = d.and(own, pods);
            let others = d.minus(strict, pods);
            strict = d.or(own, others);
        }
        // A gateway takes the TLS that its own servers say.
        let gateways = self.gateways(flows);
        Ok(flows.diagrams.minus(strict, gateways))
    }

    /// Returns the flows whose caller has an identity: those from pods with a sidecar, and from gateways.
    pub fn identified(&self, flows: &mut Flows) -> Set {
        let gateways = self.policy.gateways.iter().flat_map(|gateway| &gateway.pods);
        let mut sets: Vec<Set> = gateways.map(|pods| flows.pods(Side::Source, false, pods)).collect();
        sets.push(flows.from_sidecar());
        flows.diagrams.union(sets)
    }

    /// Returns the flows to the pods of declared gateways.
    fn gateways(&self, flows: &mut Flows) -> Set {
        let pods = self.policy.gateways.iter().flat_map(|gateway| &gateway.pods);
        let sets = pods.map(|pods| flows.pods(Side::Destination, true, pods)).collect();
        flows.diagrams.union(sets)
    }

    /// Returns the flows to the pods that an object is for, in a namespace that it is for.
    fn pods(&self, flows: &mut Flows, object: &PolicyObject) -> Result<Set, NotUnderstood> {
        let selected = self.selected(object)?;
        Ok(flows.pods(Side::Destination, true, &selected))
    }

    /// Returns the pods that an object is for; of one in the root namespace, those of every namespace.
    fn selected(&self, object: &PolicyObject) -> Result<PodSelector, NotUnderstood> {
        let Pods::Labels(labels) = &object.pods else {
            let what = "`targetRefs` is for the pods of gateways, which nothing here knows".to_owned();
            return Err(NotUnderstood { origin: object.origin, what });
        };
        let for_all = object.namespace == self.policy.settings.root_namespace;
        let own = PodSelector::in_namespace(object.namespace.clone());
        let namespace = if for_all { Requirements::any() } else { own.namespace.clone() };
        Ok(PodSelector { labels: labels.clone(), namespace, ..own })
    }
}

/// Returns the flows on which a PeerAuthentication demands mutual TLS; what it leaves unset is as in `outer`.
fn mode(flows: &mut Flows, says: &Peering, outer: Set) -> Set {
    let demanded = |mode: Option<Mtls>, outer: Set| match mode {
        Some(Mtls::Strict) => Set::ALL,
        Some(Mtls::Permissive | Mtls::Disable) => Set::NONE,
        None => outer,
    };
    let whole = demanded(says.mode, outer);
    says.ports.iter().fold(whole, |all, (port, mode)| {
        let on_port = flows.ports(&Ports::Some(vec![PortMatch::range(*port, *port, Protocol::Tcp)]));
        let d = &mut flows.diagrams;
        let own = d.and(demanded(*mode, whole), on_port);
        let others = d.minus(all, on_port);
        d.or(own, others)
    })
}
