//! Gateways and routes, of Istio and of the Gateway API, only for the protocols of a gateway's ports and the changes
//! that a route makes. Misspelled fields are ignored here: the objects' own validation finds them.

use smol_str::{SmolStr, format_smolstr};

use super::kind::Routing;
use super::object::Meta;
use super::scalar::Scalar;
use super::tree::At;
use crate::inventory::waypoints::waypoint;
use crate::inventory::{Listener, ListenerOf, MeshEntry, Rewrite};
use crate::model::hosts::HostName;
use crate::model::labels::Labels;
use crate::model::ports::AppProtocol;

/// Reads a Gateway or a route.
pub(super) fn read(
    kind: Routing,
    meta: &Meta<'_>,
    object: At<'_>,
    listeners: &mut Vec<Listener>,
    rewrites: &mut Vec<Rewrite>,
) {
    let Some(spec) = object.get("spec") else { return };
    match kind {
        Routing::IstioGateway => istio_gateway(meta, spec, listeners),
        Routing::Gateway => gateway(meta, spec, listeners),
        Routing::VirtualService => rewrites.extend(virtual_service(meta, spec)),
        Routing::HttpRoute => rewrites.extend(http_route(meta, spec)),
    }
}

fn object_name(meta: &Meta<'_>) -> SmolStr {
    format_smolstr!("{}/{}", meta.namespace, meta.name)
}

fn istio_gateway(meta: &Meta<'_>, spec: At<'_>, listeners: &mut Vec<Listener>) {
    let selector = spec.get("selector").and_then(At::entries);
    let selector: Labels = selector
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.text.clone(), text(value)?.clone())))
        .collect();
    for server in items(spec, "servers") {
        let Some(port) = server.get("port") else { continue };
        let (Some(number), Some(protocol)) = (number(port, "number"), word(port, "protocol")) else { continue };
        let mode = server.get("tls").map(|tls| word(tls, "mode").unwrap_or("SIMPLE"));
        // Istio's hosts may have a namespace in front.
        let hosts = items(server, "hosts")
            .filter_map(text)
            .filter_map(|host| host_of(host.rsplit_once('/').map_or(host.as_str(), |(_, host)| host)));
        listeners.push(Listener {
            of: ListenerOf::Labels(selector.clone()),
            object: object_name(meta),
            port: number,
            app: of_server(protocol, mode),
            hosts: hosts.collect(),
            origin: meta.origin,
        });
    }
}

/// Returns the protocol that Istio reads on a server (`IsHTTPServer` and `IsPassThroughServer` in
/// `pkg/config/gateway`). If TLS ends at a server whose protocol is TLS, the connection is passed on as TCP, by its TLS
/// name.
fn of_server(protocol: &str, mode: Option<&str>) -> Option<AppProtocol> {
    let passed = mode.is_some_and(|mode| matches!(mode, "PASSTHROUGH" | "AUTO_PASSTHROUGH"));
    match protocol.to_ascii_uppercase().as_str() {
        "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" if mode.is_none() => Some(AppProtocol::Http),
        "HTTP" => Some(AppProtocol::Http),
        "HTTPS" | "HTTP2" | "GRPC" | "GRPC-WEB" if passed => Some(AppProtocol::Tls),
        "HTTPS" | "HTTP2" | "GRPC" | "GRPC-WEB" => Some(AppProtocol::Https),
        "TLS" => Some(AppProtocol::Tls),
        _ => None,
    }
}

/// Reads a ServiceEntry, as far as its waypoint goes.
pub(super) fn service_entry(meta: &Meta<'_>, object: At<'_>) -> Option<MeshEntry> {
    let spec = object.get("spec")?;
    let selector = spec.get("workloadSelector").and_then(|selector| selector.get("labels")).and_then(At::entries);
    Some(MeshEntry {
        namespace: meta.namespace.clone(),
        hosts: items(spec, "hosts").filter_map(text).filter_map(|host| HostName::parse(host).ok()).collect(),
        selector: selector
            .map(|entries| entries.filter_map(|(key, value)| Some((key.text.clone(), text(value)?.clone()))).collect()),
        waypoint: waypoint(&meta.labels, &meta.namespace),
    })
}

