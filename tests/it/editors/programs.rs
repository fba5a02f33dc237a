//! Programs with the parser's verdict on each, to compare the grammars of editors with: every policy of this
//! repository, and random ones, as they are and with mistakes of a few tokens.

use std::fs;
use std::path::Path;

use netpol::diag::{Diagnostics, Severity};
use netpol::source::Sources;

use crate::common::{root, source};

/// How many random programs there are where `NETPOL_PROGRAMS` says nothing else.
const FEW: usize = 2000;
/// Tokens that a slip puts in the place of another one.
const TOKENS: [&str; 40] = [
    "allow",
    "deny",
    "default",
    "let",
    "host",
    "at",
    "in",
    "except",
    "where",
    "via",
    "egress",
    "test",
    "port",
    "each",
    "x1",
    "a.example.com",
    "10.0.0.0/8",
    "2001:db8::/32",
    "\"x\"",
    "\"x",
    "80",
    "443/tls",
    "->",
    "<->",
    "<-",
    ">",
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    "/",
    "@",
    "=",
    "!",
    "*",
    ".",
    "#",
    "\n",
];

/// A small random generator, the same everywhere: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// Returns the codes of the errors that the parser finds.
fn codes(text: &str) -> Vec<String> {
    let mut sources = Sources::new();
    let file = sources.add("program.netpol", text.to_owned());
    let mut found = Diagnostics::new();
    netpol::syntax::parse(&sources, file, &mut found);
    let errors = found.iter().filter(|one| one.severity() == Severity::Error);
    let mut codes: Vec<String> = errors.map(|one| one.code.as_str().to_owned()).collect();
    codes.sort();
    codes.dedup();
    codes
}

/// Cuts a text into words, runs of space, and single characters.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        _ if c.is_ascii_alphanumeric() || c == '_' || c == '.' => 0,
        _ if c.is_ascii_whitespace() => 1,
        _ => 2,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut last = 3;
    for (at, c) in text.char_indices() {
        if at > start && (kind(c) != last || last == 2) {
            tokens.push(&text[start..at]);
            start = at;
        }
        last = kind(c);
    }
    tokens.push(&text[start..]);
    tokens
}

/// Makes a slip: a token is lost, doubled, exchanged with its neighbour or with another one, or one comes between.
fn slip(random: &mut Random, text: &str) -> String {
    let mut tokens = tokens(text);
    let at = random.next(tokens.len());
    match random.next(6) {
        0 => drop(tokens.remove(at)),
        1 => tokens.insert(at, tokens[at]),
        2 if at > 0 => tokens.swap(at - 1, at),
        3 => tokens[at] = TOKENS[random.next(TOKENS.len())],
        4 => tokens.insert(at, TOKENS[random.next(TOKENS.len())]),
        _ => {
            let other = random.next(tokens.len());
            tokens[at] = tokens[other];
        }
    }
    tokens.concat()
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "node_modules") {
            files(&path, found);
        } else if name.ends_with(".netpol") {
            found.push((shown, fs::read_to_string(&path).unwrap()));
        } else if name.ends_with(".md") {
            let page = fs::read_to_string(&path).unwrap();
            for (at, rest) in page.split("```netpol").skip(1).enumerate() {
                let Some((_, text)) = rest.split_once("```").and_then(|(block, _)| block.split_once('\n')) else {
                    continue;
                };
                found.push((format!("{shown}, block {}", at + 1), text.to_owned()));
            }
        }
    }
}

/// Of random programs the parser takes those without a slip, all of them, and refuses most others. `NETPOL_PROGRAMS`, a
/// number and a path, writes that many of them, and all of the repository, with the verdicts:
/// tests/editors/tree-sitter/run.
#[test]
fn programs_have_verdicts() {
    let wanted = std::env::var("NETPOL_PROGRAMS").ok();
    let (count, path) = match wanted.as_deref().and_then(|wanted| wanted.split_once(',')) {
        Some((count, path)) => (count.parse().unwrap(), Some(path)),
        None => (FEW, None),
    };
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut programs = Vec::new();
    files(&root(), &mut programs);
    let of_repository = programs.len();
    let (mut slipped, mut refused) = (0, 0);
    for number in 0..count {
        let choices: Vec<u8> = (0..random.next(300)).map(|_| random.next(256) as u8).collect();
        let mut text = source(&choices);
        let slips = [0, 1, 1, 2][number % 4];
        for _ in 0..slips {
            text = slip(&mut random, &text);
        }
        let is_refused = !codes(&text).is_empty();
        assert!(slips > 0 || !is_refused, "{:?}: {text}", codes(&text));
        slipped += usize::from(slips > 0);
        refused += usize::from(is_refused);
        programs.push((format!("program {number}"), text));
    }
    assert!(refused * 2 > slipped && of_repository > 200, "{refused} of {slipped}, {of_repository}");
    let Some(path) = path else { return };
    let lines = programs.iter().map(|(name, text)| {
        let line = serde_json::json!({ "name": name, "text": text, "codes": codes(text) });
        format!("{line}\n")
    });
    fs::write(path, lines.collect::<String>()).unwrap();
}
