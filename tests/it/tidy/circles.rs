//! Files that import each other in a circle: neither can be read first. What both need belongs into a third file.
//!
//! The file of a module that has others below it is left out: it hands on what these define, and they may name it.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, rust_files};

/// The files that each file imports something of, by the paths of modules: `policy::eval`.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the path of the module that is in a file: `policy::eval` for `src/policy/eval.rs`.
fn module(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.replace('/', "::")
}

/// Returns the paths that a text imports, without braces: `super::{a, b::c}` is `super::a` and `super::b::c`.
fn imported(text: &str) -> Vec<String> {
    let mut uses: Vec<String> = Vec::new();
    let mut open = false;
    for (_, line) in code(text) {
        let begins = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
        if let (false, Some(path)) = (open, begins.strip_prefix("use ")) {
            uses.push(path.to_owned());
        } else if open {
            uses.last_mut().unwrap().push_str(&line);
        } else {
            continue;
        }
        open = !line.ends_with(';');
    }
    let mut found = Vec::new();
    for path in uses {
        let mut before = vec![String::new()];
        let mut name = String::new();
        for letter in path.trim_end_matches(';').chars().filter(|letter| !letter.is_whitespace()).chain([',']) {
            match letter {
                '{' => before.push(format!("{}{}", before.last().unwrap(), std::mem::take(&mut name))),
                ',' | '}' => {
                    let path = format!("{}{}", before.last().unwrap(), std::mem::take(&mut name));
                    found.push(path);
                    if letter == '}' {
                        before.pop();
                    }
                }
                letter => name.push(letter),
            }
        }
    }
    found
}

/// Returns what each file imports of the others.
fn imports(files: &[(String, String)]) -> Imports {
    let modules: BTreeSet<String> = files.iter().map(|(path, _)| module(path)).collect();
    let has_others = |name: &str| modules.iter().any(|other| other.starts_with(&format!("{name}::")));
    let mut all = Imports::new();
    for (path, text) in files.iter().filter(|(path, _)| !has_others(&module(path))) {
        let own = module(path);
        let own_imports = all.entry(own.clone()).or_default();
        for import in imported(text) {
            let mut at: Vec<&str> = own.split("::").collect();
            for part in import.split("::") {
                match part {
                    "crate" => at.clear(),
                    "self" => {}
                    "super" => drop(at.pop()),
                    part => at.push(part),
                }
            }
            let longest = (1..=at.len()).rev().map(|count| at[..count].join("::")).find(|name| modules.contains(name));
            own_imports.extend(longest.filter(|name| *name != own && !has_others(name)));
        }
    }
    all
}

/// Returns the first file that leads back to itself, with the way; files are tried in their order.
fn circle(imports: &Imports) -> Option<Vec<&str>> {
    imports.keys().find_map(|start| {
        let mut from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = vec![start.as_str()];
        while let Some(here) = waiting.pop() {
            for next in imports.get(here).into_iter().flatten() {
                if next == start {
                    let back = |at: &&str| from.get(at).copied();
                    return Some(std::iter::successors(Some(here), back).collect());
                }
                if !from.contains_key(next.as_str()) {
                    from.insert(next, here);
                    waiting.push(next);
                }
            }
        }
        None
    })
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut imports = imports(&rust_files("src"));
    let mut circles = Vec::new();
    while let Some(files) = circle(&imports) {
        let files: Vec<String> = files.into_iter().map(str::to_owned).collect();
        imports.remove(&files[0]);
        circles.push(files.join(" <- "));
    }
    assert!(circles.is_empty(), "move what both need into a third file:\n{}", circles.join("\n"));
}

#[test]
fn a_circle_of_imports_is_found() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let text = "use super::b::{Thing, other};\nuse std::fmt;\n";
    let mut files = vec![
        file("src/room/mod.rs", "mod a;\npub use self::a::One;\n"),
        file("src/room/a.rs", text),
        file("src/room/b.rs", "use crate::room::{\n    One,\n    c::{Deep, more},\n};\n"),
        file("src/room/c.rs", "use super::One;\n"),
    ];
    assert_eq!(circle(&imports(&files)), None);
    files[3].1 = "use super::a::One;\n".to_owned();
    let imports = imports(&files);
    let mut found = circle(&imports).unwrap();
    found.sort_unstable();
    assert_eq!(found, ["room::a", "room::b", "room::c"]);
}
