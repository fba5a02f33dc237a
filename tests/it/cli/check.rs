//! Tests of what `check` shares with every verb over a policy: files, streams, exit codes, days.

use super::{folder, netpol, netpol_with};

const GOOD: &str = "allow egress garden/* -> 203.0.113.0/24:443\n";
const BAD: &str = "allow garden/* -> zenquotes.io:443\n";

#[test]
fn exit_codes_tell_findings_from_trouble() {
    let here = folder(&[("good.netpol", GOOD), ("bad.netpol", BAD)]);
    assert_eq!(netpol(here.path(), &["check", "good.netpol"]).code, 0);
    assert_eq!(netpol(here.path(), &["check", "bad.netpol"]).code, 1);
    assert_eq!(netpol(here.path(), &["check", "none.netpol"]).code, 2);
    assert_eq!(netpol(here.path(), &["check", "--config", "none.toml", "good.netpol"]).code, 2);
    assert_eq!(netpol(here.path(), &["check", "--now", "2026-02-30", "good.netpol"]).code, 2);
    assert_eq!(netpol(here.path(), &["check", "--target", "linkerd", "good.netpol"]).code, 2);
}

#[test]
fn messages_for_people_are_on_stderr_and_those_for_machines_on_stdout() {
    let here = folder(&[("bad.netpol", BAD)]);
    for (format, on_stdout) in [("human", false), ("short", false), ("json", true), ("sarif", true), ("github", true)] {
        let run = netpol(here.path(), &["check", "--error-format", format, "bad.netpol"]);
        assert_eq!(run.code, 1);
        let (full, empty) = if on_stdout { (&run.out, &run.err) } else { (&run.err, &run.out) };
        assert!(full.contains("E0301") && empty.is_empty(), "{format}: {}{}", run.out, run.err);
    }
}

#[test]
fn a_run_ends_with_what_it_came_to() {
    let here = folder(&[("good.netpol", GOOD), ("bad.netpol", BAD), ("warned.netpol", "let x = 203.0.113.1\n")]);
    let last = |arguments: &[&str]| netpol(here.path(), arguments).err.lines().last().unwrap().to_owned();
    assert_eq!(last(&["check", "good.netpol", "--target", "networkpolicy"]), "no errors");
    assert_eq!(last(&["check", "bad.netpol"]), "1 error");
    assert_eq!(last(&["check", "warned.netpol"]), "no errors; 1 warning");
    assert_eq!(last(&["check", "warned.netpol", "--deny-warnings"]), "1 warning");
}

#[test]
fn a_warning_is_an_error_where_warnings_are_denied() {
    let here = folder(&[("warned.netpol", "let x = 203.0.113.1\n")]);
    assert_eq!(netpol(here.path(), &["check"]).code, 0);
    assert_eq!(netpol(here.path(), &["check", "--deny-warnings"]).code, 1);
}

