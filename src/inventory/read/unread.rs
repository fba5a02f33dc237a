//! Workloads of kinds that are not read, such as a Rollout of Argo: only what a message says of them.

use smol_str::SmolStr;

use super::tree::At;
use crate::inventory::Unread;
use crate::model::labels::Labels;

/// Returns an object of another kind that has a template of pods with labels. Nothing in it is a mistake: what its
/// fields mean is unknown.
pub(super) fn workload(kind: &SmolStr, object: At<'_>, unplaced: &SmolStr) -> Option<Unread> {
    let metadata = object.get("metadata")?;
    let template = object.get("spec")?.get("template")?;
    let given = template.get("metadata")?.get("labels")?.entries()?;
    let labels: Labels = given.filter_map(|(key, value)| Some((key.text.clone(), value.text()?.clone()))).collect();
    let account = template.get("spec").and_then(|spec| spec.get("serviceAccountName")).and_then(At::text);
    (!labels.is_empty()).then_some(Unread {
        kind: kind.clone(),
        namespace: metadata.get("namespace").and_then(At::text).unwrap_or(unplaced).clone(),
        name: metadata.get("name")?.text()?.clone(),
        labels,
        account: account.cloned(),
        origin: metadata.get("name")?.span(),
    })
}
