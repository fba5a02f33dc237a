//! A policy lowered in parts means what it means lowered as a whole: the same objects, byte for byte, the same
//! judgements and the same messages; and judged alone it has the same judgements and messages.

use netpol::diag::Diagnostics;
use netpol::targets::{self, Lowering};
use proptest::prelude::*;

use super::istio::build::{Build, MESH};

pub const BEGINNING: &str = "use std/istio\nlet office = { 203.0.113.0/24, 2001:db8::/32 }\n";

fn build(source: &str, manifests: Option<&str>) -> Build {
    Build::text_for_both(source, manifests)
}

/// Lowers a policy with at least so many ends at a time, and returns what came of it and what was said.
fn lowered(build: &Build, least: usize) -> (Lowering, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let lowering = targets::lower_by(least, &build.policy, &build.sources, &mut diagnostics);
    diagnostics.sort();
    (lowering, diagnostics)
}

/// Lowers a policy in parts of several sizes, and returns into how many objects.
fn agree(source: &str, manifests: Option<&str>) -> usize {
    let build = build(source, manifests);
    let (whole, said) = lowered(&build, usize::MAX);
    for least in [1, 3, 8] {
        let (parts, also) = lowered(&build, least);
        assert_eq!(said.iter().collect::<Vec<_>>(), also.iter().collect::<Vec<_>>(), "{least}:\n{source}");
        for ((layer, whole), (_, parts)) in whole.layers.iter().zip(&parts.layers) {
            assert_eq!(whole.judgements, parts.judgements, "{layer:?}, {least}:\n{source}");
            assert_eq!(whole.objects, parts.objects, "{layer:?}, {least}:\n{source}");
        }
    }
    // `check` finds what a build finds, though it makes no objects.
    let mut also = Diagnostics::new();
    let judged = targets::judge(&build.policy, &build.sources, &mut also);
    also.sort();
    assert_eq!(said.iter().collect::<Vec<_>>(), also.iter().collect::<Vec<_>>(), "judged:\n{source}");
    for ((layer, whole), (_, judged)) in whole.layers.iter().zip(&judged.layers) {
        assert_eq!(whole.judgements, judged.judgements, "{layer:?}, judged:\n{source}");
    }
    whole.layers.iter().map(|(_, lowered)| lowered.objects.len()).sum()
}

/// Some pods of one namespace, or rarely of several.
fn pods() -> impl Strategy<Value = String> {
    let namespace = prop_oneof![
        6 => prop::sample::select(vec!["garden", "shop", "lab", "legacy", "kube-system", "istio-system"]),
        3 => prop::sample::select(vec!["garden", "shop", "new"]),
    ];
    let which = prop::sample::select(vec![
        "*",
        "{app=web}",
        "{app=api}",
        "{app in (web, cart)}",
        "{tier=front}",
        "{app=web, tier!=back}",
        "{istio=ingressgateway}",
        "@shared",
        "@web",
    ]);
    let one = (namespace, which).prop_map(|(namespace, which)| format!("{namespace}/{which}")).boxed();
    prop_oneof![
        20 => one.clone(),
        1 => (one.clone(), one).prop_map(|(a, b)| format!("{{ {a}, {b} }}")),
    ]
}

fn outside() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "zenquotes.io:443",
        "zenquotes.io:443/http",
        "*.example.com:443/tls",
        "mail.example.com:{25, 465}",
        "198.51.100.0/24:5432",
        "{ 0.0.0.0/0 except 10.0.0.0/8 }:{80, 443}",
        "office:53/udp",
        "198.51.100.7",
    ])
}

pub fn rule() -> impl Strategy<Value = String> {
    let ports = prop::sample::select(vec!["", ":8080", ":8080/http", ":{80, 9000-9010}", ":53/udp"]);
    prop_oneof![
        3 => pods().prop_map(|pods| format!("default deny {pods}")),
        5 => (pods(), outside()).prop_map(|(pods, host)| format!("allow egress {pods} -> {host}")),
        2 => (pods(), outside()).prop_map(|(pods, host)| format!("deny egress {pods} -> {host}")),
        4 => (pods(), pods(), ports.clone()).prop_map(|(a, b, ports)| format!("allow {a} -> {b}{ports}")),
        4 => (pods(), pods(), ports.clone()).prop_map(|(a, b, ports)| format!("allow ingress {a} -> {b}{ports}")),
        2 => (pods(), pods(), ports).prop_map(|(a, b, ports)| format!("deny ingress {a} -> {b}{ports}")),
        2 => pods().prop_map(|pods| format!("allow ingress office -> {pods}:8443/tls")),
        1 => (pods(), pods()).prop_map(|(a, b)| format!("allow ingress {a} -> {b}:8080/http where method GET")),
        1 => pods().prop_map(|pods| format!("allow egress {pods} -> quotes.example:443/tls via egress-gateway")),
        1 => pods().prop_map(|pods| {
            format!("allow ingress office -> {pods}:80/http via ingress-gateway at \"garden.example\"")
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_policies_mean_the_same_in_parts(rules in prop::collection::vec(rule(), 1..24), known in any::<bool>()) {
        agree(&format!("{BEGINNING}{}\n", rules.join("\n")), known.then_some(MESH));
    }
}

/// A rule for pods of any namespace meets all others.
#[test]
fn what_concerns_every_namespace_is_not_divided() {
    let source = "default deny */*\nallow egress garden/* -> zenquotes.io:443\nallow egress shop/* -> zenquotes.io:443\n\
                  allow ingress garden/* -> shop/{app=cart}:8080\ndeny egress */* -> 169.254.169.254\n";
    assert!(agree(source, Some(MESH)) > 10);
    agree(source, None);
}

/// Large enough to be divided as it is, so that the parts are those of every run.
#[test]
fn a_large_policy_means_the_same_in_parts() {
    let rules = (0..60).map(|at| {
        format!(
            "default deny n{at}/*\nallow egress n{at}/{{app=a}} -> h{at}.example:443\n\
             allow n{at}/{{app=a}} -> n{}/{{app=b}}:8080\nallow ingress office -> n{at}/@robot:8443/tls\n\
             deny egress n{at}/{{app=b}} -> 10.{at}.0.0/16\n",
            (at + 7) % 60
        )
    });
    assert!(agree(&format!("{BEGINNING}{}", rules.collect::<String>()), None) > 300);
}
