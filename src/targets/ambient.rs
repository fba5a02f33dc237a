//! Pods in Istio's ambient mode, which no layer here holds on single ports.
//!
//! Between two of them everything arrives on TCP 15008, in a tunnel: a NetworkPolicy for `grafana -> prometheus:9090` closes
//! what it is meant to let through, a `deny` of port 9090 denies nothing, and no sidecar is there. On all ports a
//! NetworkPolicy means what the rule says.

use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{Injection, Workload};
use crate::model::endpoint::Endpoint;
use crate::model::ports::Ports;
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::{Pod, Policy};
use crate::settings::Layer;

const MODE: &str = "istio.io/dataplane-mode";

/// Reports the rules that need ambient pods held on single ports.
pub(super) fn judge(policy: &Policy, diagnostics: &mut Diagnostics) {
    let inventory = &policy.inventory;
    if !inventory.workloads.iter().any(|workload| is_ambient(policy, workload)) {
        return;
    }
    for rule in policy.rules.iter().filter(|rule| rule.action != Action::Isolate) {
        let whole = rule.destination.members.iter().all(|member| member.ports == Ports::All);
        let by_address = policy.settings.targets.contains(&Layer::NetworkPolicy) && whole && rule.conditions.is_none();
        if by_address || rule.origin.approximate().is_some() {
            continue;
        }
        if let Some(names) = concerned(policy, rule) {
            let message = format!("pods in ambient mode are held by no layer on single ports: {names}");
            diagnostics.push(
                Diagnostic::new(Code::Ambient, rule.origin.span, message)
                    .at("what they send each other arrives on TCP 15008, and they have no sidecar")
                    .note("give them sidecars, or leave out the ports and the conditions")
                    .note("or accept the gap: `@approximate(\"why\")` before the rule"),
            );
        }
    }
}

/// Returns the governed pods that are ambient, and those that the governed pods call where all of them are.
fn concerned(policy: &Policy, rule: &Rule) -> Option<String> {
    let mut names: Vec<SmolStr> = Vec::new();
    for direction in Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)) {
        names.extend(ambient(policy, rule.subject(direction)).0);
        let (called, others) = ambient(policy, &rule.destination);
        if direction == Direction::Egress && !others {
            names.extend(called);
        }
    }
    names.sort();
    names.dedup();
    let quoted: Vec<String> = names.iter().take(3).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => None,
        1..=3 => Some(quoted.join(", ")),
        more => Some(format!("{} and {} more", quoted.join(", "), more - 3)),
    }
}

/// Returns the known pods of an endpoint that are ambient, and whether it has others.
fn ambient(policy: &Policy, endpoint: &Endpoint) -> (Vec<SmolStr>, bool) {
    let pods = endpoint.pods().flat_map(|(_, pods)| policy.inventory.select(&pods.selector));
    let (ambient, others): (Vec<&Workload>, Vec<&Workload>) = pods.partition(|workload| is_ambient(policy, workload));
    let name = |workload: &&Workload| smol_str::format_smolstr!("{}/{}", workload.namespace, workload.name);
    (ambient.iter().map(name).collect(), !others.is_empty())
}

/// Returns whether a pod is in ambient mode, as far as its labels and those of its namespace tell.
pub fn is_ambient_pod(pod: &Pod) -> bool {
    let mode = pod.labels.get(MODE).or_else(|| pod.namespace_labels.get(MODE));
    mode.is_some_and(|mode| mode == "ambient") && !pod.sidecar
}

fn is_ambient(policy: &Policy, workload: &Workload) -> bool {
    let namespace = || Some(&policy.inventory.namespaces.get(&workload.namespace)?.labels);
    let mode = workload.labels.get(MODE).or_else(|| namespace()?.get(MODE));
    mode.is_some_and(|mode| mode == "ambient")
        && !workload.sidecar
        && !workload.host_network
        && workload.injection != Injection::Gateway
}
