//! Ways out for a rule that no layer enforces: similar rules that can be enforced.
//!
//! ```text
//! allow egress mail/* -> smtp.example.com:587      587 begins in plain text, so no layer is told which host is meant
//!     give the host its addresses, or say every public address: `internet:587`
//! ```

use super::{Row, RowEnd};
use crate::model::endpoint::{Member, What};
use crate::model::hosts::HostName;
use crate::model::labels::Labels;
use crate::model::ports::{PortMatch, PortTest, Protocol};
use crate::model::rules::{Action, Direction, Rule};
use crate::policy::Policy;
use crate::settings::Layer;
use crate::targets::gap::Kept;
use crate::targets::{Judgement, Level, Why, capability, is_ambient};

/// Returns whether clients send a name on every port of a rule.
pub(super) fn is_read(rule: &Rule) -> bool {
    let ports = rule.destination.members.iter().flat_map(|member| member.ports.entries());
    ports.filter(|port| port.protocol == Protocol::Tcp).all(|port| port.app.is_some())
}

/// Returns whether the inventory knows the pods that a rule governs, and none of them has a sidecar.
pub(super) fn all_bare(policy: &Policy, rule: &Rule) -> bool {
    let side = if rule.ingress { &rule.destination } else { &rule.source };
    let mut known = side.pods().flat_map(|(_, pods)| policy.inventory.select(&pods.selector)).peekable();
    policy.inventory.given && known.peek().is_some() && known.all(|pod| !pod.sidecar)
}

/// Returns whether pods that a rule governs get a sidecar as soon as they are started again.
pub(super) fn wait_for_restart(policy: &Policy, rule: &Rule) -> bool {
    let side = if rule.ingress { &rule.destination } else { &rule.source };
    let mut known = side.pods().flat_map(|(_, pods)| policy.inventory.select(&pods.selector));
    known.any(|pod| policy.inventory.after_restart(pod) == Some(true))
}

/// Returns how known pods that a rule governs would get a sidecar, where the labels of their namespace are not what is
/// missing.
///
/// ```text
/// shop/web with the annotation sidecar.istio.io/inject: "false", in a namespace with istio-injection: enabled
///     take the annotation `sidecar.istio.io/inject` from `shop/web`
/// ```
pub(super) fn in_the_way(policy: &Policy, rule: &Rule) -> Option<String> {
    let side = if rule.ingress { &rule.destination } else { &rule.source };
    let bare = side.pods().flat_map(|(_, pods)| policy.inventory.select(&pods.selector)).find(|pod| !pod.sidecar)?;
    let labels = &policy.inventory.namespaces.get(&bare.namespace)?.labels;
    let name = format!("`{}/{}`", bare.namespace, bare.name);
    if let Some(what) = bare.refuses {
        return Some(format!("take {what} from {name}"));
    }
    if is_ambient(policy, bare) {
        return Some(format!("`sidecar.istio.io/inject: \"true\"` among the labels of the pods of {name}"));
    }
    let injects = policy.inventory.injects(&bare.namespace, labels, &Labels::new());
    injects.then(|| format!("restart {name}, which is older than the label of its namespace"))
}

/// Returns how known pods that a rule governs would use their sidecar, where an annotation keeps every connection from
/// it.
pub(super) fn kept_off(policy: &Policy, rule: &Rule) -> Option<String> {
    let side = if rule.ingress { &rule.destination } else { &rule.source };
    let mut pods = side.pods().flat_map(|(_, pods)| policy.inventory.select(&pods.selector)).filter(|pod| pod.sidecar);
    pods.find_map(|pod| {
        let left = pod.left_out.iter().find(|left| rule.governs(left.direction) && left.is_everything())?;
        Some(format!("take the annotation `{}` from `{}/{}`", left.annotation, pod.namespace, pod.name))
    })
}

/// The ports whose protocols begin with TLS, so that the first bytes of a connection name the host. Other protocols do
/// not begin with a name: SSH on 22, or mail on 587, which begins in plain text and changes to TLS later.
const TLS_FIRST: [u16; 14] = [443, 465, 563, 636, 853, 989, 990, 993, 995, 5061, 5671, 6443, 8443, 8883];

