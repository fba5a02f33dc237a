//! Subjects: the governed pods, as objects of Istio select them.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web, tier!=edge}
//! ```
//!
//! An object is for the mesh, a namespace, or the pods of one namespace with some labels (`subject`), so a selector
//! that asks for more is taken apart into such subjects by the inventory's workloads (`find`). All
//! AuthorizationPolicies of a pod add up, but a pod obeys one Sidecar and one PeerAuthentication (`effective`), for
//! which pods are divided (`divide`). Where no labels tell the pods of a rule from others, all objects that may have
//! such pods (`overlaps`) get the rule's access.

mod divide;
mod find;
pub mod obeyed;
mod overlaps;
mod subject;

pub use find::{Finder, Kind};
pub use overlaps::Overlaps;
pub use subject::{Indistinct, Subject, Subjects};
