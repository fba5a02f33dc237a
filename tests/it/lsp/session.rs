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
    for version in 0..edits() {
        let before = text.clone();
        edit(&mut text, POLICY, &mut numbers);
        // One partial change: from the first byte that differs to the last.
        let same = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
        let start = (0..=same).rev().find(|at| before.is_char_boundary(*at) && text.is_char_boundary(*at)).unwrap();
        let (old, new) = (&before[start..], &text[start..]);
        let same = old.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
        let both = |end: &usize| old.is_char_boundary(old.len() - end) && new.is_char_boundary(new.len() - end);
        let end = (0..=same).rev().find(both).unwrap();
        let range = json!({ "start": place(&before, start), "end": place(&before, before.len() - end) });
        let change = json!({ "range": range, "text": new[..new.len() - end] });
        let document = json!({ "uri": uri, "version": version + 2 });
        client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
        fs::write(&path, &text).unwrap();
        let due = checked(&folder, "storefront.netpol");
        client.diagnostics(&uri, |known| told(known) == due);
    }
    assert_eq!(client.end(), Some(0));
}

/// Returns the position of a byte in UTF-16.
fn place(text: &str, at: usize) -> Value {
    let before = &text[..at];
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    json!({ "line": line, "character": before[start..].encode_utf16().count() })
}
