//! Tests of `build --target wasm` and `eval --module`.

use super::{folder, netpol, netpol_with};

const POLICY: &str = "allow egress garden/* -> zenquotes.io:443\n\
    @owner(\"shop\")\ndeny egress garden/{app=old} -> zenquotes.io:443\n";
const BUILD: &[&str] = &["build", "--target", "wasm", "a.netpol", "-o", "out"];

#[test]
fn a_module_answers_as_the_source_does() {
    let here = folder(&[("a.netpol", POLICY)]);
    let run = netpol(here.path(), BUILD);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    assert!(run.err.contains("out/policy.wasm") && run.err.contains("out/policy.rules.json"), "{}", run.err);
    let rules = std::fs::read_to_string(here.path().join("out/policy.rules.json")).unwrap();
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    assert_eq!(rules["rules"][1]["rule"], "deny egress garden/{app=old} -> zenquotes.io:443");
    assert_eq!((&rules["rules"][1]["line"], &rules["rules"][1]["owner"]), (&3.into(), &"shop".into()));
    assert_eq!((&rules["grants"][0]["reason"], &rules["grants"][0]["because"]), (&"dns".into(), &0.into()));
    for (from, to, code, says) in [
        ("garden/{app=web}", "zenquotes.io:443", 0, "egress   allowed by a.netpol:1   allow egress garden/*"),
        ("garden/{app=web}", "zenquotes.io:80", 1, "egress   denied: no rule allows this, and garden/"),
        ("garden/{app=old}", "zenquotes.io:443", 1, "egress   denied by a.netpol:3   deny egress"),
        (
            "garden/{app=web}",
            "kube-system/{k8s-app=kube-dns}:53/udp",
            0,
            "egress   allowed by a grant (dns) a.netpol:1",
        ),
        ("shop/web", "zenquotes.io:443", 0, "egress   allowed: no rule isolates shop/web"),
    ] {
        let ask = ["--from", from, "--to", to];
        let run = netpol(here.path(), &[&["eval", "--module", "out/policy.wasm"], &ask[..]].concat());
        assert!(run.code == code && run.out.contains(says), "{from} -> {to}: {} {}{}", run.code, run.out, run.err);
        let source = netpol(here.path(), &[&["eval", "a.netpol"], &ask[..]].concat());
        assert_eq!(source.code, code, "the source says the same of {from} -> {to}");
    }
    let flows = "{\"from\":\"garden/{app=old}\",\"to\":\"zenquotes.io:443\"}\n{\"from\":1}\n";
    let run = netpol_with(here.path(), &["eval", "--module", "out/policy.wasm", "--flows", "-"], flows.as_bytes());
    let lines: Vec<serde_json::Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["verdict"], &lines[0]["reasons"][0]["line"]), (&"deny".into(), &3.into()));
    assert_eq!((&lines[1]["verdict"], run.code), (&"error".into(), 1));
}

/// Who asks a module does not know where its hosts are, nor which pods of a workload its rules tell apart.
#[test]
fn a_module_knows_its_hosts_and_tells_pods_apart() {
    let policy = "let db = host db.example.com at 198.51.100.50\ndefault deny egress garden/*\n\
        allow egress garden/{tier=front} -> 198.51.100.0/24:443\nallow egress garden/* -> db:5432\n";
    let pod = |name: &str, tier: &str| {
        let labels = format!("{{ app: web, tier: {tier} }}");
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, namespace: garden, labels: {labels} }}\n---\n")
    };
    let pods = [pod("a", "front"), pod("b", "back")].concat();
    let here = folder(&[("a.netpol", policy), ("pods.yaml", &pods)]);
    let run = netpol(here.path(), BUILD);
    assert_eq!(run.code, 0, "{}", run.err);
    for (from, to) in [("garden/{tier=front}", "db.example.com:443"), ("garden/{app=web}", "db.example.com:443")] {
        let ask = ["--from", from, "--to", to, "--inventory", "pods.yaml"];
        let source = netpol(here.path(), &[&["eval", "a.netpol"], &ask[..]].concat());
        let module = netpol(here.path(), &[&["eval", "--module", "out/policy.wasm"], &ask[..]].concat());
        let words = |text: &str| text.split_whitespace().filter(|word| ["allowed", "denied"].contains(word)).count();
        assert_eq!((source.code, words(&source.out) > 0), (module.code, words(&module.out) > 0), "{from} -> {to}");
    }
}

