//! Objects of the cluster, of the kinds that a build writes. Those that decide flows of pods act together with the
//! build's objects. A build overwrites an object with the same name.
//!
//! The objects are kept as Kubernetes and Istio write them: a NetworkPolicy by its peers and ports, an object of Istio
//! as [`mesh`](super::mesh) has it. No function here decides a flow.

use smol_str::SmolStr;

use super::mesh::{Authorization, Issuer, Outbound, Peering};
use crate::model::addresses::Block;
use crate::model::labels::{Labels, PodSelector, Requirements};
use crate::model::ports::PortMatch;
use crate::source::Span;

/// An object that decides about the flows of some pods.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    /// Its kind.
    pub kind: PolicyKind,
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// The `name` of the build that wrote the object, which may be empty; `None` if netpol did not write it.
    pub build: Option<SmolStr>,
    /// `metadata.creationTimestamp`, which a dump of a cluster has. Of two, the smaller text is the older.
    pub created: Option<SmolStr>,
    /// The pods that it is for.
    pub pods: Pods,
    /// The flows that it decides.
    pub says: Says,
    /// Its span.
    pub origin: Span,
}

/// The pods that an object is for.
#[derive(Clone, Debug)]
pub enum Pods {
    /// The pods of its namespace with these labels; for some kinds of Istio in the root namespace, the pods of every
    /// namespace.
    Labels(Requirements),
    /// Those of gateways in its namespace (`targetRefs`), by name.
    Gateways {
        /// Gateways of the Gateway API: the pods that are made for them.
        made: Vec<SmolStr>,
        /// Istio's Gateways: the pods that they select. Not every release of Istio reads this.
        selecting: Vec<SmolStr>,
    },
}

/// An object of a kind that builds write, whoever made it.
#[derive(Clone, Debug)]
pub struct Existing {
    /// Its kind, as a manifest writes it.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// The `name` of the build that wrote the object, which may be empty; `None` if netpol did not write it.
    pub build: Option<SmolStr>,
    /// Its span.
    pub origin: Span,
}

/// Returns the `name` of the build that wrote an object with some labels; `None` if netpol did not write it, and an
/// empty one if the build has no `name`.
pub(super) fn build_of(labels: &Labels) -> Option<SmolStr> {
    let ours = labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "netpol");
    ours.then(|| labels.get("app.kubernetes.io/part-of").cloned().unwrap_or_default())
}

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// `networking.k8s.io`.
    NetworkPolicy,
    /// `security.istio.io`.
    AuthorizationPolicy,
    /// `networking.istio.io`.
    Sidecar,
    /// `security.istio.io`.
    PeerAuthentication,
    /// `security.istio.io`.
    RequestAuthentication,
}

/// The flows that an object decides for its pods.
#[derive(Clone, Debug)]
pub enum Says {
    /// A NetworkPolicy: the flows that it lets in and out; `None` for a direction that it does not concern.
    Network {
        /// The flows that come in.
        ingress: Option<Vec<Passage>>,
        /// The flows that go out.
        egress: Option<Vec<Passage>>,
    },
    /// An AuthorizationPolicy.
    Authorization(Authorization),
    /// A Sidecar.
    Sidecar(Outbound),
    /// A PeerAuthentication.
    Peer(Peering),
    /// A RequestAuthentication.
    Tokens(Vec<Issuer>),
}

/// Some peers on some ports.
#[derive(Clone, Debug)]
pub struct Passage {
    /// The peers; none are everybody.
    pub peers: Vec<Peer>,
    /// The ports; none are all.
    pub ports: Vec<PortMatch>,
}

/// A peer.
#[derive(Clone, Debug)]
pub enum Peer {
    /// Pods.
    Pods(PodSelector),
    /// Addresses.
    Block(Block),
}

impl PolicyObject {
    /// Returns whether the object may be for some pods, by their labels.
    pub fn may_be_for(&self, pods: &[PodSelector]) -> bool {
        match &self.pods {
            Pods::Labels(labels) => pods.iter().any(|one| one.labels.overlaps(labels)),
            Pods::Gateways { .. } => true,
        }
    }

    /// Returns the object without its rules, only with its pods and its kind.
    pub fn without_details(mut self) -> PolicyObject {
        match &mut self.says {
            Says::Network { ingress, egress } => {
                [ingress, egress].into_iter().flatten().for_each(|passages| *passages = Vec::new());
            }
            Says::Authorization(says) => says.rules = Vec::new(),
            Says::Sidecar(outbound) => *outbound = Outbound::default(),
            Says::Peer(_) | Says::Tokens(_) => {}
        }
        self
    }
}

impl PolicyKind {
    /// Returns the kind as a manifest writes it.
    pub fn word(self) -> &'static str {
        match self {
            PolicyKind::NetworkPolicy => "NetworkPolicy",
            PolicyKind::AuthorizationPolicy => "AuthorizationPolicy",
            PolicyKind::Sidecar => "Sidecar",
            PolicyKind::PeerAuthentication => "PeerAuthentication",
            PolicyKind::RequestAuthentication => "RequestAuthentication",
        }
    }
}
