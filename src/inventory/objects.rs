//! Objects of the cluster of the kinds that a build writes. Those that decide about flows of pods add to what it writes,
//! and a build overwrites one that has the name of its own.

use smol_str::SmolStr;

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
    /// Of an object that netpol wrote, the `name` of that build, which may be empty.
    pub build: Option<SmolStr>,
    /// The labels of the pods that it selects.
    pub pods: Requirements,
    /// What it says of them.
    pub says: Says,
    /// Where it was stated.
    pub origin: Span,
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
    /// Of an object that netpol wrote, the `name` of that build, which may be empty.
    pub build: Option<SmolStr>,
    /// Where it was stated.
    pub origin: Span,
}

/// Returns the `name` of the build that wrote an object with some labels; `None` where it was not netpol, and an empty one
/// where the build has none.
pub(super) fn build_of(labels: &Labels) -> Option<SmolStr> {
    let ours = labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "netpol");
    ours.then(|| labels.get("app.kubernetes.io/part-of").cloned().unwrap_or_default())
}

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    /// `networking.k8s.io`.
    NetworkPolicy,
    /// `security.istio.io`.
    AuthorizationPolicy,
    /// `networking.istio.io`.
    Sidecar,
    /// `security.istio.io`.
    PeerAuthentication,
}

/// What an object says of its pods.
#[derive(Clone, Debug)]
pub enum Says {
    /// It lets these come in and go out; an AuthorizationPolicy with `ALLOW` too.
    Passes {
        /// What comes in.
        ingress: Vec<Passage>,
        /// What goes out.
        egress: Vec<Passage>,
    },
    /// It refuses these on their way in.
    Refuses(Vec<Passage>),
    /// It is the one of its kind that the pods obey.
    Governs,
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

impl PolicyKind {
    /// Returns the kind as a manifest writes it.
    pub fn word(self) -> &'static str {
        match self {
            PolicyKind::NetworkPolicy => "NetworkPolicy",
            PolicyKind::AuthorizationPolicy => "AuthorizationPolicy",
            PolicyKind::Sidecar => "Sidecar",
            PolicyKind::PeerAuthentication => "PeerAuthentication",
        }
    }
}
