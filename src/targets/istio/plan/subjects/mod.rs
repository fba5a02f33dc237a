//! Subjects: the governed pods, as objects of Istio select them.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web, tier!=edge}
//! ```
//!
//! An object is for the mesh, a namespace, or the pods of one namespace with some labels (`subject`). A selector with
//! other requirements is replaced by the matching workloads of the inventory (`find`). All AuthorizationPolicies of a
//! pod add up, but a pod obeys only one Sidecar and one PeerAuthentication (`obeyed`), so pods are divided between
//! these (`divide`). If no labels distinguish the pods of a rule from others, the rule's access is added to all objects
//! that may have such pods (`overlaps`).

mod divide;
mod find;
pub mod obeyed;
mod overlaps;
mod subject;

pub use find::{Finder, Kind};
pub use overlaps::Overlaps;
pub use subject::{Indistinct, Subject, Subjects};
