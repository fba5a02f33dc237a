//! Objects that decide flows: NetworkPolicies in [`network`], those of Istio in [`mesh`].

use super::document::Mistakes;
use super::object::Meta;
use super::scalar::Scalar;
use super::tree::At;
use super::{fields, mesh, network};
use crate::inventory::objects::build_of;
use crate::inventory::{PolicyKind, PolicyObject};

/// Reads an object that decides flows; `None` if it decides nothing, or cannot be read.
pub(super) fn policy(
    kind: PolicyKind,
    meta: Meta<'_>,
    object: At<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<PolicyObject> {
    let empty = |_: &At<'_>| object.get("spec").is_none_or(At::is_null);
    let spec = match fields::mapping(object, "spec", mistakes) {
        Some(spec) => spec,
        // An object may go without a `spec`: a NetworkPolicy then closes the ingress of all pods of its namespace.
        None if empty(&object) => object,
        None => return None,
    };
    let (pods, says) = match kind {
        PolicyKind::NetworkPolicy => network::says(&meta.namespace, spec, mistakes)?,
        _ => mesh::says(kind, &meta, spec, mistakes)?,
    };
    let build = build_of(&meta.labels);
    let created = match meta.at.get("creationTimestamp").and_then(At::scalar) {
        Some(Scalar::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (namespace, name, origin) = (meta.namespace, meta.name, meta.origin);
    Some(PolicyObject { kind, namespace, name, build, created, pods, says, origin })
}
