//! Messages about imports and names.

use smol_str::SmolStr;

use super::stdlib;
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::tree::{Ident, Use, UsePath};

pub fn duplicate_name(name: &Ident, first: Span, listed: Option<&Ident>) -> Diagnostic {
    let note = match listed {
        Some(entry) => format!("list it under another name: `{} as other`", entry.text),
        None => "a file defines a name once: join the two, or rename one".into(),
    };
    Diagnostic::new(Code::DuplicateName, name.span, format!("`{}` is defined twice in this file", name.text))
        .at("here")
        .label(first, "and here")
        .note(note)
}

pub fn unknown_module(span: Span, name: &str) -> Diagnostic {
    let known: Vec<String> = stdlib::MODULES.iter().map(|(name, _)| format!("std/{name}")).collect();
    let near = nearest(&format!("std/{name}"), known.iter().map(String::as_str)).map(str::to_string);
    let diagnostic = Diagnostic::new(Code::UnknownModule, span, format!("there is no module `std/{name}`"));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near),
        None => diagnostic
            .at("not in the standard library")
            .note(format!("the standard library has {}; a file is named in quotes", known.join(", "))),
    }
}

pub fn cannot_load(span: Span, path: &str, why: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::ModuleNotFound, span, format!("`{path}` cannot be used: {why}"));
    let known = |(module, _): &(&str, &str)| matches!(path.strip_prefix("std/"), Some(name) if name == *module);
    match stdlib::MODULES.iter().any(known) {
        true => diagnostic.at("a module of the standard library stands without quotes").fix(
            format!("write `{path}`"),
            span,
            path,
        ),
        false => diagnostic.at("the path is relative to this file"),
    }
}

/// `target` is the file that the last `use` leads back to, `others` the files on the way with the `use` of each.
pub fn cyclic_use(span: Span, target: &str, others: Vec<(&str, Span)>) -> Diagnostic {
    if others.is_empty() {
        return Diagnostic::new(Code::CyclicUse, span, "this file uses itself").at("the path leads back to this file");
    }
    let start = Diagnostic::new(Code::CyclicUse, span, "these files use each other in a cycle")
        .at(format!("leads back to `{target}`"))
        .note("put what they need from each other into a file that all of them use");
    others.into_iter().fold(start, |diagnostic, (path, by)| diagnostic.label(by, format!("leads to `{path}`")))
}

pub fn not_offered(name: &Ident, module: &str, near: Option<SmolStr>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotOffered, name.span, format!("`{module}` does not offer `{}`", name.text));
    match near {
        Some(near) => diagnostic.at(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), name.span, near),
        None => diagnostic
            .at("not defined there")
            .note("a module offers what it defines and the names that it lists in a `use`"),
    }
}

/// `verb` is `names`, or `applies` for a template: nobody does that with the name.
pub fn unused_name(name: &Ident, verb: &str) -> Diagnostic {
    Diagnostic::new(Code::UnusedName, name.span, format!("`{}` is never used", name.text))
        .at(format!("no statement of this file {verb} it"))
}

pub fn unused_module(span: Span, import: &Use, has_rules: bool) -> Diagnostic {
    let module = match &import.path {
        UsePath::Std(name) => format!("std/{name}"),
        UsePath::File(path) => path.to_string(),
    };
    let diagnostic = Diagnostic::new(Code::UnusedModule, span, format!("nothing of `{module}` is used"))
        .at("no statement of this file names anything of it");
    let diagnostic = match has_rules {
        true => {
            diagnostic.note("`use` brings names, never rules: to have the rules of that file, give it to the command")
        }
        false => diagnostic,
    };
    diagnostic.fix("remove the `use`", span, "")
}
