//! Hard times: nonsense, questions about half-typed text, and questions to a large policy that is checked meanwhile.

use super::*;
use crate::ide::edits::{Numbers, edit};

const POLICY: &str = include_str!("../../../examples/shop/storefront.netpol");

/// All requests about a position or a document.
const REQUESTS: [&str; 18] = [
    "textDocument/hover",
    "textDocument/definition",
    "textDocument/completion",
    "textDocument/signatureHelp",
    "textDocument/documentHighlight",
    "textDocument/prepareCallHierarchy",
    "textDocument/prepareRename",
    "textDocument/references",
    "textDocument/rename",
    "textDocument/codeAction",
    "textDocument/codeLens",
    "textDocument/inlayHint",
    "textDocument/foldingRange",
    "textDocument/selectionRange",
    "textDocument/formatting",
    "textDocument/rangeFormatting",
    "textDocument/semanticTokens/full",
    "textDocument/semanticTokens/range",
];

/// Whatever is typed and asked, no request fails by a bug (-32603), and none is left without an answer.
#[test]
fn no_question_about_a_half_typed_text_fails_by_a_bug() {
    let shop = root().join("examples/shop");
    let (mut client, _) = Client::start(&shop, json!({}));
    let uri = client.open(&shop.join("storefront.netpol"), POLICY);
    let mut numbers = Numbers::new(29);
    let mut text = POLICY.to_owned();
    for version in 2..62 {
        edit(&mut text, POLICY, &mut numbers);
        client.change(&uri, version, &text);
        let mut params = position(&uri, numbers.below(60) as u32, numbers.below(60) as u32);
        let end = json!({ "line": numbers.below(60), "character": numbers.below(60) });
        params["range"] = json!({ "start": params["position"], "end": end });
        params["positions"] = json!([params["position"], end]);
        params["context"] =
            json!({ "includeDeclaration": true, "diagnostics": [], "triggerKind": 1, "isRetrigger": false });
        params["newName"] = json!("other");
        params["options"] = json!({ "tabSize": 2, "insertSpaces": true });
        for method in REQUESTS {
            let answer = client.ask(method, params.clone());
            assert!(!matches!(answer, Err((-32603 | -32602, _))), "{method} {params}: {answer:?}\n{text}");
        }
    }
    assert_eq!(client.end(), Some(0));
}

/// Ranges that lie nowhere are cut to the text, and what is no change is passed over.
#[test]
fn changes_that_cannot_be_are_survived() {
    let (_guard, folder) = folder(&[("a.netpol", "let db = data/{app=db}\n")]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), "let db = data/{app=db} # 😀\n");
    let at = |line: u32, character: u32| json!({ "line": line, "character": character });
    for (version, (start, end)) in (2..).zip([
        (at(9, 9), at(99, 99)),
        (at(1, 0), at(0, 3)),
        (at(0, 26), at(0, 26)),
        (at(0, 4_000_000_000), at(4_000_000_000, 0)),
    ]) {
        let change = json!({ "range": { "start": start, "end": end }, "text": "" });
        let document = json!({ "uri": uri, "version": version });
        client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
        client.at("textDocument/hover", &uri, 0, 5).unwrap();
    }
    client.tell("textDocument/didChange", json!({ "textDocument": { "uri": "file:///nowhere/x", "version": 1 } }));
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": "file:///nowhere/x" } }));
    client.tell("textDocument/didOpen", json!(null));
    client.change(&uri, 9, "let db = data/{app=db}\nallow egress shop/* -> db:1\n");
    let found = client.at("textDocument/definition", &uri, 1, 24).unwrap();
    assert_eq!(found[0]["range"]["start"], at(0, 4));
    // Settings and manifests that cannot be read leave the server without a policy, and alive.
    fs::write(folder.join("netpol.toml"), [0xff, 0xfe]).unwrap();
    client.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    client.at("textDocument/hover", &uri, 0, 5).unwrap();
    fs::write(folder.join("netpol.toml"), "").unwrap();
    client.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert!(client.at("textDocument/hover", &uri, 0, 5).unwrap().is_object());
    assert_eq!(client.end(), Some(0));
}

fn large() -> String {
    let rules = (0..2_600).map(|rule| {
        let (team, port) = (rule % 40, 1024 + rule);
        format!("allow ingress team-{team}/{{app=a{rule}}} -> data/{{app=db-{team}}}:{port}\n")
    });
    rules.collect()
}

/// A question about the whole of a large policy waits for its check: it is dropped if it is cancelled, or if the text
/// changes, and answered else. Hovers and completions do not wait.
#[test]
fn what_waits_for_a_large_policy_is_dropped_or_answered() {
    let text = large();
    let (_guard, folder) = folder(&[("a.netpol", &text)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), &text);
    client.diagnostics(&uri, |_| true);
    let add = |client: &mut Client, version: i64| {
        let zero = json!({ "line": 0, "character": 0 });
        let change = json!({ "range": { "start": zero, "end": zero }, "text": "# a line\n" });
        let document = json!({ "uri": uri, "version": version });
        client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    };
    let symbols = json!({ "textDocument": { "uri": uri } });
    add(&mut client, 2);
    let cancelled = client.request("textDocument/documentSymbol", symbols.clone());
    client.tell("$/cancelRequest", json!({ "id": cancelled }));
    assert!(client.at("textDocument/hover", &uri, 5, 20).unwrap().is_object());
    // It may have been answered before it was cancelled, but on a slow machine alone.
    assert!(matches!(client.answer(cancelled), Ok(_) | Err((-32800, _))));
    add(&mut client, 3);
    let outdated = client.request("textDocument/documentSymbol", symbols.clone());
    add(&mut client, 4);
    let answered = client.request("textDocument/documentSymbol", symbols);
    assert!(matches!(client.answer(outdated), Ok(_) | Err((-32801, _))));
    assert_eq!(client.answer(answered).unwrap().as_array().unwrap().len(), 2_600);
    assert_eq!(client.end(), Some(0));
}

/// While a large policy is edited, a hover has the table of the layers for rules that stayed, and says of others that
/// it follows; after the whole check it has the table for them too.
#[test]
fn a_hover_in_a_large_policy_has_the_table_of_the_layers_once_they_are_known() {
    let text = large();
    let (_guard, folder) = folder(&[("a.netpol", &text)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), &text);
    let hover = |client: &mut Client, line: u32| {
        let hover = client.at("textDocument/hover", &uri, line, 2).unwrap();
        hover["contents"]["value"].as_str().unwrap().to_owned()
    };
    let until_table = |client: &mut Client, line: u32| {
        for _ in 0..600 {
            let text = hover(client, line);
            if text.contains("| istio |") {
                return text;
            }
            assert!(text.contains("follows when the whole policy is checked"), "{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no table");
    };
    assert!(until_table(&mut client, 700).contains("a700"));
    // A rule comes before it: the rule is new, and the others are not.
    let at = json!({ "line": 300, "character": 0 });
    let new = "allow ingress team-7/{app=new} -> data/{app=db-7}:80\n";
    let change = json!({ "range": { "start": at, "end": at }, "text": new });
    let document = json!({ "uri": uri, "version": 2 });
    client.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [change] }));
    assert!(hover(&mut client, 301 + 400).contains("a700"));
    assert!(until_table(&mut client, 300).contains("app=new"));
    assert_eq!(client.end(), Some(0));
}
