//! What an editor asks of a policy: `tests/ide/*.md`.
//!
//! A heading starts a section. `$0` in a `netpol` block marks the cursor, `$1` the end of a selection; `netpol
//! path=NAME` blocks are files beside it, `netpol committed` is an earlier text of the policy, a `yaml` block is the
//! inventory, a `toml` block the settings. Each `text` block names a feature and has its answer; places are shown as
//! underlined source. `NETPOL_WRITE=1` writes the answers again.

use std::fs;
use std::path::Path;

use netpol::compile::Input;
use netpol::diag::{Diagnostics, Edit};
use netpol::ide::{Analysis, Asked, Contact, Link, OutlineSymbol};
use netpol::policy::Flow;
use netpol::policy::meaning::in_words;
use netpol::settings::Settings;
use netpol::source::{FileId, Span};

use crate::common::root;

mod drafts;
pub mod edits;

/// A section's policy, with the place of the cursor.
struct Marked {
    analysis: Analysis,
    file: FileId,
    offset: u32,
    end: u32,
}

/// Returns an analysis of files; the first one is the policy, the others are there for `use`.
pub fn analysis(files: &[(String, String)], settings: Option<&str>, inventory: Option<&str>) -> (Analysis, FileId) {
    let today = time::Date::from_calendar_date(2026, time::Month::June, 1).unwrap();
    let mut found = Diagnostics::new();
    let mut input = Input::new(Settings::new(today));
    if let Some(text) = settings {
        let file = input.sources.add("netpol.toml", text);
        input.settings = netpol::settings::read(&input.sources, file, today, &mut found).0;
    }
    let file = input.policy(files[0].0.as_str(), files[0].1.as_str());
    if let Some(text) = inventory {
        input.manifest("inventory.yaml", text);
    }
    let mut loader = |_: &str, path: &str| {
        let name = path.trim_start_matches("./");
        files.iter().find(|(known, _)| known == name).cloned().ok_or_else(|| "there is no such file".to_owned())
    };
    (Analysis::of(input, true, &mut loader, found, None), file)
}

fn marked(
    policy: &str,
    committed: Option<&str>,
    beside: &[(String, String)],
    settings: Option<&str>,
    inventory: Option<&str>,
) -> Marked {
    let offset = policy.find("$0").unwrap_or(policy.len());
    let text = policy.replacen("$0", "", 1);
    let end = text.find("$1").unwrap_or(offset);
    let text = text.replacen("$1", "", 1);
    let mut files = vec![("policy.netpol".to_owned(), text)];
    files.extend(beside.iter().cloned());
    let (analysis, file) = analysis(&files, settings, inventory);
    // The layers are asked, so that hovers speak of them, and the policy is reviewed, so that lenses do.
    analysis.findings();
    let earlier = committed.map(|text| {
        let mut files = files.clone();
        text.clone_into(&mut files[0].1);
        (file, self::analysis(&files, settings, inventory).0)
    });
    analysis.review(earlier.as_slice());
    Marked { analysis, file, offset: offset as u32, end: end as u32 }
}

/// Returns parties with the lines of the rules that name their flows.
fn contacts(found: &[Contact], ide: &Analysis) -> String {
    let line = |contact: &Contact| {
        let lines: Vec<String> = contact.rules.iter().map(|rule| ide.sources().line(*rule).to_string()).collect();
        format!("{} (line {})\n", contact.party.name, lines.join(", "))
    };
    match found {
        [] => "nobody\n".to_owned(),
        found => found.iter().map(line).collect(),
    }
}

impl Marked {
    /// Returns places as underlined source.
    fn places(&self, spans: &[Span]) -> String {
        let sources = self.analysis.sources();
        let mut text = String::new();
        for span in spans {
            let file = sources.file(span.file);
            let place = sources.position(span.file, span.start);
            let line = file.text.lines().nth(place.line - 1).unwrap_or_default();
            let head = format!("{}:{} ", file.path, place.line);
            let width = sources.slice(*span).lines().next().unwrap_or_default().chars().count().max(1);
            text += &format!("{head}{line}\n{}{}\n", " ".repeat(head.len() + place.column - 1), "^".repeat(width));
        }
        text
    }

    /// Returns a file after some edits.
    fn edited(&self, edits: &[Edit]) -> String {
        let mut shown = String::new();
        for (id, file) in self.analysis.sources().iter() {
            let mut here: Vec<&Edit> = edits.iter().filter(|edit| edit.span.file == id).collect();
            here.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
            let mut text = file.text.clone();
            for edit in &here {
                text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
            }
            if !here.is_empty() {
                shown += &format!("-- {}\n{text}", file.path);
            }
        }
        shown
    }

