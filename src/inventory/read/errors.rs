//! Messages about manifests that cannot be read, or that Kubernetes would refuse.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use super::tree::{At, Key};
use crate::diag::{Code, Diagnostic};
use crate::source::{FileId, Span};

/// Text that is no YAML.
pub(super) fn syntax(file: FileId, text: &str, error: &ScanError) -> Box<Diagnostic> {
    let start = error.marker().byte_offset().unwrap_or_default().min(text.len());
    let rest = text.get(start..).unwrap_or_default();
    let span = Span::new(file, start, start + rest.chars().next().filter(|&c| c != '\n').map_or(0, char::len_utf8));
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return Diagnostic::new(Code::ManifestLimit, span, "this is nested too deeply")
            .note("a manifest nests at most 255 lists and mappings; what Kubernetes itself writes stays far below that")
            .into();
    }
    let line = text.get(..start).unwrap_or_default().rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line..).unwrap_or_default().lines().next().unwrap_or_default();
    let note = match error.kind() {
        _ if line.contains("{{") => Some(RENDER_FIRST),
        ErrorKind::ExpectedDocumentStart => Some("a line `---` separates documents"),
        _ => None,
    };
    Diagnostic::new(Code::ManifestSyntax, span, format!("this is no YAML: {}", error.kind())).note_opt(note).into()
}

const RENDER_FIRST: &str = "templates are read once they are rendered: `helm template . > rendered.yaml`";

/// A file beyond the limit.
pub(super) fn too_large(span: Span, limit: usize) -> Diagnostic {
    Diagnostic::new(Code::ManifestLimit, span, format!("this file is larger than {} MiB", limit >> 20))
        .note("give the dump in several files, one for each kind or namespace")
}

/// A document beyond the limit.
pub(super) fn too_many(span: Span, limit: usize) -> Diagnostic {
    Diagnostic::new(Code::ManifestLimit, span, format!("this document holds more than {limit} values"))
        .note("give the dump in several files, one for each kind or namespace")
}

/// Aliases that stand for more than the limit.
pub(super) fn aliases(span: Span, limit: u64) -> Diagnostic {
    Diagnostic::new(Code::ManifestLimit, span, format!("the aliases of this file stand for more than {limit} values"))
        .note("write the values out where they are meant")
}

/// An alias inside the value that it names.
pub(super) fn alias_of_itself(span: Span) -> Diagnostic {
    Diagnostic::new(Code::ManifestLimit, span, "this alias stands inside the value that it names")
        .note("such a value has no end")
}

/// A list or a mapping as a key, as `found` says; `before` is the text that precedes it.
pub(super) fn key_kind(span: Span, found: &str, before: &str) -> Diagnostic {
    let template = before.ends_with('{').then_some(RENDER_FIRST);
    Diagnostic::new(Code::ManifestType, span, format!("a key must be a string, and this is {found}")).note_opt(template)
}

/// A key that stands twice.
pub(super) fn key_twice(key: &Key, first: Span) -> Diagnostic {
    Diagnostic::new(Code::ManifestKeyTwice, key.span, format!("`{}` stands twice in this mapping", key.text))
        .label(first, "it stands here already")
        .note("of two values under one key, programs take either: keep one")
}

/// The last finding of a file with too many.
pub(super) fn last_of(diagnostic: Diagnostic, limit: usize) -> Diagnostic {
    diagnostic.note(format!("this file has {limit} mistakes or more: it was read no further"))
}

/// Files of a folder that are no manifests; `first` is the beginning of the first.
pub(super) fn passed_over(first: Span, paths: &[&str]) -> Diagnostic {
    const SHOWN: usize = 6;
    let message = match paths.len() {
        1 => "a file of this folder is no manifest, and is passed over".to_owned(),
        count => format!("{count} files of these folders are no manifests, and are passed over"),
    };
    let mut shown = paths.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        shown.push_str(&format!(", and {} more", paths.len() - SHOWN));
    }
    Diagnostic::new(Code::PassedOver, first, message)
        .note(format!("passed over: {shown}"))
        .note("a template is read once it is rendered, as by `helm template . > rendered.yaml`")
}

