//! Tests of `explain`.

use serde_json::Value;

use super::{folder, netpol};

const POLICY: &str = "let homes = { 203.0.113.0/24 except 203.0.113.7, 2001:db8::1 }
allow egress garden/{app=web, tier in (a, b), !canary} -> garden/{app=api}:8080/http
allow egress garden/@robot -> { homes }:{443, 8000-8999/udp}
";

#[test]
fn grants_are_listed_with_the_rules_that_they_serve() {
    let here = folder(&[("a.netpol", &POLICY.replace("2001:db8::1", "[2001:db8::1]"))]);
    let run = netpol(here.path(), &["explain", "--target", "networkpolicy"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    insta::assert_snapshot!(run.out, @r"
    added by the compiler; a grant isolates nobody, and every deny beats it
      egress   garden/{app=web, !canary, tier in (a, b)} -> kube-system/{k8s-app=kube-dns}:{53/udp, 53}
               names must resolve: a.netpol:2
    ");
    let run = netpol(here.path(), &["explain", "--target", "networkpolicy", "--format", "markdown"]);
    assert_eq!(run.out.lines().count(), 3, "{}", run.out);
    let run = netpol(here.path(), &["explain", "--target", "networkpolicy", "--format", "json"]);
    let json: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["grants"][0]["reason"], "names must resolve");
    assert_eq!(json["grants"][0]["because"][0]["line"], 2);

    let here = folder(&[("a.netpol", "default deny garden/*\n")]);
    let run = netpol(here.path(), &["explain", "--target", "networkpolicy"]);
    assert_eq!(run.out, "the compiler adds nothing to these rules\n");
}

#[test]
fn a_grant_says_whose_its_rules_are_and_why() {
    let policy = "@owner(\"payments\") @reason(\"PAY-123\")
allow egress garden/* -> zenquotes.io:443
@owner(\"web\") allow egress garden/* -> example.com:443
allow egress garden/* -> example.org:443
";
    let here = folder(&[("a.netpol", policy)]);
    let explain = ["explain", "--target", "networkpolicy", "a.netpol"];
    let run = netpol(here.path(), &explain);
    for line in ["a.netpol:2   (owner: payments, reason: PAY-123)", "a.netpol:3   (owner: web)", "a.netpol:4"] {
        assert!(run.out.contains(&format!("names must resolve: {line}\n")), "{}{}", run.out, run.err);
    }
    let run = netpol(here.path(), &[&explain[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&run.out).unwrap();
    let because = |grant: usize| &json["grants"][grant]["because"][0];
    assert_eq!((&because(0)["owner"], &because(0)["reason"]), (&"payments".into(), &"PAY-123".into()));
    assert_eq!((&because(1)["owner"], because(2).get("owner")), (&"web".into(), None));
    let run = netpol(here.path(), &[&explain[..], &["--format", "markdown"]].concat());
    assert!(run.out.contains("(owner: payments, reason: PAY-123) |"), "{}", run.out);
}

#[test]
fn enforcement_is_a_table_also_of_what_cannot_be_built() {
    let here = folder(&[("a.netpol", "allow ingress web/* -> api/{app=api}:8080/http where method GET\n")]);
    let run = netpol(here.path(), &["explain", "--enforcement", "--target", "networkpolicy"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("E0711") && !run.out.contains("E0711"), "{}", run.err);
    assert!(run.out.starts_with("a.netpol:1  allow ingress") && run.out.contains("unable: HTTP"), "{}", run.out);
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    let arguments = ["explain", "--enforcement", "--target", "networkpolicy", "--format", "json"];
    let json: Value = serde_json::from_str(&netpol(here.path(), &arguments).out).unwrap();
    assert_eq!(json["layers"][0], "networkpolicy");
    assert_eq!(json["rules"][0]["line"], 1);
    let arguments = ["explain", "--enforcement", "--target", "networkpolicy", "--format", "markdown"];
    assert!(netpol(here.path(), &arguments).out.starts_with("| rule | networkpolicy | together |\n"));
}

#[test]
fn a_policy_that_cannot_be_read_is_not_explained() {
    let here = folder(&[("a.netpol", "allow garden/* -> zenquotes.io:443\n")]);
    for arguments in [&["explain"][..], &["explain", "--enforcement"]] {
        let run = netpol(here.path(), arguments);
        assert_eq!((run.code, run.out.as_str()), (1, ""));
    }
}

/// A host with an address of its own is found by its name where the port shows one.
#[test]
fn a_host_that_is_found_by_its_name_alone_is_told() {
    let policy = "let m = host m.example.com at 198.51.100.10
allow egress garden/* -> m:443
allow egress shop/* -> m:5432
allow egress lab/* -> { m:443, 198.51.100.0/24:443 }
allow egress jobs/* -> n.example.com:443
";
    let here = folder(&[("a.netpol", policy)]);
    let run = netpol(here.path(), &["explain", "--enforcement", "--target", "networkpolicy,istio", "a.netpol"]);
    let words = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = words.split("a.netpol:3").next().unwrap();
    let told = "(narrower: on `tls` a sidecar finds `m.example.com` by its name, not by its address)";
    assert!(first.contains(told) && words.matches("(narrower: ").count() == 1, "{}", run.out);
    // Nothing is wider than a terminal, and a short table stays one.
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    let short = folder(&[("a.netpol", "default deny garden/*\n")]);
    let run = netpol(short.path(), &["explain", "--enforcement", "--target", "networkpolicy", "a.netpol"]);
    assert!(run.out.starts_with("rule") && run.out.lines().count() == 2, "{}", run.out);
    let arguments = ["explain", "--enforcement", "--target", "istio", "--format", "json", "a.netpol"];
    let json: Value = serde_json::from_str(&netpol(here.path(), &arguments).out).unwrap();
    let narrower = |rule: usize| &json["rules"][rule]["ends"][0]["layers"]["istio"]["narrower"];
    assert!(narrower(0).as_str().is_some_and(|words| words.contains("by its name")), "{json}");
    assert!(narrower(1).is_null(), "{json}");
}

/// What a layer says instead of a rule is a rule: a build of it by itself is exact, and it stands in the objects.
#[test]
fn a_layer_tells_the_sentence_that_it_says_instead() {
    for (rule, instead) in [
        ("allow egress garden/* -> zenquotes.io:443", &["allow egress garden/* -> internet:443"][..]),
        (
            "allow ingress { lab/@curl, shop/* } -> garden/{app=web}:8080/http where method GET",
            &["allow ingress { lab/*, shop/* } -> garden/{app=web}:8080"],
        ),
        (
            "allow egress { garden/*, shop/{app=web} } -> { api.example.com, lab/* }:{443, 8443}",
            &["allow egress { garden/*, shop/{app=web} } -> { internet:{443, 8443}, lab/*:{443, 8443} }"],
        ),
        ("default deny ingress */*", &["nothing"]),
        ("deny ingress lab/* -> garden/{app=web}:8080/http where method PUT", &["nothing"]),
        ("allow egress garden/* -> 203.0.113.0/24:443", &[]),
    ] {
        let here = folder(&[("a.netpol", &format!("{rule}\n"))]);
        let arguments = ["explain", "--enforcement", "--target", "networkpolicy", "--format"];
        let json: Value =
            serde_json::from_str(&netpol(here.path(), &[&arguments[..], &["json"]].concat()).out).unwrap();
        let said = &json["rules"][0]["ends"][0]["layers"]["networkpolicy"]["instead"];
        assert_eq!(*said, Value::from(instead), "{rule}");
        let text = netpol(here.path(), &[&arguments[..], &["text"]].concat()).out;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(text.contains("it says instead: "), !instead.is_empty(), "{text}");
        let Some(sentence) = instead.first().filter(|sentence| sentence.starts_with("allow")) else { continue };
        let alone = format!("use std/net\n{sentence}\n");
        std::fs::write(here.path().join("a.netpol"), alone).unwrap();
        let json: Value =
            serde_json::from_str(&netpol(here.path(), &[&arguments[..], &["json"]].concat()).out).unwrap();
        assert_eq!(json["rules"][0]["ends"][0]["layers"]["networkpolicy"]["level"], "exact", "{sentence}");
    }
}

/// Where no sentence tells what a layer lets through, a flow does: one that the rule forbids.
#[test]
fn a_layer_tells_a_flow_where_no_sentence_can() {
    for (policy, layer, flow) in [
        ("allow egress garden/* -> lab/*:443\n", "istio", "garden/* -> lab/*, tcp 80"),
        (
            "deny ingress lab/* -> garden/{app=web}:8080/http where path \"/x/**\"\n",
            "istio",
            "lab/* -> garden/{app=web}, tcp 8080, ",
        ),
        // The gateway asks for no method, on the way out.
        (
            "use std/istio\n@approximate(\"x\") allow egress garden/* -> a.example:80/http via egress-gateway where method GET\n",
            "istio",
            "garden/* -> istio-system/{istio=egressgateway}, tcp 8443, ",
        ),
    ] {
        let here = folder(&[("a.netpol", policy)]);
        let run = netpol(here.path(), &["explain", "--enforcement", "--target", layer, "--format", "json"]);
        let json: Value = serde_json::from_str(&run.out).unwrap();
        let passes = &json["rules"][0]["ends"][0]["layers"][layer]["passes"];
        assert!(passes.as_str().is_some_and(|passes| passes.starts_with(flow)), "{policy}{passes}");
        let run = netpol(here.path(), &["explain", "--enforcement", "--target", layer]);
        assert!(run.out.contains("; it lets"), "{}", run.out);
    }
}
