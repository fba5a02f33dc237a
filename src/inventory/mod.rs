//! The inventory, facts about the cluster: namespaces, workloads, service accounts and Services, from manifests
//! (`read`) and from the declarations of the source (which [`crate::types`] adds).
//!
//! [`read`] makes an [`Inventory`] of manifests; [`Inventory::declare_namespace`] adds a `namespace` of the source;
//! then the other stages ask the inventory for the pods of a selector, for names and for Services.

mod gateways;
mod left_out;
pub mod mesh;
mod near;
mod objects;
pub mod outside;
mod pods;
mod query;
mod read;
mod service;
mod spellings;
mod waypoints;

pub use gateways::{Listener, ListenerOf, Rewrite};
pub use left_out::{AllLeftOut, LeftOut, PortRange};
pub use near::{Matched, Near, NearNamespace};
pub use objects::{Existing, Passage, Peer, Pods, PolicyKind, PolicyObject, Says};
pub use pods::{Indistinct, LabelledPods, MeantPods, Perhaps, Within, WithoutAccounts, is_injected, is_passing};
pub use query::Running;
pub use read::{Reading, network_policies, read, written, written_mesh, written_network_policies};
pub use service::{Meant, Unclear, Wanted};
pub use waypoints::{MADE_FOR, MeshEntry, Waypoint};

use std::collections::BTreeMap;
use std::net::IpAddr;

use smol_str::SmolStr;

use crate::model::labels::{Labels, Requirements};
use crate::model::ports::{AppProtocol, Protocol};
use crate::source::Span;

/// The facts of a build.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Whether manifests were given (`--inventory`): then the set of namespaces is closed.
    pub given: bool,
    /// Namespaces by name, including those that only an object's `metadata.namespace` names.
    pub namespaces: BTreeMap<SmolStr, Namespace>,
    /// Services by namespace and name.
    pub services: BTreeMap<(SmolStr, SmolStr), Service>,
    /// Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs, Pods and what the source declares, sorted by
    /// namespace, name and kind.
    pub workloads: Vec<Workload>,
    /// The ports that Gateway objects of Istio and of the Gateway API open, in the order of the objects' names.
    pub listeners: Vec<Listener>,
    /// Routes of VirtualServices and HTTPRoutes that change a path or a host, in the order of their names.
    pub rewrites: Vec<Rewrite>,
    /// ServiceEntries, as far as their waypoints go.
    pub entries: Vec<MeshEntry>,
    /// The endpoints of the Service `default/kubernetes`, which are the API servers, sorted.
    pub api_servers: Vec<ApiServer>,
    /// ServiceAccounts: namespace and name.
    pub accounts: Vec<(SmolStr, SmolStr)>,
    /// Objects that decide about the flows of pods, sorted by kind, namespace and name.
    pub objects: Vec<PolicyObject>,
    /// The connections that annotations of pods keep from their sidecars.
    pub left_out: AllLeftOut,
    /// Objects of the kinds that builds write, sorted by kind, namespace and name.
    pub existing: Vec<Existing>,
    /// Workloads of kinds that are not read.
    pub unread: Vec<Unread>,
    /// The index of the workloads by their labels.
    index: query::Index,
}

/// A namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Its labels, `kubernetes.io/metadata.name` among them.
    pub labels: Labels,
    /// Whether its labels are known: a Namespace object or a declaration gave them. False if only objects inside it are
    /// known.
    pub declared: bool,
    /// Its span.
    pub origin: Span,
}

/// A Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// `spec.selector`; `None` for a Service without one, which has no pods of its own.
    pub selector: Option<Labels>,
    /// Its ports, in order.
    pub ports: Vec<ServicePort>,
    /// `spec.clusterIP: None`.
    pub headless: bool,
    /// Whether it can be reached from outside the cluster: `spec.type` is `NodePort` or `LoadBalancer`; `None` if
    /// unknown.
    pub outside: Option<bool>,
    /// `spec.externalTrafficPolicy: Local`: its pods see the addresses of clients outside, and not those of nodes.
    pub keeps_clients: bool,
    /// `spec.clusterIPs`.
    pub addresses: Vec<IpAddr>,
    /// The waypoint that its labels name.
    pub waypoint: Option<Waypoint>,
    /// `spec.externalName` of a Service of the type `ExternalName`.
    pub external_name: Option<SmolStr>,
    /// Its span.
    pub origin: Span,
}

