//! The reader of manifests: from their text to an [`Inventory`].
//!
//! ```text
//! text ─document→ tree ─object→ Kind, Meta ─workload, service→ facts ─read→ Inventory
//! ```

mod document;
mod endpoints;
mod errors;
mod fields;
mod kind;
mod left_out;
mod live;
mod mesh;
mod network;
mod object;
mod outside;
mod policy;
mod routing;
mod scalar;
mod service;
mod sidecar;
mod style;
mod tree;
mod unread;
mod workload;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use smol_str::{SmolStr, format_smolstr};

use self::document::{Keep, Mistakes};
use self::kind::Kind;
use self::live::Live;
use self::object::{Found, Meta};
use self::sidecar::has_sidecar;
use self::tree::{At, Document};
use super::objects::build_of;
use super::outside::Mesh;
use super::query::Index;
use super::{
    ApiServer, Existing, Inventory, Listener, MeshEntry, Namespace, PolicyKind, PolicyObject, Rewrite, Service, Unread,
    Workload, WorkloadKind,
};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{AllLeftOut, ServicePort};
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::source::{FileId, Sources, Span};

/// Facts about manifests that they do not contain themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'a> {
    /// The namespace of objects that name none; `None` is `default`, with a note that counts them.
    pub namespace: Option<&'a str>,
    /// The files that were found in a folder: a file there that is no manifest is skipped.
    pub found: &'a [FileId],
}

/// Reads manifests: YAML of one or many documents, or JSON, with objects or lists of them. Other kinds are skipped. An
/// object that cannot be read, that Kubernetes would refuse, or that contradicts another is a finding with its span; of
/// two equal statements the first span is kept.
pub fn read(sources: &Sources, files: &[FileId], reading: Reading<'_>, diagnostics: &mut Diagnostics) -> Inventory {
    let mut facts = Facts::default();
    let unplaced = SmolStr::from(reading.namespace.unwrap_or("default"));
    let mut passed_over: Vec<FileId> = Vec::new();
    for &file in files {
        let source = sources.file(file);
        let is_found = reading.found.contains(&file);
        if is_found && is_template(file, &source.text) {
            passed_over.push(file);
            continue;
        }
        let kustomization = is_kustomization(&source.path);
        let (mut found, mut is_manifest, mut is_empty) = (Diagnostics::new(), false, true);
        document::each_document(file, &source.text, Keep::Known, &mut found, |document, mistakes| {
            is_empty &= document.root().is_null();
            is_manifest |= ["apiVersion", "kind"].iter().all(|key| document.root().get(key).is_some());
            object::each_object_and_other(
                document.root(),
                kustomization,
                &unplaced,
                mistakes,
                |found, at, mistakes| match found {
                    Found::Known(kind, meta) => facts.add(kind, meta, at, mistakes),
                    Found::Other(kind) => facts.unread.extend(unread::workload(&kind, at, &unplaced)),
                },
            );
        });
        let is_other = is_found && !kustomization && !is_manifest && !looks_like_manifest(&source.text);
        match is_other && !(is_empty && found.iter().next().is_none()) {
            true => passed_over.push(file),
            false => diagnostics.append(found),
        }
    }
    if let Some(&first) = passed_over.first() {
        let paths: Vec<&str> = passed_over.iter().map(|file| sources.file(*file).path.as_str()).collect();
        diagnostics.push(errors::passed_over(Span::new(first, 0, 0), &paths));
    }
    if let (Some((count, first)), None) = (facts.unplaced, reading.namespace) {
        diagnostics.push(errors::unplaced(first, count));
    }
    facts.inventory()
}

/// Returns whether a text is a template, of Helm for example, which is a manifest only once it is rendered.
fn is_template(file: FileId, text: &str) -> bool {
    let fails = || {
        let mut found = Diagnostics::new();
        document::each_document(file, text, Keep::Known, &mut found, |_, _| {});
        found.has_errors()
    };
    text.contains("{{") && fails()
}

/// Returns whether a text that cannot be read was most likely meant to be a manifest.
fn looks_like_manifest(text: &str) -> bool {
    ["apiVersion:", "kind:"].iter().all(|key| text.lines().any(|line| line.starts_with(key)))
}

/// Reads the objects that decide about flows in YAML that a build has just written. They have no file; `file` is used
/// for their spans.
pub fn written(file: FileId, yaml: &str) -> Vec<PolicyObject> {
    let mut objects = Vec::new();
    document::each_document(file, yaml, Keep::Known, &mut Diagnostics::new(), |document, mistakes| {
        let unplaced = SmolStr::new_static("default");
        object::each_object(document.root(), false, &unplaced, mistakes, |kind, meta, at, mistakes| {
            if let Kind::Policy(kind) = kind {
                objects.extend(policy::policy(kind, meta, at, mistakes));
            }
        });
    });
    objects
}