/// The source leads a client's question about a public host through the gateway; to a module it would be a host
/// outside, about which no policy says anything.
#[test]
fn a_public_host_is_refused_where_the_source_would_lead_through_the_gateway() {
    let policy = "gateway edge {\n  pods edges/{app=envoy}\n  account edges/@envoy\n  service edges/envoy\n  port 443 -> 8443/https\n}\n\
        allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"garden.example.com\"\n";
    let here = folder(&[("a.netpol", policy)]);
    let run = netpol(here.path(), BUILD);
    assert_eq!(run.code, 0, "{}", run.err);
    let ask = |from: &str, to: &str, more: &[&str]| {
        let ask = [&["--from", from, "--to", to][..], more].concat();
        let source = netpol(here.path(), &[&["eval", "a.netpol"], &ask[..]].concat());
        (source, netpol(here.path(), &[&["eval", "--module", "out/policy.wasm"], &ask[..]].concat()))
    };
    for (from, code) in [("203.0.113.7", 0), ("198.51.100.7", 1)] {
        let (source, module) = ask(from, "garden.example.com:443", &[]);
        assert_eq!((source.code, module.code), (code, 2), "{}{}", source.err, module.out);
        assert!(module.err.contains("publishes hosts at a gateway (a.netpol:7)"), "{}", module.err);
        let (source, module) = ask(from, "edges/{app=envoy}:8443", &["--host", "garden.example.com"]);
        assert_eq!((source.code, module.code), (code, code), "{}{}{}", source.out, module.out, module.err);
        let way_on = ["--host", "garden.example.com", "--client", from];
        let (source, module) = ask("edges/{app=envoy}", "garden/{app=web}:8080", &way_on);
        assert_eq!((source.code, module.code), (code, code), "{}{}{}", source.out, module.out, module.err);
    }
    let (source, module) = ask("203.0.113.7", "other.example.com:443", &[]);
    assert_eq!((source.code, module.code), (2, 2), "{}{}", source.out, module.out);
    let lines = "{\"from\":\"203.0.113.7\",\"to\":\"garden.example.com:443\"}\n";
    let run = netpol_with(here.path(), &["replay", "-", "--module", "out/policy.wasm"], lines.as_bytes());
    assert!(run.code != 0 && format!("{}{}", run.out, run.err).contains("publishes hosts"), "{}{}", run.out, run.err);
}

#[test]
fn audit_only_tells_and_check_compares() {
    let here = folder(&[("a.netpol", POLICY)]);
    assert_eq!(netpol(here.path(), &[BUILD, &["--check"]].concat()).code, 1);
    assert_eq!(netpol(here.path(), BUILD).code, 0);
    let run = netpol(here.path(), &[BUILD, &["--check"]].concat());
    assert!(run.code == 0 && run.err.contains("up to date"), "{}", run.err);
    assert_eq!(netpol(here.path(), &[BUILD, &["--check", "--audit"]].concat()).code, 1, "another module");
    assert_eq!(netpol(here.path(), &[BUILD, &["--audit"]].concat()).code, 0);
    let ask = ["eval", "--module", "out/policy.wasm", "--from", "garden/web", "--to", "evil.example:443"];
    let run = netpol(here.path(), &ask);
    assert!(run.code == 1 && run.out.starts_with("told "), "{}", run.out);
}

#[test]
fn wrong_usage_is_told() {
    let here = folder(&[("a.netpol", POLICY), ("b.netpol", "allow egress\n"), ("c.wasm", "apiVersion: v1\n")]);
    let netpol = |arguments: &[&str]| netpol(here.path(), arguments);
    for (arguments, says) in [
        (&["build", "--target", "wasm", "a.netpol"][..], "a module has files beside it, which need a folder"),
        (&["build", "--target", "wasm,istio", "a.netpol", "-o", "out"], "`wasm` is no layer"),
        (&["build", "--target", "wasm", "a.netpol", "-o", "out", "--diff"], "a module is no YAML"),
        (&["build", "--audit", "a.netpol", "-o", "out"], "`--abi` and `--audit` are for the evaluator module"),
        (&["build", "--abi", "opa", "a.netpol", "-o", "out"], "`--abi` and `--audit` are for the evaluator module"),
        (&["check", "--target", "wasm", "a.netpol"], "`build` makes the evaluator module"),
        (&["eval", "--module", "no.wasm", "--from", "a/b", "--to", "x.io:1"], "cannot read `no.wasm`"),
        (&["eval", "--module", "c.wasm", "--from", "a/b", "--to", "x.io:1"], "it is no WebAssembly module"),
        (&["eval", "--module", "c.wasm", "--from", "a/b", "--to", "x.io:1", "a.netpol"], "name no policy files"),
    ] {
        let run = netpol(arguments);
        assert!(run.code == 2 && run.err.contains(says), "{arguments:?}: {} {}", run.code, run.err);
    }
    let run = netpol(&["build", "--target", "wasm", "b.netpol", "-o", "out"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(!here.path().join("out").exists(), "a build with an error writes nothing");
}
