//! What a build writes itself, read back as far as it says for which pods an object is: of two Sidecars a pod obeys one, and
//! an `ALLOW` of others closes nothing that one of the build closes anyway.

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::{others, pods};
use crate::inventory::{self, PolicyKind, PolicyObject};
use crate::policy::Policy;
use crate::source::{FileId, Span};
use crate::targets::Object;

/// The date of what is yet to be made: it comes after every other.
const NEVER: &str = "9999-12-31T23:59:59Z";

/// What a build writes itself, as far as it concerns objects of others.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Its objects that are for pods of others' objects, without most of what they say.
    pub(super) own: Vec<PolicyObject>,
    /// The objects that it would overwrite, by their places: they are errors of their own.
    pub(super) overwritten: FxHashSet<Span>,
}

impl Beside {
    /// Adds when the build's own objects were made, as far as the inventory shows them; the others are yet to be applied, and
    /// newer than all that it shows.
    pub(in crate::targets) fn date(&mut self, policy: &Policy) {
        let own = policy.settings.name.as_deref().unwrap_or_default();
        let of_build = policy.inventory.objects.iter().filter(|object| object.build.as_deref() == Some(own));
        let key = |object: &PolicyObject| (object.kind, object.namespace.clone(), object.name.clone());
        let dates: FxHashMap<_, _> = of_build.map(|object| (key(object), object.created.clone())).collect();
        for object in &mut self.own {
            object.created = dates.get(&key(object)).cloned().unwrap_or_else(|| Some(NEVER.into()));
        }
    }

    /// Adds what is known of another part of the build.
    pub(in crate::targets) fn extend(&mut self, other: Beside) {
        self.own.extend(other.own);
        self.overwritten.extend(other.overwritten);
    }
}

/// Reads what a build writes of the kinds, and in the namespaces, of others' objects.
pub(in crate::targets) struct Reader<'a> {
    /// A file that stands for what is in none.
    file: Option<FileId>,
    kinds: FxHashSet<&'static str>,
    /// The namespaces; with `None` among them every one.
    namespaces: FxHashSet<Option<&'a str>>,
    root: &'a str,
}

impl<'a> Reader<'a> {
    /// Returns whether there is nothing to compare with.
    pub(in crate::targets) fn is_idle(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(in crate::targets) fn new(policy: &'a Policy) -> Reader<'a> {
        let theirs = || others(policy);
        let needs: fn(&PolicyObject) -> &'static [PolicyKind] = |object| match object.kind {
            PolicyKind::NetworkPolicy => &[PolicyKind::NetworkPolicy],
            // It goes by the identities that these give.
            PolicyKind::AuthorizationPolicy => &[PolicyKind::AuthorizationPolicy, PolicyKind::PeerAuthentication],
            PolicyKind::PeerAuthentication => &[PolicyKind::PeerAuthentication],
            PolicyKind::Sidecar => &[PolicyKind::Sidecar],
            // The rules say which tokens the build takes.
            PolicyKind::RequestAuthentication => &[],
        };
        Reader {
            file: theirs().next().map(|object| object.origin.file),
            kinds: theirs().flat_map(needs).map(|kind| kind.word()).collect(),
            namespaces: theirs().map(|object| pods::namespace(policy, object).map(SmolStr::as_str)).collect(),
            root: &policy.settings.root_namespace,
        }
    }

    /// Reads some objects; `overwritten` are the places of others that have their names.
    pub(in crate::targets) fn read(&self, objects: &[Object], overwritten: Vec<Span>) -> Beside {
        let is_near = |object: &&Object| {
            let of = |namespace| self.namespaces.contains(&namespace);
            let here = of(None) || of(Some(object.namespace.as_str())) || object.namespace == self.root;
            here && self.kinds.contains(object.kind) && !object.patch
        };
        let read = |(file, object): (FileId, &Object)| inventory::written(file, &object.yaml);
        let near =
            self.file.into_iter().flat_map(|file| objects.iter().filter(is_near).map(move |object| (file, object)));
        let own = near.flat_map(read).map(PolicyObject::without_details).collect();
        Beside { own, overwritten: overwritten.into_iter().collect() }
    }
}
