//! Objects of the cluster that a build would overwrite, and that are not its own.
//!
//! Two builds without a `name` may both make a NetworkPolicy `garden/all-pods-ingress`: the one that is applied last
//! takes the rules of the other away. So a build is refused where the inventory shows an object that has the kind, the
//! namespace and the name of one of the build's own, and that somebody else made.

use rustc_hash::FxHashMap;

use super::Object;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::Existing;
use crate::policy::Policy;
use crate::source::Span;

/// The objects of the cluster that are not the build's, by kind, namespace and name.
pub(super) struct Others<'a> {
    /// The `name` of the build; empty for a build without one.
    own: &'a str,
    objects: FxHashMap<(&'a str, &'a str, &'a str), &'a Existing>,
}

impl<'a> Others<'a> {
    pub(super) fn of(policy: &'a Policy) -> Others<'a> {
        let own = policy.settings.name.as_deref().unwrap_or_default();
        let others = policy.inventory.existing.iter().filter(|object| object.build.as_deref() != Some(own));
        let keyed = others.map(|object| ((object.kind, object.namespace.as_str(), object.name.as_str()), object));
        Others { own, objects: keyed.collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Refuses the objects that would overwrite others, and returns the spans of those others.
    pub(super) fn refuse(&self, objects: &[Object], diagnostics: &mut Diagnostics) -> Vec<Span> {
        let mut places = Vec::new();
        // A patch is meant for an object that the build does not own.
        for object in objects.iter().filter(|object| !object.patch) {
            let key = (object.kind, object.namespace.as_str(), object.name.as_str());
            if let Some(other) = self.objects.get(&key) {
                diagnostics.push(self.overwrites(other));
                places.push(other.origin);
            }
        }
        places
    }

    fn overwrites(&self, other: &Existing) -> Diagnostic {
        let Existing { kind, namespace, name, build, origin } = other;
        let whose = match build.as_deref() {
            None => "netpol did not make it".to_owned(),
            Some("") => "a build without a `name` made it".to_owned(),
            Some(build) => format!("the build `{build}` made it"),
        };
        let message = format!("this build would overwrite {kind} `{namespace}/{name}` of the cluster: {whose}");
        let repair = match self.own {
            "" => "give this build a `name` in netpol.toml: it is the first word of every object's name".to_owned(),
            own => format!("give this build another `name` than `{own}` in netpol.toml, or the object another name"),
        };
        Diagnostic::new(Code::Overwritten, *origin, message)
            .at("an object of this build has the same kind, namespace and name")
            .note(repair)
            .note("where nothing needs the object any more, delete it, and take it out of the inventory")
    }
}
