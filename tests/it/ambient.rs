//! Pods in ambient mode: what they send and take arrives on TCP 15008, where no NetworkPolicy sees its port.

use netpol::settings::Layer;

use crate::istio::build::{Build, build_with};
use crate::networkpolicy::build::written;

/// `press` is in ambient mode, `mill` has sidecars, `barn` is outside the mesh. `press/node` is on the
/// host network.
const CLUSTER: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: press, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Namespace
metadata: { name: mill, labels: { istio-injection: enabled } }
---
apiVersion: v1
kind: Namespace
metadata: { name: barn }
";

fn cluster() -> String {
    // Each has an account of its own, so that Istio tells it from the others of its namespace.
    let workload = |namespace: &str, name: &str, host_network: bool| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  \
             selector: {{ matchLabels: {{ app: {name} }} }}\n  template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    \
             spec: {{ serviceAccountName: {name}, hostNetwork: {host_network}, containers: [{{ name: c, image: i, ports: [{{ containerPort: 8080 }}] }}] }}\n"
        )
    };
    let all = [("press", "editor"), ("press", "printer"), ("mill", "paper"), ("mill", "saw"), ("barn", "cow")];
    let mut text = CLUSTER.to_owned();
    all.iter().for_each(|(namespace, name)| text.push_str(&workload(namespace, name, false)));
    text + &workload("press", "node", true)
}

const NETWORK: &[Layer] = &[Layer::NetworkPolicy];
const ISTIO: &[Layer] = &[Layer::Istio];
const BOTH: &[Layer] = &[Layer::NetworkPolicy, Layer::Istio];

/// Returns the errors, and the notes of what is refused, each with its place.
fn said(source: &str, layers: &[Layer]) -> Vec<String> {
    found(&build_with(source, Some(&cluster()), |settings| settings.targets = layers.to_vec()))
}

