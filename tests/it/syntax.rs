//! Tests of the way from text to the tree.

use netpol::diag::Diagnostics;
use netpol::source::Sources;
use netpol::syntax;
use netpol::syntax::tree::{File, ItemKind};
use proptest::strategy::Strategy as _;

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
            ItemKind::Workload(_) => "workload",
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
            "let",
            "let",
            "namespace",
            "namespace",
            "service",
            "workload",
            "workload",
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

/// Returns the codes of the errors with their lines.
fn errors(text: &str) -> Vec<(usize, &'static str)> {
    let (sources, _, diagnostics) = parse(text);
    let mut list: Vec<_> = diagnostics.iter().map(|d| (sources.line(d.primary.span), d.code.as_str())).collect();
    list.sort_unstable();
    list
}

#[test]
fn line_ends_and_a_byte_order_mark_mean_nothing() {
    let text = "allow egress garden/* -> zenquotes.io:443\nlet offices = 203.0.113.0/24\n";
    assert_eq!(good(text).items.len(), 2);
    assert_eq!(good(&text.replace('\n', "\r\n")).items.len(), 2);
    assert_eq!(good(&format!("\u{feff}{text}")).items.len(), 2);
    assert_eq!(errors("allow egress garden/* -> \u{feff}zenquotes.io:443").len(), 1);
}

#[test]
fn nesting_is_read_up_to_its_limit_and_refused_beyond() {
    let nested = |depth: usize| format!("let a = {}203.0.113.1{}", "{ ".repeat(depth), " }".repeat(depth));
    good(&nested(64));
    for depth in [65, 200, 100_000] {
        assert_eq!(errors(&nested(depth)), vec![(1, "E0112")], "{depth}");
    }
}

#[test]
fn an_unclosed_bracket_does_not_swallow_the_next_statement() {
    let (_, file, diagnostics) = parse("default deny garden/{app=web\nallow egress shop/* -> zenquotes.io:443\n");
    assert!(diagnostics.has_errors());
    assert!(file.items.iter().any(|item| matches!(item.kind, ItemKind::Rule(_))), "{file:#?}");
}

#[test]
fn keywords_are_ordinary_words_beside_a_slash_and_inside_a_selector() {
    let words = "allow deny default let use namespace service issuer gateway template apply scope assert test host at via \
                 where except in notin as egress ingress never always";
    for word in words.split_whitespace() {
        good(&format!("allow egress {word}/* -> {word}/{{{word}={word}}}:{word}"));
        good(&format!("allow egress garden/* -> {word}.example.com:443"));
        assert!(!errors(&format!("let {word} = 203.0.113.1")).is_empty(), "{word} is reserved as a name");
    }
}

proptest::proptest! {
    /// Any text gets a tree: words of the language in any order, and any characters between them.
    #[test]
    fn parsing_is_total(parts in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::sample::select(vec![
                "allow ", "deny ", "egress ", "-> ", "<-> ", "{", "}", "(", ")", ":", ",", "/*", "garden", "\"", "#", "\n",
                "@owner(", "template ", "service ", "a.b", "10.0.0.0/8", "[::1]", "except ", "where ", "jwt ", "use ", "std/",
            ]).prop_map(String::from),
            "\\PC{0,3}",
        ],
        0..40,
    )) {
        parse(&parts.concat());
    }
}

/// Holds what is read at once against what is read in two goes, and returns how many statements there are.
fn read_in_two_goes(text: &str) -> usize {
    let (sources, whole, mut said) = parse(text);
    let mut also = Diagnostics::new();
    let opened = syntax::open(&sources, whole.id, &mut also);
    let mut items = opened.file.items;
    assert!(items.iter().all(|item| !matches!(item.kind, ItemKind::Rule(_) | ItemKind::DefaultDeny(_))), "{text}");
    opened.deferred.read(&sources, whole.id, |more, found| {
        items.extend(more);
        also.append(found);
    });
    items.sort_by_key(|item| item.span.start);
    said.sort();
    also.sort();
    assert!(items == whole.items, "the statements differ");
    assert_eq!(also.iter().collect::<Vec<_>>(), said.iter().collect::<Vec<_>>(), "{text}");
    items.len()
}

#[test]
fn rules_read_later_are_the_same() {
    let all = include_str!("syntax/everything.netpol");
    assert!(read_in_two_goes(all) > 15);
    let broken = all.replace("->", "=>").replace('}', "");
    read_in_two_goes(&broken);
    // More pieces than are read ahead, with a mistake in each.
    let many: String = (0..150).map(|at| format!("let n{at} = 203.0.113.7\n{all}\nallow a/* -> \n")).collect();
    assert!(read_in_two_goes(&many) > 2000);
}

#[test]
fn too_many_mistakes_end_either_reading() {
    let text = "allow garden/* -> \nlet = \n".repeat(400);
    let (sources, whole, said) = parse(&text);
    let mut also = Diagnostics::new();
    let opened = syntax::open(&sources, whole.id, &mut also);
    opened.deferred.read(&sources, whole.id, |_, found| also.append(found));
    let errors = |found: &Diagnostics| found.count(netpol::diag::Severity::Error);
    assert_eq!((errors(&said), errors(&also)), (201, 201));
    // Where the characters alone are too many mistakes.
    let text = "allow a/* -> b/*\u{7}\n".repeat(300);
    let (_, _, said) = parse(&text);
    assert_eq!(errors(&said), 201);
    read_in_two_goes(&text);
}
