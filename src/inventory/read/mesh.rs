//! Istio's AuthorizationPolicies, PeerAuthentications, RequestAuthentications and Sidecars.

use smol_str::SmolStr;

use super::document::Mistakes;
use super::fields;
use super::object::Meta;
use super::tree::At;
use crate::inventory::mesh::{
    AccessAction, AccessRule, Attribute, Authorization, Condition, EgressListener, Issuer, Mtls, Others, Outbound,
    Peering,
};
use crate::inventory::outside::Reading;
use crate::inventory::{Pods, PolicyKind, Says};
use crate::model::labels::{Requirement, Requirements};

/// Reads an object and the pods that it is for; `None` if it decides nothing about pods.
pub(super) fn says(
    kind: PolicyKind,
    meta: &Meta<'_>,
    spec: At<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Option<(Pods, Says)> {
    let (pods, says) = match kind {
        PolicyKind::NetworkPolicy => return None,
        PolicyKind::Sidecar => {
            let labels = match_labels(spec, "workloadSelector", "labels", mistakes)?;
            (Pods::Labels(labels), Says::Sidecar(outbound(spec, mistakes)))
        }
        PolicyKind::PeerAuthentication => {
            let labels = match_labels(spec, "selector", "matchLabels", mistakes)?;
            (Pods::Labels(labels), Says::Peer(peering(spec, mistakes)))
        }
        PolicyKind::RequestAuthentication => {
            let issuers = fields::mappings(spec, "jwtRules", mistakes);
            let issuers = issuers.into_iter().filter_map(|rule| issuer(rule, mistakes)).collect();
            (targets(spec, mistakes)?, Says::Tokens(issuers))
        }
        PolicyKind::AuthorizationPolicy => {
            let says = authorization(meta, spec, mistakes)?;
            (targets(spec, mistakes)?, Says::Authorization(says))
        }
    };
    Some((pods, says))
}

/// Returns the labels that a selector names.
fn match_labels(spec: At<'_>, key: &str, inner: &str, mistakes: &mut Mistakes<'_>) -> Option<Requirements> {
    let Some(selector) = fields::mapping(spec, key, mistakes) else { return Some(Requirements::any()) };
    let labels = fields::labels(selector, inner, mistakes);
    Requirements::new(labels.into_iter().map(|(key, value)| Requirement::is_in(key, [value])))
}

/// Returns the pods of a `selector`, or of the gateways that `targetRefs` name. A policy for a Service, a ServiceEntry
/// or a GatewayClass is for waypoints, and no sidecar looks at it.
fn targets(spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Pods> {
    let mut targets = fields::mappings(spec, "targetRefs", mistakes);
    if targets.is_empty() {
        targets.extend(fields::mapping(spec, "targetRef", mistakes));
    }
    if targets.is_empty() {
        return match_labels(spec, "selector", "matchLabels", mistakes).map(Pods::Labels);
    }
    let (mut made, mut selecting) = (Vec::new(), Vec::new());
    for target in targets {
        let mut text = |key| fields::text(target, key, mistakes).map(|(text, _)| text.clone()).unwrap_or_default();
        let (group, kind, name) = (text("group"), text("kind"), text("name"));
        match (group.as_str(), kind.as_str()) {
            ("gateway.networking.k8s.io", "Gateway") => made.push(name),
            ("networking.istio.io", "Gateway") => selecting.push(name),
            _ => {}
        }
    }
    (!made.is_empty() || !selecting.is_empty()).then_some(Pods::Gateways { made, selecting })
}

fn authorization(meta: &Meta<'_>, spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Authorization> {
    let dry_run = fields::mapping(meta.at, "annotations", mistakes)
        .and_then(|annotations| fields::text(annotations, "istio.io/dry-run", mistakes))
        .is_some_and(|(text, _)| text == "true");
    if dry_run {
        return None;
    }
    let action = match fields::text(spec, "action", mistakes).map_or("ALLOW", |(action, _)| action.as_str()) {
        "ALLOW" => AccessAction::Allow,
        "DENY" => AccessAction::Deny,
        "CUSTOM" => {
            let provider = fields::mapping(spec, "provider", mistakes);
            let name = provider.and_then(|provider| fields::text(provider, "name", mistakes));
            AccessAction::Custom(name.map(|(name, _)| name.clone()).unwrap_or_default())
        }
        _ => return None,
    };
    let rules = fields::mappings(spec, "rules", mistakes);
    let rules = rules.into_iter().map(|rule| access_rule(rule, mistakes)).collect();
    Some(Authorization { action, rules })
}

/// The fields of a source and of an operation, each with its `not…` and its attribute.
const SOURCE: [(&str, &str, Attribute); 6] = [
    ("principals", "notPrincipals", Attribute::Principal),
    ("requestPrincipals", "notRequestPrincipals", Attribute::RequestPrincipal),
    ("namespaces", "notNamespaces", Attribute::Namespace),
    ("serviceAccounts", "notServiceAccounts", Attribute::ServiceAccount),
    ("ipBlocks", "notIpBlocks", Attribute::Ip),
    ("remoteIpBlocks", "notRemoteIpBlocks", Attribute::RemoteIp),
];
const OPERATION: [(&str, &str, Attribute); 4] = [
    ("hosts", "notHosts", Attribute::Host),
    ("ports", "notPorts", Attribute::Port),
    ("methods", "notMethods", Attribute::Method),
    ("paths", "notPaths", Attribute::Path),
];

fn access_rule(rule: At<'_>, mistakes: &mut Mistakes<'_>) -> AccessRule {
    let mut list = |key: &str, inner: &str, known: &[(&str, &str, Attribute)]| -> Vec<Vec<Condition>> {
        let items = fields::mappings(rule, key, mistakes);
        let read = |item: At<'_>| {
            let Some(item) = fields::mapping(item, inner, mistakes) else { return Vec::new() };
            let fields = known.iter().map(|(key, not, attribute)| Condition {
                attribute: attribute.clone(),
                values: fields::texts(item, key, mistakes),
                not_values: fields::texts(item, not, mistakes),
            });
            fields.filter(|condition| !condition.values.is_empty() || !condition.not_values.is_empty()).collect()
        };
        items.into_iter().map(read).collect()
    };
    let (from, to) = (list("from", "source", &SOURCE), list("to", "operation", &OPERATION));
    let when = fields::mappings(rule, "when", mistakes);
    let condition = |condition: At<'_>| {
        let (key, _) = fields::required(condition, "key", "this condition", mistakes)?;
        Some(Condition {
            attribute: Attribute::of_key(key),
            values: fields::texts(condition, "values", mistakes),
            not_values: fields::texts(condition, "notValues", mistakes),
        })
    };
    AccessRule { from, to, when: when.into_iter().filter_map(condition).collect() }
}

