//! The rules for the source: which module may import which, and what no file may contain.

use std::path::{Path, PathBuf};

/// The rooms and the rooms that each may name beside itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("source", &[]),
    ("parallel", &[]),
    ("model", &["source"]),
    ("flows", &["model"]),
    ("diag", &["source", "model"]),
    ("syntax", &["diag", "model", "source", "parallel"]),
    ("settings", &["diag", "model", "source"]),
    ("resolve", &["syntax", "settings", "diag", "model", "source"]),
    ("inventory", &["diag", "model", "source"]),
    ("types", &["inventory", "resolve", "syntax", "settings", "diag", "model", "source"]),
    (
        "policy",
        &["flows", "types", "inventory", "resolve", "syntax", "settings", "diag", "model", "source", "parallel"],
    ),
    ("analysis", &["policy", "flows", "diag", "model", "source", "parallel"]),
    ("replay", &["policy", "inventory", "model"]),
    ("targets", &["policy", "flows", "inventory", "settings", "diag", "model", "source", "parallel"]),
    ("verify", &["targets", "policy", "flows", "inventory", "settings", "diag", "model", "source"]),
    (
        "compile",
        &[
            "verify",
            "analysis",
            "replay",
            "targets",
            "policy",
            "types",
            "inventory",
            "resolve",
            "syntax",
            "settings",
            "diag",
            "model",
            "source",
        ],
    ),
    (
        "ide",
        &[
            "compile",
            "analysis",
            "targets",
            "policy",
            "types",
            "inventory",
            "resolve",
            "syntax",
            "diag",
            "model",
            "source",
        ],
    ),
    ("lsp", &["ide", "policy", "resolve", "diag", "source", "parallel"]),
    (
        "cli",
        &[
            "lsp",
            "ide",
            "compile",
            "verify",
            "analysis",
            "replay",
            "targets",
            "policy",
            "inventory",
            "resolve",
            "syntax",
            "settings",
            "diag",
            "model",
            "source",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

/// Words of other crates and of the machine, and the folders that alone may speak them.
const FOREIGN: &[(&str, &[&str])] = &[
    ("pest", &["syntax"]),
    ("pest_derive", &["syntax"]),
    ("codespan_reporting", &["diag/render"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("lsp_server", &["lsp"]),
    ("lsp_types", &["lsp"]),
    ("toml", &["settings", "cli"]),
    ("similar", &["cli"]),
    ("walkdir", &["cli"]),
    ("wasmtime", &["targets/wasm/run"]),
    ("serde_saphyr", &["inventory", "targets"]),
    ("std::fs", &["cli"]),
    ("std::env", &["cli", "main.rs"]),
    ("std::process", &["cli", "main.rs"]),
    ("std::time", &["cli", "lsp"]),
    ("OffsetDateTime", &["cli"]),
    ("stdin", &["cli"]),
    ("stdout", &["cli"]),
    ("stderr", &["cli"]),
    ("println!", &[]),
    ("eprintln!", &[]),
    ("print!", &[]),
    ("eprint!", &[]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files below a folder, without hidden ones and without what is built.
fn files(folder: &str) -> Vec<PathBuf> {
    let visible = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        // What builds and fuzzing leave behind is no part of the project.
        let made = ["target", "corpus", "artifacts", "coverage"].contains(&&*name);
        !(made || name.starts_with('.') && entry.depth() > 0 && name != ".ci")
    };
    let walk = walkdir::WalkDir::new(root().join(folder)).sort_by_file_name();
    let entries = walk.into_iter().filter_entry(visible).map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn rust_files(folder: &str) -> Vec<(String, String)> {
    let files = files(folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    files.map(|path| (shown(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Returns the code of each line with its number, without comments and without the contents of strings.
fn code(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(at, line)| {
        let mut code = String::new();
        let mut letters = line.chars().peekable();
        let mut in_string = false;
        while let Some(c) = letters.next() {
            match c {
                '\\' if in_string => drop(letters.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && letters.peek() == Some(&'/') => break,
                _ if in_string => {}
                _ => code.push(c),
            }
        }
        (at + 1, code)
    })
}

/// Returns the words of a line of code, paths such as `std::fs` and macros such as `print!` in one piece.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '!'))).filter(|word| !word.is_empty())
}

/// Returns the room of a path such as `src/diag/render/mod.rs`: `diag`.
fn room(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap()
}

/// Returns the rooms that a text names through `crate::`, with the lines; `use crate::{a, b::c}` too.
fn named_rooms(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    let whole: String = code(text).map(|(_, line)| format!("{line}\n")).collect();
    for (at, _) in whole.match_indices("crate::") {
        let line = whole[..at].matches('\n').count() + 1;
        let rest = &whole[at + "crate::".len()..];
        let name = |text: &str| text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap().to_owned();
        let Some(group) = rest.strip_prefix('{') else {
            named.push((line, name(rest)));
            continue;
        };
        let mut depth = 0;
        let mut first = true;
        for (at, c) in group.char_indices() {
            if first && depth == 0 && c.is_alphabetic() {
                named.push((line, name(&group[at..])));
                first = false;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                _ => {}
            }
        }
    }
    named
}

#[test]
fn rooms_name_only_rooms_to_their_right() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        let here = room(&path);
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == here) else {
            panic!("{path} is in a room that the table does not know");
        };
        for (line, name) in named_rooms(&text) {
            let is_room = ROOMS.iter().any(|(room, _)| *room == name);
            if !is_room || (name != here && !allowed.contains(&name.as_str())) {
                wrong.push(format!("{path}:{line}: {here} names {name}"));
            }
        }
        // `super` leads out of the room only where it is said more often than the file is deep.
        let depth = path.matches('/').count() - usize::from(path.ends_with("/mod.rs"));
        let out = "super::".repeat(depth);
        let mut inner = 0;
        for (line, code) in code(&text) {
            inner += usize::from(code.contains("mod tests {"));
            if code.contains(&format!("{out}{}", "super::".repeat(inner))) {
                wrong.push(format!("{path}:{line}: goes to the crate's root by `super`, write `crate::`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_target_names_no_other_target() {
    let targets = ["networkpolicy", "istio", "wasm"];
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        for target in targets {
            let inside = |other: &str| path.starts_with(&format!("src/targets/{other}/"));
            if !targets.iter().any(|other| *other != target && inside(other)) {
                continue;
            }
            for (line, code) in code(&text) {
                let by = [format!("targets::{target}"), format!("super::{target}")];
                if by.iter().any(|way| code.contains(way.as_str())) {
                    wrong.push(format!("{path}:{line}: names the target {target}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_words_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        for (line, code) in code(&text) {
            for word in words(&code) {
                for (foreign, rooms) in FOREIGN {
                    let spoken = word == *foreign || word.starts_with(&format!("{foreign}::"));
                    let allowed = rooms.iter().any(|room| path.starts_with(&format!("src/{room}")));
                    if spoken && !allowed {
                        wrong.push(format!("{path}:{line}: {foreign}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is_and_stays_short() {
    let mut wrong = Vec::new();
    for (path, text) in ["src", "tests", "benches", "fuzz"].into_iter().flat_map(rust_files) {
        if !text.starts_with("//! ") {
            wrong.push(format!("{path}:1: does not begin with `//!`"));
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or(&text);
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        if lines > 600 {
            wrong.push(format!("{path}: {lines} lines, more than 600"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `rustfmt` does not break comments. Blocks and tables in them may be wider.
#[test]
fn comments_fit_the_width_of_the_code() {
    let mut long = Vec::new();
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let mut in_block = false;
        for line in text.lines() {
            let Some(comment) = line.trim_start().strip_prefix("//") else {
                in_block = false;
                continue;
            };
            let comment = comment.trim_start_matches(['/', '!']).trim_start();
            in_block ^= comment.starts_with("```");
            if line.chars().count() > 120 && !in_block && !comment.starts_with('|') {
                long.push(format!("{path}: {line}"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_test_file_is_forgotten() {
    let mut wrong = Vec::new();
    for path in files("tests/it") {
        let shown = shown(&path);
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).filter(|_| shown.ends_with(".rs")) else {
            continue;
        };
        if shown == "tests/it/main.rs" {
            continue;
        }
        let folder = path.parent().unwrap();
        let parents = match shown.matches('/').count() {
            2 => vec![root().join("tests/it/main.rs")],
            _ => vec![folder.with_extension("rs"), folder.join("mod.rs")],
        };
        let module = if stem == "mod" { folder.file_name().unwrap().to_str().unwrap() } else { stem };
        let parents = if stem == "mod" { vec![root().join("tests/it/main.rs")] } else { parents };
        let declares = |line: &str| line.trim().trim_start_matches("pub ") == format!("mod {module};");
        let declared = parents.iter().filter_map(|parent| std::fs::read_to_string(parent).ok());
        if !declared.into_iter().any(|text| text.lines().any(declares)) {
            wrong.push(shown);
        }
    }
    assert!(wrong.is_empty(), "no `mod` for {}", wrong.join(", "));
}

#[test]
fn nothing_speaks_of_where_and_how_it_was_made() {
    // The words are put together here so that this file does not contain them.
    let words = [
        ["/wo", "rk/"].concat(),
        ["/home", "/"].concat(),
        ["/ro", "ot/"].concat(),
        ["shared/", "design"].concat(),
        ["shared/", "cases"].concat(),
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["X", "XX"].concat(),
        ["Clau", "de"].concat(),
        ["Anthro", "pic"].concat(),
        ["Chat", "GPT"].concat(),
        ["Co", "pilot"].concat(),
        ["language ", "model"].concat(),
    ];
    let mut wrong = Vec::new();
    for path in files(".") {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (at, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{}: {word}", shown(&path), at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_import_table_finds_what_it_should() {
    let text = "use crate::source::{Span, X};\nuse crate::{diag::Code, syntax};\nlet x = crate::policy::eval();\n";
    let named: Vec<String> = named_rooms(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(named, ["1 source", "2 diag", "2 syntax", "3 policy"]);
    assert_eq!(room("src/diag/render/mod.rs"), "diag");
    assert_eq!(room("src/source.rs"), "source");
    assert_eq!(words("use std::fs::File; pest").collect::<Vec<_>>(), ["use", "std::fs::File", "pest"]);
}
