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
        "allow egress press/* -> 203.0.113.0/24:443",
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