fn peering(spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Peering {
    let mode = fields::mapping(spec, "mtls", mistakes).and_then(|mtls| mode(mtls, mistakes));
    let ports = fields::mapping(spec, "portLevelMtls", mistakes).and_then(At::entries);
    let port = |(key, mtls): (&super::tree::Key, At<'_>)| Some((key.text.parse().ok()?, self::mode(mtls, mistakes)));
    Peering { mode, ports: ports.into_iter().flatten().filter_map(port).collect() }
}

fn mode(mtls: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Mtls> {
    match fields::text(mtls, "mode", mistakes)?.0.as_str() {
        "STRICT" => Some(Mtls::Strict),
        "PERMISSIVE" => Some(Mtls::Permissive),
        "DISABLE" => Some(Mtls::Disable),
        _ => None,
    }
}

fn issuer(rule: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<Issuer> {
    let mut text = |key| fields::text(rule, key, mistakes).map(|(text, _)| text.clone());
    let (url, keys) = (text("issuer")?, text("jwksUri").or_else(|| text("jwks")).unwrap_or_default());
    Some(Issuer { url, keys, audiences: fields::texts(rule, "audiences", mistakes) })
}

fn outbound(spec: At<'_>, mistakes: &mut Mistakes<'_>) -> Outbound {
    // An empty `outboundTrafficPolicy` has the first of its modes.
    let others = fields::mapping(spec, "outboundTrafficPolicy", mistakes).map(|policy| {
        match fields::text(policy, "mode", mistakes) {
            Some((mode, _)) if mode == "ALLOW_ANY" => Others::Pass,
            _ => Others::Refused,
        }
    });
    let written = fields::mappings(spec, "egress", mistakes);
    let some = !written.is_empty();
    let listeners = written.into_iter().filter_map(|listener| egress(listener, mistakes)).collect();
    Outbound { others, listeners: some.then_some(listeners) }
}

/// Reads an egress listener; `None` for one that gets no connection.
fn egress(listener: At<'_>, mistakes: &mut Mistakes<'_>) -> Option<EgressListener> {
    if fields::text(listener, "captureMode", mistakes).is_some_and(|(mode, _)| mode == "NONE") {
        return None;
    }
    let own = fields::mapping(listener, "port", mistakes);
    let port = own.and_then(|port| port.get("number")).and_then(|number| fields::port(number, "number", mistakes));
    let protocol = own.and_then(|port| fields::text(port, "protocol", mistakes));
    let reading = protocol.and_then(|(word, _)| Reading::of(word));
    let host = |host: SmolStr| {
        let (namespace, name) = host.split_once('/').unwrap_or((".", &host));
        (SmolStr::from(namespace), SmolStr::from(name))
    };
    let hosts = fields::texts(listener, "hosts", mistakes).into_iter().map(host).collect();
    Some(EgressListener { port, reading, hosts })
}
