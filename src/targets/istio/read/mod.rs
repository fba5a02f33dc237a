//! Reader of ingress: the flows that Istio's objects let in, as sets, read from the text of any objects.
//!
//! ```text
//! AuthorizationPolicy garden/web: selector app: web, ALLOW, principals: [cluster.local/ns/lab/sa/curl], ports: ["8080"]
//!     into garden: app=web only from lab/@curl with its sidecar, on TCP 8080; the other pods from everybody
//! ```
//!
//! A receiving sidecar checks a connection in this order. Strict mTLS (PeerAuthentication) refuses callers without an
//! identity. A `DENY` that matches refuses. If some `ALLOW` selects the pod, one of them must match
//! (`security/v1beta1/authorization_policy.proto` and `peer_authentication.proto` of Istio's API). The sidecar sees
//! only TCP.
//!
//! The sets are about flows that go through the sidecars of both ends. The caller of such a flow has an identity if its
//! pod has a sidecar.

mod asked;
mod authorization;
pub mod egress;
mod values;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

pub use self::asked::Asked;
use self::authorization::Reader;
use crate::flows::{Flows, Passing, Set, Side, Terms};
use crate::inventory::mesh::{Mtls, Peering};
use crate::inventory::{Pods, PolicyKind, PolicyObject, Says};
use crate::model::labels::{PodSelector, Requirements};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::policy::Policy;
use crate::source::Span;

/// The error for a part of an object that no set can express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The object.
    pub origin: Span,
    /// The part, in words.
    pub what: String,
}

/// The objects of a mesh that decide what its pods receive.
pub struct Ingress<'a> {
    policy: &'a Policy,
    objects: Vec<&'a PolicyObject>,
    of_namespace: FxHashMap<&'a SmolStr, Vec<&'a PolicyObject>>,
}

/// The data that all rows of an [`Ingress`] share.
pub struct Common<'a> {
    identified: Set,
    gateways: Set,
    /// The objects of the root namespace, which are for pods of every namespace, by these pods.
    root: Vec<(Set, Vec<&'a PolicyObject>)>,
    /// The flows that the AuthorizationPolicies among them let in, by their index and by the accepted tokens.
    said: FxHashMap<(usize, Set), Passing>,
}

