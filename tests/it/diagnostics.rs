//! Renderers, and the table of codes against its pages and its uses.

use std::collections::BTreeSet;
use std::path::Path;

use netpol::diag::render::{Format, render};
use netpol::diag::{Code, Diagnostic, Diagnostics, Severity};
use netpol::source::{FileId, Sources, Span};

/// Returns the span of the first `marked` in a file.
fn at(sources: &Sources, file: FileId, marked: &str) -> Span {
    let start = sources.file(file).text.find(marked).unwrap();
    Span::new(file, start, start + marked.len())
}

fn rendered(diagnostics: &Diagnostics, sources: &Sources, format: Format) -> String {
    let mut out = Vec::new();
    render(diagnostics, sources, format, false, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Two files and a finding that speaks of both, with a fix.
fn example() -> (Sources, Diagnostics) {
    let mut sources = Sources::new();
    let shop = sources.add("shop.netpol", "use \"./lib.netpol\"\n\nallow égress garden/* -> offices\n");
    let lib = sources.add("a b/lib.netpol", "let ofices = 203.0.113.1\n");
    let mut diagnostics = Diagnostics::new();
    let offices = at(&sources, shop, "offices");
    let diagnostic = Diagnostic::new(Code::Expected, offices, "nothing is called `offices`")
        .at("50% of it, a: b")
        .label(at(&sources, lib, "ofices"), "defined here")
        .note("did you mean `ofices`?")
        .fix("write `ofices`", offices, "ofices");
    diagnostics.push(diagnostic);
    (sources, diagnostics)
}

#[test]
fn human_shows_every_file_and_offers_the_fix_once() {
    let (sources, diagnostics) = example();
    insta::assert_snapshot!(rendered(&diagnostics, &sources, Format::Human), @r"
    error[E0101]: nothing is called `offices`
      ┌─ shop.netpol:3:26
      │
    3 │ allow égress garden/* -> offices
      │                          ^^^^^^^ 50% of it, a: b
      │
      ┌─ a b/lib.netpol:1:5
      │
    1 │ let ofices = 203.0.113.1
      │     ------ defined here
      │
      = did you mean `ofices`?                                                (fix available)
    ");
}

#[test]
fn short_is_one_line() {
    let (sources, diagnostics) = example();
    insta::assert_snapshot!(rendered(&diagnostics, &sources, Format::Short), @"shop.netpol:3:26: error[E0101]: nothing is called `offices`; write `ofices`");
}

#[test]
fn json_is_one_object_a_line_with_places_from_one() {
    let (sources, diagnostics) = example();
    insta::assert_snapshot!(rendered(&diagnostics, &sources, Format::Json), @r#"{"code":"E0101","severity":"error","message":"nothing is called `offices`","path":"shop.netpol","range":{"start":{"line":3,"column":26},"end":{"line":3,"column":33}},"labels":[{"path":"shop.netpol","range":{"start":{"line":3,"column":26},"end":{"line":3,"column":33}},"message":"50% of it, a: b"},{"path":"a b/lib.netpol","range":{"start":{"line":1,"column":5},"end":{"line":1,"column":11}},"message":"defined here"}],"notes":["did you mean `ofices`?"],"fixes":[{"title":"write `ofices`","edits":[{"path":"shop.netpol","range":{"start":{"line":3,"column":26},"end":{"line":3,"column":33}},"text":"ofices"}]}]}"#);
}

#[test]
fn github_escapes_what_would_end_a_property() {
    let (sources, diagnostics) = example();
    insta::assert_snapshot!(rendered(&diagnostics, &sources, Format::Github), @"::error title=E0101%3A something else was expected here,file=shop.netpol,line=3,col=26::nothing is called `offices`%0Adid you mean `ofices`?%0Awrite `ofices`");
}

#[test]
fn sarif_has_rules_places_and_fixes() {
    let (sources, diagnostics) = example();
    let text = rendered(&diagnostics, &sources, Format::Sarif);
    let mut log: serde_json::Value = serde_json::from_str(&text).unwrap();
    // The page and the version are their own matter.
    log["runs"][0]["tool"]["driver"]["rules"][0]["help"] = serde_json::Value::Null;
    log["runs"][0]["tool"]["driver"]["version"] = serde_json::Value::Null;
    insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap(), @r#"
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "runs": [
        {
          "columnKind": "unicodeCodePoints",
          "results": [
            {
              "fixes": [
                {
                  "artifactChanges": [
                    {
                      "artifactLocation": {
                        "uri": "shop.netpol"
                      },
                      "replacements": [
                        {
                          "deletedRegion": {
                            "endColumn": 33,
                            "endLine": 3,
                            "startColumn": 26,
                            "startLine": 3
                          },
                          "insertedContent": {
                            "text": "ofices"
                          }
                        }
                      ]
                    }
                  ],
                  "description": {
                    "text": "write `ofices`"
                  }
                }
              ],
              "level": "error",
              "locations": [
                {
                  "message": {
                    "text": "50% of it, a: b"
                  },
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "shop.netpol"
                    },
                    "region": {
                      "endColumn": 33,
                      "endLine": 3,
                      "startColumn": 26,
                      "startLine": 3
                    }
                  }
                }
              ],
              "message": {
                "text": "nothing is called `offices`\ndid you mean `ofices`?"
              },
              "partialFingerprints": {
                "netpol/v1": "c7c425782efd7d6a:1"
              },
              "relatedLocations": [
                {
                  "message": {
                    "text": "defined here"
                  },
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "a%20b/lib.netpol"
                    },
                    "region": {
                      "endColumn": 11,
                      "endLine": 1,
                      "startColumn": 5,
                      "startLine": 1
                    }
                  }
                }
              ],
              "ruleId": "E0101",
              "ruleIndex": 0
            }
          ],
          "tool": {
            "driver": {
              "name": "netpol",
              "rules": [
                {
                  "defaultConfiguration": {
                    "level": "error"
                  },
                  "help": null,
                  "id": "E0101",
                  "name": "Expected",
                  "shortDescription": {
                    "text": "something else was expected here"
                  }
                }
              ],
              "version": null
            }
          }
        }
      ],
      "version": "2.1.0"
    }
    "#);
}

#[test]
fn fingerprints_do_not_move_with_the_lines_and_tell_twins_apart() {
    let prints = |text: &str| -> Vec<String> {
        let mut sources = Sources::new();
        let file = sources.add("a.netpol", text);
        let mut diagnostics = Diagnostics::new();
        for (start, marked) in text.match_indices("bad") {
            diagnostics.push(Diagnostic::new(Code::Expected, Span::new(file, start, start + marked.len()), "bad"));
        }
        let log: serde_json::Value = serde_json::from_str(&rendered(&diagnostics, &sources, Format::Sarif)).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["partialFingerprints"]["netpol/v1"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(prints("bad"), prints("\n\nbad"));
    let twins = prints("bad bad");
    assert_ne!(twins[0], twins[1]);
    assert_eq!(twins[0], prints("bad")[0]);
}

#[test]
fn sorting_is_by_place_and_drops_what_is_said_twice() {
    let (sources, mut diagnostics) = example();
    let first = diagnostics.iter().next().unwrap().clone();
    diagnostics.push(Diagnostic::new(Code::Expected, Span::new(first.primary.span.file, 0, 3), "earlier"));
    diagnostics.push(first);
    diagnostics.sort();
    let short = rendered(&diagnostics, &sources, Format::Short);
    assert_eq!(short.lines().count(), 2, "{short}");
    assert!(short.starts_with("shop.netpol:1:1: error[E0101]: earlier\n"), "{short}");
}

#[test]
fn notes_of_one_kind_fold_after_three_and_errors_never() {
    let mut sources = Sources::new();
    let file = sources.add("a.netpol", "0123456789");
    let mut diagnostics = Diagnostics::new();
    for at in 0..9 {
        for code in [Code::Bypassable, Code::Expected] {
            diagnostics.push(Diagnostic::new(code, Span::new(file, at, at + 1), format!("message {at}")));
        }
    }
    diagnostics.push(Diagnostic::new(Code::AssumedLabel, Span::new(file, 0, 1), "another kind"));
    let human = rendered(&diagnostics, &sources, Format::Human);
    assert_eq!(
        (human.matches("note[N0701]: message").count(), human.matches("error[E0101]").count()),
        (3, 9),
        "{human}"
    );
    assert!(human.contains("note[N0701]: and 6 more like this: netpol check --error-format short\n"), "{human}");
    assert!(human.contains("note[N0314]: another kind"), "{human}");
    assert_eq!(rendered(&diagnostics, &sources, Format::Short).lines().count(), 19);
}

#[test]
fn colours_are_escape_sequences_and_only_where_asked_for() {
    let (sources, diagnostics) = example();
    let mut out = Vec::new();
    render(&diagnostics, &sources, Format::Human, true, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("\u{1b}["));
    assert!(!rendered(&diagnostics, &sources, Format::Human).contains('\u{1b}'));
}

#[test]
fn nothing_in_a_source_steers_the_terminal() {
    let mut sources = Sources::new();
    let file = sources.add("a\u{1b}.netpol", "x \u{1b}[31m \u{85} \u{202e} y\n");
    let mut diagnostics = Diagnostics::new();
    let message = "a control character \u{1b}[0m";
    diagnostics.push(Diagnostic::new(Code::Expected, Span::new(file, 2, 3), message).at("\u{7}").note("\u{9b}"));
    for format in [Format::Human, Format::Short] {
        let text = rendered(&diagnostics, &sources, format);
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.chars().any(steers), "{text:?}");
    }
}

#[test]
fn a_long_line_is_shown_around_the_place_only() {
    let mut sources = Sources::new();
    let text = format!("{}é bad é{}", "x".repeat(50_000), "y".repeat(50_000));
    let file = sources.add("a.netpol", &text);
    let mut diagnostics = Diagnostics::new();
    let far = Span::new(file, 0, 1);
    diagnostics
        .push(Diagnostic::new(Code::Expected, at(&sources, file, "bad"), "wrong").at("here").label(far, "far off"));
    let human = rendered(&diagnostics, &sources, Format::Human);
    assert!(human.len() < 1500 && human.contains("é bad é") && human.contains("^^^ here"), "{human}");
    assert!(human.contains("a.netpol:1:50003") && human.contains("= a.netpol:1:1: far off"), "{human}");
}

#[test]
fn a_label_over_many_lines_is_shown_where_it_begins() {
    let mut sources = Sources::new();
    let text = format!("allow {{\n{}}}\n", "  a/*,\n".repeat(1000));
    let file = sources.add("a.netpol", &text);
    let mut diagnostics = Diagnostics::new();
    let whole = Span::new(file, 0, text.len());
    diagnostics.push(Diagnostic::new(Code::Expected, whole, "wrong").at("all of it"));
    let human = rendered(&diagnostics, &sources, Format::Human);
    assert!(human.lines().count() < 10 && human.contains("^^^^^^^ all of it"), "{human}");
}

#[test]
fn any_place_can_be_rendered_in_any_format() {
    let text = "\u{feff}aé\r\n\n\tb\u{202e}c\n";
    let mut sources = Sources::new();
    let file = sources.add("a.netpol", text);
    for start in 0..=text.len() + 2 {
        for end in start..=text.len() + 2 {
            let mut diagnostics = Diagnostics::new();
            let span = Span::new(file, start, end);
            diagnostics.push(Diagnostic::new(Code::Expected, span, "m").at("l").label(span, "").fix("f", span, "t"));
            for format in [Format::Human, Format::Short, Format::Json, Format::Sarif, Format::Github] {
                assert!(!rendered(&diagnostics, &sources, format).is_empty());
            }
        }
    }
}

#[test]
fn very_many_findings_in_one_line_are_rendered() {
    let mut sources = Sources::new();
    let text = "é bad ".repeat(5_000);
    let file = sources.add("a.netpol", &text);
    let mut diagnostics = Diagnostics::new();
    for (start, marked) in text.match_indices("bad") {
        let span = Span::new(file, start, start + marked.len());
        diagnostics.push(Diagnostic::new(Code::Expected, span, "wrong").label(Span::new(file, 0, text.len()), "all"));
    }
    for format in [Format::Human, Format::Short, Format::Json, Format::Sarif, Format::Github] {
        assert!(rendered(&diagnostics, &sources, format).matches("wrong").count() == 5_000);
    }
}

#[test]
fn the_table_is_sorted_and_numbers_are_used_once() {
    let numbers: Vec<&str> = Code::ALL.iter().map(|code| &code.as_str()[1..]).collect();
    for pair in numbers.windows(2) {
        assert!(pair[0] < pair[1], "{} stands before {}", pair[0], pair[1]);
    }
    for code in Code::ALL {
        let text = code.as_str();
        assert!(text.len() == 5 && text[1..].chars().all(|c| c.is_ascii_digit()), "{text}");
        assert!(matches!(
            (&text[..1], code.severity()),
            ("E", Severity::Error) | ("W", Severity::Warning) | ("N", Severity::Note)
        ));
        assert_eq!(Code::parse(&text.to_lowercase()), Some(*code));
    }
}

#[test]
fn every_code_has_its_page_and_every_page_its_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors");
    let pages: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".md").to_owned())
        .collect();
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(pages, codes);
    for code in Code::ALL {
        let heading = format!("# {}: {}", code.as_str(), code.title());
        assert_eq!(code.page().lines().next(), Some(heading.as_str()), "the first line of the page");
    }
}
#[test]
fn every_code_is_emitted_somewhere() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    for entry in walkdir::WalkDir::new(source) {
        let entry = entry.unwrap();
        let is_rust = entry.path().extension().is_some_and(|ending| ending == "rs");
        if is_rust && !entry.path().ends_with("diag/code.rs") {
            let file = std::fs::read_to_string(entry.path()).unwrap();
            text.push_str(file.split("#[cfg(test)]").next().unwrap());
        }
    }
    let unused = |code: &&Code| {
        let name = format!("Code::{}", code.name());
        !text
            .match_indices(&name)
            .any(|(at, _)| !text[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let unused: Vec<&str> = Code::ALL.iter().filter(unused).map(|code| code.name()).collect();
    assert!(unused.is_empty(), "never emitted: {}", unused.join(", "));
}
