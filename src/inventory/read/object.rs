//! Objects: their metadata, and the lists that contain them.

use smol_str::{SmolStr, format_smolstr};

use super::document::Mistakes;
use super::kind::Kind;
use super::tree::At;
use super::{errors, fields};
use crate::model::labels::Labels;
use crate::model::names;
use crate::source::Span;

/// The `metadata` of an object.
pub(super) struct Meta<'d> {
    /// `metadata.name`, or `generateName` in a manifest that has only this.
    pub name: SmolStr,
    /// Whether the name is only the beginning of one, so that two objects may have it.
    pub generated: bool,
    /// `metadata.namespace`, or that of manifests that name none; for a Namespace, its name.
    pub namespace: SmolStr,
    /// Whether `metadata` names the namespace.
    pub placed: bool,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata` itself.
    pub at: At<'d>,
    /// The span of the name.
    pub origin: Span,
    /// The kind and the name, for messages: `Deployment garden/web`.
    pub title: SmolStr,
}

/// Finds the objects of a document, also inside lists, and hands those of a known kind to `visit`. `unplaced` is the
/// namespace of those that name none.
pub(super) fn each_object<'d>(
    root: At<'d>,
    kustomization: bool,
    unplaced: &SmolStr,
    mistakes: &mut Mistakes<'_>,
    mut visit: impl FnMut(Kind, Meta<'d>, At<'d>, &mut Mistakes<'_>),
) {
    each_object_and_other(root, kustomization, unplaced, mistakes, |found, at, mistakes| {
        if let Found::Known(kind, meta) = found {
            visit(kind, meta, at, mistakes);
        }
    });
}

/// An object of a document.
pub(super) enum Found<'d> {
    /// One of a kind that is read.
    Known(Kind, Meta<'d>),
    /// One of another kind, with the kind's name.
    Other(SmolStr),
}

/// Finds the objects of a document as [`each_object`] does, and those of other kinds too.
pub(super) fn each_object_and_other<'d>(
    root: At<'d>,
    kustomization: bool,
    unplaced: &SmolStr,
    mistakes: &mut Mistakes<'_>,
    mut visit: impl FnMut(Found<'d>, At<'d>, &mut Mistakes<'_>),
) {
    let mut waiting: Vec<(At<'d>, Option<(SmolStr, SmolStr)>)> = vec![(root, None)];
    while let Some((at, given)) = waiting.pop() {
        if mistakes.are_too_many() {
            return;
        }
        if at.is_null() {
            continue;
        }
        if at.entries().is_none() {
            mistakes.push(errors::no_object(at, None));
            continue;
        }
        // The items of a raw PodList have neither kind nor apiVersion of their own.
        let (api_version, kind) = match (word(at, "apiVersion", mistakes), word(at, "kind", mistakes), given) {
            (Ok(Some(api_version)), Ok(Some(kind)), _) => (api_version, kind),
            (Ok(None), Ok(None), Some(given)) => given,
            (Ok(_), Ok(None), _) if kustomization => continue,
            (Ok(_), Ok(None), _) => {
                mistakes.push(errors::no_object(at, Some("kind")));
                continue;
            }
            (Ok(None), Ok(_), _) => {
                mistakes.push(errors::no_object(at, Some("apiVersion")));
                continue;
            }
            _ => continue,
        };
        if kind == "List" {
            waiting.extend(fields::list(at, "items", mistakes).into_iter().rev().map(|item| (item, None)));
        } else if let Some(kind) = kind.strip_suffix("List")
            && let Some(items) = at.get("items").and_then(At::items)
        {
            waiting.extend(items.rev().map(|item| (item, Some((api_version.clone(), kind.into())))));
        } else if let Some(kind) = Kind::of(&api_version, &kind) {
            if let Some(meta) = meta(kind, at, unplaced, mistakes) {
                visit(Found::Known(kind, meta), at, mistakes);
            }
        } else {
            visit(Found::Other(kind), at, mistakes);
        }
    }
}

/// Returns the string under `key`; any other value is an error, which is reported.
fn word(at: At<'_>, key: &str, mistakes: &mut Mistakes<'_>) -> Result<Option<SmolStr>, ()> {
    match at.get(key) {
        None => Ok(None),
        Some(value) => fields::as_text(value, key, mistakes).map(|text| Some(text.clone())).ok_or(()),
    }
}

/// Reads the metadata of an object; `unplaced` is the namespace of one that names none.
fn meta<'d>(kind: Kind, object: At<'d>, unplaced: &SmolStr, mistakes: &mut Mistakes<'_>) -> Option<Meta<'d>> {
    let word = kind.word();
    if object.get("metadata").is_none() {
        mistakes.push(errors::missing(object.span(), &format!("this {word}"), "metadata.name"));
    }
    let at = fields::mapping(object, "metadata", mistakes)?;
    let named = match at.get("name") {
        Some(_) => Some((fields::text(at, "name", mistakes)?, false)),
        None => fields::text(at, "generateName", mistakes).map(|found| (found, true)),
    };
    let Some(((name, name_at), generated)) = named else {
        mistakes.push(errors::missing(at.span(), &format!("this {word}"), "metadata.name"));
        return None;
    };
    let (fits, rule) = match kind {
        _ if generated => (true, ""),
        Kind::Namespace | Kind::Service => {
            (names::is_dns_label(name), "it has lower-case letters, digits and inner `-`, at most 63")
        }
        _ => (names::is_dns_subdomain(name), "it has lower-case letters, digits and inner `-` and `.`, at most 253"),
    };
    if !fits {
        mistakes.push(errors::refused(name_at.span(), name, &format!("name of a {word}"), rule));
    }
    let (namespace, placed) = match fields::text(at, "namespace", mistakes) {
        _ if kind == Kind::Namespace => (name.clone(), true),
        None => (unplaced.clone(), false),
        Some((namespace, namespace_at)) => {
            if !names::is_dns_label(namespace) {
                let rule = "it has lower-case letters, digits and inner `-`, at most 63";
                mistakes.push(errors::refused(namespace_at.span(), namespace, "name of a Namespace", rule));
            }
            (namespace.clone(), true)
        }
    };
    let title = match kind {
        Kind::Namespace => format_smolstr!("Namespace {name}"),
        _ => format_smolstr!("{word} {namespace}/{name}"),
    };
    let labels = fields::labels(at, "labels", mistakes);
    Some(Meta { name: name.clone(), generated, namespace, placed, labels, at, origin: name_at.span(), title })
}