    fn answer(&self, feature: &str, words: &[&str]) -> String {
        let (ide, file, offset) = (&self.analysis, self.file, self.offset);
        match feature {
            "hover" => match ide.hover(file, offset) {
                Some(hover) => {
                    let places = self.places(&[hover.span]);
                    // A fence inside the fence of this block would end it.
                    format!("{places}{}\n", hover.with_layers(None).trim_end().replace("```", "~~~"))
                }
                None => "nothing\n".to_owned(),
            },
            "definition" => self.places(&ide.definition(file, offset)),
            "references" => self.places(&ide.references(file, offset, true)),
            "highlights" => self.places(&ide.highlights(file, offset)),
            "prepare" => match ide.prepare_rename(file, offset) {
                Ok(span) => self.places(&[span]),
                Err(why) => format!("{why}\n"),
            },
            "rename" => match ide.rename(file, offset, words[0]) {
                Ok(edits) => self.edited(&edits),
                Err(why) => format!("{why}\n"),
            },
            "completion" => {
                let all = ide.completions(file, offset);
                let line = |one: &netpol::ide::Completion| {
                    let written = ide.sources().slice(one.replaces);
                    let written = if written.is_empty() { String::new() } else { format!(" for {written}") };
                    format!("{:?} {}{written}  {}", one.kind, one.text, one.detail).trim_end().to_owned() + "\n"
                };
                all.iter().map(line).collect()
            }
            "signature" => match ide.signature(file, offset) {
                Some(found) => {
                    let (start, end) = found.parameters[found.active as usize];
                    let marks = "^".repeat((end - start) as usize);
                    format!("{}\n{}{marks}\n", found.label, " ".repeat(start as usize))
                }
                None => "nothing\n".to_owned(),
            },
            "symbols" => symbols(&ide.outline(file), 0),
            "search" => symbols(&ide.search(words[0]), 0),
            "format" => match ide.format(file) {
                Some(edits) => format!("{} edits\n{}", edits.len(), self.edited(&edits)),
                None => "nothing\n".to_owned(),
            },
            "format-range" => self.edited(&ide.format_range(file, offset, self.end).unwrap_or_default()),
            "links" => {
                let line = |(span, link): (Span, Link)| match link {
                    Link::File(file) => format!("{} -> {}\n", ide.sources().slice(span), ide.sources().file(file).path),
                    Link::Page(code) => format!("{} -> page of {}\n", ide.sources().slice(span), code.as_str()),
                };
                ide.links(file).into_iter().map(line).collect()
            }
            "diagnostics" => {
                let line = |found: &netpol::diag::Diagnostic| {
                    let text = format!("{}[{}] {}\n", found.severity().word(), found.code.as_str(), found.message);
                    text + &self.places(&[found.primary.span])
                };
                ide.findings().iter().map(line).collect()
            }
            "fixes" => {
                let one = |(_, fix): (_, &netpol::diag::Fix)| format!("{}\n{}", fix.title, self.edited(&fix.edits));
                ide.fixes(file, offset, self.end.max(offset)).into_iter().map(one).collect()
            }
            "fix-all" => self.edited(&ide.certain_edits(file)),
            "tokens" => {
                let end = ide.sources().file(file).text.len() as u32;
                let line = |token: netpol::ide::Token| {
                    let defines = if token.defines { ", defines" } else { "" };
                    format!("{} {:?}{defines}\n", ide.sources().slice(token.span), token.kind)
                };
                ide.tokens(file, 0, end).into_iter().map(line).collect()
            }
            "hints" => {
                let end = ide.sources().file(file).text.len() as u32;
                let mut text = ide.sources().file(file).text.clone();
                for hint in ide.hints(file, 0, end).into_iter().rev() {
                    text.insert_str(hint.at as usize, &format!("‹{}›", hint.text));
                }
                text
            }
            "folds" => {
                let line = |(span, kind): (Span, netpol::ide::FoldKind)| {
                    let sources = ide.sources();
                    format!("{}-{} {kind:?}\n", sources.line(span), sources.line(span.after()))
                };
                ide.folds(file).into_iter().map(line).collect()
            }
            "selections" => {
                let line = |span: Span| format!("{:?}\n", ide.sources().slice(span));
                ide.selections(file, offset).into_iter().map(line).collect()
            }
            "lenses" => {
                let mut shown = String::new();
                let mut last = 0;
                for lens in ide.lenses(file) {
                    let line = ide.sources().line(lens.span);
                    if line != last {
                        shown += &format!("{}{line}", if last == 0 { "" } else { "\n" });
                    }
                    last = line;
                    shown += &format!(" | {} ({:?})", lens.text, lens.action);
                }
                shown + "\n"
            }
            "reached-by" => contacts(&ide.contacts(file, offset, Asked::Sources).unwrap(), ide),
            "reaches" => contacts(&ide.contacts(file, offset, Asked::Destinations).unwrap(), ide),
            "tests" => ide.tests_of(file, offset).unwrap_or_else(|why| format!("{why}\n")),
            "changes" => match ide.changes(file) {
                Some(Ok(changes)) => {
                    let line = |verb: &str, flow: &Flow| {
                        let (_, answers) = ide.verdict(flow).unwrap();
                        assert_eq!(answers.allowed(), verb == "opens", "the evaluator agrees on {flow:?}");
                        format!("{verb} {}\n", in_words(flow))
                    };
                    let opened = changes.opened.iter().map(|flow| line("opens", flow));
                    opened.chain(changes.closed.iter().map(|flow| line("closes", flow))).collect()
                }
                Some(Err(why)) => format!("{why}\n"),
                None => "not compared\n".to_owned(),
            },
            "yaml" => ide.yaml(file, offset).unwrap_or_else(|why| format!("{why}\n")),
            "explain" => ide.explain(file, Some(offset)).unwrap_or_else(|why| format!("{why}\n")),
            "evaluate" => match ide.evaluate(words[0], words[1]) {
                Ok((_, answers)) => format!("{}\n", if answers.allowed() { "allowed" } else { "denied" }),
                Err(why) => format!("{why}\n"),
            },
            other => panic!("there is no feature `{other}`"),
        }
    }
}