fn gateway(meta: &Meta<'_>, spec: At<'_>, listeners: &mut Vec<Listener>) {
    let service = items(spec, "addresses").find_map(|address| {
        let value = word(address, "value")?;
        (word(address, "type") == Some("Hostname")).then(|| value.split('.').next().unwrap_or(value).into())
    });
    let of = ListenerOf::Made { namespace: meta.namespace.clone(), name: meta.name.clone(), service };
    for listener in items(spec, "listeners") {
        let (Some(port), Some(protocol)) = (number(listener, "port"), word(listener, "protocol")) else { continue };
        let passed = listener.get("tls").and_then(|tls| word(tls, "mode")) == Some("Passthrough");
        let app = match protocol {
            "HTTP" => Some(AppProtocol::Http),
            "HTTPS" if !passed => Some(AppProtocol::Https),
            "HTTPS" | "TLS" => Some(AppProtocol::Tls),
            "TCP" => None,
            _ => continue,
        };
        let host = match word(listener, "hostname") {
            None => Some(None),
            Some(host) => host_of(host),
        };
        listeners.push(Listener {
            of: of.clone(),
            object: object_name(meta),
            port,
            app,
            hosts: host.into_iter().collect(),
            origin: meta.origin,
        });
    }
}

fn virtual_service(meta: &Meta<'_>, spec: At<'_>) -> Option<Rewrite> {
    // Without `gateways` a VirtualService is for sidecars alone.
    items(spec, "gateways").filter_map(text).find(|gateway| *gateway != "mesh")?;
    let (mut path, mut host) = (false, false);
    for rewrite in items(spec, "http").filter_map(|route| route.get("rewrite")) {
        path |= rewrite.get("uri").is_some() || rewrite.get("uriRegexRewrite").is_some();
        host |= rewrite.get("authority").is_some();
    }
    rewrite(meta, items(spec, "hosts").filter_map(text).filter_map(|host| host_of(host)).collect(), path, host)
}

fn http_route(meta: &Meta<'_>, spec: At<'_>) -> Option<Rewrite> {
    let (mut path, mut host) = (false, false);
    let filters = items(spec, "rules").flat_map(|rule| items(rule, "filters"));
    for rewrite in filters.filter_map(|filter| filter.get("urlRewrite")) {
        path |= rewrite.get("path").is_some();
        host |= rewrite.get("hostname").is_some();
    }
    let mut hosts: Vec<Option<HostName>> =
        items(spec, "hostnames").filter_map(text).filter_map(|host| host_of(host)).collect();
    if hosts.is_empty() {
        hosts.push(None);
    }
    rewrite(meta, hosts, path, host)
}

fn rewrite(meta: &Meta<'_>, hosts: Vec<Option<HostName>>, path: bool, host: bool) -> Option<Rewrite> {
    (path || host).then(|| Rewrite { title: meta.title.clone(), hosts, path, host, origin: meta.origin })
}

/// Returns a host of a Gateway or a route; the inner `None` is every host, the outer one no host.
#[allow(clippy::option_option, reason = "every host, one host, no host")]
fn host_of(text: &str) -> Option<Option<HostName>> {
    if text == "*" {
        return Some(None);
    }
    HostName::parse(&text.to_ascii_lowercase()).ok().map(Some)
}

fn items<'d>(parent: At<'d>, key: &str) -> impl Iterator<Item = At<'d>> + use<'d> {
    parent.get(key).and_then(At::items).into_iter().flatten()
}

fn text(value: At<'_>) -> Option<&SmolStr> {
    match value.scalar() {
        Some(Scalar::Text(text)) => Some(text),
        _ => None,
    }
}

fn word<'d>(parent: At<'d>, key: &str) -> Option<&'d str> {
    parent.get(key).and_then(text).map(SmolStr::as_str)
}

fn number(parent: At<'_>, key: &str) -> Option<u16> {
    match parent.get(key)?.scalar() {
        Some(Scalar::Number(number)) => number.and_then(|number| u16::try_from(number).ok()),
        _ => None,
    }
}
