//! The protocol: positions, errors, cancelled and outdated requests, push and pull, files that change.

use super::*;

const POLICY: &str =
    "# héllo 😀\nlet db = data/{app=db}\nallow egress shop/* -> db:5432 # 😀 db\nallow egress shop/* -> nowhere\n";

/// The character of `db` behind the emoji differs in the three encodings; the answer is the same place.
#[test]
fn positions_are_counted_in_the_units_of_the_client() {
    let text = "let db = data/{app=db}\nallow egress { shop/\"x😀\" , shop/* } -> db:5432\n";
    for (offered, chosen, length_of_emoji) in [
        (json!(["utf-8", "utf-16"]), "utf-8", 4),
        (json!(["utf-16"]), "utf-16", 2),
        (json!(["utf-32"]), "utf-32", 1),
        (json!([]), "utf-16", 2),
    ] {
        let (_guard, folder) = folder(&[("a.netpol", text)]);
        let (mut client, answer) = Client::start(&folder, json!({ "general": { "positionEncodings": offered } }));
        assert_eq!(answer["capabilities"]["positionEncoding"], chosen);
        let uri = client.open(&folder.join("a.netpol"), text);
        let before = "allow egress { shop/\"x\" , shop/* } -> ".len() as u32;
        let found = client.at("textDocument/definition", &uri, 1, before + length_of_emoji).unwrap();
        assert_eq!(found[0]["range"]["start"], json!({ "line": 0, "character": 4 }), "{chosen}");
        // Kubernetes accepts no such name: the finding is about the string, from quote to quote.
        let found = client.diagnostics(&uri, |known| !known.is_empty());
        let place = &found[0]["range"];
        let at = "allow egress { shop/".len() as u64;
        assert_eq!(place["start"]["character"], at, "{chosen} {found:?}");
        assert_eq!(place["end"]["character"], at + 3 + u64::from(length_of_emoji), "{chosen} {found:?}");
        client.end();
    }
}

#[test]
fn a_name_leads_to_its_definition_and_gets_another_name() {
    let (_guard, folder) = folder(&[("a.netpol", POLICY)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), POLICY);
    let found = client.at("textDocument/definition", &uri, 2, 24).unwrap();
    assert_eq!(found[0]["range"]["start"], json!({ "line": 1, "character": 4 }));
    let mut params = position(&uri, 2, 24);
    params["newName"] = json!("store");
    let edit = client.ask("textDocument/rename", params.clone()).unwrap();
    assert_eq!(edit["changes"][&uri].as_array().unwrap().len(), 2);
    params["newName"] = json!("Store");
    let (code, why) = client.ask("textDocument/rename", params).unwrap_err();
    assert!(code == -32803 && why.contains("`Store` is no name"), "{code} {why}");
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_hierarchy_of_calls_tells_who_reaches_an_endpoint() {
    let policy = "default deny data/*\nallow shop/{app=web} -> data/{app=db}:5432\nallow shop/{app=old} -> data/{app=db}\ndeny shop/{app=old} -> data/*\n";
    let (_guard, folder) = folder(&[("a.netpol", policy)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), policy);
    let items = client.at("textDocument/prepareCallHierarchy", &uri, 1, 30).unwrap();
    assert_eq!(items[0]["name"], "data/{app=db}:5432");
    let calls = client.ask("callHierarchy/incomingCalls", json!({ "item": items[0] })).unwrap();
    let names: Vec<&Value> = calls.as_array().unwrap().iter().map(|call| &call["from"]["name"]).collect();
    assert_eq!(names, ["shop/{app=web}"]);
    assert_eq!(calls[0]["fromRanges"][0]["start"]["line"], 1);
    let calls = client.ask("callHierarchy/outgoingCalls", json!({ "item": calls[0]["from"] })).unwrap();
    assert_eq!(calls[0]["to"]["name"], "data/{app=db}:5432");
    assert_eq!(client.end(), Some(0));
}

#[test]
fn a_failing_request_has_an_error_and_the_server_lives() {
    let (_guard, folder) = folder(&[("a.netpol", POLICY)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), POLICY);
    assert_eq!(client.ask("textDocument/hover", json!({ "x": 1 })).unwrap_err().0, -32602);
    assert_eq!(client.ask("no/such", json!({})).unwrap_err().0, -32601);
    assert_eq!(client.ask("workspace/executeCommand", json!({ "command": "rm" })).unwrap_err().0, -32803);
    assert_eq!(client.at("textDocument/hover", "file:///nowhere/x.netpol", 0, 0), Ok(Value::Null));
    assert!(client.at("textDocument/hover", &uri, 99, 99).is_ok());
    client.tell("textDocument/didChange", json!({ "textDocument": 7 }));
    client.write("Content-Length: 9\r\n\r\n{\"broken\"");
    client.write("No header at all\r\n\r\n");
    assert!(client.at("textDocument/hover", &uri, 1, 5).unwrap().is_object());
    assert!(client.said.iter().any(|message| message["method"] == "window/logMessage"));
    assert_eq!(client.end(), Some(0));
}

#[test]
fn what_comes_before_initialize_and_after_shutdown_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
    let mut child = command.arg("lsp").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |id: i64, method: &str| {
        let text = json_rpc(&json!({ "id": id, "method": method, "params": { "capabilities": {} } }));
        write!(stdin, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        let answer = super::read(&mut out).unwrap();
        answer["error"]["code"].as_i64()
    };
    assert_eq!(ask(1, "textDocument/hover"), Some(-32002));
    assert_eq!(ask(2, "initialize"), None);
    assert_eq!(ask(3, "shutdown"), None);
    assert_eq!(ask(4, "textDocument/hover"), Some(-32600));
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn cancelled_and_outdated_requests_are_dropped() {
    let (_guard, folder) = folder(&[("a.netpol", POLICY)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), POLICY);
    client.diagnostics(&uri, |known| !known.is_empty());
    // All of it in one piece, so that the server takes in the later messages before it answers the first.
    let hover = position(&uri, 1, 5);
    let change = json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "text": POLICY }] });
    let messages = [
        json!({ "id": 901, "method": "textDocument/hover", "params": hover }),
        json!({ "id": 902, "method": "textDocument/hover", "params": hover }),
        json!({ "method": "$/cancelRequest", "params": { "id": 902 } }),
        json!({ "method": "textDocument/didChange", "params": change }),
        json!({ "id": 903, "method": "textDocument/hover", "params": hover }),
    ];
    let text: String =
        messages.iter().map(json_rpc).map(|text| format!("Content-Length: {}\r\n\r\n{text}", text.len())).collect();
    client.write(&text);
    let mut answers = HashMap::new();
    while answers.len() < 3 {
        let message = client.incoming.recv_timeout(PATIENCE).unwrap();
        match message["id"].as_i64() {
            Some(id @ 901..=903) => drop(answers.insert(id, message["error"]["code"].as_i64())),
            _ => client.take(message),
        }
    }
    // The server may have answered the first before it saw the others; the last one is always answered.
    assert!(
        [None, Some(-32801)].contains(&answers[&901]) && [None, Some(-32800), Some(-32801)].contains(&answers[&902])
    );
    assert_eq!(answers[&903], None);
    client.end();
}