fn symbols(all: &[OutlineSymbol], depth: usize) -> String {
    let line = |one: &OutlineSymbol| {
        let own = format!("{} {}", one.detail, one.name);
        format!("{}{}\n{}", "  ".repeat(depth), own.trim_start(), symbols(&one.children, depth + 1))
    };
    all.iter().map(line).collect()
}

/// Reads a file of sections, compares each answer, and returns the file with the answers that are given now.
fn judged(path: &Path, wrong: &mut Vec<String>) -> String {
    let text = fs::read_to_string(path).unwrap();
    let shown = path.strip_prefix(root()).unwrap().display().to_string();
    let mut out = String::new();
    let (mut beside, mut settings, mut inventory): (Vec<(String, String)>, Option<String>, Option<String>) =
        Default::default();
    let mut committed: Option<String> = None;
    let mut policy: Option<Marked> = None;
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        out += &format!("{line}\n");
        if line.starts_with('#') {
            (beside, settings, inventory, committed, policy) = Default::default();
        }
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: String = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        let words: Vec<&str> = info.split_whitespace().collect();
        let mut shown_block = block.clone();
        match words.as_slice() {
            ["netpol"] => {
                let (committed, settings, inventory) =
                    (committed.as_deref(), settings.as_deref(), inventory.as_deref());
                policy = Some(marked(&block, committed, &beside, settings, inventory));
            }
            ["netpol", "committed"] => committed = Some(block),
            ["netpol", name] => beside.push((name.trim_start_matches("path=").to_owned(), block)),
            ["yaml"] => inventory = Some(block),
            ["toml"] => settings = Some(block),
            ["text", feature, words @ ..] => {
                let policy = policy.as_ref().unwrap_or_else(|| panic!("{shown}:{}: no policy", at + 1));
                let answer = policy.answer(feature, words);
                if answer != block {
                    wrong.push(format!("{shown}:{}: {feature} gives\n{answer}and not\n{block}", at + 1));
                }
                shown_block = answer;
            }
            other => panic!("{shown}:{}: {other:?}", at + 1),
        }
        out += &format!("{shown_block}```\n");
    }
    out
}

#[test]
fn answers() {
    let mut paths: Vec<_> =
        fs::read_dir(root().join("tests/ide")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "{} files", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let now = judged(&path, &mut wrong);
        if std::env::var_os("NETPOL_WRITE").is_some() {
            fs::write(&path, now).unwrap();
        }
    }
    assert!(wrong.is_empty() || std::env::var_os("NETPOL_WRITE").is_some(), "\n{}", wrong.join("\n"));
}
