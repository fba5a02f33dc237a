//! The mesh: a note if the default layers include `istio` and the inventory shows no mesh, and a warning if it shows
//! istiod in another namespace than that of the settings.
//!
//! ```text
//! netpol check garden.netpol --inventory cluster.yaml     no sidecar, no istiod: a note, once, that says `targets`
//! ```

use super::Policy;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::Injection;
use crate::model::labels::Labels;
use crate::settings::Layer;

/// Returns whether the layers are the default and the inventory shows no mesh: no sidecar, no istiod, no gateway, no
/// namespace with a label of Istio, and no object of Istio's kinds.
pub fn is_missing(policy: &Policy) -> bool {
    let (inventory, settings) = (&policy.inventory, &policy.settings);
    if settings.targets_are_said || !settings.targets.contains(&Layer::Istio) || !inventory.given {
        return false;
    }
    let of_mesh = |labels: &Labels| labels.keys().any(|key| key.starts_with("istio") || key.contains(".istio.io/"));
    let in_namespaces = || {
        let mut namespaces = inventory.namespaces.iter();
        namespaces.any(|(name, known)| *name == settings.root_namespace || of_mesh(&known.labels))
    };
    let in_workloads = || {
        let mut workloads = inventory.workloads.iter();
        workloads.any(|one| one.sidecar || one.injection != Injection::ByNamespace && one.injection != Injection::Never)
    };
    let in_objects = || {
        let network = |kind: &str| kind == "NetworkPolicy";
        inventory.existing.iter().any(|object| !network(object.kind)) || !inventory.rewrites.is_empty()
    };
    !inventory.workloads.is_empty() && !in_namespaces() && !in_workloads() && !in_objects()
}

/// Warns once that istiod is in another namespace than the mesh's root namespace of the settings, which the inventory
/// does not have: objects there would be for nobody.
pub fn warn_of_root(policy: &Policy, diagnostics: &mut Diagnostics) {
    let (inventory, settings) = (&policy.inventory, &policy.settings);
    let root = settings.root_namespace.as_str();
    let knows = !inventory.given || inventory.namespaces.contains_key(root);
    let Some(rule) = policy.rules.first().filter(|_| !knows && settings.targets.contains(&Layer::Istio)) else {
        return;
    };
    let mut istiods = inventory.workloads.iter().filter(|one| one.labels.get("app").is_some_and(|app| app == "istiod"));
    let Some(istiod) = istiods.next() else { return };
    let message = format!(
        "istiod is in the namespace `{}`, and the mesh's root namespace is taken to be `{root}`",
        istiod.namespace
    );
    diagnostics.push(
        Diagnostic::new(Code::RootElsewhere, rule.origin.place(), message)
            .at(format!("the inventory has no `{root}`, and the mesh ignores objects there"))
            .note(format!(
                "`root-namespace = \"{}\"` under `[istio]` in netpol.toml, if the mesh is set so",
                istiod.namespace
            )),
    );
}

/// Notes once that the inventory shows no mesh, and how to leave the layer out.
pub fn note_missing(policy: &Policy, diagnostics: &mut Diagnostics) {
    let Some(rule) = policy.rules.first().filter(|_| policy.lacks_mesh) else { return };
    let asks = policy.rules.iter().any(|rule| rule.conditions.asks_of_requests());
    let without = match asks {
        true => {
            "without a mesh nothing reads requests: leave `where …` out of the rules, and set `targets = [\"networkpolicy\"]` in netpol.toml"
        }
        false => "without a mesh: `targets = [\"networkpolicy\"]` in netpol.toml, or `--target networkpolicy`",
    };
    let message = "the inventory shows no mesh, and this build has the layer `istio` too";
    diagnostics.push(
        Diagnostic::new(Code::NoMesh, rule.origin.place(), message)
            .at("no layers are said, so that there are both")
            .note(without)
            .note(
                "with one that the inventory leaves out: `targets = [\"networkpolicy\", \"istio\"]`, and in the inventory `istio-injection: enabled` at its namespaces",
            ),
    );
}

/// Warns of pods that run with a sidecar and get none when they are started again: their namespace lost its label.
pub fn warn_of_restarts(policy: &Policy, diagnostics: &mut Diagnostics) {
    let Some(rule) = policy.rules.first().filter(|_| policy.settings.targets.contains(&Layer::Istio)) else { return };
    let lost = policy.inventory.workloads.iter().filter(|one| policy.inventory.after_restart(one) == Some(false));
    let names: Vec<String> = lost.map(|workload| format!("{}/{}", workload.namespace, workload.name)).collect();
    if names.is_empty() {
        return;
    }
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    let names = names[..names.len().min(3)].join(", ");
    diagnostics.push(
        Diagnostic::new(
            Code::Unmeshed,
            rule.origin.place(),
            format!("pods that have a sidecar lose it when they are started again: {names}{more}"),
        )
        .at("from then on no object of Istio stops them")
        .note("neither their template nor their namespace asks for a sidecar: label the namespace `istio-injection: enabled`"),
    );
}
