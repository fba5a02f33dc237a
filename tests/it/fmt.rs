//! Tests of the formatter: pairs of files in `tests/fmt/`, and properties over generated sources.

use std::path::{Path, PathBuf};

use netpol::diag::Diagnostics;
use netpol::source::Sources;
use netpol::syntax::{self, FormatError};
use proptest::prelude::*;

use crate::common::{source, sources};

fn format(text: &str) -> Result<String, FormatError> {
    let mut sources = Sources::new();
    let file = sources.add("policy.netpol", text);
    syntax::format(&sources, file, &mut Diagnostics::new())
}

/// Returns the folder of the pairs, and the names of the pairs in it.
fn pairs() -> (PathBuf, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fmt");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|name| name.strip_suffix(".in.netpol").map(str::to_owned)).collect();
    names.sort();
    (folder, names)
}

#[test]
fn every_input_gives_its_output_and_every_output_itself() {
    let (folder, names) = pairs();
    assert!(!names.is_empty());
    for name in names {
        let read = |kind: &str| std::fs::read_to_string(folder.join(format!("{name}.{kind}.netpol"))).unwrap();
        let output = read("out");
        assert_eq!(format(&read("in")).as_deref(), Ok(output.as_str()), "{name}.in.netpol");
        assert_eq!(format(&output).as_deref(), Ok(output.as_str()), "{name}.out.netpol");
    }
}

#[test]
fn the_examples_of_the_manual_have_the_layout_that_it_describes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formatting.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> =
        page.split("```netpol\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        assert_eq!(format(block).as_deref(), Ok(block));
    }
}

#[test]
fn the_standard_library_has_the_layout() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut files = 0;
    for path in walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path()) {
        if path.extension().is_some_and(|extension| extension == "netpol") {
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(format(&text).as_deref(), Ok(text.as_str()), "run `netpol fmt {}`", path.display());
        }
    }
    assert!(files >= 5);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_go() {
    let text = "\u{feff}# a \r\n\r\n\r\nallow a/* -> b/*\t# b\r\n## c\r\ndefault deny a/*";
    assert_eq!(format(text).unwrap(), "# a\n\nallow a/* -> b/*  # b\n## c\ndefault deny a/*\n");
}

#[test]
fn spaces_inside_an_annotation_go() {
    let text = "@allow( W0521 , \"in May\" )\nallow a/* -> b/*\n";
    assert_eq!(format(text).unwrap(), "@allow(W0521, \"in May\")\nallow a/* -> b/*\n");
}

#[test]
fn nothing_stays_nothing() {
    for text in ["", "\n\n", "\u{feff}", " \t\r\n"] {
        assert_eq!(format(text).unwrap(), "", "{text:?}");
    }
    assert_eq!(format("#").unwrap(), "#\n");
}

#[test]
fn a_file_with_syntax_errors_is_not_formatted_and_its_errors_are_pushed() {
    let mut sources = Sources::new();
    let file = sources.add("policy.netpol", "allow   a/* -> b/*\nallow egress a/* ->\n");
    let mut diagnostics = Diagnostics::new();
    assert_eq!(syntax::format(&sources, file, &mut diagnostics), Err(FormatError::Syntax));
    let lines: Vec<usize> = diagnostics.iter().map(|finding| sources.line(finding.primary.span)).collect();
    assert_eq!(lines, [2]);
}

/// Splits a line before its comment, which ends with its last visible character.
fn split(line: &str) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, character) in line.char_indices() {
        if character == '#' && !quoted {
            return (&line[..at], Some(line[at..].trim_end_matches([' ', '\t', '\r'])));
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    (line, None)
}

fn comments(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| split(line).1).collect()
}

/// Returns the text without comments and space.
fn tokens(text: &str) -> String {
    text.lines().flat_map(|line| split(line).0.split_whitespace()).collect()
}

#[test]
fn long_lines_are_broken_and_nothing_but_space_and_last_commas_changes() {
    for members in 1..40 {
        let list: Vec<String> = (0..members).map(|member| format!("team-{member}/*")).collect();
        let text = format!("allow egress {{ {0} }} -> {{ {0} }}:443\n", list.join(", "));
        let formatted = format(&text).unwrap();
        assert!(formatted.lines().all(|line| line.len() <= 100), "{formatted}");
        assert_eq!(tokens(&formatted).replace(",}", "}"), tokens(&text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// The formatter compares tree and comments itself; this test shows that it never has to refuse.
    #[test]
    fn what_parses_is_formatted_once_and_for_all(source in sources()) {
        let formatted = format(&source);
        prop_assert!(formatted.is_ok(), "{formatted:?}");
        let formatted = formatted.unwrap();
        let again = format(&formatted);
        prop_assert_eq!(again.as_deref(), Ok(formatted.as_str()));
        prop_assert_eq!(comments(&formatted), comments(&source));
        prop_assert!(formatted.is_empty() || formatted.ends_with('\n') && !formatted.ends_with("\n\n"));
        prop_assert!(!formatted.contains("\n\n\n") && !formatted.lines().any(|line| line.ends_with([' ', '\t'])));
    }
}

/// Found by fuzzing: what the parser lets pass in silence, the formatter would repair behind the writer's back.
#[test]
fn what_is_not_quite_right_is_refused_and_not_repaired() {
    let texts = [
        "allow { a/*  b/* } -> c/*\n",
        "allow egress a/{app=b  tier=c} -> d/*\n",
        "allow egress a/* -> b/*:{80 443}\n",
        "apply tenant(a b)\n",
        "allow egress a/* -> zenquotes.io:4o:443\n",
        "allow egress a/* -> garden/api:http:443\n",
    ];
    for text in texts {
        assert_eq!(format(text), Err(FormatError::Syntax), "{text}");
    }
}

#[test]
fn the_generator_makes_every_kind_of_statement() {
    let mut state = 1u64;
    let text: String = (0..200)
        .map(|_| {
            let bytes: Vec<u8> = (0..300)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            source(&bytes) + "\n"
        })
        .collect();
    for word in "allow deny default let use namespace service issuer gateway template apply scope assert test @owner( \
                 @expires( where via except notin weight ## jwt subject claim at as <->"
        .split_whitespace()
    {
        assert!(text.contains(word), "no `{word}` in 200 generated sources");
    }
}
