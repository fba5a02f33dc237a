//! `netpol test`, and assertions in the other verbs.

use serde_json::Value;

use super::{folder, netpol};

const POLICY: &str = "default deny shop/*\n\
    allow shop/{app=web} -> shop/{app=api}:8080\n\
    allow egress shop/{app=web} -> 203.0.113.0/24:443\n";
const TESTS: &str = "test \"good\" {\n  allow shop/{app=web} -> shop/{app=api}:8080\n}\n\
    test \"a < b\" {\n  deny shop/{app=api} -> shop/*\n  deny shop/{app=web} -> shop/{tier=x}:8080\n}\n";

#[test]
fn one_line_for_each_test_and_the_flow_of_what_fails() {
    let here = folder(&[("a.netpol", POLICY), ("tests.netpol", TESTS)]);
    let run = netpol(here.path(), &["test"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.out, "ok      tests.netpol:1  good\nfailed  tests.netpol:4  a < b\n");
    assert!(
        run.err.contains("error[E0534]: allowed: shop/{app=web} -> shop/{app=api, tier=x}, tcp 8080"),
        "{}",
        run.err
    );
    assert!(run.err.contains("2 tests, 1 failed"), "{}", run.err);
    let run = netpol(here.path(), &["test", "-v", "--coverage"]);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        lines,
        [
            "ok      tests.netpol:1  good",
            "  ok      allow shop/{app=web} -> shop/{app=api}:8080",
            "          by a.netpol:2  allow shop/{app=web} -> shop/{app=api}:8080",
            "failed  tests.netpol:4  a < b",
            "  ok      deny shop/{app=api} -> shop/*",
            "          by a.netpol:1  default deny shop/*",
            "  failed  deny shop/{app=web} -> shop/{tier=x}:8080",
            "coverage  2 of 3 rules (66 %)",
            "  untested  a.netpol:3  allow egress shop/{app=web} -> 203.0.113.0/24:443",
        ]
    );
}

#[test]
fn what_is_true_says_on_what_it_rests_only_where_it_is_asked() {
    let text = "default deny egress shop/*\nallow egress shop/{app=web} -> 203.0.113.0/24:443\n\
                allow ingress shop/* -> db/*\nallow egress shop/{app=api} -> db/*\n\
                assert always shop/{app=web} -> 203.0.113.7:443\nassert never shop/{app=db} -> outside\n\
                assert always shop/{app=api} -> kube-system/{k8s-app=kube-dns}:53/udp\n";
    let here = folder(&[("a.netpol", text)]);
    assert_eq!(netpol(here.path(), &["test"]).out, "");
    let run = netpol(here.path(), &["test", "-v"]);
    assert_eq!(
        run.out.lines().collect::<Vec<&str>>(),
        [
            "ok      a.netpol:5  assert always shop/{app=web} -> 203.0.113.7:443",
            "          by a.netpol:2  allow egress shop/{app=web} -> 203.0.113.0/24:443",
            "ok      a.netpol:6  assert never shop/{app=db} -> outside",
            "          by a.netpol:1  default deny egress shop/*",
            "ok      a.netpol:7  assert always shop/{app=api} -> kube-system/{k8s-app=kube-dns}:53/udp",
            "          by the compiler, names must resolve",
            "          ingress: no rule isolates some of these pods",
        ]
    );
}

#[test]
fn machines_get_json_and_junit() {
    let here = folder(&[("a.netpol", POLICY), ("tests.netpol", TESTS)]);
    let run = netpol(here.path(), &["test", "--format", "json", "--coverage"]);
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["tests"][0]["passed"], true);
    assert_eq!(json["tests"][1]["lines"][1]["code"], "E0534");
    assert_eq!(json["coverage"]["covered"], 2);
    let run = netpol(here.path(), &["test", "--format", "junit"]);
    assert!(run.out.contains("<testsuites tests=\"2\" failures=\"1\">"), "{}", run.out);
    assert!(run.out.contains("<testcase name=\"a &lt; b\" classname=\"tests.netpol:4\">"), "{}", run.out);
    let run = netpol(here.path(), &["test", "--error-format", "json"]);
    assert!(run.out.lines().count() == 1 && run.out.starts_with("{\"code\":\"E0534\""), "{}", run.out);
}

#[test]
fn machines_are_told_of_assertions_and_of_errors() {
    let claims = "assert never shop/* -> 203.0.113.7\nassert never shop/* -> 198.51.100.7\n";
    let here = folder(&[
        ("a/a.netpol", &format!("{POLICY}{claims}test \"two\\nlines\" {{ deny shop/* -> 198.51.100.7 }}\n")),
        ("b/b.netpol", "allow garden/app=web -> shop/*\ntest \"one\" { deny shop/* -> shop/* }\n"),
    ]);
    let of = |folder: &str, format: &str| netpol(here.path(), &["test", folder, "--format", format]);
    let run = of("a", "junit");
    assert_eq!(run.code, 1);
    assert!(run.out.contains("<testsuites tests=\"3\" failures=\"1\">"), "{}", run.out);
    assert!(run.out.contains("<testsuite name=\"assertions\" tests=\"2\" failures=\"1\">"), "{}", run.out);
    let case = "<testcase name=\"assert never shop/* -&gt; 203.0.113.7\" classname=\"a/a.netpol:4\">\n      <failure ";
    assert!(run.out.contains(case), "{}", run.out);
    let value: Value = serde_json::from_str(&of("a", "json").out).unwrap();
    let passed = ["assertions", "tests"].map(|what| value[what][0]["passed"].as_bool().unwrap());
    assert_eq!((passed, &value["errors"]), ([false, true], &serde_json::json!([])), "{value:#}");
    // A name stays on its line.
    let run = netpol(here.path(), &["test", "a"]);
    assert_eq!(run.out, "ok      a/a.netpol:6  two\\nlines\n");
    // A policy that is none has an error, and is a document all the same.
    let run = of("b", "junit");
    assert_eq!(run.code, 1);
    assert!(run.out.contains("<testsuites tests=\"1\" failures=\"0\" errors=\"1\">"), "{}", run.out);
    assert!(run.out.contains("      <error message=\"E0101: "), "{}", run.out);
    let value: Value = serde_json::from_str(&of("b", "json").out).unwrap();
    assert_eq!((&value["errors"][0]["place"], &value["tests"]), (&"b/b.netpol:1".into(), &serde_json::json!([])));
}