#[test]
fn all_files_are_one_policy_and_each_counts_once() {
    let here = folder(&[
        ("sub/b.netpol", "use \"../lib.netpol\"\nallow egress garden/* -> db:5432\n"),
        ("lib.netpol", "let db = host db.example.com at 203.0.113.9\n"),
        (".hidden/c.netpol", "(((\n"),
        ("sub/.d.netpol", "(((\n"),
        ("e.txt", "(((\n"),
    ]);
    for arguments in [
        &["check"][..],
        &["check", "."],
        &["check", "sub"],
        &["check", "sub/b.netpol", "lib.netpol", "./lib.netpol", "."],
    ] {
        let run = netpol(here.path(), arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
        assert!(!run.err.contains("warning"), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn stdin_stands_where_it_is_said_to() {
    let here = folder(&[("sub/lib.netpol", "let db = host db.example.com at 203.0.113.9\n")]);
    let text = b"use \"./lib.netpol\"\nallow egress garden/* -> db:5432\nallow garden/* -> db:5432\n";
    let run =
        netpol_with(here.path(), &["check", "--error-format", "short", "--stdin-filepath", "sub/x.netpol", "-"], text);
    assert_eq!(run.code, 1);
    assert!(run.err.starts_with("sub/x.netpol:3:") && run.err.lines().count() == 1, "{}", run.err);
    // Without a path it stands in the current folder, where there is no such file.
    let run = netpol_with(here.path(), &["check", "--error-format", "short", "-"], text);
    assert!(run.err.contains("<stdin>:1:5: error[E0205]"), "{}", run.err);
}

#[test]
fn a_module_that_cannot_be_read_says_why() {
    let here = folder(&[("a.netpol", "use \"./lib.netpol\"\nuse \"./sub\"\nuse \"./none.netpol\"\n"), ("sub/x", "")]);
    std::fs::write(here.path().join("lib.netpol"), b"\n\xff").unwrap();
    let run = netpol(here.path(), &["check", "a.netpol", "--error-format", "json"]);
    assert_eq!(run.code, 1);
    for why in ["line 2 is not UTF-8", "is a directory", "no such file"] {
        assert!(run.out.contains(why), "{why}: {}", run.out);
    }
}

#[test]
fn the_nearest_configuration_above_the_first_path_counts() {
    let platform = |name: &str| format!("[cluster]\nplatform = \"{name}\"\n");
    let uses_apiserver = "allow egress garden/* -> apiserver\n";
    let here = folder(&[
        ("netpol.toml", &platform("kubernetes")),
        ("a/netpol.toml", "[cluster]\napiserver = [\"203.0.113.1:443\"]\n"),
        ("a/b/c.netpol", uses_apiserver),
        ("d/e.netpol", uses_apiserver),
        ("other.toml", &platform("nowhere")),
    ]);
    assert_eq!(netpol(here.path(), &["check", "a/b/c.netpol"]).code, 0);
    assert_eq!(netpol(&here.path().join("a/b"), &["check"]).code, 0);
    assert_eq!(netpol(here.path(), &["check", "d/e.netpol"]).code, 1);
    // For stdin it is the current folder's.
    assert_eq!(netpol_with(&here.path().join("a/b"), &["check", "-"], uses_apiserver.as_bytes()).code, 0);
    assert_eq!(netpol_with(here.path(), &["check", "-"], uses_apiserver.as_bytes()).code, 1);
    let run = netpol(here.path(), &["check", "--config", "other.toml", "a/b/c.netpol", "--error-format", "short"]);
    assert!(run.err.contains("other.toml:2:13: error[E0904]"), "{}", run.err);
}

#[cfg(unix)]
#[test]
fn a_configuration_that_cannot_be_read_is_not_passed_over() {
    let here = folder(&[("a/x.netpol", GOOD), ("b/x.netpol", GOOD), ("b/netpol.toml/x", ""), ("c/x.netpol", GOOD)]);
    std::os::unix::fs::symlink("nowhere.toml", here.path().join("a/netpol.toml")).unwrap();
    std::os::unix::fs::symlink("netpol.toml", here.path().join("c/netpol.toml")).unwrap();
    for (folder, why) in [("a", "no such file"), ("b", "is a directory"), ("c", "too many levels of symbolic links")] {
        let run = netpol(here.path(), &["check", folder]);
        assert_eq!(run.code, 2, "{folder}: {}", run.err);
        assert!(run.err.starts_with("error: cannot read `") && run.err.contains(why), "{folder}: {}", run.err);
    }
}

#[test]
fn the_day_decides_what_has_expired() {
    let here = folder(&[("a.netpol", "@expires(2027-01-31)\nallow egress garden/* -> 203.0.113.0/24:443\n")]);
    assert_eq!(netpol(here.path(), &["check", "--now", "2027-01-31"]).code, 0);
    let run = netpol(here.path(), &["check", "--now", "2027-02-01"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("E0511"), "{}", run.err);
}

#[test]
fn guardrails_come_from_the_command_line_or_from_the_configuration() {
    let here = folder(&[
        ("p/netpol.toml", "guardrails = [\"../org\"]\n"),
        ("p/a.netpol", GOOD),
        ("org/rails.netpol", "assert never garden/* -> 169.254.169.254\nallow egress garden/* -> dns\n"),
        ("rails.netpol", "assert never garden/* -> 169.254.169.254\n"),
    ]);
    let run = netpol(here.path(), &["check", "p", "--error-format", "short"]);
    assert!(run.err.contains("../org/rails.netpol:2:1: error[E0912]"), "{}", run.err);
    let run = netpol(here.path(), &["check", "p", "--guardrails", "rails.netpol"]);
    assert_eq!(run.code, 0, "{}", run.err);
    // What the verb is given is a policy, also where it is a guardrail.
    assert_eq!(netpol(here.path(), &["check", "p", "org"]).code, 0);
}

#[test]
fn a_file_that_is_no_text_or_too_long_is_a_finding() {
    let here = folder(&[("a.netpol", &format!("{GOOD}{}", "#".repeat(17 << 20)))]);
    let run = netpol(here.path(), &["check", "a.netpol", "--error-format", "short"]);
    assert_eq!(run.code, 1);
    assert!(run.err.lines().count() == 1 && run.err.contains("16 MiB"), "{}", run.err);
    std::fs::write(here.path().join("b.netpol"), b"allow garden/* -> \xe4.example.com:443\n").unwrap();
    let run = netpol(here.path(), &["check", "b.netpol", "--error-format", "short"]);
    assert_eq!((run.code, run.err.as_str()), (1, "b.netpol:1:19: error[E0911]: the file is not UTF-8 here\n"));
}

#[test]
fn a_closed_pipe_is_no_crash() {
    use std::process::{Command, Stdio};
    let here = folder(&[("a.netpol", &BAD.repeat(20_000))]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_netpol"))
        .args(["check", "--error-format", "json"])
        .current_dir(here.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let here = folder(&[("bad.netpol", BAD)]);
    assert!(netpol(here.path(), &["check", "--color", "always"]).err.contains("\u{1b}["));
    for never in ["auto", "never"] {
        assert!(!netpol(here.path(), &["check", "--color", never]).err.contains('\u{1b}'));
    }
}

#[test]
fn the_inventory_comes_from_files_folders_stdin_or_the_configuration() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: garden }\n";
    let here = folder(&[
        ("p/netpol.toml", "inventory = \"../cluster\"\n"),
        ("p/a.netpol", GOOD),
        ("cluster/a.yaml", namespace),
        ("cluster/b.json", "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"shop\"}}"),
        ("cluster/readme.md", "no: [manifest"),
        ("cluster/.hidden.yaml", "no: [manifest"),
        ("b.netpol", GOOD),
        ("other.yaml", &namespace.replace("garden", "other")),
        ("empty/x", ""),
    ]);
    assert_eq!(netpol(here.path(), &["check", "p"]).code, 0);
    assert_eq!(netpol(here.path(), &["check", "b.netpol", "--inventory", "cluster"]).code, 0);
    assert_eq!(netpol_with(here.path(), &["check", "b.netpol", "--inventory", "-"], namespace.as_bytes()).code, 0);
    // What the command line says replaces the configuration.
    for arguments in
        [&["check", "b.netpol", "--inventory", "other.yaml"][..], &["check", "p", "--inventory", "other.yaml"]]
    {
        let run = netpol(here.path(), arguments);
        assert!(run.code == 1 && run.err.contains("E0311"), "{}", run.err);
    }
    let run = netpol(here.path(), &["check", "b.netpol", "--inventory", "empty"]);
    assert_eq!((run.code, run.err.as_str()), (2, "error: there is no manifest below `empty`\n"));
    assert_eq!(netpol(here.path(), &["check", "b.netpol", "--inventory", "none.yaml"]).code, 2);
    assert_eq!(netpol(here.path(), &["check", "-", "--inventory", "-"]).code, 2);
}

#[test]
fn an_inventory_that_cannot_be_read_is_told_once() {
    let here = folder(&[("a.netpol", GOOD), ("bad.yaml", "kind: [")]);
    let run = netpol(here.path(), &["check", "a.netpol", "--inventory", "bad.yaml", "--error-format", "short"]);
    assert_eq!((run.code, run.err.lines().count()), (1, 1), "{}", run.err);
    assert!(run.err.starts_with("bad.yaml:1:"), "{}", run.err);
    std::fs::write(here.path().join("latin.yaml"), b"kind: \xe4\n").unwrap();
    let run = netpol(here.path(), &["check", "a.netpol", "--inventory", "latin.yaml", "--error-format", "short"]);
    assert_eq!((run.code, run.err.as_str()), (1, "latin.yaml:1:7: error[E0911]: the file is not UTF-8 here\n"));

    // What is wrong with the text of a rule is said beside it.
    std::fs::write(here.path().join("a.netpol"), "allow egress garden/* ->\n").unwrap();
    for inventory in ["bad.yaml", "latin.yaml"] {
        let run = netpol(here.path(), &["check", "a.netpol", "--inventory", inventory, "--error-format", "short"]);
        assert_eq!((run.code, run.err.lines().count()), (1, 2), "{}", run.err);
        assert!(run.err.starts_with("a.netpol:1:"), "{}", run.err);
    }
}

#[test]
fn certain_fixes_are_applied_and_others_are_left() {
    let wrong = "allow egress garden / * => zenquotes.io:443   // quotes\nallow ingress shop/* -> garden/{app=web}:80/http where method get\nallow egress gardn -> dns\n";
    let here = folder(&[("a.netpol", wrong), ("b.netpol", GOOD)]);
    let diff = netpol(here.path(), &["check", "--fix", "--diff"]);
    assert_eq!(diff.code, 1);
    assert!(diff.out.contains("+allow egress garden/*"), "{}{}", diff.out, diff.err);
    assert_eq!(std::fs::read_to_string(here.path().join("a.netpol")).unwrap(), wrong);
    let run = netpol(here.path(), &["check", "--fix"]);
    let text = std::fs::read_to_string(here.path().join("a.netpol")).unwrap();
    assert!(text.contains("where method GET") && text.contains("egress gardn ->"), "{text}{}", run.err);
    assert!(text.starts_with("allow egress garden/* -> zenquotes.io:443   # quotes\n"), "{text}{}", run.err);
    assert_eq!((run.code, std::fs::read_to_string(here.path().join("b.netpol")).unwrap().as_str()), (1, GOOD));
    assert!(!run.err.contains("left to you"), "{}", run.err);
    std::fs::write(here.path().join("b.netpol"), "alow egress garden/* -> dns\n").unwrap();
    let run = netpol(here.path(), &["check", "--fix"]);
    assert!(run.err.ends_with("1 finding with a fix is left to you: `--fix` mends spelling alone\n"), "{}", run.err);
    assert_eq!(netpol(here.path(), &["check", "--diff"]).code, 2);
    assert_eq!(netpol_with(here.path(), &["check", "--fix", "-"], GOOD.as_bytes()).code, 2);
}

/// A fix that a machine applies leaves the rules that are there.
#[test]
fn fixes_of_spelling_take_no_rule_away() {
    let fixed = |text: &str| {
        let here = folder(&[("a.netpol", text)]);
        let run = netpol(here.path(), &["check", "--fix"]);
        (std::fs::read_to_string(here.path().join("a.netpol")).unwrap(), run.err)
    };
    let deny = "deny egress garden/* -> 192.0.2.128/25\n";
    for (text, after) in [
        (format!("/* old */ {deny}"), format!("# old\n{deny}")),
        (format!("  /* old */{}", deny), format!("  /* old */{}", deny)),
        (format!("  /* a\n   * b */  {deny}"), format!("  # a\n   # b\n  {deny}")),
        (format!("/*\n old\n*/ {deny}"), format!("#\n # old\n {deny}")),
        (format!("/* a */ /* b */ {deny}"), format!("/* a */ /* b */ {deny}")),
        (format!("deny egress /* who */ {}", &deny[12..]), format!("deny egress /* who */ {}", &deny[12..])),
        ("allow a/{x=b} <--> c/{x=d}\n".to_owned(), "allow a/{x=b} <-> c/{x=d}\n".to_owned()),
        ("allow a/{x=b} <==> c/{x=d}\n".to_owned(), "allow a/{x=b} <-> c/{x=d}\n".to_owned()),
        ("allow a/{x=b} --> c/{x=d}\n".to_owned(), "allow a/{x=b} -> c/{x=d}\n".to_owned()),
    ] {
        let (fixed, said) = fixed(&text);
        assert_eq!(fixed, after, "{text}{said}");
    }
    // An equals sign is a label's, and two arrows are one too many.
    for text in [
        "allow egress garden/app=web -> a.example.com:443\n",
        "allow ingress app=cli -> garden/*:80\n",
        "allow garden/app = web\n",
        "allow egress garden/{app in {a, b}} -> dns\n",
        "allow a/{x=b} --> c/{x=d} -> e/*\n",
        "allow egress garden/{j=12:30:45} -> dns\n",
    ] {
        let (fixed, said) = fixed(text);
        assert_eq!(fixed, text, "{said}");
    }
    let (_, said) = fixed("allow egress garden/* => 203.0.113.7:443\n");
    assert!(said.contains("1 edit in 1 file\n"), "{said}");
}

#[test]
fn a_lint_makes_an_error_of_a_warning_or_hides_it() {
    let here = folder(&[("warned.netpol", "let x = 203.0.113.1\n"), ("netpol.toml", "[lints]\nW0220 = \"deny\"\n")]);
    let run = netpol(here.path(), &["check"]);
    assert!(run.code == 1 && run.err.contains("error[W0220]"), "{}", run.err);
    std::fs::write(here.path().join("netpol.toml"), "[lints]\nW0220 = \"allow\"\n").unwrap();
    let run = netpol(here.path(), &["check", "--deny-warnings"]);
    assert_eq!((run.code, run.err.contains("W0220")), (0, false), "{}", run.err);
    for (line, code) in [("E0711 = \"allow\"", "E0904"), ("W9 = \"allow\"", "E0902"), ("W0220 = \"hide\"", "E0904")] {
        std::fs::write(here.path().join("netpol.toml"), format!("[lints]\n{line}\n")).unwrap();
        let run = netpol(here.path(), &["check"]);
        assert!(run.code == 1 && run.err.contains(code), "{line}: {}", run.err);
    }
}
