//! Objects of the cluster that are not the build's: what they open or close for governed pods is said.

use netpol::settings::Layer;

use crate::istio::build::{Build, build_with};

mod authorization;
mod gateways;
mod judged;
mod judged_network;
mod mirror;
mod network;
mod overwritten;
mod peers;
mod sidecars;
mod tokens;

/// `shop` and `lab` have sidecars and `ops` has none; `web` and `api` speak HTTP, `db` plain TCP.
const SHOP: &str = include_str!("foreign/shop.yaml");

fn with(object: &str, source: &str, layer: Layer) -> Build {
    let manifests = format!("{SHOP}---\n{object}");
    build_with(source, Some(&manifests), |settings| {
        settings.targets = vec![layer];
        settings.name = Some("mine".into());
    })
}

/// Returns the warnings of a build, each with its example.
fn said(build: &Build) -> Vec<String> {
    let found = build.diagnostics.iter().filter(|finding| finding.code.as_str() == "W0723");
    found.map(|finding| format!("{}; {}", finding.message, finding.primary.message)).collect()
}

/// Returns the warnings of a build for Istio about an object.
fn on_istio(object: &str, source: &str) -> Vec<String> {
    said(&with(object, source, Layer::Istio))
}

/// Makes an object of Istio in `shop`.
fn istio(group: &str, kind: &str, spec: &str) -> String {
    istio_in("shop", group, kind, spec)
}

fn istio_in(namespace: &str, group: &str, kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{ name: theirs, namespace: {namespace} }}\nspec: {spec}\n"
    )
}

/// Returns the warning that an object of `shop` lets more in, or may, with its example.
fn opens(kind: &str, may: bool, pods: &str, flow: &str) -> Vec<String> {
    let lets = if may { "may let" } else { "lets" };
    vec![format!("{kind} `shop/theirs` of the cluster {lets} more into {pods} than these rules; for example {flow}")]
}

/// Returns the warning that an object of `shop` refuses something, or may, with its example.
fn refuses(kind: &str, may: bool, pods: &str, flow: &str) -> Vec<String> {
    let refuses = if may { "may refuse" } else { "refuses" };
    vec![format!("{kind} `shop/theirs` of the cluster {refuses} what these rules let into {pods}; for example {flow}")]
}

const NOTHING: [&str; 0] = [];
