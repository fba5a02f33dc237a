//! Imports of a Sidecar: the destinations that its listeners name by namespace and host.
//!
//! ```text
//! hosts: ["./zenquotes.io"]     the ServiceEntry of this host in the Sidecar's own namespace
//! hosts: ["shop/*"]             every Service and ServiceEntry of shop that the pods may see
//! ```

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::index::{Index, Registry, listeners};
use super::land::{Landing, Listening};
use crate::inventory::mesh::Others;
use crate::inventory::{PolicyObject, Says};

impl Index<'_> {
    /// Returns the destinations that a Sidecar lets the pods of a namespace reach; `None` is a namespace that no rule
    /// names.
    pub(super) fn landings<'i>(&'i self, sidecar: &'i PolicyObject, viewer: Option<&SmolStr>) -> Vec<Landing<'i>> {
        let Says::Sidecar(says) = &sidecar.says else { return Vec::new() };
        let mut found = Vec::new();
        match says.others {
            Some(Others::Refused) => {}
            // The mesh's setting decides, and by default it lets everything out.
            None => found.push(Landing::everything(false)),
            Some(Others::Pass) => return vec![Landing::everything(true)],
        }
        let ports: FxHashSet<u16> = listeners(sidecar).filter_map(|listener| listener.port).collect();
        let Some(listeners) = &says.listeners else {
            let at = Listening { listener: None, shadowed: &ports, viewer };
            self.import(("*", "*"), &sidecar.namespace, at, &mut found);
            return found;
        };
        for listener in listeners {
            for (namespace, host) in &listener.hosts {
                let at = Listening { listener: Some(listener), shadowed: &ports, viewer };
                self.import((namespace, host), &sidecar.namespace, at, &mut found);
            }
        }
        found
    }

    /// Adds the destinations of an import: a namespace and a host, which may begin with `*`.
    fn import<'i>(
        &'i self,
        (namespace, host): (&'i str, &'i str),
        own: &'i SmolStr,
        at: Listening<'_>,
        found: &mut Vec<Landing<'i>>,
    ) {
        let namespace = match namespace {
            "~" => return,
            "." => Some(own.as_str()),
            "*" => None,
            name => Some(name),
        };
        let registries: Vec<&Registry<'_>> = match namespace {
            Some(name) => self.entries.get(&SmolStr::from(name)).into_iter().collect(),
            None => self.entries.values().collect(),
        };
        for registry in registries {
            let entries = match host.strip_prefix('*') {
                None => registry.by_host.get(host),
                Some("") => Some(&registry.all),
                Some(end) => registry.below.get(end),
            };
            for entry in entries.into_iter().flatten() {
                if entry.head.is_seen_by(at.viewer) {
                    self.entry(entry, at, found);
                }
            }
        }
        self.services(namespace, host, at, found);
    }
}
