//! Tests of `eval`: words, JSON, streams of flows, exit codes.

use serde_json::Value;

use super::{folder, netpol, netpol_with};
use crate::common::Cluster;

const SHOP: &str = "allow garden/frontend -> garden/api:80
allow egress garden/frontend -> payments/db:443   # wrong port
deny garden/* -> payments/{app=db}:22

template tenant(ns: Namespace) {
  allow egress ns/* -> 203.0.113.0/24:443
}
apply tenant(garden)
";

fn shop() -> tempfile::TempDir {
    let cluster = Cluster::default()
        .namespace("garden", "")
        .namespace("payments", "")
        .namespace("kube-system", "")
        .namespace("istio-system", "")
        .deployment("garden/frontend", "")
        .deployment("garden/api", "{ containerPort: 8080 }")
        .service("garden/api", "{ port: 80, targetPort: 8080 }")
        .deployment("payments/db", "");
    folder(&[("shop/web.netpol", SHOP), ("cluster.yaml", &cluster.text())])
}

fn ask(here: &tempfile::TempDir, from: &str, to: &str, more: &[&str]) -> super::Run {
    let arguments = ["eval", "shop", "--inventory", "cluster.yaml", "--from", from, "--to", to];
    netpol(here.path(), &[&arguments, more].concat())
}

#[test]
fn the_verdict_is_told_with_its_lines() {
    let here = shop();
    let run = ask(&here, "garden/frontend", "garden/api:80", &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    insta::assert_snapshot!(run.out, @r"
    allowed   garden/frontend -> garden/api:80 (pod port 8080/tcp)
      egress   allowed by shop/web.netpol:1   allow garden/frontend -> garden/api:80
      ingress  allowed by the same rule, its other end
    ");
    let run = ask(&here, "garden/frontend", "payments/db:5432", &[]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(run.out, @r"
    denied    garden/frontend -> payments/db:5432
      egress   denied: shop/web.netpol:1 and 2 others isolate garden/frontend, and no rule allows this
      ingress  allowed: no rule isolates payments/db
      nearest  shop/web.netpol:2   allow egress garden/frontend -> payments/db:443
    ");
    let run = ask(&here, "garden/frontend", "payments/db:22", &[]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(run.out, @r"
    denied    garden/frontend -> payments/db:22
      egress   denied by shop/web.netpol:3   deny garden/* -> payments/{app=db}:22
      ingress  denied by the same rule, its other end
    ");
    let run = ask(&here, "garden/api", "203.0.113.9:443", &[]);
    assert_eq!(run.code, 0);
    insta::assert_snapshot!(run.out, @r"
    allowed   garden/api -> 203.0.113.9:443
      egress   allowed by shop/web.netpol:6 (applied at shop/web.netpol:8)   allow egress ns/* -> 203.0.113.0/24:443
      ingress  not judged: 203.0.113.9 is no pod
    ");
    let run = ask(&here, "garden/frontend", "kube-system/{k8s-app=kube-dns}:53/udp", &[]);
    assert_eq!(run.code, 0);
    insta::assert_snapshot!(run.out, @r"
    allowed   garden/frontend -> kube-system/{k8s-app=kube-dns}:53/udp
      egress   allowed by a grant: names must resolve (shop/web.netpol:1)
      ingress  allowed: no rule isolates kube-system/{k8s-app=kube-dns}
      assumed: a pod labelled k8s-app=kube-dns and nothing else; the inventory has none
    ");
}

#[test]
fn json_has_the_verdict_and_its_reasons() {
    let here = shop();
    let run = ask(&here, "garden/frontend", "payments/db:5432", &["--format", "json"]);
    assert_eq!((run.code, run.out.lines().count()), (1, 1));
    let verdict: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(verdict["verdict"], "deny");
    let reasons = verdict["reasons"].as_array().unwrap();
    assert_eq!(reasons[0]["path"], "shop/web.netpol");
    assert_eq!(reasons[0]["line"], 1);
    assert_eq!(reasons[0]["rule"], "allow garden/frontend -> garden/api:80");
    assert_eq!((reasons[0]["direction"].as_str(), reasons[0]["effect"].as_str()), (Some("egress"), Some("isolate")));
    let nearest = reasons.last().unwrap();
    assert_eq!((nearest["effect"].as_str(), nearest["line"].as_u64()), (Some("nearest"), Some(2)));

    let run = ask(&here, "garden/api", "203.0.113.9:443", &["--format", "json"]);
    let verdict: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(verdict["verdict"], "allow");
    assert_eq!(verdict["reasons"].as_array().unwrap().len(), 1);
    assert_eq!(verdict["reasons"][0]["applied"][0]["line"], 8);
}

#[test]
fn what_is_expected_decides_the_exit_code() {
    let here = shop();
    for (to, expect, code) in [
        ("garden/api:80", "allow", 0),
        ("garden/api:80", "deny", 1),
        ("payments/db:5432", "deny", 0),
        ("payments/db:5432", "allow", 1),
    ] {
        assert_eq!(ask(&here, "garden/frontend", to, &["--expect", expect]).code, code, "{to} {expect}");
    }
}

#[test]
fn requests_are_judged_by_what_they_carry() {
    let policy = "allow ingress web/* -> api/{app=api}:8080/http where method GET where path \"/api/**\" where host \"api.example.com\"
issuer corp { url \"https://login.example.com\" keys \"{\\\"keys\\\": []}\" }
allow ingress jobs/* -> api/{app=api}:8080/http where jwt corp claim groups = \"admin\"
";
    let here = folder(&[("a.netpol", policy)]);
    let code = |from: &str, more: &[&str]| {
        let arguments = ["eval", "a.netpol", "--from", from, "--to", "api/{app=api}:8080"];
        let run = netpol(here.path(), &[&arguments, more].concat());
        assert!(run.code < 2, "{}", run.err);
        run.code
    };
    let good = ["--method", "GET", "--path", "/api/x", "--host", "api.example.com"];
    assert_eq!(code("web/{a=b}", &good), 0);
    assert_eq!(code("web/{a=b}", &[]), 1);
    assert_eq!(code("web/{a=b}", &["--method", "POST", "--path", "/api/x", "--host", "api.example.com"]), 1);
    assert_eq!(code("web/{a=b}", &["--method", "GET", "--path", "/x", "--host", "api.example.com"]), 1);
    assert_eq!(code("web/{a=b}", &["--method", "GET", "--path", "/api/x", "--host", "other.example.com"]), 1);
    let token = r#"{"iss":"https://login.example.com","sub":"me","groups":["admin","users"]}"#;
    assert_eq!(code("jobs/{a=b}", &["--jwt", token]), 0);
    assert_eq!(code("jobs/{a=b}", &["--jwt", r#"{"iss":"https://login.example.com","sub":"me","groups":"users"}"#]), 1);
    assert_eq!(code("jobs/{a=b}", &[]), 1);
}

#[test]
fn the_tls_name_and_the_http_host_of_a_request_are_two() {
    let policy = "allow ingress web/* -> api/{app=plain}:8080/http where host \"api.example.com\"
allow ingress web/* -> api/{app=tls}:8443/tls where host \"api.example.com\"
";
    let here = folder(&[("a.netpol", policy)]);
    let code = |to: &str, more: &[&str]| {
        let arguments = ["eval", "a.netpol", "--target", "networkpolicy,istio", "--from", "web/{a=b}", "--to", to];
        let run = netpol(here.path(), &[&arguments, more].concat());
        assert!(run.code < 2, "{}", run.err);
        run.code
    };
    let (plain, tls) = ("api/{app=plain}:8080", "api/{app=tls}:8443");
    // The host alone is both.
    assert_eq!((code(plain, &["--host", "api.example.com"]), code(tls, &["--host", "api.example.com"])), (0, 0));
    let apart = ["--host", "api.example.com", "--tls", "other.example.com"];
    assert_eq!((code(plain, &apart), code(tls, &apart)), (0, 1));
    let apart = ["--host", "other.example.com", "--tls", "api.example.com"];
    assert_eq!((code(plain, &apart), code(tls, &apart)), (1, 0));
    // What is inside TLS is not known by its name.
    let tls_alone = ["--tls", "api.example.com"];
    assert_eq!((code(plain, &tls_alone), code(tls, &tls_alone)), (1, 0));
    let flow = r#"{"from":"web/{a=b}","to":"api/{app=tls}:8443","host":"api.example.com","tls":"other.example.com"}"#;
    let run = netpol_with(here.path(), &["eval", "a.netpol", "--flows", "-"], flow.as_bytes());
    assert!(run.out.contains(r#""verdict":"deny""#), "{}{}", run.out, run.err);
}

#[test]
fn flows_are_judged_line_by_line() {
    let here = shop();
    let flows = r#"{"from":"garden/frontend","to":"garden/api:80"}
{"from":"garden/frontend","to":"garden/api","port":80}
{"from":"garden/frontend","to":"payments/db","port":5432,"protocol":"tcp"}

{"from":"203.0.113.9","to":"payments/{app=other}","port":22,"protocol":"udp","method":"GET","path":"/","host":"x.y","jwt":{}}
"#;
    let arguments = ["eval", "shop", "--inventory", "cluster.yaml", "--flows"];
    let run = netpol_with(here.path(), &[&arguments[..], &["-"]].concat(), flows.as_bytes());
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let verdicts = |out: &str| -> Vec<String> {
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|verdict| verdict["verdict"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(verdicts(&run.out), ["allow", "allow", "deny", "allow"]);
    std::fs::write(here.path().join("flows.jsonl"), flows).unwrap();
    assert_eq!(netpol(here.path(), &[&arguments[..], &["flows.jsonl"]].concat()).out, run.out);

    let wrong = "{}\nnot json\n{\"from\":\"garden/frontend\",\"to\":\"garden/api\"}\n{\"from\":\"garden/frontend\",\"to\":\"garden/api:80\",\"src\":1}\n{\"from\":\"x\",\"to\":\"garden/api:80\"}\n{\"from\":\"garden/frontend\",\"to\":\"garden/api\",\"port\":70000}\n\u{ff}\n{\"from\":\"garden/frontend\",\"to\":\"garden/api:80\"}";
    let run = netpol_with(here.path(), &[&arguments[..], &["-"]].concat(), wrong.as_bytes());
    assert_eq!(run.code, 1);
    let all = verdicts(&run.out);
    assert_eq!(all.len(), 8, "{}", run.out);
    assert!(all[..7].iter().all(|verdict| verdict == "error") && all[7] == "allow", "{}", run.out);
    for line in run.out.lines().take(7) {
        let verdict: Value = serde_json::from_str(line).unwrap();
        assert!(verdict["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}");
    }
}

#[test]
fn a_flow_is_answered_before_the_next_is_asked() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    let here = shop();
    let mut child = Command::new(env!("CARGO_BIN_EXE_netpol"))
        .args(["eval", "shop", "--inventory", "cluster.yaml", "--flows", "-"])
        .current_dir(here.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut questions = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for (to, verdict) in [("garden/api:80", "allow"), ("payments/db:22", "deny")] {
        writeln!(questions, "{{\"from\":\"garden/frontend\",\"to\":\"{to}\"}}").unwrap();
        let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["verdict"], verdict);
    }
    drop(questions);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_asked_is_exit_2_and_a_wrong_policy_exit_1() {
    let here = shop();
    for (from, to) in [
        ("garden/frontend", "garden/api"),
        ("garden/frontend", "garden/api:81"),
        ("nowhere/frontend", "garden/api:80"),
        ("garden/frontend", "10.0.0.0/8:80"),
        ("garden/fronted", "garden/api:80"),
        ("garden/frontend", "(((:80"),
    ] {
        let run = ask(&here, from, to, &[]);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{from} {to}");
        assert!(run.err.starts_with("error: ") && run.err.lines().count() == 1, "{}", run.err);
    }
    for arguments in [
        &["eval", "shop"][..],
        &["eval", "shop", "--from", "garden/frontend"],
        &["eval", "shop", "--flows", "-", "--from", "garden/frontend"],
        &["eval", "shop", "--from", "garden/frontend", "--to", "garden/api:80", "--jwt", "[]"],
        &["eval", "shop", "--from", "garden/frontend", "--to", "garden/api:80", "--method", "get"],
        &["eval", "shop", "--from", "garden/frontend", "--to", "garden/api:80", "--path", "orders"],
        &["eval", "shop", "--flows", "none.jsonl"],
        &["eval", "-", "--flows", "-"],
    ] {
        assert_eq!(netpol(here.path(), arguments).code, 2, "{arguments:?}");
    }
    std::fs::write(here.path().join("shop/bad.netpol"), "allow garden/* -> zenquotes.io:443\n").unwrap();
    let run = ask(&here, "garden/frontend", "garden/api:80", &[]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("E0301"), "{}", run.err);
}

/// Whose a rule is, and why it is there, stands wherever it is spoken of.
#[test]
fn owner_and_reason_are_said() {
    let policy = "@owner(\"payments\") @reason(\"PAY-123\")\nallow egress garden/* -> zenquotes.io:443\n";
    let here = folder(&[("a.netpol", policy)]);
    let ask = ["eval", "a.netpol", "--from", "garden/{app=web}", "--to", "zenquotes.io:443"];
    let text = netpol(here.path(), &ask);
    assert!(text.out.contains("zenquotes.io:443   (owner: payments, reason: PAY-123)\n"), "{}", text.out);
    let json = netpol(here.path(), &[&ask[..], &["--format", "json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&value["reasons"][0]["owner"], &value["reasons"][0]["reason"]),
        (&"payments".into(), &"PAY-123".into())
    );
    let table = netpol(here.path(), &["explain", "--enforcement", "a.netpol"]);
    let words = table.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(owner: payments, reason: PAY-123)"), "{}", table.out);
    let json = netpol(here.path(), &["explain", "--enforcement", "--format", "json", "a.netpol"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["rules"][0]["owner"], "payments");
    let check = netpol(here.path(), &["check", "a.netpol"]);
    assert!(check.err.contains("N0701") && check.err.contains("= owner: payments, reason: PAY-123"), "{}", check.err);
    let build = netpol(here.path(), &["build", "a.netpol"]);
    assert!(build.out.contains("    netpol/owner: payments\n    netpol/reason: PAY-123\n"), "{}", build.out);
}

#[test]
fn an_ipv4_address_in_the_writing_of_ipv6_is_itself() {
    let rules = "allow ingress outside -> garden/{app=web}\ndeny ingress 203.0.113.0/24 -> garden/{app=web}\n";
    let here = folder(&[("a.netpol", rules)]);
    let asked =
        |from: &str| netpol(here.path(), &["eval", "a.netpol", "--from", from, "--to", "garden/{app=web}:80"]).out;
    assert!(asked("203.0.113.5").starts_with("denied"), "{}", asked("203.0.113.5"));
    assert!(asked("::ffff:203.0.113.5").starts_with("denied"), "{}", asked("::ffff:203.0.113.5"));
    assert!(asked("::ffff:198.51.100.5").starts_with("allowed"), "{}", asked("::ffff:198.51.100.5"));
}

#[test]
fn an_address_of_pods_is_asked_for_by_its_pod() {
    let rules = "allow egress garden/* -> 10.0.0.0/8:443\n";
    let here = folder(&[("a.netpol", rules), ("netpol.toml", "[cluster]\npods = [\"10.42.0.0/16\"]\n")]);
    let asked =
        |to: &str| netpol(here.path(), &["eval", "a.netpol", "--from", "garden/{app=web}", "--to", to, "--layers"]);
    assert!(asked("10.41.0.9:443").out.starts_with("allowed"), "{}", asked("10.41.0.9:443").out);
    let inside = asked("10.42.0.9:443");
    assert_eq!(inside.code, 2);
    assert!(inside.err.contains("`[cluster] pods`"), "{}", inside.err);
}