#[test]
fn too_little_coverage_fails() {
    let good = TESTS.split_once("test \"a").unwrap().0;
    let here = folder(&[("a.netpol", POLICY), ("tests.netpol", good)]);
    assert_eq!(netpol(here.path(), &["test", "--coverage-min", "66"]).code, 0);
    let run = netpol(here.path(), &["test", "--coverage-min", "67"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("fewer than 67 %"), "{}", run.err);
    assert_eq!(netpol(here.path(), &["test", "--coverage-min", "101"]).code, 2);
}

#[test]
fn an_assertion_that_fails_stops_a_build() {
    let here = folder(&[("a.netpol", POLICY), ("rails.netpol", "assert never shop/* -> 203.0.113.7\n")]);
    let run = netpol(here.path(), &["build", "a.netpol", "--guardrails", "rails.netpol", "-o", "out"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("error[E0533]: allowed: shop/{app=web} -> 203.0.113.7, tcp 443"), "{}", run.err);
    assert!(!here.path().join("out").exists());
}

/// The deny that a message proposes makes the assertion true.
#[test]
fn the_proposed_deny_repairs_the_assertion() {
    for claim in ["shop/* -> 203.0.113.7", "*/* -> shop/{app=api}:8080", "{ shop/*, 198.51.100.1 } -> shop/*"] {
        let policy = format!("{POLICY}assert never {claim}\n");
        let here = folder(&[("a.netpol", &policy)]);
        let run = netpol(here.path(), &["check", "a.netpol"]);
        let deny = run.err.split("allow: `").nth(1).and_then(|rest| rest.split('`').next());
        let deny = deny.unwrap_or_else(|| panic!("{claim}: {}", run.err));
        std::fs::write(here.path().join("a.netpol"), format!("{policy}{deny}\n")).unwrap();
        let run = netpol(here.path(), &["check", "a.netpol", "--target", "networkpolicy"]);
        assert!(!run.err.contains("E0533"), "{claim}: {}", run.err);
    }
}

const CLOSED: &str = "default deny shop/*
default deny ingress payments/*
allow egress shop/{app=web} -> payments/*:5432
deny egress shop/{app=old} -> 203.0.113.0/24
";

/// The allow that a message proposes has no more than the end that is closed; it makes the assertion true, and a build
/// of it passes.
#[test]
fn the_proposed_allow_repairs_the_assertion() {
    for (claim, allow) in [
        ("shop/{app=web} -> payments/*:5432", "allow ingress shop/{app=web} -> payments/*:5432"),
        ("shop/* -> payments/{app=db}:5432", "allow shop/* -> payments/{app=db}:5432"),
        ("shop/* -> lab/*:9000", "allow egress shop/* -> lab/*:9000"),
        ("{ lab/*, 198.51.100.1 } -> shop/*", "allow ingress { lab/*, 198.51.100.1 } -> shop/*"),
        ("shop/{app=web} -> 203.0.113.7:443", "allow egress shop/{app=web} -> 203.0.113.7:443"),
        ("lab/* -> shop/*:8080/http where method GET", "allow ingress lab/* -> shop/*:8080/http where method GET"),
    ] {
        let policy = format!("{CLOSED}assert always {claim}\n");
        let here = folder(&[("a.netpol", &policy)]);
        let run = netpol(here.path(), &["check", "a.netpol", "--error-format", "json"]);
        let found: Value = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).find(is_failed).unwrap();
        let fix = &found["fixes"][0]["edits"][0];
        assert_eq!(fix["text"], format!("\n{allow}"), "{found}");
        std::fs::write(here.path().join("a.netpol"), format!("{policy}{allow}\n")).unwrap();
        let run = netpol(here.path(), &["build", "a.netpol", "-o", "out"]);
        assert_eq!(run.code, 0, "{claim}: {}", run.err);
    }
}

fn is_failed(found: &Value) -> bool {
    found["code"] == "E0533"
}

/// No edit is proposed that would close something, fail another assertion, or be refused; where a deny forbids a flow,
/// no allow is.
#[test]
fn an_allow_that_changes_more_is_no_edit() {
    for (claim, others, proposed) in [
        ("{ shop/*, lab/* } -> payments/*:5432", "", true),
        ("shop/* -> payments/*:5432", "assert never shop/{app=cart} -> payments/*\n", true),
        ("shop/* -> lab/*:9000", "assert never shop/* -> dns\n", true),
        ("shop/* -> payments/*:5432", "scope { shop/*, payments/* }\n", true),
        ("shop/* -> 203.0.113.7:443", "", false),
    ] {
        let here = folder(&[("a.netpol", &format!("{others}{CLOSED}assert always {claim}\n"))]);
        let run = netpol(here.path(), &["check", "a.netpol"]);
        let failed = run.err.split("error[E0533]: denied").nth(1).unwrap_or_else(|| panic!("{claim}: {}", run.err));
        assert_eq!(failed.contains("to allow it: `allow "), proposed, "{claim}: {}", run.err);
        assert!(!failed.contains("fix available"), "{claim}: {}", run.err);
    }
}