/// Reads the NetworkPolicies of a text, of this build or others; objects of other kinds are skipped. `unplaced` is the
/// namespace of those that name none. An unknown field is a finding, because it is unknown what it opens or closes.
pub fn network_policies(file: FileId, text: &str, unplaced: &str, diagnostics: &mut Diagnostics) -> Vec<PolicyObject> {
    let (mut objects, unplaced) = (Vec::new(), SmolStr::from(unplaced));
    document::each_document(file, text, Keep::Everything, diagnostics, |document, mistakes| {
        object::each_object(document.root(), false, &unplaced, mistakes, |kind, meta, at, mistakes| {
            if kind == Kind::Policy(PolicyKind::NetworkPolicy) {
                network::refuse_unknown_fields(at, mistakes);
                objects.extend(policy::policy(PolicyKind::NetworkPolicy, meta, at, mistakes));
            }
        });
    });
    objects
}

/// Reads the NetworkPolicies of a text that a build has just written, in the style of builds; `file` is used for their
/// spans. If something is not in that style, or cannot be read, this is the finding.
pub fn written_network_policies(file: FileId, text: &str) -> Result<Vec<PolicyObject>, Box<Diagnostic>> {
    let (mut objects, mut found, unplaced) = (Vec::new(), Diagnostics::new(), SmolStr::default());
    let read = style::each_document(file, text, |document| {
        let mistakes = &mut Mistakes::new(&mut found);
        object::each_object(document.root(), false, &unplaced, mistakes, |kind, meta, at, mistakes| {
            if kind == Kind::Policy(PolicyKind::NetworkPolicy) {
                network::refuse_unknown_fields(at, mistakes);
                objects.extend(policy::policy(PolicyKind::NetworkPolicy, meta, at, mistakes));
            }
        });
    });
    if let Err(style::Unexpected { at, why }) = read {
        let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let message = format!("line {line} is not written as expected: {why}");
        return Err(Diagnostic::new(Code::ManifestSyntax, Span::new(file, at, at), message).into());
    }
    match found.iter().next() {
        Some(finding) => Err(finding.clone().into()),
        None => Ok(objects),
    }
}

/// Reads the objects of Istio in a text that a build has just written; `file` is used for their spans. If something
/// cannot be read, this is the finding, and so is a document that is no object of a kind that builds write. A text with
/// the same meaning in another style is read as any YAML.
pub fn written_mesh(file: FileId, text: &str) -> Result<Mesh, Box<Diagnostic>> {
    let (mut mesh, mut found) = (Mesh::default(), Diagnostics::new());
    let styled = style::each_document(file, text, |document| {
        add_to_mesh(document.root(), &mut mesh, &mut Mistakes::new(&mut found));
    });
    if styled.is_err() {
        (mesh, found) = (Mesh::default(), Diagnostics::new());
        let visit = |document: &Document<'_>, mistakes: &mut Mistakes<'_>| {
            add_to_mesh(document.root(), &mut mesh, mistakes);
        };
        document::each_document(file, text, Keep::Everything, &mut found, visit);
    }
    match found.iter().next() {
        Some(finding) => Err(finding.clone().into()),
        None => Ok(mesh),
    }
}

fn add_to_mesh(root: At<'_>, mesh: &mut Mesh, mistakes: &mut Mistakes<'_>) {
    let mut is_known = false;
    object::each_object(root, false, &SmolStr::default(), mistakes, |kind, meta, at, mistakes| {
        is_known = match kind {
            // No build writes an object that decides nothing, for example one in a dry run.
            Kind::Policy(kind) => {
                outside::refuse_unknown_fields(kind, at, mistakes);
                policy::policy(kind, meta, at, mistakes).map(|one| mesh.objects.push(one)).is_some()
            }
            Kind::Routing(_) | Kind::Written(_) => outside::add(kind.word(), &meta, at, mesh, mistakes),
            Kind::Service | Kind::Workload(_) => true,
            Kind::Namespace | Kind::ServiceAccount | Kind::Endpoints(_) => false,
        };
    });
    if !is_known {
        mistakes.push(errors::refused(root.span(), root.written(), "object", "a build writes none of this kind"));
    }
}

