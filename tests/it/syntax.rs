//! Tests of the way from text to the tree.

use netpol::diag::Diagnostics;
use netpol::source::Sources;
use netpol::syntax;
use netpol::syntax::tree::{File, ItemKind};

fn parse(text: &str) -> (Sources, File, Diagnostics) {
    let mut sources = Sources::new();
    let id = sources.add("test.netpol", text);
    let mut diagnostics = Diagnostics::new();
    let file = syntax::parse(&sources, id, &mut diagnostics);
    (sources, file, diagnostics)
}

/// Parses what must be right.
fn good(text: &str) -> File {
    let (_, file, diagnostics) = parse(text);
    assert!(!diagnostics.has_errors(), "{text}\n{:#?}", diagnostics.iter().collect::<Vec<_>>());
    file
}

#[test]
fn every_statement_is_read() {
    let text = include_str!("syntax/everything.netpol");
    let file = good(text);
    let kinds: Vec<&str> = file
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::Use(_) => "use",
            ItemKind::Let(_) => "let",
            ItemKind::Namespace(_) => "namespace",
            ItemKind::Service(_) => "service",
            ItemKind::Issuer(_) => "issuer",
            ItemKind::Gateway(_) => "gateway",
            ItemKind::Template(_) => "template",
            ItemKind::Apply(_) => "apply",
            ItemKind::Scope(_) => "scope",
            ItemKind::Assert(_) => "assert",
            ItemKind::Test(_) => "test",
            ItemKind::Rule(_) => "rule",
            ItemKind::DefaultDeny(_) => "default deny",
            ItemKind::Error => "error",
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "use",
            "use",
            "use",
            "scope",
            "let",
            "let",
            "let",
            "let",
            "namespace",
            "namespace",
            "service",
            "issuer",
            "issuer",
            "gateway",
            "template",
            "template",
            "apply",
            "apply",
            "rule",
            "rule",
            "rule",
            "rule",
            "rule",
            "rule",
            "default deny",
            "default deny",
            "assert",
            "assert",
            "test",
        ]
    );
}
