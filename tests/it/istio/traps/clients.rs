//! Whom a gateway knows, and who is taken for a gateway.

use netpol::model::rules::Direction;
use netpol::settings::Layer;
use netpol::targets::Level;

use super::super::build::{build, build_with};
use crate::common::build::{Build, written};

const IN: Direction = Direction::Ingress;
const EDGE: &str = "gateway edge { pods edges/{app=envoy} account edges/@envoy service edges/envoy port 443 -> 8443/https port 80 -> 8080/http }\n";
const VIA: &str = "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at \"a.example\"";

/// Returns manifests with `garden/web`, `edges/envoy` and another Deployment of `edges`.
fn manifests(other: &str, account: &str) -> String {
    let namespace = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}, labels: {{ istio-injection: enabled }} }}\n---\n"
        )
    };
    let deployment = |namespace: &str, app: &str, account: &str| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {app}, namespace: {namespace} }}
spec:
  selector: {{ matchLabels: {{ app: {app} }} }}
  template: {{ metadata: {{ labels: {{ app: {app} }} }}, spec: {{ serviceAccountName: {account}, containers: [{{ name: app, image: app }}] }} }}
---
"
        )
    };
    let own = deployment("garden", "web", "web") + &deployment("edges", "envoy", "envoy");
    namespace("garden") + &namespace("edges") + &own + &deployment("edges", other, account)
}

#[test]
fn a_pod_with_the_account_of_a_gateway_is_taken_for_it() {
    let (alone, shared) = (manifests("other", "other"), manifests("other", "envoy"));
    for (rule, level) in [
        (VIA, Level::Wider),
        ("allow ingress edge -> garden/{app=web}:8080", Level::Wider),
        ("deny ingress edge -> garden/{app=web}:8080", Level::Unable),
    ] {
        let judged = |manifests: &str| build_with(&format!("{EDGE}{rule}"), Some(manifests), |_| ()).judged(0, IN);
        assert_eq!(judged(&alone).0, Level::Exact, "{rule}");
        let (found, words) = judged(&shared);
        assert_eq!(found, level, "{rule}");
        assert!(words.contains("other pods run as edges/@envoy too"), "{words}");
    }
    let declared = "workload edges/other { labels {app=other} account envoy }\n";
    assert_eq!(build(&format!("{EDGE}{declared}{VIA}")).judged(0, IN).0, Level::Wider);
    // Each layer lets the other's pods through by one of the rules.
    let beside = "allow ingress edges/@envoy -> garden/{app=web}:8080/http where path \"/healthz\"";
    let crossed = Build::text_for_both(&format!("{EDGE}{VIA}\n{beside}"), Some(&shared));
    assert!(crossed.codes().contains(&"E0711"), "{:?}", crossed.codes());
    // A deny of the gateway refuses no other pod, and a layer that knows labels holds it.
    let others = "allow ingress edges/* -> garden/{app=web}:8080\ndeny ingress edge -> garden/{app=web}:8080";
    let held = Build::text_for_both(&format!("{EDGE}{others}"), Some(&shared)).ok();
    assert!(!held.text_of(Layer::Istio).contains("action: DENY"), "{}", held.text());
}

#[test]
fn gateways_with_one_account_are_taken_for_each_other() {
    let two = |pods: &str, account: &str| {
        let two = format!(
            "gateway two {{ pods {pods} account edges/@{account} service edges/two port 443 -> 8443/https }}\n"
        );
        build(&format!("{EDGE}{two}{VIA}")).judged(0, IN).0
    };
    assert_eq!(two("edges/{app=two}", "two"), Level::Exact);
    assert_eq!(two("edges/{app=envoy}", "envoy"), Level::Exact, "two blocks for the same pods");
    assert_eq!(two("edges/{app=two}", "envoy"), Level::Wider);
    let part = "allow ingress edges/{app=envoy, tier=outer} -> garden/{app=web}:8080";
    assert_eq!(
        build(&format!("{EDGE}{part}")).judged(0, IN).0,
        Level::Wider,
        "the gateway's other pods have its account"
    );
}