/// Returns whether a file is Kustomize's own, which may have no `kind`.
fn is_kustomization(path: &str) -> bool {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// The facts that were read so far.
#[derive(Default)]
struct Facts {
    /// The labels of the stated Namespaces.
    namespaces: BTreeMap<SmolStr, (Labels, Span)>,
    /// The namespaces that objects name, each with the first span.
    mentioned: BTreeMap<SmolStr, Span>,
    services: BTreeMap<(SmolStr, SmolStr), Service>,
    workloads: BTreeMap<(SmolStr, SmolStr, WorkloadKind), Workload>,
    /// The workloads with `generateName`, which is only the beginning of a name: two with one such name are different.
    unnamed: Vec<Workload>,
    /// The Pods that run.
    live: Live,
    accounts: BTreeSet<(SmolStr, SmolStr)>,
    api_servers: BTreeSet<ApiServer>,
    /// The number of objects without a namespace, and the span of the first.
    unplaced: Option<(usize, Span)>,
    objects: Vec<PolicyObject>,
    existing: Vec<Existing>,
    listeners: Vec<Listener>,
    rewrites: Vec<Rewrite>,
    unread: Vec<Unread>,
    entries: Vec<MeshEntry>,
}

impl Facts {
    fn add(&mut self, kind: Kind, meta: Meta<'_>, object: At<'_>, mistakes: &mut Mistakes<'_>) {
        if kind == Kind::Namespace {
            let mut labels = meta.labels;
            // The API server sets this label on every write, even if the manifest has another value.
            labels.insert(NAMESPACE_NAME.into(), meta.name.clone());
            state(&mut self.namespaces, meta.name, (labels, meta.origin), &meta.title, mistakes);
            return;
        }
        if !meta.placed {
            self.unplaced.get_or_insert((0, meta.origin)).0 += 1;
        }
        self.mentioned.entry(meta.namespace.clone()).or_insert(meta.origin);
        if kind.is_written() && !meta.generated {
            let (namespace, name, build) = (meta.namespace.clone(), meta.name.clone(), build_of(&meta.labels));
            self.existing.push(Existing { kind: kind.word(), namespace, name, build, origin: meta.origin });
        }
        match kind {
            Kind::Written("ServiceEntry") => self.entries.extend(routing::service_entry(&meta, object)),
            Kind::Namespace | Kind::Written(_) => {}
            Kind::Policy(kind) => self.objects.extend(policy::policy(kind, meta, object, mistakes)),
            Kind::ServiceAccount => {
                self.accounts.insert((meta.namespace, meta.name));
            }
            Kind::Endpoints(kind) => self.api_servers.extend(endpoints::api_servers(kind, &meta, object, mistakes)),
            Kind::Service => {
                if let Some(service) = service::service(&meta, object, mistakes) {
                    state(&mut self.services, (meta.namespace, meta.name), service, &meta.title, mistakes);
                }
            }
            Kind::Routing(kind) => routing::read(kind, &meta, object, &mut self.listeners, &mut self.rewrites),
            Kind::Workload(kind) => {
                let (title, generated) = (meta.title.clone(), meta.generated);
                // A ReplicaSet of a Deployment is skipped: its Deployment and Pods represent it, and a cluster keeps
                // ten old ones. One without a template has no pods.
                let empty = object.get("spec").is_some_and(|spec| spec.get("template").is_none());
                if kind == WorkloadKind::ReplicaSet {
                    let owner = workload::owner(meta.at, mistakes);
                    if empty || owner.is_some() {
                        let own = format_smolstr!("{}/{}", kind.word(), meta.name);
                        self.live.made_by(meta.namespace, own, owner);
                        return;
                    }
                }
                let runs = kind == WorkloadKind::Pod && workload::is_running(object);
                let Some(workload) = workload::workload(kind, meta, object, mistakes) else { return };
                if runs {
                    self.live.add(&workload);
                }
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
            self.live.decide(workload);
            if let Some(namespace) = namespaces.get(&workload.namespace) {
                let (labels, name) = (&namespace.labels, &workload.namespace);
                workload.sidecar = has_sidecar(workload.injection, &workload.labels, name, labels);
            }
        }
        let accounts = self.accounts.into_iter().collect();
        let mut api_servers: Vec<ApiServer> = self.api_servers.into_iter().collect();
        api_servers.dedup_by_key(|server| (server.address, server.port));
        let mut objects = self.objects;
        objects.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
        objects.dedup_by(|b, a| (a.kind, &a.namespace, &a.name) == (b.kind, &b.namespace, &b.name));
        let mut existing = self.existing;
        existing.sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
        existing.dedup_by(|b, a| (a.kind, &a.namespace, &a.name) == (b.kind, &b.namespace, &b.name));
        let (mut listeners, mut rewrites) = (self.listeners, self.rewrites);
        listeners.sort_by(|a, b| (&a.object, a.port).cmp(&(&b.object, b.port)));
        rewrites.sort_by(|a, b| a.title.cmp(&b.title));
        let mut unread = self.unread;
        unread.sort_by(|a, b| (&a.namespace, &a.name, &a.kind).cmp(&(&b.namespace, &b.name, &b.kind)));
        let (services, index) = (self.services, Index::default());
        let left_out = AllLeftOut::of(&workloads);
        Inventory {
            given: true,
            namespaces,
            services,
            workloads,
            listeners,
            rewrites,
            entries: self.entries,
            api_servers,
            accounts,
            objects,
            existing,
            left_out,
            unread,
            index,
        }
    }
}

/// A fact that manifests may state twice, if both statements are equal.
trait Fact {
    fn origin(&self) -> Span;

    /// Returns the difference of the two, in words.
    fn difference(&self, other: &Self) -> Option<&'static str>;
}

/// Adds a fact; one that contradicts an earlier fact with the same key is a finding.
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
            (self.keeps_clients != other.keeps_clients, "traffic policies"),
            (self.waypoint != other.waypoint, "waypoints"),
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
