//! From the text of manifests to an [`Inventory`].
//!
//! ```text
//! text ─document→ tree ─object→ Kind, Meta ─workload, service→ facts ─read→ Inventory
//! ```

mod document;
mod errors;
mod fields;
mod left_out;
mod mesh;
mod object;
mod policy;
mod routing;
mod scalar;
mod service;
mod sidecar;
mod tree;
mod workload;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use smol_str::SmolStr;

use self::document::Mistakes;
use self::object::{Kind, Meta};
use self::sidecar::has_sidecar;
use self::tree::At;
use super::objects::build_of;
use super::query::Index;
use super::{Existing, Inventory, Listener, Namespace, PolicyObject, Rewrite, Service, Workload, WorkloadKind};
use crate::diag::Diagnostics;
use crate::inventory::{AllLeftOut, ServicePort};
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::source::{FileId, Sources, Span};

/// Reads manifests: YAML of one or many documents, or JSON, with objects or lists of them. Other kinds are passed over.
/// An object that cannot be read, that Kubernetes would refuse, or that contradicts another is a finding with its
/// place; of two equal statements the first place is kept.
pub fn read(sources: &Sources, files: &[FileId], diagnostics: &mut Diagnostics) -> Inventory {
    let mut facts = Facts::default();
    for &file in files {
        let source = sources.file(file);
        let kustomization = is_kustomization(&source.path);
        document::each_document(file, &source.text, diagnostics, |document, mistakes| {
            object::each_object(document.root(), kustomization, mistakes, |kind, meta, at, mistakes| {
                facts.add(kind, meta, at, mistakes);
            });
        });
    }
    facts.inventory()
}

/// Reads the objects that decide about flows in YAML that a build has just written; their places are in no file, and `file`
/// stands for it.
pub fn written(file: FileId, yaml: &str) -> Vec<PolicyObject> {
    let mut objects = Vec::new();
    document::each_document(file, yaml, &mut Diagnostics::new(), |document, mistakes| {
        object::each_object(document.root(), false, mistakes, |kind, meta, at, mistakes| {
            if let Kind::Policy(kind) = kind {
                objects.extend(policy::policy(kind, meta, at, mistakes));
            }
        });
    });
    objects
}

