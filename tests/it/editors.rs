//! The grammars and settings below `editors/`: their words are those of the parser, and they start the server.

mod programs;

use std::collections::BTreeSet;
use std::fs;

use netpol::syntax::vocabulary::{ANNOTATIONS, CONDITIONS, DETAILS, PROTOCOLS, RESERVED, fields};

use crate::common::root;

/// The grammars.
const GRAMMARS: [&str; 6] = [
    "vscode/syntaxes/netpol.tmLanguage.json",
    "nvim/syntax/netpol.vim",
    "emacs/netpol-mode.el",
    "kakoune/netpol.kak",
    "sublime/netpol.sublime-syntax",
    "tree-sitter-netpol/queries/highlights.scm",
];

/// The types of parameters, which no list of the parser has.
const TYPES: [&str; 7] = ["Namespace", "Workloads", "Host", "Addresses", "Endpoint", "Port", "String"];

/// Returns the lists of words of a grammar: what stands between the marks of one list, in each of the forms.
fn lists(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let of_word = |c: char| c.is_ascii_alphabetic() || c == '-';
    for line in text.lines() {
        // `syn keyword netpolField labels select`, `'("labels" "select"`
        let listed = line.strip_prefix("syn keyword ").map(|rest| rest.split_once(' ').unwrap().1);
        let quoted = line.trim_start().trim_start_matches("'(").starts_with('"') && !line.contains(':');
        if let Some(words_of_line) = listed {
            words.extend(words_of_line.split(' ').map(str::to_owned));
        } else if quoted && line.matches('"').count() >= 4 {
            words.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        }
        // `(?:labels|select)`, `\(labels\|select\)`
        for group in line.replace("\\|", "|").replace("\\)", ")").split('(').skip(1) {
            let inside = group.split(')').next().unwrap().trim_start_matches("?:");
            let parts: Vec<&str> = inside.split('|').collect();
            if parts.len() >= 4 && parts.iter().all(|part| !part.is_empty() && part.chars().all(of_word)) {
                words.extend(parts.into_iter().map(str::to_owned));
            }
        }
    }
    words
}

#[test]
fn the_grammars_of_editors_have_the_words_of_the_parser() {
    let fields = fields();
    let lists_of_parser: [&[&str]; 7] = [&RESERVED, &fields, &CONDITIONS, &DETAILS, &PROTOCOLS, &ANNOTATIONS, &TYPES];
    let due: BTreeSet<String> =
        lists_of_parser.iter().flat_map(|list| list.iter()).map(|word| (*word).to_owned()).collect();
    for grammar in GRAMMARS {
        let text = fs::read_to_string(root().join("editors").join(grammar)).unwrap();
        let found = lists(&text);
        let missing: Vec<_> = due.difference(&found).collect();
        let unknown: Vec<_> = found.difference(&due).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{grammar}: missing {missing:?}, unknown {unknown:?}");
    }
}

/// The lists of the tree-sitter grammar and of its scanner are one: the words that begin statements, those that are
/// reserved, then the rest.
#[test]
fn the_tree_sitter_grammar_has_the_words_of_the_parser() {
    let words = |path: &str| -> Vec<String> {
        let text = fs::read_to_string(root().join("editors/tree-sitter-netpol").join(path)).unwrap();
        let list = text.split_once("KEYWORDS[] = {").or(text.split_once("KEYWORDS = [")).unwrap().1;
        list.split("\n}")
            .next()
            .unwrap()
            .split("\n]")
            .next()
            .unwrap()
            .split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let (scanner, grammar) = (words("src/scanner.c"), words("grammar.js"));
    assert_eq!(scanner, grammar);
    assert_eq!(scanner[..RESERVED.len()], RESERVED);
    let fields = fields();
    let lists: [&[&str]; 4] = [&RESERVED, &fields, &CONDITIONS, &DETAILS];
    let due: BTreeSet<&str> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    assert_eq!(scanner.iter().map(String::as_str).collect::<BTreeSet<_>>(), due);
}

/// Zed reads queries of an extension's own folder.
#[test]
fn zed_has_the_queries_of_the_grammar() {
    let read = |path: &str| fs::read_to_string(root().join("editors").join(path)).unwrap();
    for query in ["highlights.scm", "injections.scm"] {
        let (own, grammar) = (format!("zed/languages/netpol/{query}"), format!("tree-sitter-netpol/queries/{query}"));
        assert_eq!(read(&own), read(&grammar), "{query}");
    }
    for settings in ["zed/extension.toml", "zed/languages/netpol/config.toml"] {
        toml::from_str::<toml::Table>(&read(settings)).unwrap();
    }
}

/// Each setting starts the server with the one command that it has.
#[test]
fn the_settings_of_editors_start_the_server() {
    for (path, words) in [
        ("nvim/lsp/netpol.lua", "cmd = { \"netpol\", \"lsp\" }"),
        ("nvim/plugin/netpol.lua", "cmd = { \"netpol\", \"lsp\" }"),
        ("helix/languages.toml", "args = [\"lsp\"]"),
        ("emacs/netpol-mode.el", "(\"netpol\" \"lsp\")"),
        ("kakoune/netpol.kak", "args = [\"lsp\"]"),
        ("sublime/LSP.sublime-settings", "\"command\": [\"netpol\", \"lsp\"]"),
        ("zed/src/netpol.rs", "args: vec![\"lsp\".to_owned()]"),
        ("vscode/extension.js", "args: [\"lsp\", \"--stdio\"]"),
    ] {
        let text = fs::read_to_string(root().join("editors").join(path)).unwrap();
        assert!(text.contains(words), "{path}");
    }
    let helix = fs::read_to_string(root().join("editors/helix/languages.toml")).unwrap();
    toml::from_str::<toml::Table>(&helix).unwrap();
    for path in
        ["package.json", "language-configuration.json", "snippets/netpol.json", "syntaxes/netpol.tmLanguage.json"]
    {
        let text = fs::read_to_string(root().join("editors/vscode").join(path)).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}

/// The body of each snippet is a policy without a syntax error, once its places have their words.
#[test]
fn snippets_are_policies() {
    let text = fs::read_to_string(root().join("editors/vscode/snippets/netpol.json")).unwrap();
    let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(all.len() >= 5);
    for (name, snippet) in all {
        let lines: Vec<&str> = snippet["body"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let mut policy = lines.join("\n").replace("$0", "");
        while let Some(start) = policy.find("${") {
            let end = start + policy[start..].find('}').unwrap();
            let word = policy[start..end].split_once(':').unwrap().1.to_owned();
            policy.replace_range(start..=end, &word);
        }
        let mut sources = netpol::source::Sources::new();
        let file = sources.add("snippet.netpol", policy.clone());
        let mut found = netpol::diag::Diagnostics::new();
        netpol::syntax::parse(&sources, file, &mut found);
        assert!(!found.has_errors(), "{name}: {policy}");
    }
}