#[test]
fn a_client_that_asks_for_diagnostics_gets_them_when_it_asks() {
    let (_guard, folder) = folder(&[("a.netpol", POLICY)]);
    let (mut client, answer) = Client::start(&folder, json!({ "textDocument": { "diagnostic": {} } }));
    assert_eq!(answer["capabilities"]["diagnosticProvider"]["interFileDependencies"], true);
    let uri = client.open(&folder.join("a.netpol"), POLICY);
    let report = client.ask("textDocument/diagnostic", json!({ "textDocument": { "uri": uri } })).unwrap();
    assert_eq!(told(report["items"].as_array().unwrap()), checked(&folder, "a.netpol"));
    assert!(client.diagnostics.is_empty(), "{:?}", client.diagnostics);
    client.end();
}

#[test]
fn a_client_that_does_not_ask_gets_no_provider() {
    let (_guard, folder) = folder(&[]);
    let (client, answer) = Client::start(&folder, json!({}));
    assert_eq!(answer["capabilities"].get("diagnosticProvider"), None);
    client.end();
}

#[test]
fn unsaved_texts_and_changed_files_count() {
    let offices = "let head = 198.51.100.7/32\n";
    let policy = "use \"./offices.netpol\" (head)\nallow ingress head -> shop/{app=web}:443\n";
    let (_guard, folder) = folder(&[("offices.netpol", offices), ("a.netpol", policy)]);
    let (mut client, _) =
        Client::start(&folder, json!({ "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } }));
    let uri = client.open(&folder.join("a.netpol"), policy);
    client.diagnostics(&uri, |known| !told(known).iter().any(|(code, _)| code == "E0208"));
    assert!(client.said.iter().any(|message| message["method"] == "client/registerCapability"));
    // The other file loses the name in the editor, gets it back, and loses it on disk.
    let other = client.open(&folder.join("offices.netpol"), offices);
    client.change(&other, 2, "let headquarters = 198.51.100.7/32\n");
    client.diagnostics(&uri, |known| told(known).iter().any(|(code, _)| code == "E0208"));
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": other } }));
    client.diagnostics(&uri, |known| !told(known).iter().any(|(code, _)| code == "E0208"));
    fs::write(folder.join("offices.netpol"), "let no = 198.51.100.7/32\n").unwrap();
    let event = json!({ "uri": uri_of(&folder, "offices.netpol"), "type": 2 });
    client.tell("workspace/didChangeWatchedFiles", json!({ "changes": [event] }));
    client.diagnostics(&uri, |known| told(known).iter().any(|(code, _)| code == "E0208"));
    // Settings that cannot be read are reported where they stand.
    fs::write(folder.join("netpol.toml"), "no-such-key = 1\n").unwrap();
    let event = json!({ "uri": uri_of(&folder, "netpol.toml"), "type": 2 });
    client.tell("workspace/didChangeWatchedFiles", json!({ "changes": [event] }));
    client.diagnostics(&uri_of(&folder, "netpol.toml"), |known| !known.is_empty());
    client.end();
}

fn uri_of(folder: &Path, name: &str) -> String {
    uri(&folder.join(name))
}

#[test]
fn the_servers_own_texts_have_addresses() {
    let (_guard, folder) = folder(&[(
        "a.netpol",
        "use std/istio (istiod)\nallow egress shop/* -> istiod\nallow egress shop/* -> nowhere\n",
    )]);
    let (mut client, answer) = Client::start(&folder, json!({ "workspace": { "textDocumentContent": {} } }));
    assert_eq!(answer["capabilities"]["workspace"]["textDocumentContent"]["schemes"], json!(["netpol"]));
    let uri = client.open(&folder.join("a.netpol"), &fs::read_to_string(folder.join("a.netpol")).unwrap());
    let found = client.at("textDocument/definition", &uri, 1, 24).unwrap();
    let module = found[0]["uri"].clone();
    assert_eq!(module, "netpol:///std/istio.netpol");
    let text = client.ask("workspace/textDocumentContent", json!({ "uri": module })).unwrap();
    assert!(text["text"].as_str().unwrap().contains("let istiod"));
    let all = client.diagnostics(&uri, |known| !known.is_empty());
    let page = &all[0]["codeDescription"]["href"];
    let text = client.ask("workspace/textDocumentContent", json!({ "uri": page })).unwrap();
    assert!(text["text"].as_str().unwrap().contains(all[0]["code"].as_str().unwrap()));
    client.end();
}

#[test]
fn files_outside_all_folders_and_new_documents_are_policies_of_their_own() {
    let (_guard, folder) = folder(&[("a.netpol", POLICY)]);
    let outside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (mut client, _) = Client::start(&folder, json!({}));
    let path = outside.path().canonicalize().unwrap().join("x.netpol");
    fs::write(&path, POLICY).unwrap();
    let uri = client.open(&path, POLICY);
    client.diagnostics(&uri, |known| told(known).iter().any(|(code, line)| code == "E0202" && *line == 4));
    let document = json!({ "uri": "untitled:Untitled-1", "languageId": "netpol", "version": 1, "text": POLICY });
    client.tell("textDocument/didOpen", json!({ "textDocument": document }));
    client.diagnostics("untitled:Untitled-1", |known| told(known).iter().any(|(code, _)| code == "E0202"));
    client.end();
}

/// Manifests that change on disk count after the next edit, and those that stay are the same facts.
#[test]
fn manifests_are_read_again_when_they_change() {
    let manifest = |app: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web, namespace: shop }}\nspec:\n  selector: \
             {{ matchLabels: {{ app: {app} }} }}\n  template: {{ metadata: {{ labels: {{ app: {app} }} }}, spec: \
             {{ containers: [{{ name: c }}] }} }}\n"
        )
    };
    let policy = "allow egress shop/{app=web} -> 203.0.113.7:443\n";
    let (web, toml) = (manifest("web"), "inventory = \"cluster.yaml\"\n");
    let (_guard, folder) = folder(&[("a.netpol", policy), ("cluster.yaml", &web), ("netpol.toml", toml)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri = client.open(&folder.join("a.netpol"), policy);
    for (version, text) in [(2, format!("# one\n{policy}")), (3, format!("# one\n# two\n{policy}"))] {
        client.change(&uri, version, &text);
        fs::write(folder.join("a.netpol"), &text).unwrap();
        let due = checked(&folder, "a.netpol");
        client.diagnostics(&uri, |known| told(known) == due);
        let hover = client.at("textDocument/hover", &uri, version as u32 - 1, 22).unwrap();
        assert!(hover["contents"]["value"].as_str().unwrap().contains("Deployment shop/web"), "{hover}");
    }
    fs::write(folder.join("cluster.yaml"), manifest("wbe")).unwrap();
    client.tell(
        "workspace/didChangeWatchedFiles",
        json!({ "changes": [{ "uri": uri_of(&folder, "cluster.yaml"), "type": 2 }] }),
    );
    client.diagnostics(&uri, |known| told(known).iter().any(|(code, line)| code == "E0312" && *line == 3));
    client.end();
}