fn found(build: &Build) -> Vec<String> {
    let concerned = |code: &str| code.starts_with('E') || code == "N0706";
    let found = build.diagnostics.iter().filter(|finding| concerned(finding.code.as_str()));
    found
        .map(|finding| {
            let span = finding.primary.span;
            let text = &build.sources.file(span.file).text[span.start as usize..span.end as usize];
            format!("{} {text}", finding.code.as_str())
        })
        .collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_caller_in_ambient_mode_comes_through_the_tunnel() {
    let one = "allow ingress press/editor -> mill/paper:8080";
    assert_eq!(said(one, NETWORK), [format!("E0714 {one}")]);
    assert_eq!(said(one, BOTH), [format!("N0706 {one}"), format!("E0714 {one}")]);
    // Of several callers some come through; Istio refuses callers without a sidecar besides.
    for several in ["{ press/*, barn/* }", "*/*", "anywhere", "{ press/editor, 203.0.113.0/24 }"] {
        let rule = format!("allow ingress {several} -> mill/paper:8080");
        assert_eq!(said(&rule, NETWORK), [format!("N0706 {rule}")], "{several}");
    }
    // What is for all ports opens the tunnel, and pods outside the mesh know none.
    assert_eq!(said("allow ingress press/editor -> mill/paper", NETWORK), nothing());
    assert_eq!(said("allow ingress press/editor -> mill/paper:*/tcp", NETWORK), nothing());
    assert_eq!(said("allow ingress press/editor -> barn/cow:8080", NETWORK), nothing());
    assert_eq!(said("allow ingress barn/cow -> mill/paper:8080", NETWORK), nothing());
    assert_eq!(said("allow ingress mill/saw -> mill/paper:8080", NETWORK), nothing());
}

#[test]
fn an_open_tunnel_is_judged_by_sidecars() {
    let rule = "allow ingress press/editor -> mill/paper:8080";
    let errors = |source: &str, layers: &[Layer]| {
        said(source, layers).into_iter().filter(|text| text.starts_with('E')).collect::<Vec<_>>()
    };
    for opened in ["press/editor -> mill/paper:15008", "*/* -> mill/*:15008", "press/* -> mill/paper:15000-15010"] {
        assert_eq!(errors(&format!("{rule}\nallow ingress {opened}"), BOTH), nothing(), "{opened}");
        // Without sidecars as a layer it lets whoever is in it to every port.
        let alone = errors(&format!("{rule}\nallow ingress {opened}"), NETWORK);
        assert_eq!(alone, [format!("E0714 {rule}"), format!("E0714 allow ingress {opened}")]);
    }
    assert_eq!(errors(&format!("{rule}\nallow ingress press/* -> mill/*"), NETWORK), nothing());
    let library = format!("use std/istio\n{rule}\napply ambient(mill/paper)");
    assert_eq!(errors(&library, BOTH), ["E0714 allow ingress */* -> pods:15008"]);
    // Where pods are must be known for the address of probes.
    let known = build_with(&library, Some(&cluster()), |settings| {
        settings.targets = BOTH.to_vec();
        settings.pods = vec![written("10.244.0.0/16")];
    });
    assert!(found(&known).iter().all(|text| !text.starts_with('E')), "{:?}", found(&known));
    // Sidecars must also enforce every other rule that closes the pods.
    let beside = "allow ingress press/* -> mill/paper:15008\nallow ingress 10.0.0.0/8 -> mill/paper:9090";
    assert_eq!(errors(beside, BOTH), ["E0714 allow ingress press/* -> mill/paper:15008"]);
    // Opened for others it is closed for these.
    for other in ["press/printer -> mill/paper:15008", "press/editor -> mill/saw:15008"] {
        assert!(errors(&format!("{rule}\nallow ingress {other}"), BOTH).contains(&format!("E0714 {rule}")), "{other}");
    }
}

#[test]
fn a_deny_misses_what_is_in_the_tunnel() {
    let open = "allow ingress */* -> mill/paper";
    let deny = "deny ingress press/editor -> mill/paper:8080";
    assert_eq!(said(&format!("{open}\n{deny}"), NETWORK), [format!("E0714 {deny}")]);
    let some = "deny ingress { press/editor, barn/cow } -> mill/paper:8080";
    assert_eq!(said(&format!("{open}\n{some}"), NETWORK), [format!("E0714 {some}")]);
    // A sidecar knows who is in the tunnel, where nobody comes without an identity.
    let at_both = "deny press/editor -> mill/paper:8080";
    for held in [deny, at_both] {
        let found = said(&format!("{open}\n{held}"), BOTH);
        assert!(found.iter().all(|text| !text.starts_with('E')), "{found:?}");
    }
    let plain = "allow ingress anywhere -> mill/paper";
    assert!(said(&format!("{plain}\n{deny}"), BOTH).contains(&format!("E0714 {deny}")));
    // On all ports it closes the tunnel.
    assert_eq!(said(&format!("{open}\ndeny ingress press/editor -> mill/paper"), NETWORK), nothing());
    let out = "allow egress mill/* -> */*\ndeny egress mill/saw -> { press/editor, barn/cow }:8080";
    assert_eq!(said(out, NETWORK).len(), 1, "{:?}", said(out, NETWORK));
}

#[test]
fn what_goes_to_pods_in_ambient_mode_leaves_through_the_tunnel() {
    let one = "allow egress mill/saw -> press/editor:8080";
    assert_eq!(said(one, NETWORK), [format!("E0714 {one}")]);
    let several = "allow egress mill/saw -> { press/editor, barn/cow }:8080";
    assert_eq!(said(several, NETWORK), [format!("N0706 {several}")]);
    assert_eq!(said(&format!("{several}\nallow egress mill/saw -> press/*:15008"), BOTH), nothing());
    assert_eq!(said("allow egress barn/cow -> { press/editor, mill/saw }:8080", NETWORK), nothing());
}

#[test]
fn subjects_in_ambient_mode_are_closed_and_not_held_on_single_ports() {
    for closed in ["default deny press/*", "default deny ingress press/editor", "default deny egress press/*"] {
        assert_eq!(said(closed, NETWORK), nothing(), "{closed}");
        assert_eq!(said(closed, BOTH), nothing(), "{closed}");
        // No sidecar is there, so that no object of Istio closes them.
        assert_eq!(said(closed, ISTIO), [format!("E0711 {closed}")], "{closed}");
    }
    for rule in [
        "allow egress press/editor -> mill/paper:8080",
        "allow press/editor -> mill/paper:8080",
        "deny egress press/editor -> mill/paper:8080",
        "allow ingress mill/saw -> press/printer:8080",
    ] {
        for layers in [NETWORK, BOTH] {
            assert!(said(rule, layers).contains(&format!("E0714 {rule}")), "{rule}: {:?}", said(rule, layers));
        }
    }
}

#[test]
fn nobody_looks_into_requests_for_pods_in_ambient_mode() {
    for rule in [
        "allow ingress mill/saw -> press/editor:8080/http where method GET",
        "allow ingress press/printer -> press/editor:8080/http where path \"/a/**\"",
        "deny ingress */* -> press/editor:8080/http where method DELETE",
    ] {
        let mut found = said(rule, BOTH);
        found.retain(|text| text.starts_with('E'));
        assert_eq!(found, [format!("E0711 {rule}"), format!("E0714 {rule}")]);
    }
}

#[test]
fn what_leaves_the_mesh_or_comes_from_outside_has_its_own_port() {
    for rule in [
        "allow egress press/* -> 203.0.113.0/24:443",
        "allow egress press/* -> barn/cow:8080",
        "allow egress press/* -> mill/paper:53/udp",
        "allow ingress 203.0.113.0/24 -> press/editor:8080",
        "allow ingress barn/* -> press/editor:8080",
        "deny egress press/* -> 203.0.113.0/24:443",
    ] {
        assert_eq!(said(rule, NETWORK), nothing(), "{rule}");
    }
    for rule in [
        "allow egress press/* -> { 203.0.113.0/24, mill/paper }:443",
        "allow ingress anywhere -> press/editor:8080",
        "allow ingress { barn/*, mill/* } -> press/editor:8080",
    ] {
        assert_eq!(said(rule, NETWORK), [format!("E0714 {rule}")], "{rule}");
    }
}

#[test]
fn namespaces_decide_where_no_workload_is_known() {
    let empty =
        "apiVersion: v1\nkind: Namespace\nmetadata: { name: inn, labels: { istio.io/dataplane-mode: ambient } }\n";
    let shown = |source: &str, layers: &[Layer]| {
        let manifests = format!("{}---\n{empty}", cluster());
        found(&build_with(source, Some(&manifests), |settings| settings.targets = layers.to_vec()))
    };
    let out = "allow egress inn/* -> zenquotes.io:443";
    assert_eq!(shown(out, BOTH), [format!("E0711 {out}")]);
    let of_mode = "allow egress {istio.io/dataplane-mode=ambient}/* -> zenquotes.io:443";
    assert_eq!(shown(of_mode, BOTH), [format!("E0711 {of_mode}")]);
    let one = "allow ingress press/editor -> inn/{app=desk}:8080";
    assert_eq!(shown(one, NETWORK), [format!("E0714 {one}")]);
    assert_eq!(shown("allow ingress inn/* -> barn/cow:8080", NETWORK), nothing());
    // A pod that asks for a sidecar has one.
    let asks = "allow egress inn/{sidecar.istio.io/inject=\"true\"} -> zenquotes.io:443";
    assert_eq!(shown(asks, BOTH), nothing());
    // Without an inventory a declaration says it.
    let declared = "namespace inn { labels { istio.io/dataplane-mode = ambient } }";
    let alone = build_with(&format!("{declared}\n{out}"), None, |settings| settings.targets = BOTH.to_vec());
    assert_eq!(found(&alone), [format!("E0711 {out}")]);
}

#[test]
fn an_accepted_rule_says_what_is_accepted() {
    let rule = "allow ingress press/editor -> press/printer:8080";
    let accepted = format!("@approximate(\"ztunnel\")\n{rule}");
    let build = |source: &str| build_with(source, Some(&cluster()), |settings| settings.targets = NETWORK.to_vec());
    let closed = build(&accepted);
    assert!(!closed.codes().contains(&"W0721") && !closed.codes().contains(&"E0714"), "{:?}", closed.codes());
    assert!(
        closed.said("N0706").contains("TCP 15008, which stays closed: `press/printer`"),
        "{}",
        closed.said("N0706")
    );
    let open = build(&format!("{accepted}\nallow ingress */* -> press/*"));
    assert_eq!(open.said("N0706"), "");
    // An accepted deny is a gap on which claims may rest.
    let deny =
        "allow ingress */* -> press/*\n@approximate(\"ztunnel\")\ndeny ingress press/editor -> press/printer:8080\n";
    let claim = build(&format!("{deny}assert never press/editor -> press/printer:8080"));
    assert!(!claim.codes().contains(&"W0721"), "{:?}", claim.codes());
    // Where nothing is in the tunnel there is nothing to accept.
    let idle = build("@approximate(\"no\")\nallow egress press/* -> 203.0.113.0/24:443");
    assert!(idle.codes().contains(&"W0721"), "{:?}", idle.codes());
}

#[test]
fn the_tunnel_of_ambient_pods_can_be_opened_and_a_warning_says_what_it_carries() {
    let library = "use std/istio\napply ambient(press/*)";
    let build = |exact: bool, source: &str| {
        build_with(source, Some(&cluster()), |settings| {
            settings.targets = NETWORK.to_vec();
            settings.pods = vec![written("10.244.0.0/16")];
            settings.require_exact = exact;
        })
    };
    let opened = build(false, library);
    assert_eq!(found(&opened), nothing());
    assert!(opened.said("W0725").contains("`press/editor`, `press/printer`"), "{}", opened.said("W0725"));
    assert!(opened.text().contains("169.254.7.127") && opened.text().contains("15008"), "{}", opened.text());
    assert_eq!(found(&build(true, library)), ["E0714 allow ingress */* -> pods:15008"]);
    // Another port beside it is a rule for single ports.
    let beside = "allow ingress */* -> press/*:{8080, 15008}";
    assert_eq!(found(&build(false, beside)), [format!("E0714 {beside}")]);
}

#[test]
fn probes_of_ambient_pods_need_a_rule() {
    let build = |source: &str| {
        build_with(source, Some(&cluster()), |settings| {
            settings.targets = NETWORK.to_vec();
            settings.pods = vec![written("10.244.0.0/16")];
        })
    };
    assert!(build("default deny ingress press/*").said("N0709").contains("`press/editor`, `press/printer`"));
    let one = "use std/istio\ndefault deny ingress press/*\nallow ingress ambient-probes -> press/editor";
    assert!(build(one).said("N0709").contains("probes: `press/printer`"), "{}", build(one).said("N0709"));
    for open in ["apply ambient(press/*)", "allow ingress anywhere -> press/*"] {
        assert_eq!(build(&format!("use std/istio\ndefault deny ingress press/*\n{open}")).said("N0709"), "", "{open}");
    }
    assert_eq!(build("default deny ingress mill/*\ndefault deny egress press/*").said("N0709"), "");
}
