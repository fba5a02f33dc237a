//! Services.

use super::document::Mistakes;
use super::object::Meta;
use super::scalar::Scalar;
use super::tree::At;
use super::{errors, fields};
use crate::inventory::waypoints::waypoint;
use crate::inventory::{Service, ServicePort, TargetPort};
use crate::model::ports::{AppProtocol, Protocol};

/// Reads a Service (core/v1 ServiceSpec).
pub(super) fn service(meta: &Meta<'_>, object: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Service> {
    let Some(spec) = fields::mapping(object, "spec", mistakes) else {
        if object.get("spec").is_none() {
            mistakes.push(errors::missing(meta.origin, &meta.title, "spec"));
        }
        return None;
    };
    let selector = fields::labels(spec, "selector", mistakes);
    let kind = fields::text(spec, "type", mistakes).map(|(kind, _)| kind.as_str());
    let external = kind == Some("ExternalName");
    let cluster_ip = fields::text(spec, "clusterIP", mistakes);
    let mut addresses = fields::list(spec, "clusterIPs", mistakes);
    if addresses.is_empty() {
        addresses.extend(cluster_ip.map(|(_, at)| at));
    }
    let ports = fields::mappings(spec, "ports", mistakes);
    Some(Service {
        // `spec.selector` "is ignored if type is ExternalName", and without one somebody else manages the endpoints.
        selector: (!external && !selector.is_empty()).then_some(selector),
        ports: ports.into_iter().filter_map(|at| port(meta, at, mistakes)).collect(),
        headless: cluster_ip.is_some_and(|(ip, _)| ip == "None"),
        outside: match kind {
            Some("NodePort" | "LoadBalancer") => Some(true),
            // A manifest without a `type` may be only a part of the Service.
            Some("ClusterIP") => Some(false),
            _ => None,
        },
        keeps_clients: fields::text(spec, "externalTrafficPolicy", mistakes)
            .is_some_and(|(policy, _)| policy == "Local"),
        addresses: fields::addresses(&addresses, "clusterIPs", mistakes),
        waypoint: waypoint(&meta.labels, &meta.namespace),
        external_name: fields::text(spec, "externalName", mistakes).map(|(name, _)| name.clone()).filter(|_| external),
        origin: meta.origin,
    })
}

fn port(meta: &Meta<'_>, at: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<ServicePort> {
    let Some(number) = at.get("port") else {
        mistakes.push(errors::missing(at.span(), &format!("a port of {}", meta.title), "port"));
        return None;
    };
    let port = fields::port(number, "port", mistakes)?;
    let name = match fields::text(at, "name", mistakes) {
        // A Service's port name is a DNS label: longer ones than a container's are possible.
        Some((name, name_at)) if !crate::model::names::is_dns_label(name) => {
            let rule = "the name of a Service's port has lower-case letters, digits and inner `-`, at most 63";
            mistakes.push(errors::refused(name_at.span(), name, "port name", rule));
            None
        }
        named => named.map(|(name, _)| name.clone()),
    };
    let protocol = fields::protocol(at, mistakes);
    let declared = fields::text(at, "appProtocol", mistakes).map(|(text, _)| text.as_str());
    let app = declared.or(name.as_deref()).filter(|_| protocol == Protocol::Tcp).and_then(app_protocol);
    let unread = protocol == Protocol::Tcp && is_unread(declared.or(name.as_deref()).unwrap_or_default(), port);
    // Zero means that the cluster has not chosen a port yet.
    let node_port = match at.get("nodePort").and_then(At::scalar) {
        Some(Scalar::Number(Some(1..))) => {
            at.get("nodePort").and_then(|value| fields::port(value, "nodePort", mistakes))
        }
        _ => None,
    };
    Some(ServicePort { port, protocol, node_port, target: target(port, at, mistakes)?, app, unread, name })
}

/// Returns `targetPort`, or the port itself if it is left out, zero or empty.
fn target(port: u16, at: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<TargetPort> {
    let Some(value) = at.get("targetPort") else { return Some(TargetPort::Number(port)) };
    match value.scalar() {
        Some(Scalar::Number(Some(0))) => Some(TargetPort::Number(port)),
        Some(Scalar::Text(text)) if text.is_empty() => Some(TargetPort::Number(port)),
        Some(Scalar::Text(name)) => fields::port_name(name, value, mistakes).map(TargetPort::Name),
        Some(Scalar::Number(_)) => fields::port(value, "targetPort", mistakes).map(TargetPort::Number),
        _ => {
            mistakes.push(errors::wrong_type("targetPort", "a number or a string", value));
            None
        }
    }
}

/// Returns the protocol of a port, from `appProtocol`, or else from its name up to the first `-`, as Istio selects
/// protocols (`ConvertProtocol` in `pilot/pkg/serviceregistry/util`, and "Protocol Selection" in its documentation).
/// The `kubernetes.io/` ones are Kubernetes' own: HTTP/2 in clear text, and WebSocket without and over TLS.
fn app_protocol(name: &str) -> Option<AppProtocol> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "kubernetes.io/h2c" | "kubernetes.io/ws" => return Some(AppProtocol::Http),
        "kubernetes.io/wss" => return Some(AppProtocol::Tls),
        _ => {}
    }
    match name.split('-').next()? {
        "http" | "http2" | "http_proxy" => Some(AppProtocol::Http),
        "grpc" => Some(AppProtocol::Grpc),
        "https" | "tls" => Some(AppProtocol::Tls),
        _ => None,
    }
}

/// Returns whether Istio treats a port as plain TCP: by `appProtocol` or the prefix of its name, and without them by
/// the numbers of SMTP, DNS, MySQL and MongoDB, whose servers speak first.
fn is_unread(name: &str, port: u16) -> bool {
    let prefix = name.split('-').next().unwrap_or_default().to_ascii_lowercase();
    match prefix.as_str() {
        "tcp" | "mongo" | "redis" | "mysql" => true,
        _ => app_protocol(name).is_none() && matches!(port, 25 | 53 | 3306 | 27017),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tcp_is_said_by_a_prefix_or_a_number() {
        for (name, port, unread) in [
            ("tcp-web", 80, true),
            ("TCP", 80, true),
            ("redis", 6379, true),
            ("mysql-x", 80, true),
            ("web", 80, false),
            ("", 80, false),
            ("", 3306, true),
            ("db", 27017, true),
            ("http", 3306, false),
            ("tcpx", 80, false),
        ] {
            assert_eq!(is_unread(name, port), unread, "{name} {port}");
        }
    }

    #[test]
    fn protocols_come_from_the_prefix_as_in_istio() {
        for (name, app) in [
            ("http", Some(AppProtocol::Http)),
            ("http2-web", Some(AppProtocol::Http)),
            ("HTTP-web", Some(AppProtocol::Http)),
            ("grpc-web", Some(AppProtocol::Grpc)),
            ("https", Some(AppProtocol::Tls)),
            ("tls-mqtt", Some(AppProtocol::Tls)),
            ("kubernetes.io/h2c", Some(AppProtocol::Http)),
            ("kubernetes.io/wss", Some(AppProtocol::Tls)),
            ("httpx", None),
            ("tcp-http", None),
            ("mongo", None),
            ("web-http", None),
        ] {
            assert_eq!(app_protocol(name), app, "{name}");
        }
    }
}
