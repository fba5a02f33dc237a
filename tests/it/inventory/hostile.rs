//! Text made to break readers: each is answered, none with a crash.

use netpol::diag::Code;
use proptest::prelude::*;

use super::{codes, read_files};

#[test]
fn what_nests_too_deeply_is_refused() {
    for text in ["[", "{", "{a: ", "- ", "? ", "-\n ", "a:\n "] {
        assert_eq!(
            codes(&text.repeat(100_000)).first().copied().map(|code| {
                matches!(code, Code::ManifestLimit | Code::ManifestSyntax | Code::ManifestObject | Code::ManifestType)
            }),
            Some(true),
            "{text}"
        );
    }
    let (_, diagnostics, sources) = read_files(&[("a.yaml", &format!("a: b\nc: {}", "[".repeat(100_000)))]);
    let first = diagnostics.iter().next().expect("a finding");
    assert_eq!((first.code, sources.line(first.primary.span)), (Code::ManifestLimit, 2));
    let stairs: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(codes(&stairs), vec![Code::ManifestLimit]);
}

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(codes(&bomb), vec![Code::ManifestLimit]);
    let mut lists = String::from("apiVersion: v1\nkind: List\nx: &a0 { apiVersion: v1, kind: Pod }\n");
    for level in 1..30 {
        lists.push_str(&format!(
            "x{level}: &a{level} {{ apiVersion: v1, kind: List, items: [*a{0}, *a{0}] }}\n",
            level - 1
        ));
    }
    assert_eq!(codes(&format!("{lists}items: [*a29]\n")), vec![Code::ManifestLimit]);
    assert_eq!(codes("a: &a [*a]\n"), vec![Code::ManifestLimit]);
    assert_eq!(codes("a: *nothing\n"), vec![Code::ManifestSyntax]);
    let merges = "a: &a { b: c }\nkind: x\napiVersion: x\n<<: *a\n";
    assert_eq!(codes(merges), vec![]);
}

#[test]
fn long_chains_of_lists_do_not_exhaust_the_stack() {
    let mut text = String::from("apiVersion: v1\nkind: List\nx0: &a0 { apiVersion: v1, kind: List, items: [] }\n");
    for level in 1..200 {
        text.push_str(&format!("x{level}: &a{level} {{ apiVersion: v1, kind: List, items: [*a{}] }}\n", level - 1));
    }
    assert_eq!(codes(&format!("{text}items: [*a199]\n")), vec![]);
}

#[test]
fn one_wide_mapping_is_read() {
    let wide: String = (0..100_000).map(|at| format!("    k{at}: v\n")).collect();
    let text = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: garden\n  labels:\n{wide}");
    let (inventory, diagnostics, _) = read_files(&[("a.yaml", &text)]);
    assert_eq!((diagnostics.iter().len(), inventory.namespaces["garden"].labels.len()), (0, 100_001));
}

#[test]
fn a_document_of_millions_of_values_is_refused() {
    assert_eq!(
        codes(&format!("kind: List\napiVersion: v1\nitems: [{}]\n", "a,".repeat(2_000_001))),
        vec![Code::ManifestLimit]
    );
}

#[test]
fn bytes_that_are_no_text_of_yaml() {
    for text in [
        "\0",
        "\u{1}",
        "a: \u{7f}",
        "\u{feff}a: b\u{feff}",
        "%YAML 9.9\n---\na",
        "\t- a",
        "\"",
        "'",
        "|",
        "&",
        "*",
        "!",
    ] {
        let (_, diagnostics, _) = read_files(&[("a.yaml", text)]);
        assert!(diagnostics.iter().all(|d| d.primary.span.end as usize <= text.len()), "{text:?}");
    }
}

/// Pieces of which manifests are made, right and wrong ones.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "apiVersion: v1\n",
        "apiVersion: apps/v1\n",
        "kind: Pod\n",
        "kind: Deployment\n",
        "kind: List\n",
        "kind: Service\n",
        "items:\n",
        "metadata:\n",
        "  name: web\n",
        "  labels: { app: web }\n",
        "spec:\n",
        "  selector:\n",
        "    app: web\n",
        "  template:\n",
        "    spec: {}\n",
        "  ports:\n",
        "  - port: 80\n",
        "    targetPort: http\n",
        "- ",
        "  ",
        "---\n",
        "...\n",
        "&a ",
        "*a",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "'",
        "\"",
        "|\n",
        ">\n",
        "# c\n",
        "5",
        "on",
        "~",
        "!!str ",
        "? ",
        "\t",
        "\r\n",
        "é",
        "\u{feff}",
        "status: { podIPs: [ { ip: 10.0.0.1 } ] }\n",
        "ownerReferences: [ { controller: true } ]\n",
    ];
    prop_oneof![4 => proptest::sample::select(words.to_vec()).prop_map(String::from), 1 => "\\PC{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Reading is total: whatever the text is, it is read or refused at a place inside it.
    #[test]
    fn any_text_is_read_or_refused(pieces in proptest::collection::vec(piece(), 0..60)) {
        let text = pieces.concat();
        let (_, diagnostics, sources) = read_files(&[("a.yaml", &text)]);
        for diagnostic in diagnostics.iter() {
            let span = diagnostic.primary.span;
            prop_assert!(span.start <= span.end && span.end as usize <= text.len(), "{:?}", diagnostic);
            prop_assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize));
            sources.position(span.file, span.start);
        }
    }
}