/// An endpoint of the Service `default/kubernetes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiServer {
    /// The address.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
    /// Its span.
    pub origin: Span,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePort {
    /// Its name, if it has one.
    pub name: Option<SmolStr>,
    /// The Service's port.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
    /// `nodePort`: every node passes connections to it on to this port.
    pub node_port: Option<u16>,
    /// The pod's port.
    pub target: TargetPort,
    /// The protocol of the port: from the declaration, `appProtocol` or the prefix of the name (Istio's protocol
    /// selection).
    pub app: Option<AppProtocol>,
    /// Whether the mesh treats it as plain TCP, so that a sidecar reads no requests and no names there.
    pub unread: bool,
}

/// The pod's port behind a Service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(u16),
    /// A port name of the pods.
    Name(SmolStr),
}

/// A workload of a kind that is not read, such as a Rollout of Argo. No selector means its pods.
#[derive(Clone, Debug)]
pub struct Unread {
    /// Its kind.
    pub kind: SmolStr,
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// The labels of its template.
    pub labels: Labels,
    /// The service account of its template, if it names one.
    pub account: Option<SmolStr>,
    /// Its span.
    pub origin: Span,
}

/// A workload or a Pod.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace; `default` where the manifest names none.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// The requirements that select its pods when a policy names it (`language.md` of the docs, "ns/name"):
    /// `spec.selector`; of a Job the label `batch.kubernetes.io/job-name`; of a CronJob, a bare Pod or a declaration
    /// all labels of its pods, `None` if they have none.
    pub selector: Option<Requirements>,
    /// The labels of its pods.
    pub labels: Labels,
    /// The service account of its pods, `default` if a manifest names none; empty if a declaration names none, so that
    /// it is unknown.
    pub account: SmolStr,
    /// The ports of its containers (sidecar containers that restart included).
    pub ports: Vec<ContainerPort>,
    /// `hostNetwork: true`: its pods belong to their node, and no selector selects them.
    pub host_network: bool,
    /// Whether its pods have an Istio sidecar, by `injection` and the labels of its namespace.
    pub sidecar: bool,
    /// Whether the manifest asks for a sidecar, has one or refuses it.
    pub injection: Injection,
    /// What its template asks for, where its Pods that run decide `injection` instead.
    pub template: Option<Injection>,
    /// The field, label or annotation because of which its pods get no sidecar, whatever their namespace says.
    pub refuses: Option<&'static str>,
    /// The connections that its annotations keep from its sidecar.
    pub left_out: Vec<LeftOut>,
    /// The addresses of a Pod (`status.podIPs`); empty for the other kinds, and for a Pod that has ended, because
    /// another Pod may have its addresses now.
    pub addresses: Vec<IpAddr>,
    /// Whether a controller made the Pod (`metadata.ownerReferences`), so that it is not a bare one.
    pub owned: bool,
    /// The controller that made the Pod, `Kind/name`.
    pub owner: Option<SmolStr>,
    /// Its span.
    pub origin: Span,
}

/// The kind of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 ReplicaSet.
    ReplicaSet,
    /// batch/v1 Job.
    Job,
    /// batch/v1 CronJob.
    CronJob,
    /// v1 Pod.
    Pod,
    /// A `workload` declaration of the source.
    Declared,
}

impl Workload {
    /// Returns whether the pods are a gateway of the mesh: by the injected proxy, or by the label of Istio's own
    /// charts.
    pub fn is_gateway(&self) -> bool {
        let role = self.labels.get("istio");
        self.injection == Injection::Gateway
            || role.is_some_and(|role| role == "ingressgateway" || role == "egressgateway")
    }
}

impl WorkloadKind {
    /// Returns the kind as a manifest writes it.
    pub fn word(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
            WorkloadKind::ReplicaSet => "ReplicaSet",
            WorkloadKind::Job => "Job",
            WorkloadKind::CronJob => "CronJob",
            WorkloadKind::Pod => "Pod",
            WorkloadKind::Declared => "workload",
        }
    }
}

/// Sidecar injection: whether a pod, or a template of pods, asks for an Istio sidecar, has one or refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injection {
    /// The pod has the proxy.
    Present,
    /// The pod has no proxy, and gets none.
    Never,
    /// The pod is a gateway: the proxy alone, which judges connections that come in and none that go out.
    Gateway,
    /// The pod asks for one by its own label; a namespace can still refuse.
    Asked,
    /// The namespace decides.
    ByNamespace,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name, if it has one.
    pub name: Option<SmolStr>,
    /// The number.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
}
