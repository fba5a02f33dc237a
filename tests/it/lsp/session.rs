//! A session of edits over the wire: after each one the diagnostics are those of `netpol check`.

use super::*;
use crate::ide::edits::{Numbers, edit};

const POLICY: &str = include_str!("../../../examples/shop/storefront.netpol");

/// Returns how many edits a session has: few here, many where `NETPOL_EDITS` says so.
fn edits() -> usize {
    std::env::var("NETPOL_EDITS").ok().and_then(|count| count.parse().ok()).unwrap_or(25)
}

#[test]
fn diagnostics_after_each_edit_are_those_of_check() {
    let shop = root().join("examples/shop");
    let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for entry in fs::read_dir(&shop).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        fs::copy(&entry, copy.path().join(entry.file_name().unwrap())).unwrap();
    }
    let folder = copy.path().canonicalize().unwrap();
    let (mut client, _) = Client::start(&folder, json!({}));
    let path = folder.join("storefront.netpol");
    let uri = client.open(&path, POLICY);
    let mut numbers = Numbers::new(7);
    let mut text = POLICY.to_owned();
    let mut before_most = None;
    for version in 0..edits() as i64 {
        // What many edits leave behind would be seen between the first thousand and the last.
        if version == 1_000 {
            before_most = client.memory();
        }
        let before = text.clone();
        edit(&mut text, POLICY, &mut numbers);
        tell_change(&mut client, &uri, version + 2, &before, &text);
        fs::write(&path, &text).unwrap();
        let due = checked(&folder, "storefront.netpol");
        client.diagnostics(&uri, |known| told(known) == due);
    }
    if let Some((before, after)) = before_most.zip(client.memory()) {
        println!("{} edits: {after} kB, {before} kB after the first thousand", edits());
        assert!(after < before * 3 / 2, "{after} kB, {before} kB after 1,000 edits");
    }
    assert_eq!(client.end(), Some(0));
}

/// A large policy is checked again in a thread of its own, and a draft of it tells first what an edit did. In the end
/// the diagnostics are those of `check` all the same.
#[test]
fn a_large_policy_ends_with_the_diagnostics_of_check() {
    const RULES: usize = 2_600;
    let mut whole = String::from("let db = data/{app=db}\nlet old = data/{app=old}\n");
    for rule in 0..RULES {
        let port = 1024 + rule;
        whole.push_str(&match rule % 4 {
            0 => format!("allow egress team-{}/{{app=a{rule}}} -> db:{port}\n", rule % 40),
            1 => format!("allow ingress 10.{}.0.0/16 -> team-{}/{{app=a{rule}}}:{port}\n", rule % 200, rule % 40),
            2 => format!("deny egress team-{}/{{app=a{rule}}} -> 192.0.2.{}\n", rule % 40, rule % 200),
            _ => format!("# rule {rule} is a comment\ndefault deny team-{}/{{app=a{rule}}}\n", rule % 40),
        });
    }
    let (_kept, folder) = folder(&[("large.netpol", &whole)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let path = folder.join("large.netpol");
    let uri = client.open(&path, &whole);
    let due = checked(&folder, "large.netpol");
    client.diagnostics(&uri, |known| told(known) == due);
    let mut numbers = Numbers::new(15);
    let mut text = whole.clone();
    for version in (2..).step_by(5).take(1 + edits() / 25) {
        // A rule loses its arrow, which the first diagnostics say.
        let arrow = nth(&text, " -> ", numbers.below(RULES / 2));
        let broken = format!("{} {}", &text[..arrow], &text[arrow + 4..]);
        tell_change(&mut client, &uri, version, &text, &broken);
        let line = broken[..arrow].matches('\n').count() as u64;
        let says =
            |known: &[Value]| known.iter().any(|one| one["severity"] == 1 && one["range"]["start"]["line"] == line);
        client.first(&uri, version, says);
        // The name of its users is gone, which they say, and comes back.
        let renamed = broken.replacen("let db =", "let base =", 1);
        tell_change(&mut client, &uri, version + 1, &broken, &renamed);
        client.first(&uri, version + 1, |known| known.iter().filter(|one| one["code"] == "E0202").count() > 10);
        tell_change(&mut client, &uri, version + 2, &renamed, &broken);
        client.first(&uri, version + 2, |known| known.iter().all(|one| one["code"] != "E0202"));
        // And then anything.
        let before = broken.clone();
        text = broken;
        edit(&mut text, &whole, &mut numbers);
        tell_change(&mut client, &uri, version + 3, &before, &text);
        fs::write(&path, &text).unwrap();
        let due = checked(&folder, "large.netpol");
        client.diagnostics(&uri, |known| told(known) == due);
        let restored = version + 4;
        tell_change(&mut client, &uri, restored, &text, &whole);
        whole.clone_into(&mut text);
    }
    assert_eq!(client.end(), Some(0));
}

impl Client {
    /// Returns the memory of the server in kilobytes, where Linux tells it.
    fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Waits for the first diagnostics of a version of a document, which must be as they should be.
    fn first(&mut self, uri: &str, version: i64, due: impl Fn(&[Value]) -> bool) {
        loop {
            let message = self.incoming.recv_timeout(PATIENCE).unwrap();
            self.take(message);
            let known = &self.diagnostics[uri];
            if known["version"] == version {
                let known = known["diagnostics"].as_array().unwrap();
                assert!(due(known), "version {version}: {known:?}");
                return;
            }
        }
    }
}

fn nth(text: &str, word: &str, number: usize) -> usize {
    text.match_indices(word).nth(number).unwrap().0
}

/// Tells a server of one partial change: from the first byte that differs to the last.
fn tell_change(client: &mut Client, uri: &str, version: i64, before: &str, text: &str) {
    let same = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    let start = (0..=same).rev().find(|at| before.is_char_boundary(*at) && text.is_char_boundary(*at)).unwrap();
    let (old, new) = (&before[start..], &text[start..]);
    let same = old.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
    let both = |end: &usize| old.is_char_boundary(old.len() - end) && new.is_char_boundary(new.len() - end);
    let end = (0..=same).rev().find(both).unwrap();
    let range = json!({ "start": place(before, start), "end": place(before, before.len() - end) });
    let change = json!({ "range": range, "text": new[..new.len() - end] });
    let document = json!({ "uri": uri, "version": version });
    client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
}

/// Returns the position of a byte in UTF-16.
fn place(text: &str, at: usize) -> Value {
    let before = &text[..at];
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    json!({ "line": line, "character": before[start..].encode_utf16().count() })
}