impl<'a> Ingress<'a> {
    /// Takes the objects that decide the ingress of pods from all objects of a mesh.
    pub fn new(policy: &'a Policy, objects: impl IntoIterator<Item = &'a PolicyObject>) -> Ingress<'a> {
        let objects: Vec<&PolicyObject> = objects.into_iter().filter(|object| Ingress::decides(object)).collect();
        let mut of_namespace: FxHashMap<&SmolStr, Vec<&PolicyObject>> = FxHashMap::default();
        objects.iter().for_each(|object| of_namespace.entry(&object.namespace).or_default().push(object));
        Ingress { policy, objects, of_namespace }
    }

    /// Returns whether an object decides the ingress of pods.
    pub fn decides(object: &PolicyObject) -> bool {
        !matches!(object.kind, PolicyKind::NetworkPolicy | PolicyKind::Sidecar)
    }

    /// Adds the values of the objects to the values in play.
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

    /// Returns the data that all rows share. The space must be made from [`Ingress::terms`].
    pub fn common(&self, flows: &mut Flows) -> Result<Common<'a>, NotUnderstood> {
        let mut root: Vec<(Set, Vec<&PolicyObject>)> = Vec::new();
        let mut at: FxHashMap<Set, usize> = FxHashMap::default();
        for &object in self.objects_in(&self.policy.settings.root_namespace) {
            let pods = self.pods(flows, object)?;
            let at = *at.entry(pods).or_insert(root.len());
            if at == root.len() {
                root.push((pods, Vec::new()));
            }
            root[at].1.push(object);
        }
        let (identified, gateways) = (self.identified(flows), self.gateways(flows));
        Ok(Common { identified, gateways, root, said: FxHashMap::default() })
    }

    fn objects_in(&self, namespace: &str) -> &[&'a PolicyObject] {
        self.of_namespace.get(&SmolStr::from(namespace)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the flows among those `asked` for that the sidecars of a namespace's pods let in (TCP).
    pub fn row(
        &self,
        flows: &mut Flows,
        common: &mut Common<'a>,
        place: u32,
        asked: Set,
    ) -> Result<Passing, NotUnderstood> {
        let root = &self.policy.settings.root_namespace;
        let own = flows.space.namespace(place).filter(|name| *name != root).cloned();
        let own = own.map(|name| self.objects_in(&name)).unwrap_or_default();
        let mut near = Vec::new();
        for (at, (pods, _)) in common.root.iter().enumerate() {
            let pods = flows.with_place(*pods, true, place);
            if flows.diagrams.and(pods, asked) != Set::NONE {
                near.push(at);
            }
        }
        let of_root = near.iter().flat_map(|at| &common.root[*at].1);
        let objects: Vec<&PolicyObject> = of_root.chain(own).copied().collect();
        let strict = self.strict(flows, &objects, place, asked)?;
        let reader = Reader::new(self, common, flows, &objects)?;
        let mut judged = reader.said(flows, own)?;
        for at in near {
            let key = (at, reader.authenticated);
            let said = match common.said.get(&key) {
                Some(known) => *known,
                None => reader.said(flows, &common.root[at].1)?,
            };
            common.said.insert(key, said);
            judged = judged.with(said, &mut flows.diagrams);
        }
        let d = &mut flows.diagrams;
        let unknown = d.minus(strict, common.identified);
        judged.denied = d.or(judged.denied, unknown);
        Ok(judged.map(|set| flows.with_place(set, true, place)))
    }

    /// Returns the flows that need mutual TLS: a pod obeys its own PeerAuthentication, else its namespace's, else the
    /// mesh's. Each may leave the mode to the next.
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
        // One of the mesh, then one of the namespace; one with a selector in the root namespace is only for that
        // namespace.
        let own = namespace.map(SmolStr::as_str).filter(|name| name != root);
        for level in [Some(root.as_str()), own].into_iter().flatten() {
            for (_, says) in peers().filter(|(object, _)| object.namespace == level && whole(object)) {
                strict = mode(flows, says, strict);
            }
        }
        let own: Vec<(&PolicyObject, &Peering)> =
            peers().filter(|(object, _)| Some(&object.namespace) == namespace && !whole(object)).collect();
        let mut each = Vec::with_capacity(own.len());
        for (object, _) in &own {
            let pods = self.pods(flows, object)?;
            each.push(flows.with_place(pods, true, place));
        }
        let selected = apart(flows, &each, asked).map_err(|at| NotUnderstood {
            origin: own[at].0.origin,
            what: "of two PeerAuthentications for one pod the older one counts".to_owned(),
        })?;
        let mut sets = vec![flows.diagrams.minus(strict, selected)];
        for ((_, says), pods) in own.iter().zip(each) {
            let demanded = mode(flows, says, strict);
            sets.push(flows.diagrams.and(demanded, pods));
        }
        let strict = flows.diagrams.union(sets);
        // At a gateway, its own servers decide about TLS.
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

    /// Returns the flows to the pods that an object is for, in each of its namespaces.
    fn pods(&self, flows: &mut Flows, object: &PolicyObject) -> Result<Set, NotUnderstood> {
        let selected = self.selected(object)?;
        Ok(flows.pods(Side::Destination, true, &selected))
    }

    /// Returns the pods that an object is for; for one in the root namespace, those of every namespace.
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

/// Returns the pods of some objects together. If two objects are for the same pods, and some of these are `asked` for,
/// returns the index of the later object.
fn apart(flows: &mut Flows, pods: &[Set], asked: Set) -> Result<Set, usize> {
    let d = &mut flows.diagrams;
    let (all, twice) = d.union_and_twice(pods.to_vec());
    if d.and(twice, asked) == Set::NONE {
        return Ok(all);
    }
    let mut before = Set::NONE;
    for (at, pods) in pods.iter().enumerate() {
        let again = d.and(*pods, before);
        if d.and(again, asked) != Set::NONE {
            return Err(at);
        }
        before = d.or(before, *pods);
    }
    Ok(all)
}

/// Returns the flows for which a PeerAuthentication requires mutual TLS. A mode that it leaves unset is that of
/// `outer`.
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