/// Returns whether a file is Kustomize's own, which may go without `kind`.
fn is_kustomization(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// The facts that were read so far.
#[derive(Default)]
struct Facts {
    /// The labels of the Namespaces that were stated.
    namespaces: BTreeMap<SmolStr, (Labels, Span)>,
    /// The namespaces that objects named, each with the first such place.
    mentioned: BTreeMap<SmolStr, Span>,
    services: BTreeMap<(SmolStr, SmolStr), Service>,
    workloads: BTreeMap<(SmolStr, SmolStr, WorkloadKind), Workload>,
    /// The workloads with only the beginning of a name (`generateName`): two of one name are two.
    unnamed: Vec<Workload>,
    accounts: BTreeSet<(SmolStr, SmolStr)>,
    objects: Vec<PolicyObject>,
    existing: Vec<Existing>,
    listeners: Vec<Listener>,
    rewrites: Vec<Rewrite>,
}

impl Facts {
    fn add(&mut self, kind: Kind, meta: Meta<'_>, object: At<'_>, mistakes: &mut Mistakes<'_>) {
        if kind == Kind::Namespace {
            let mut labels = meta.labels;
            // The API server sets this label on every write, whatever the manifest says.
            labels.insert(NAMESPACE_NAME.into(), meta.name.clone());
            state(&mut self.namespaces, meta.name, (labels, meta.origin), &meta.title, mistakes);
            return;
        }
        self.mentioned.entry(meta.namespace.clone()).or_insert(meta.origin);
        if kind.is_written() && !meta.generated {
            let (namespace, name, build) = (meta.namespace.clone(), meta.name.clone(), build_of(&meta.labels));
            self.existing.push(Existing { kind: kind.word(), namespace, name, build, origin: meta.origin });
        }
        match kind {
            Kind::Namespace | Kind::Written(_) => {}
            Kind::Policy(kind) => self.objects.extend(policy::policy(kind, meta, object, mistakes)),
            Kind::ServiceAccount => {
                self.accounts.insert((meta.namespace, meta.name));
            }
            Kind::Service => {
                if let Some(service) = service::service(&meta, object, mistakes) {
                    state(&mut self.services, (meta.namespace, meta.name), service, &meta.title, mistakes);
                }
            }
            Kind::Routing(kind) => routing::read(kind, &meta, object, &mut self.listeners, &mut self.rewrites),
            Kind::Workload(kind) => {
                let (title, generated) = (meta.title.clone(), meta.generated);
                // A Deployment and its Pods stand for its ReplicaSets, of which a cluster keeps ten old ones; one
                // without a template has no pods.
                let empty = object.get("spec").is_some_and(|spec| spec.get("template").is_none());
                if kind == WorkloadKind::ReplicaSet && (empty || workload::is_owned(&meta, mistakes)) {
                    return;
                }
                let Some(workload) = workload::workload(kind, meta, object, mistakes) else { return };
                if generated {
                    self.unnamed.push(workload);
                } else {
                    let key = (workload.namespace.clone(), workload.name.clone(), kind);
                    state(&mut self.workloads, key, workload, &title, mistakes);
                }
            }
        }
    }

    fn inventory(self) -> Inventory {
        let mut namespaces: BTreeMap<SmolStr, Namespace> = BTreeMap::new();
        for (name, origin) in self.mentioned {
            let labels = Labels::from([(NAMESPACE_NAME.into(), name.clone())]);
            namespaces.insert(name, Namespace { labels, declared: false, origin });
        }
        for (name, (labels, origin)) in self.namespaces {
            namespaces.insert(name, Namespace { labels, declared: true, origin });
        }
        let mut workloads: Vec<Workload> = self.workloads.into_values().chain(self.unnamed).collect();
        workloads.sort_by(|a, b| (&a.namespace, &a.name, a.kind).cmp(&(&b.namespace, &b.name, b.kind)));
        for workload in &mut workloads {
            if let Some(namespace) = namespaces.get(&workload.namespace) {
                let (labels, name) = (&namespace.labels, &workload.namespace);
                workload.sidecar = has_sidecar(workload.injection, &workload.labels, name, labels);
            }
        }
        let accounts = self.accounts.into_iter().collect();
        let mut objects = self.objects;
        objects.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
        objects.dedup_by(|b, a| (a.kind, &a.namespace, &a.name) == (b.kind, &b.namespace, &b.name));
        let mut existing = self.existing;
        existing.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
        existing.dedup_by(|b, a| (a.kind, &a.namespace, &a.name) == (b.kind, &b.namespace, &b.name));
        let (mut listeners, mut rewrites) = (self.listeners, self.rewrites);
        listeners.sort_by(|a, b| (&a.object, a.port).cmp(&(&b.object, b.port)));
        rewrites.sort_by(|a, b| a.title.cmp(&b.title));
        let (services, index) = (self.services, Index::default());
        let left_out = AllLeftOut::of(&workloads);
        Inventory {
            given: true,
            namespaces,
            services,
            workloads,
            listeners,
            rewrites,
            accounts,
            objects,
            existing,
            left_out,
            index,
        }
    }
}

/// A fact that manifests may state twice, if both say the same.
trait Fact {
    fn origin(&self) -> Span;

    /// Returns what the two differ in, in words.
    fn difference(&self, other: &Self) -> Option<&'static str>;
}

/// Adds a fact; one that contradicts what was stated under the same key is a finding.
fn state<K: Ord, F: Fact>(facts: &mut BTreeMap<K, F>, key: K, fact: F, title: &str, mistakes: &mut Mistakes<'_>) {
    match facts.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(fact);
        }
        Entry::Occupied(entry) => {
            if let Some(difference) = entry.get().difference(&fact) {
                mistakes.push(errors::conflict(fact.origin(), entry.get().origin(), title, difference));
            }
        }
    }
}

impl Fact for (Labels, Span) {
    fn origin(&self) -> Span {
        self.1
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        (self.0 != other.0).then_some("labels")
    }
}

impl Fact for Service {
    fn origin(&self) -> Span {
        self.origin
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        first([
            (self.selector != other.selector, "selectors"),
            (without_node_ports(self) != without_node_ports(other), "ports"),
            (self.external_name != other.external_name, "external names"),
            (self.headless != other.headless || self.addresses != other.addresses, "addresses"),
            (self.outside != other.outside, "types"),
        ])
    }
}

/// Returns the ports without `nodePort`, which a manifest may leave to the cluster.
fn without_node_ports(service: &Service) -> Vec<ServicePort> {
    service.ports.iter().map(|port| ServicePort { node_port: None, ..port.clone() }).collect()
}

impl Fact for Workload {
    fn origin(&self) -> Span {
        self.origin
    }

    fn difference(&self, other: &Self) -> Option<&'static str> {
        first([
            (self.labels != other.labels, "labels"),
            (self.selector != other.selector, "selectors"),
            (self.account != other.account, "service accounts"),
            (self.ports != other.ports, "ports"),
            (self.host_network != other.host_network, "`hostNetwork`"),
            (self.injection != other.injection, "sidecar injection"),
            (self.left_out != other.left_out, "annotations for the sidecar"),
            (self.addresses != other.addresses, "addresses"),
            (self.owned != other.owned, "owners"),
        ])
    }
}

fn first<const N: usize>(differences: [(bool, &'static str); N]) -> Option<&'static str> {
    differences.into_iter().find_map(|(differs, word)| differs.then_some(word))
}
