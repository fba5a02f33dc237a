//! Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and Pods.

use smol_str::SmolStr;

use super::document::Mistakes;
use super::object::Meta;
use super::sidecar::{self, Shown};
use super::tree::At;
use super::{errors, fields, left_out};
use crate::inventory::{ContainerPort, Workload, WorkloadKind};
use crate::model::labels::{Labels, Requirement, Requirements};

/// The label by which a Job selects its pods (since Kubernetes 1.27), and the older one, which they have too.
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// Reads a workload or a Pod. Its sidecar is decided later, when the labels of its namespace are known.
pub(super) fn workload(
    kind: WorkloadKind,
    meta: Meta<'_>,
    object: At<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Workload> {
    let template = template(kind, &meta, object, mistakes)?;
    let Template { metadata, spec, .. } = template;
    let mut labels = match kind {
        WorkloadKind::Pod => meta.labels.clone(),
        _ => metadata.map(|at| fields::labels(at, "labels", mistakes)).unwrap_or_default(),
    };
    if kind == WorkloadKind::Job && !meta.generated {
        for label in JOB_NAME {
            labels.entry(label.into()).or_insert_with(|| meta.name.clone());
        }
    }
    let selector = selector(kind, &meta, &template, &labels, mistakes);
    let owner = if kind == WorkloadKind::Pod { owner(meta.at, mistakes) } else { None };
    let containers = containers(spec, mistakes);
    let host_network = fields::boolean(spec, "hostNetwork", mistakes);
    let status = if kind == WorkloadKind::Pod { fields::mapping(object, "status", mistakes) } else { None };
    let phase = status.and_then(|at| fields::text(at, "phase", mistakes)).map(|(phase, _)| phase.as_str());
    let annotations = metadata.and_then(|at| fields::mapping(at, "annotations", mistakes));
    let shown = Shown {
        labels: &labels,
        annotations,
        containers: containers
            .iter()
            .filter_map(|at| fields::text(*at, "name", mistakes))
            .map(|(name, _)| name)
            .collect(),
        live: kind == WorkloadKind::Pod && (phase.is_some() || meta.at.get("uid").is_some()),
        host_network,
    };
    let (injection, refuses) = sidecar::injection(&shown, mistakes);
    Some(Workload {
        kind,
        selector,
        account: account(spec, mistakes),
        ports: ports(&containers, mistakes),
        host_network,
        sidecar: false,
        injection,
        refuses,
        left_out: left_out::left_out(annotations, mistakes),
        addresses: match (status, phase) {
            (Some(status), phase) if !matches!(phase, Some("Succeeded" | "Failed")) => addresses(status, mistakes),
            _ => Vec::new(),
        },
        template: None,
        owned: owner.is_some(),
        owner,
        labels,
        namespace: meta.namespace,
        name: meta.name,
        origin: meta.origin,
    })
}

/// Returns whether a Pod runs, by its `status.phase`.
pub(super) fn is_running(object: At<'_>) -> bool {
    let phase = object.get("status").and_then(|status| status.get("phase"));
    phase.and_then(At::text).is_some_and(|phase| phase == "Running")
}

/// A pod's `metadata` and `spec`, and the workload's own `spec` around them. A Pod is its own template.
#[derive(Clone, Copy)]
struct Template<'d> {
    around: At<'d>,
    metadata: Option<At<'d>>,
    spec: At<'d>,
}

fn template<'d>(
    kind: WorkloadKind,
    meta: &Meta<'d>,
    object: At<'d>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Template<'d>> {
    let path: &[&str] = match kind {
        WorkloadKind::Pod => &[],
        WorkloadKind::CronJob => &["spec", "jobTemplate", "spec", "template"],
        _ => &["spec", "template"],
    };
    let mut at = object;
    let mut around = object;
    for (depth, key) in path.iter().enumerate() {
        around = at;
        at = step(at, meta, &path[..=depth], key, mistakes)?;
    }
    let spec = step(at, meta, &[path, &["spec"]].concat(), "spec", mistakes)?;
    Some(Template { around, metadata: fields::mapping(at, "metadata", mistakes), spec })
}

/// Goes to the mapping under `key`, which must be there; `path` names it.
fn step<'d>(at: At<'d>, meta: &Meta<'d>, path: &[&str], key: &str, mistakes: &mut Mistakes<'_>) -> Option<At<'d>> {
    if at.get(key).is_none() {
        mistakes.push(errors::missing(meta.origin, &meta.title, &path.join(".")));
    }
    fields::mapping(at, key, mistakes)
}

