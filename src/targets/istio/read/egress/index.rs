//! An index of a mesh's objects, for look-ups by namespace and host.

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use crate::inventory::mesh::EgressListener;
use crate::inventory::outside::{Entry, Mesh, Opening, Route, Servers};
use crate::inventory::{PolicyKind, PolicyObject, Says};
use crate::policy::Policy;

/// The objects of a mesh that decide where the connections of pods go.
pub struct Index<'a> {
    pub(super) policy: &'a Policy,
    /// The end of the names of Services: `.svc.cluster.local`.
    pub(super) svc: String,
    sidecars: FxHashMap<&'a SmolStr, Vec<&'a PolicyObject>>,
    pub(super) entries: FxHashMap<&'a SmolStr, Registry<'a>>,
    pub(super) routes: FxHashMap<&'a SmolStr, Vec<&'a Route>>,
    pub(super) openings: FxHashMap<&'a SmolStr, Vec<&'a Opening>>,
    pub(super) gateways: FxHashMap<(&'a SmolStr, &'a SmolStr), &'a Servers>,
}

/// The ServiceEntries of a namespace.
#[derive(Default)]
pub(super) struct Registry<'a> {
    pub(super) all: Vec<&'a Entry>,
    pub(super) by_host: FxHashMap<&'a str, Vec<&'a Entry>>,
    /// The entries below each wildcard (the text after `*`) that a Sidecar imports.
    pub(super) below: FxHashMap<&'a str, Vec<&'a Entry>>,
}

impl<'a> Index<'a> {
    /// Indexes the objects of a mesh.
    pub fn new(policy: &'a Policy, mesh: &'a Mesh) -> Index<'a> {
        let mut index = Index {
            policy,
            svc: format!(".svc.{}", policy.settings.domain),
            sidecars: FxHashMap::default(),
            entries: FxHashMap::default(),
            routes: FxHashMap::default(),
            openings: FxHashMap::default(),
            gateways: FxHashMap::default(),
        };
        let mut wildcards: FxHashSet<&str> = FxHashSet::default();
        for object in mesh.objects.iter().filter(|object| object.kind == PolicyKind::Sidecar) {
            index.sidecars.entry(&object.namespace).or_default().push(object);
            let listeners = listeners(object).flat_map(|listener| &listener.hosts);
            wildcards.extend(listeners.filter_map(|(_, host)| host.strip_prefix('*')));
        }
        for entry in &mesh.entries {
            let registry = index.entries.entry(&entry.head.namespace).or_default();
            registry.all.push(entry);
            for host in &entry.hosts {
                registry.by_host.entry(host).or_default().push(entry);
                for (dot, _) in host.match_indices('.') {
                    if let Some(end) = wildcards.get(&host[dot..]) {
                        registry.below.entry(end).or_default().push(entry);
                    }
                }
            }
        }
        for route in &mesh.routes {
            route.hosts.iter().for_each(|host| index.routes.entry(host).or_default().push(route));
        }
        for opening in &mesh.openings {
            index.openings.entry(&opening.host).or_default().push(opening);
        }
        index.gateways.extend(mesh.gateways.iter().map(|one| ((&one.head.namespace, &one.head.name), one)));
        index
    }

    /// Returns the Sidecars of a namespace.
    pub(super) fn sidecars(&self, namespace: &SmolStr) -> &[&'a PolicyObject] {
        self.sidecars.get(namespace).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Returns the listeners of a Sidecar for what its pods call.
pub(super) fn listeners(sidecar: &PolicyObject) -> impl Iterator<Item = &EgressListener> {
    let says = match &sidecar.says {
        Says::Sidecar(says) => says.listeners.as_deref(),
        _ => None,
    };
    says.into_iter().flatten()
}
