//! Files: several roots, files that come and go, and the versions of files in git.

use super::*;

const BAD: &str = "allow egress shop/* -> nowhere:443\n";

fn renamed(old: &str, new: &str) -> Value {
    json!({ "files": [{ "oldUri": old, "newUri": new }] })
}

fn has(known: &[Value], code: &str) -> bool {
    told(known).iter().any(|(known, _)| known == code)
}

/// Two folders with files of one name are two policies, and a third one comes and goes.
#[test]
fn each_root_is_a_policy_of_its_own() {
    let (_one, one) = folder(&[("a.netpol", "let db = data/{app=db}\n")]);
    let (_other, other) = folder(&[("a.netpol", "let cache = data/{app=cache}\n")]);
    let third = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let third = third.path().canonicalize().unwrap();
    fs::write(third.join("names.netpol"), "let third = data/{app=third}\n").unwrap();
    fs::write(third.join("b.netpol"), "").unwrap();
    let (mut client, _) = Client::start(&one, json!({}));
    client.tell(
        "workspace/didChangeWorkspaceFolders",
        json!({ "event": { "added": [{ "uri": uri(&other), "name": "other" }], "removed": [] } }),
    );
    let first = client.open(&one.join("a.netpol"), "let db = data/{app=db}\nallow egress shop/* -> cache:1\n");
    let second = client.open(&other.join("a.netpol"), "let cache = data/{app=cache}\nallow egress shop/* -> cache:1\n");
    client.diagnostics(&first, |known| has(known, "E0202"));
    client.diagnostics(&second, |known| !has(known, "E0202"));
    let names = |client: &mut Client| -> Vec<String> {
        let found = client.ask("workspace/symbol", json!({ "query": "" })).unwrap();
        let mut names: Vec<String> =
            found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&mut client), ["cache", "db"]);
    // Outside all folders a file stands alone; in a folder it has the names of the `use`d files beside it.
    let text = "let own = data/{app=own}\n";
    let alone = client.open(&third.join("b.netpol"), text);
    client.diagnostics(&alone, |known| known.iter().all(|one| one["severity"] != 1));
    assert_eq!(names(&mut client), ["cache", "db", "own"]);
    let folder = json!({ "uri": uri(&third), "name": "third" });
    client.tell("workspace/didChangeWorkspaceFolders", json!({ "event": { "added": [folder], "removed": [] } }));
    assert_eq!(names(&mut client), ["cache", "db", "own", "third"]);
    client.tell("workspace/didChangeWorkspaceFolders", json!({ "event": { "added": [], "removed": [folder] } }));
    assert_eq!(names(&mut client), ["cache", "db", "own"]);
    assert_eq!(client.end(), Some(0));
}

/// A renamed file takes its findings along, and a deleted one is missed by the `use` that names it.
#[test]
fn files_are_renamed_and_deleted() {
    let offices = "let head = 198.51.100.7/32\n";
    let policy = "use \"./offices.netpol\" (head)\nallow ingress head -> shop/{app=web}:443\n";
    let (_guard, folder) = folder(&[("offices.netpol", offices), ("a.netpol", policy), ("old.netpol", BAD)]);
    let (mut client, _) = Client::start(&folder, json!({}));
    let uri_of = |name: &str| uri(&folder.join(name));
    let old = client.open(&folder.join("old.netpol"), BAD);
    client.diagnostics(&old, |known| has(known, "E0202"));
    fs::rename(folder.join("old.netpol"), folder.join("new.netpol")).unwrap();
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": old } }));
    let new = client.open(&folder.join("new.netpol"), BAD);
    client.tell("workspace/didRenameFiles", renamed(&old, &new));
    client.diagnostics(&new, |known| has(known, "E0202"));
    client.diagnostics(&old, <[Value]>::is_empty);
    assert_eq!(client.at("textDocument/hover", &old, 0, 1), Ok(Value::Null));
    assert!(client.at("textDocument/hover", &new, 0, 1).unwrap().is_object());

    let uses = client.open(&folder.join("a.netpol"), policy);
    client.diagnostics(&uses, |known| known.iter().all(|one| one["severity"] != 1));
    fs::remove_file(folder.join("offices.netpol")).unwrap();
    client.tell("workspace/didDeleteFiles", json!({ "files": [{ "uri": uri_of("offices.netpol") }] }));
    let due = checked(&folder, "a.netpol");
    assert!(due.iter().any(|(code, _)| code == "E0205"), "{due:?}");
    client.diagnostics(&uses, |known| told(known) == due);
    fs::write(folder.join("offices.netpol"), offices).unwrap();
    client.tell("workspace/didCreateFiles", json!({ "files": [{ "uri": uri_of("offices.netpol") }] }));
    client.diagnostics(&uses, |known| known.iter().all(|one| one["severity"] != 1));
    // The open document itself is deleted: it stays as it is until the editor closes it.
    fs::remove_file(folder.join("new.netpol")).unwrap();
    client.tell("workspace/didDeleteFiles", json!({ "files": [{ "uri": new }] }));
    client.diagnostics(&new, |known| has(known, "E0202"));
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": new } }));
    client.diagnostics(&new, <[Value]>::is_empty);
    assert_eq!(client.end(), Some(0));
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=test", "-c", "user.email=test@example.com"]).args(arguments);
    assert!(git.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success(), "{arguments:?}");
}