/// Returns other ways to write a deny of pods that a layer could only express with addresses.
///
/// ```text
/// deny ingress testing/* -> prod/*      `[cluster] pods`, or `allow ingress { */* except testing/* } -> …`
/// ```
pub(super) fn ways_beside_pods(policy: &Policy, rule: &Rule, open: &[&RowEnd<'_>]) -> Vec<String> {
    let beside = |(_, judgement): &(Layer, &Judgement)| judgement.but_reason == Why::Kept(Kept::BesidePods);
    let Some(end) = open.iter().find(|end| end.layers.iter().any(beside)) else { return Vec::new() };
    let mut ways = Vec::new();
    if policy.pod_addresses.blocks.is_empty() {
        ways.push("say where pods are: `pods = [\"10.244.0.0/16\"]` under `[cluster]` in netpol.toml".to_owned());
    }
    if let ([Member { what: What::Pods(denied), .. }], Direction::Ingress) =
        (rule.source.members.as_slice(), end.direction)
        && let (true, Some(namespace)) = (denied.selector.all_pods(), denied.selector.namespace_name())
    {
        ways.push(format!(
            "or say who may, which closes these pods to everybody else: `allow ingress {{ */* except {namespace}/* }} -> …`"
        ));
    }
    ways
}

/// Returns other ways to write a rule about a host, which a layer can enforce.
pub(super) fn ways_for(policy: &Policy, rule: &Rule, host: &HostName) -> Vec<String> {
    let mut ways = Vec::new();
    if let (Some(via), true) = (&rule.via, rule.egress) {
        let of_host = rule
            .destination
            .members
            .iter()
            .filter(|member| matches!(&member.what, What::Host(own) if own.name == *host));
        let ports: Vec<&PortMatch> = of_host.flat_map(|member| member.ports.entries()).collect();
        let own = ports.first().map(|port| &port.port);
        let elsewhere = policy.rules.iter().filter(|other| other.egress && other.via.is_some());
        let others = elsewhere.flat_map(|other| &other.destination.members).filter(|member| {
            matches!(&member.what, What::Host(other) if other.name == *host)
                && member.ports.entries().iter().any(|port| Some(&port.port) != own)
        });
        if let (Some(first), true) = (ports.first(), ports.len() > 1 || others.count() > 0) {
            let read = first.app.map_or_else(String::new, |app| format!("/{}", app.word()));
            let (port, gateway) = (&first.port, &via.gateway.name);
            ways.push(format!(
                "lead one port through the gateway, `-> {host}:{port}{read} via {gateway}`, and the others past it, in \
                 rules without `via`"
            ));
        }
        return ways;
    }
    if !host.wildcard {
        ways.push(format!("give the host its addresses: `let NAME = host {host} at ADDRESS`"));
    }
    let of_host =
        rule.destination.members.iter().filter(|member| matches!(&member.what, What::Host(own) if own.name == *host));
    let ports: Vec<&PortMatch> = of_host.flat_map(|member| member.ports.entries()).collect();
    let unread: Vec<&PortMatch> =
        ports.iter().copied().filter(|port| port.app.is_none() && port.protocol == Protocol::Tcp).collect();
    let begins = |port: &&PortMatch| matches!(port.port, PortTest::Range(first, last) if first == last && TLS_FIRST.contains(&first));
    if let ([only], [_]) = (unread.as_slice(), ports.as_slice())
        && begins(only)
    {
        ways.push(format!("if it begins with TLS, say so: `{host}:{}/tls`", only.port));
    }
    let settings = &policy.settings;
    if !host.wildcard && !unread.is_empty() && settings.targets.contains(&Layer::Istio) && !settings.dns_capture {
        ways.push("or let sidecars give hosts addresses of their own: `dns-capture = true` under `[istio]` in netpol.toml, if the mesh is set so".to_owned());
    }
    if let [only] = ports.as_slice()
        && rule.conditions.is_none()
        && rule.action == Action::Allow
    {
        let number = if only.port.is_every() { "*".to_owned() } else { only.port.to_string() };
        let port = match only.protocol {
            Protocol::Tcp => number,
            other => format!("{number}/{}", other.word()),
        };
        ways.push(format!("or say what can be held, every public address: `internet:{port}`"));
    }
    ways
}

/// Returns whether the layers leave the egress of a rule's pods open, and other rules are about these pods.
pub(super) fn leaves_others_open(policy: &Policy, row: &Row<'_>) -> bool {
    let rule = row.rule;
    let is_open = |end: &RowEnd<'_>| {
        let unable = |(layer, judgement): &(Layer, &Judgement)| {
            capability::of(*layer).keeper.is_some() && judgement.level == Level::Unable
        };
        end.direction == Direction::Egress && end.layers.iter().any(unable)
    };
    let shares = |other: &Rule| {
        let mut pods = other.source.pods();
        let named = other.destination.members.iter().any(|member| matches!(member.what, What::Host(_)));
        named && pods.any(|(_, other)| rule.source.pods().any(|(_, own)| own.selector.overlaps(&other.selector)))
    };
    rule.action == Action::Allow
        && row.ends.iter().any(is_open)
        && policy
            .rules
            .iter()
            .any(|other| !std::ptr::eq(other, rule) && other.egress && other.action == Action::Allow && shares(other))
}
