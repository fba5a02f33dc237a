//! The build's own objects, read back for the pods of others' objects: of two Sidecars a pod obeys one, and an `ALLOW`
//! of others closes nothing that an `ALLOW` of the build closes anyway.

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::{others, pods};
use crate::inventory::{self, PolicyKind, PolicyObject};
use crate::policy::Policy;
use crate::source::{FileId, Span};
use crate::targets::Object;

/// The creation date of an object that is not applied yet: later than every other date.
const NEVER: &str = "9999-12-31T23:59:59Z";

/// The objects that a build writes itself, as far as they concern objects of others.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The build's objects for pods of others' objects; most of their contents is left out.
    pub(super) own: Vec<PolicyObject>,
    /// The objects of others that the build would overwrite, by their spans: each is an error of its own.
    pub(super) overwritten: FxHashSet<Span>,
}

impl Beside {
    /// Adds the creation dates of the build's own objects, as far as the inventory shows them; the other objects are
    /// yet to be applied, so they are newer than all objects of the inventory.
    pub(in crate::targets) fn date(&mut self, policy: &Policy) {
        let own = policy.settings.name.as_deref().unwrap_or_default();
        let of_build = policy.inventory.objects.iter().filter(|object| object.build.as_deref() == Some(own));
        let key = |object: &PolicyObject| (object.kind, object.namespace.clone(), object.name.clone());
        let dates: FxHashMap<_, _> = of_build.map(|object| (key(object), object.created.clone())).collect();
        for object in &mut self.own {
            object.created = dates.get(&key(object)).cloned().unwrap_or_else(|| Some(NEVER.into()));
        }
    }

    /// Adds the objects of another partition.
    pub(in crate::targets) fn extend(&mut self, other: Beside) {
        self.own.extend(other.own);
        self.overwritten.extend(other.overwritten);
    }
}

/// A reader of the build's objects, for the kinds and the namespaces of others' objects.
pub(in crate::targets) struct Reader<'a> {
    /// The file that stands for objects without one.
    file: Option<FileId>,
    kinds: FxHashSet<&'static str>,
    /// The namespaces; with `None` among them every one.
    namespaces: FxHashSet<Option<&'a str>>,
    root: &'a str,
}

impl<'a> Reader<'a> {
    /// Returns whether the inventory has no objects to compare with.
    pub(in crate::targets) fn is_idle(&self) -> bool {
        self.kinds.is_empty()
    }

    pub(in crate::targets) fn new(policy: &'a Policy) -> Reader<'a> {
        let theirs = || others(policy);
        let needs: fn(&PolicyObject) -> &'static [PolicyKind] = |object| match object.kind {
            PolicyKind::NetworkPolicy => &[PolicyKind::NetworkPolicy],
            // An AuthorizationPolicy goes by the identities that PeerAuthentications give.
            PolicyKind::AuthorizationPolicy => &[PolicyKind::AuthorizationPolicy, PolicyKind::PeerAuthentication],
            PolicyKind::PeerAuthentication => &[PolicyKind::PeerAuthentication],
            PolicyKind::Sidecar => &[PolicyKind::Sidecar],
            // The rules themselves tell the tokens that the build accepts.
            PolicyKind::RequestAuthentication => &[],
        };
        Reader {
            file: theirs().next().map(|object| object.origin.file),
            kinds: theirs().flat_map(needs).map(|kind| kind.word()).collect(),
            namespaces: theirs().map(|object| pods::namespace(policy, object).map(SmolStr::as_str)).collect(),
            root: &policy.settings.root_namespace,
        }
    }

    /// Reads some objects; `overwritten` are the spans of others' objects with their names.
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