/// Objects without a namespace; `first` is the name of the first.
pub(super) fn unplaced(first: Span, count: usize) -> Diagnostic {
    let message = match count {
        1 => "one object of the inventory names no namespace, and is taken for one of `default`".to_owned(),
        count => format!("{count} objects of the inventory name no namespace, and are taken for those of `default`"),
    };
    let diagnostic = Diagnostic::new(Code::Unplaced, first, message);
    let diagnostic = if count == 1 { diagnostic } else { diagnostic.at("the first of them") };
    diagnostic.note("for another namespace say `--namespace NAME`, or `inventory-namespace = \"NAME\"` in netpol.toml")
}

/// A document that is no mapping, or has no `kind` or `apiVersion`.
pub(super) fn no_object(at: At<'_>, missing: Option<&str>) -> Diagnostic {
    let message = match missing {
        Some(key) => format!("this is no Kubernetes object: it has no `{key}`"),
        None => format!("this is no Kubernetes object: it is {}", at.word()),
    };
    Diagnostic::new(Code::ManifestObject, at.span(), message).note(
        "an inventory holds manifests, as `kubectl get namespaces,services,deployments,pods -A -o yaml` prints them",
    )
}

/// A value of the wrong kind under `key`.
pub(super) fn wrong_type(key: &str, wanted: &str, found: At<'_>) -> Diagnostic {
    let written = found.written();
    let diagnostic = match found.scalar() {
        Some(_) if !found.is_null() => {
            let message = format!("`{key}` must be {wanted}, and `{written}` is {}", found.word());
            Diagnostic::new(Code::ManifestType, found.span(), message)
        }
        _ => {
            let message = format!("`{key}` must be {wanted}, and this is {}", found.word());
            Diagnostic::new(Code::ManifestType, found.span(), message)
        }
    };
    match found.scalar() {
        None if written.starts_with("{{") => diagnostic.note(RENDER_FIRST),
        Some(_) if wanted == "a string" && !found.is_null() => {
            let quoted = format!("\"{written}\"");
            diagnostic.note(format!("in quotes it is a string: `{quoted}`")).fix(
                format!("write `{quoted}`"),
                found.span(),
                quoted,
            )
        }
        _ => diagnostic,
    }
}

/// A key of labels that Kubernetes takes for a boolean.
pub(super) fn boolean_key(key: &Key) -> Diagnostic {
    let quoted = format!("\"{}\"", key.text);
    Diagnostic::new(Code::ManifestType, key.span, format!("Kubernetes takes the key `{}` for a boolean", key.text))
        .note(format!("in quotes it is a string: `{quoted}`"))
        .fix(format!("write `{quoted}`"), key.span, quoted)
}

/// A field that Kubernetes requires of an object.
pub(super) fn missing(span: Span, object: &str, field: &str) -> Diagnostic {
    Diagnostic::new(Code::ManifestMissing, span, format!("{object} has no `{field}`"))
        .note("Kubernetes refuses it without, and what it means would be a guess")
}

/// A value that Kubernetes refuses.
pub(super) fn refused(span: Span, value: &str, what: &str, rule: &str) -> Diagnostic {
    Diagnostic::new(Code::ManifestValue, span, format!("`{value}` is no {what}")).note(rule)
}

/// An object that another file states differently.
pub(super) fn conflict(span: Span, first: Span, object: &str, difference: &str) -> Diagnostic {
    Diagnostic::new(Code::ManifestConflict, span, format!("{object} is stated twice, with different {difference}"))
        .at("here")
        .label(first, "and here")
        .note("leave out the one that the cluster does not have: facts that contradict each other decide nothing")
}

/// A workload whose selector does not match its template.
pub(super) fn selects_others(span: Span, labels: Option<Span>, object: &str) -> Diagnostic {
    let message = format!("the selector of {object} does not match the labels of its own pods");
    let diagnostic = Diagnostic::new(Code::ManifestSelector, span, message);
    let diagnostic = match labels {
        Some(labels) => diagnostic.label(labels, "the labels that its pods get"),
        None => diagnostic.at("its pods get no labels"),
    };
    diagnostic.note("Kubernetes refuses such a workload: `spec.selector` must match `spec.template.metadata.labels`")
}
