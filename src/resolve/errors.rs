//! What resolving names can find wrong.

use smol_str::SmolStr;

use super::stdlib;
use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;
use crate::syntax::tree::Ident;

pub fn duplicate_name(name: &Ident, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateName, name.span, format!("`{}` is defined twice in this file", name.text))
        .at("here again")
        .label(first, "first here")
        .note("a file defines a name once; rename one, or write `use … (name as other)`")
}

pub fn unknown_module(span: Span, name: &str) -> Diagnostic {
    let known: Vec<String> = stdlib::MODULES.iter().map(|(name, _)| format!("std/{name}")).collect();
    let near = nearest(&format!("std/{name}"), known.iter().map(String::as_str)).map(str::to_string);
    let diagnostic = Diagnostic::new(Code::UnknownModule, span, format!("there is no module `std/{name}`"))
        .at("not in the standard library")
        .note(format!("the standard library has {}", known.join(", ")));
    match near {
        Some(near) => diagnostic.fix(format!("write `{near}`"), span, near),
        None => diagnostic,
    }
}

pub fn cannot_load(span: Span, path: &str, why: &str) -> Diagnostic {
    Diagnostic::new(Code::ModuleNotFound, span, format!("the module `{path}` cannot be read: {why}"))
        .at("its path is relative to this file")
}

pub fn cyclic_use(span: Span, itself: bool) -> Diagnostic {
    let message = if itself { "this file uses itself" } else { "this `use` closes a cycle of files" };
    Diagnostic::new(Code::CyclicUse, span, message)
        .at("the module uses this file, directly or through others")
        .note("move what both need to a third file")
}

pub fn not_offered(name: &Ident, near: Option<SmolStr>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::NotOffered, name.span, format!("the module does not offer the name `{}`", name.text))
            .at("not defined there")
            .note("a module offers what it defines and the names that it lists in a `use`");
    match near {
        Some(near) => diagnostic.fix(format!("write `{near}`"), name.span, near),
        None => diagnostic,
    }
}

pub fn unused_name(name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::UnusedName, name.span, format!("`{}` is never used", name.text))
        .at("no statement of this file names it")
}

pub fn unused_module(span: Span) -> Diagnostic {
    Diagnostic::new(Code::UnusedModule, span, "no name of this module is used").at("this `use` brings nothing")
}