#[test]
fn proxies_hide_the_clients_that_a_deny_names_from_networkpolicy() {
    let judged = |proxies: &str, rules: &str| {
        let source = format!("{}{rules}", EDGE.replace("port 443", &format!("{proxies} port 443")));
        let build = Build::text_for(&[Layer::NetworkPolicy], &source, None, |_| ());
        let last = build.judgements_of(Layer::NetworkPolicy).last().map(|one| (one.level, one.reason.to_string()));
        last.unwrap()
    };
    for proxies in ["proxies 1", "proxies 1 from 192.0.2.0/24"] {
        for deny in [
            "deny ingress 203.0.113.128/25 -> edge",
            "deny ingress 203.0.113.128/25 -> edges/*",
            "allow ingress 203.0.113.0/24 -> edge\ndeny ingress 203.0.113.128/25 -> edge",
        ] {
            let (level, words) = judged(proxies, deny);
            assert!(level > Level::Bypassable && words.contains("from the proxies"), "{deny}: {level:?} {words}");
            assert_eq!(judged("", deny).0, Level::Exact, "{deny}");
        }
        for exact in [
            "deny ingress outside -> edge",
            "allow ingress { shop/*, lab/* } -> edge\ndeny ingress shop/* -> edge",
            "deny ingress 203.0.113.0/24 -> garden/*",
        ] {
            assert_eq!(judged(proxies, exact).0, Level::Exact, "{exact}");
        }
    }
}

#[test]
fn who_comes_past_unknown_proxies_goes_round_an_allow() {
    let built = |proxies: &str, rule: &str| {
        let head = EDGE.replace("port 443", &format!("{proxies} port 443"));
        Build::text_for_both(&format!("{head}{rule}"), None).ok()
    };
    let rules =
        ["allow ingress 203.0.113.0/24 -> edge", VIA, "allow ingress 203.0.113.0/24 -> edge where host \"a.example\""];
    for rule in rules {
        let past = built("proxies 1", rule);
        let told = past.diagnostics.iter().find(|found| found.code.as_str() == "N0701").expect(rule);
        assert!(told.message.contains("past the proxies of `edge`"), "{}", told.message);
        let rendered = format!("{told:?}");
        assert!(rendered.contains("proxies 1 from ADDRESSES"), "{rendered}");
        for known in ["", "proxies 1 from 192.0.2.0/24"] {
            assert!(!built(known, rule).codes().contains(&"N0701"), "{rule}");
        }
    }
    // Whoever he says that he is, he may come.
    assert!(!built("proxies 1", "allow ingress anywhere -> edge").codes().contains(&"N0701"));
}

#[test]
fn clients_whose_addresses_pods_may_have_are_told_from_no_pod() {
    let judged = |clients: &str, pods: &[&str]| {
        let rule = VIA.replace("203.0.113.0/24", clients);
        let pods = pods.iter().map(|pods| written(pods)).collect();
        build_with(&format!("{EDGE}{rule}"), None, |settings| settings.pods = pods).judged(0, IN)
    };
    let (level, words) = judged("10.0.0.0/8", &[]);
    assert!(level == Level::Bypassable && words.contains("pods may have some of these addresses"), "{level:?} {words}");
    assert_eq!(judged("10.0.0.0/8", &["10.42.0.0/16"]).0, Level::Exact);
    assert_eq!(judged("203.0.113.0/24", &[]).0, Level::Exact);
}

#[test]
fn who_comes_past_unknown_proxies_says_that_he_is_another() {
    let judged = |proxies: &str, clients: &str| {
        let head = EDGE.replace("port 443", &format!("{proxies} port 443"));
        let pods = vec![written("10.64.0.0/12")];
        let deny = format!("{head}deny ingress {clients} -> edge");
        build_with(&deny, None, |settings| settings.pods = pods).judged(0, IN).0
    };
    assert_eq!(judged("proxies 1", "203.0.113.0/24"), Level::Wider);
    assert_eq!(judged("proxies 1 from 192.0.2.0/24", "203.0.113.0/24"), Level::Exact);
    assert_eq!(judged("", "203.0.113.0/24"), Level::Exact);
    assert_eq!(judged("proxies 1", "outside"), Level::Exact);
}