/// Returns the requirements that select the pods of a workload when a policy names it: for a Job the label of its name,
/// for a CronJob or a Pod all labels of its pods, for the others `spec.selector`, which must match their template.
fn selector(
    kind: WorkloadKind,
    meta: &Meta<'_>,
    template: &Template<'_>,
    labels: &Labels,
    mistakes: &mut Mistakes<'_>,
) -> Option<Requirements> {
    let equal = |key: &SmolStr, value: &SmolStr| Requirement::is_in(key.clone(), [value.clone()]);
    match kind {
        WorkloadKind::Job => Requirements::new([equal(&JOB_NAME[0].into(), &meta.name)]),
        WorkloadKind::CronJob | WorkloadKind::Pod | WorkloadKind::Declared => {
            Requirements::new(labels.iter().map(|(key, value)| equal(key, value))).filter(|all| !all.is_any())
        }
        WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet | WorkloadKind::ReplicaSet => {
            let at = step(template.around, meta, &["spec", "selector"], "selector", mistakes)?;
            let selector = fields::label_selector(at, mistakes)?;
            if !selector.matches(labels) || selector.is_any() {
                let given = template.metadata.and_then(|at| at.get("labels"));
                mistakes.push(errors::selects_others(at.span(), given.map(|at| at.span()), &meta.title));
            }
            Some(selector)
        }
    }
}

/// Returns the containers that run as long as the pod does: `containers`, and the `initContainers` that restart
/// always (sidecar containers, since Kubernetes 1.29).
fn containers<'d>(spec: At<'d>, mistakes: &mut Mistakes<'_>) -> Vec<At<'d>> {
    let mut all = fields::mappings(spec, "containers", mistakes);
    for container in fields::mappings(spec, "initContainers", mistakes) {
        if fields::text(container, "restartPolicy", mistakes).is_some_and(|(policy, _)| policy == "Always") {
            all.push(container);
        }
    }
    all
}

fn ports(containers: &[At<'_>], mistakes: &mut Mistakes<'_>) -> Vec<ContainerPort> {
    let mut ports = Vec::new();
    for &container in containers {
        for at in fields::mappings(container, "ports", mistakes) {
            let Some(number) = at.get("containerPort") else {
                mistakes.push(errors::missing(at.span(), "a container's port", "containerPort"));
                continue;
            };
            let Some(port) = fields::port(number, "containerPort", mistakes) else { continue };
            let name = fields::text(at, "name", mistakes).and_then(|(name, at)| fields::port_name(name, at, mistakes));
            ports.push(ContainerPort { name, port, protocol: fields::protocol(at, mistakes) });
        }
    }
    ports
}

/// Returns `serviceAccountName`, or its deprecated twin `serviceAccount`, or `default`, as the API server sets it.
fn account(spec: At<'_>, mistakes: &mut Mistakes<'_>) -> SmolStr {
    fields::text(spec, "serviceAccountName", mistakes)
        .or_else(|| fields::text(spec, "serviceAccount", mistakes))
        .map_or_else(|| "default".into(), |(name, _)| name.clone())
}

/// Returns `status.podIPs`, or else `status.podIP`.
fn addresses(status: At<'_>, mistakes: &mut Mistakes<'_>) -> Vec<std::net::IpAddr> {
    let mut list: Vec<At<'_>> =
        fields::mappings(status, "podIPs", mistakes).into_iter().filter_map(|entry| entry.get("ip")).collect();
    if list.is_empty() {
        list.extend(status.get("podIP"));
    }
    fields::addresses(&list, "podIP", mistakes)
}

/// Returns the controller that made an object, `Kind/name`. The kubelet's own static pods name their Node, which is no
/// controller.
pub(super) fn owner(metadata: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<SmolStr> {
    fields::mappings(metadata, "ownerReferences", mistakes).into_iter().find_map(|owner| {
        let controls = fields::boolean(owner, "controller", mistakes);
        let (kind, _) = fields::text(owner, "kind", mistakes).filter(|(kind, _)| controls && *kind != "Node")?;
        let name = fields::text(owner, "name", mistakes).map(|(name, _)| name.as_str()).unwrap_or_default();
        Some(smol_str::format_smolstr!("{kind}/{name}"))
    })
}