impl Client {
    /// Asks for the lenses of a document until one is as it should be, and returns it.
    fn lens(&mut self, uri: &str, due: impl Fn(&str) -> bool) -> Value {
        for _ in 0..600 {
            let lenses = self.ask("textDocument/codeLens", json!({ "textDocument": { "uri": uri } })).unwrap();
            let lenses = lenses.as_array().cloned().unwrap_or_default();
            if let Some(lens) = lenses.iter().find(|lens| due(lens["command"]["title"].as_str().unwrap())) {
                return lens.clone();
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no such lens")
    }

    fn run(&mut self, lens: &Value) -> String {
        let command = &lens["command"];
        let params = json!({ "command": command["command"], "arguments": command["arguments"] });
        self.ask("workspace/executeCommand", params).unwrap()["text"].as_str().unwrap().to_owned()
    }
}

/// What a file opens beside its version in git, and the tests of a rule, come last, and the client is told to ask
/// again.
#[test]
fn lenses_tell_of_tests_and_of_the_version_in_git() {
    let policy =
        "default deny data/*\nallow ingress shop/{app=web} -> data/{app=db}:5432\nassert never lab/* -> data/*\n";
    let (_guard, folder) = folder(&[("a.netpol", policy), ("b.netpol", "default deny lab/*\n")]);
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "."]);
    git(&folder, &["commit", "-q", "-m", "A policy"]);
    let (mut client, _) = Client::start(&folder, json!({ "workspace": { "codeLens": { "refreshSupport": true } } }));
    let uri = client.open(&folder.join("a.netpol"), policy);
    client.lens(&uri, |text| text == "1 assertion");
    let lenses = client.ask("textDocument/codeLens", json!({ "textDocument": { "uri": uri } })).unwrap();
    assert!(!lenses.to_string().contains("git"), "nothing changed: {lenses}");
    let refreshed =
        |client: &Client| client.said.iter().filter(|one| one["method"] == "workspace/codeLens/refresh").count();
    let before = refreshed(&client);

    client.change(&uri, 2, &policy.replace("{app=web}", "*"));
    let lens = client.lens(&uri, |text| text.starts_with("since git: opens shop/"));
    assert!(lens["command"]["title"].as_str().unwrap().ends_with("closes nothing"), "{lens}");
    assert!(refreshed(&client) > before);
    let text = client.run(&lens);
    assert!(text.contains("a.netpol opens this flow") && text.contains("ingress  allowed by a.netpol:2"), "{text}");
    let lens = client.lens(&uri, |text| text == "1 assertion");
    assert!(client.run(&lens).contains("assert never lab/* -> data/*"));
    // With a mistake nothing is compared, and the lens is gone.
    client.change(&uri, 3, &format!("{policy}{BAD}"));
    client.diagnostics(&uri, |known| has(known, "E0202"));
    let command = json!({ "command": "netpol.showChanges", "arguments": [uri] });
    assert_eq!(client.ask("workspace/executeCommand", command).unwrap_err().0, -32803);
    assert_eq!(client.end(), Some(0));
}