/// What carries no request has the address of the last proxy.
#[test]
fn behind_proxies_only_requests_name_a_client() {
    let judged = |proxies: &str, rule: &str| {
        let ports = "port 443 -> 8443/https port 9443 -> 9443/tls port 5672/tcp";
        let head = format!(
            "gateway edge {{ pods edges/{{app=envoy}} account edges/@envoy service edges/envoy {ports} {proxies} }}\n"
        );
        build(&format!("{head}{rule}")).judged(0, IN).0
    };
    let known = "proxies 1 from 192.0.2.0/24";
    for rule in [
        "allow ingress 203.0.113.0/24 -> edges/{app=envoy}:9443",
        "deny ingress 203.0.113.0/24 -> edges/{app=envoy}:9443",
        "deny ingress 203.0.113.0/24 -> edges/{app=envoy}:5672",
        "allow ingress 203.0.113.0/24 -> edge",
        "deny ingress 203.0.113.0/24 -> edges/{app=envoy}",
        "allow ingress 203.0.113.0/24 -> garden/{app=web}:9443/tls via edge at \"a.example\"",
        "allow ingress 203.0.113.0/24 -> garden/{app=web}:5672 via edge",
    ] {
        assert_eq!(judged(known, rule), Level::Unable, "{rule}");
        assert_eq!(judged("", rule), Level::Exact, "{rule}");
    }
    for rule in [
        "allow ingress 203.0.113.0/24 -> edges/{app=envoy}:8443",
        "deny ingress 203.0.113.0/24 -> edges/{app=envoy}:8443",
        "allow ingress anywhere -> edges/{app=envoy}:9443",
        VIA,
    ] {
        assert_eq!(judged(known, rule), Level::Exact, "{rule}");
    }
}

#[test]
fn pods_have_no_identity_at_a_gateway() {
    let narrower = |rule: &str| {
        let build = build(&format!("{EDGE}{rule}")).ok();
        let words: Vec<String> =
            build.judgements()[0].remarks().narrower.iter().map(|one| one.words.to_string()).collect();
        (words.join("; "), build.codes().contains(&"N0706"))
    };
    let (words, said) = narrower("allow ingress shop/* -> edge");
    assert!(said && words.contains("at edge clients have no identity"), "{words}");
    let (words, said) = narrower("allow ingress shop/* -> edges/*");
    assert!(!said && words.contains("at edge clients have no identity"), "{words}");
    for others in
        ["allow ingress shop/* -> garden/*", "allow ingress anywhere -> edge", "allow ingress 203.0.113.0/24 -> edge"]
    {
        assert!(!narrower(others).0.contains("no identity"), "{others}");
    }
}

#[test]
fn addresses_that_pods_may_have_are_theirs_at_a_gateway_too() {
    let judged = |rule: &str, pods: &[&str]| {
        let pods = pods.iter().map(|net| written(net)).collect();
        build_with(&format!("{EDGE}{rule}"), None, |settings| settings.pods = pods).judged(0, IN).0
    };
    for clients in ["outside", "10.0.0.0/8"] {
        let rule = format!("allow ingress {clients} -> edge");
        assert_eq!(judged(&rule, &[]), Level::Wider, "{clients}");
        assert_eq!(judged(&rule, &["10.64.0.0/12"]), Level::Exact, "{clients}");
    }
    assert_eq!(judged("deny ingress 10.0.0.0/8 -> edge", &[]), Level::Unable);
    assert_eq!(judged("allow ingress internet -> edge", &[]), Level::Exact);
}

/// The workload judges clients where two rules could lend each other a half, and pods are none of them.
#[test]
fn a_pod_is_no_client_of_a_range_around_those_of_pods() {
    let other = "allow ingress 203.0.113.0/24 -> garden/{app=api}:8080/http via edge at \"a.example\"";
    let around = VIA.replace("203.0.113.0/24", "10.0.0.0/8");
    let layers = [Layer::NetworkPolicy, Layer::Istio];
    let source = format!("{EDGE}{around}\n{other}");
    let build = Build::text_for(&layers, &source, None, |settings| settings.pods = vec![written("10.64.0.0/12")]).ok();
    assert_eq!(build.judged(0, IN).0, Level::Exact);
    let policy = build.spec("AuthorizationPolicy", "garden", "app-web-ingress").to_string();
    assert!(policy.contains(r#""notRemoteIpBlocks":["10.64.0.0/12"]"#), "{policy}");
}
