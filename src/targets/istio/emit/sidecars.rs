//! Sidecars.
//!
//! ```netpol
//! default deny garden/*
//! ```
//!
//! ```yaml
//! kind: Sidecar
//! metadata:
//!   name: all-pods-egress
//!   namespace: garden
//! spec:
//!   egress:
//!     - hosts: ["~/*"]
//! ```
//!
//! A Sidecar has to import something. No namespace is called `~`, so `~/*` imports nothing.

use std::collections::BTreeSet;

use super::names::Names;
use crate::settings::Settings;
use crate::targets::istio::model::{Egress, Origin, Resource, Sidecar, Spec};
use crate::targets::istio::plan::egress::sidecars::{Import, Listener, SidecarDraft};

/// Makes the Sidecars.
pub fn emit(settings: &Settings, drafts: Vec<SidecarDraft>) -> Vec<Resource> {
    let mut names = Names::new(settings);
    let resource = |SidecarDraft { subject, rules, listeners }: SidecarDraft| {
        let comment = listeners.is_none().then(|| "Open: what these pods are allowed cannot be said here.".to_owned());
        let egress = listeners.map(|listeners| {
            let listener = |listener: Listener| {
                let text = |import: &Import| import.text(subject.namespace.as_ref(), &settings.domain);
                let hosts: BTreeSet<String> = listener.imports.iter().map(text).collect();
                let nothing = || vec!["~/*".to_owned()];
                let hosts = if hosts.is_empty() { nothing() } else { hosts.into_iter().collect() };
                Egress { port: listener.port, hosts }
            };
            listeners.into_iter().map(listener).collect()
        });
        let meta = names.of(&subject, "egress");
        let spec = Spec::Sidecar(Sidecar { selector: subject.labels, egress });
        Resource { meta, origin: Origin { rules: rules.into(), comment }, spec }
    };
    drafts.into_iter().map(resource).collect()
}
