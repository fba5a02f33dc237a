//! Objects of the cluster that are not this build's and that add to what it writes.
//!
//! NetworkPolicies of a pod add up: beside `default deny shop/*` a chart's object with `ingress: [{}]` opens the namespace
//! again. So do AuthorizationPolicies; and of two Sidecars, or PeerAuthentications, a pod obeys one. Each such object that
//! the inventory shows is a warning, with a flow that it decides in another way than the source.

use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{Inventory, Passage, Peer, PolicyKind, PolicyObject, Says, Workload};
use crate::model::addresses::AddressSet;
use crate::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirements, Test};
use crate::model::ports::{PortMatch, PortTest, Protocol};
use crate::model::rules::{Action, Direction, Rule, RuleId};
use crate::policy::{Cause, Flow, Party, Pod, Policy, Request, eval};
use crate::settings::Layer;

/// How many pods, and how many flows of each, are looked at for one object.
const MOST: usize = 16;

/// Somebody outside: an address that is set aside for documentation.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// Warns of each object that decides about governed pods beside those of the build.
pub(super) fn judge(policy: &Policy, diagnostics: &mut Diagnostics) {
    let own = policy.settings.name.as_deref().unwrap_or_default();
    let is_layer = |kind: PolicyKind| {
        let layer = if kind == PolicyKind::NetworkPolicy { Layer::NetworkPolicy } else { Layer::Istio };
        policy.settings.targets.contains(&layer)
    };
    let mut around: FxHashMap<Option<&SmolStr>, Policy> = FxHashMap::default();
    for object in &policy.inventory.objects {
        if object.build.as_deref() == Some(own) || !is_layer(object.kind) {
            continue;
        }
        let namespace = namespace(policy, object);
        let near = around.entry(namespace).or_insert_with(|| of_namespace(policy, namespace));
        if near.rules.is_empty() {
            continue;
        }
        let found = match &object.says {
            Says::Passes { ingress, egress } => opens(near, object, namespace, Direction::Ingress, ingress, false)
                .or_else(|| opens(near, object, namespace, Direction::Egress, egress, false)),
            Says::Refuses(passages) => opens(near, object, namespace, Direction::Ingress, passages, true),
            Says::Governs => competes(near, object, namespace),
        };
        found.into_iter().for_each(|warning| diagnostics.push(warning));
    }
}

/// Returns what lets a flow through at one end beside the build's own objects, and whether it surely does.
pub fn passes(policy: &Policy, layer: Layer, flow: &Flow, direction: Direction) -> Option<(String, bool)> {
    let found = objects_at(policy, layer, flow, direction).filter_map(|object| {
        let title = format!("{} `{}/{}` of the cluster", object.kind.word(), object.namespace, object.name);
        match &object.says {
            Says::Passes { ingress, egress } => {
                let passages = if direction == Direction::Ingress { ingress } else { egress };
                let sure = passages.iter().filter_map(|passage| contains(passage, flow, direction)).max()?;
                // What an AuthorizationPolicy asks of a request is not read.
                match (sure, object.kind) {
                    (true, PolicyKind::NetworkPolicy) => Some((format!("{title} does"), true)),
                    (false, PolicyKind::NetworkPolicy) => {
                        Some((format!("{title} does for some of the addresses of the host"), false))
                    }
                    _ => Some((format!("{title} does, if it asks for nothing else of the request"), false)),
                }
            }
            Says::Governs if object.kind == PolicyKind::Sidecar => Some((
                format!("{title} competes with the build's own, and which of the two is older is not known"),
                false,
            )),
            Says::Governs | Says::Refuses(_) => None,
        }
    });
    found.max_by_key(|(_, sure)| *sure)
}

/// Returns what may refuse a flow at one end beside the build's own objects.
pub fn refuses(policy: &Policy, layer: Layer, flow: &Flow, direction: Direction) -> Option<String> {
    objects_at(policy, layer, flow, direction).find_map(|object| {
        let title = format!("{} `{}/{}` of the cluster", object.kind.word(), object.namespace, object.name);
        match &object.says {
            Says::Refuses(passages) => {
                let meets = passages.iter().any(|passage| contains(passage, flow, direction).is_some());
                (direction == Direction::Ingress && meets)
                    .then(|| format!("{title} does, if it asks for nothing else of the request"))
            }
            Says::Governs if object.kind == PolicyKind::Sidecar => {
                Some(format!("{title} competes with the build's own, and which of the two is older is not known"))
            }
            Says::Governs | Says::Passes { .. } => None,
        }
    })
}

/// Returns the objects of a layer that are not the build's and decide about a flow at one end.
fn objects_at<'a>(
    policy: &'a Policy,
    layer: Layer,
    flow: &'a Flow,
    direction: Direction,
) -> impl Iterator<Item = &'a PolicyObject> {
    let own = policy.settings.name.as_deref().unwrap_or_default();
    let party = if direction == Direction::Egress { &flow.source } else { &flow.destination };
    policy.inventory.objects.iter().filter(move |object| {
        let of_layer = (object.kind == PolicyKind::NetworkPolicy) == (layer == Layer::NetworkPolicy);
        let out = object.kind != PolicyKind::Sidecar || direction == Direction::Egress;
        let base =
            namespace(policy, object).map_or_else(PodSelector::any, |name| PodSelector::in_namespace(name.clone()));
        let selector = PodSelector { labels: object.pods.clone(), ..base };
        let selects =
            |pod: &Pod| selector.matches(&pod.namespace_labels, &pod.labels, &pod.account) && (of_layer && out);
        object.build.as_deref() != Some(own) && matches!(party, Party::Pod(pod) if selects(pod))
    })
}

/// Returns whether a passage holds a flow; `false` where it does so for some of the addresses of a host alone.
fn contains(passage: &Passage, flow: &Flow, direction: Direction) -> Option<bool> {
    let names: Vec<SmolStr> = match &flow.destination {
        Party::Pod(pod) => {
            let own = pod.ports.iter().filter(|port| Some(port.port) == flow.port && port.protocol == flow.protocol);
            own.filter_map(|port| port.name.clone()).collect()
        }
        Party::Address(_) | Party::Host { .. } => Vec::new(),
    };
    let on_port = |port: &PortMatch| port.matches(flow.port, flow.protocol, &names);
    if !passage.ports.is_empty() && !passage.ports.iter().any(on_port) {
        return None;
    }
    if passage.peers.is_empty() {
        return Some(true);
    }
    let party = if direction == Direction::Egress { &flow.destination } else { &flow.source };
    let peer = |peer: &Peer| match (peer, party) {
        (Peer::Pods(selector), Party::Pod(pod)) => {
            selector.matches(&pod.namespace_labels, &pod.labels, &pod.account).then_some(true)
        }
        (Peer::Block(block), Party::Address(address)) => block.contains(*address).then_some(true),
        (Peer::Block(block), Party::Host { at, .. }) => {
            let block = AddressSet { blocks: vec![block.clone()] };
            at.overlaps(&block).then(|| at.is_inside(&block))
        }
        _ => None,
    };
    passage.peers.iter().filter_map(peer).max()
}

/// Returns the namespace of an object's pods; `None` where they are those of the mesh.
fn namespace<'a>(policy: &Policy, object: &'a PolicyObject) -> Option<&'a SmolStr> {
    let mesh = object.kind != PolicyKind::NetworkPolicy && object.namespace == policy.settings.root_namespace;
    (!mesh || object.kind == PolicyKind::Sidecar && !object.pods.is_any()).then_some(&object.namespace)
}

/// Returns the policy with the rules alone that may govern pods of a namespace.
fn of_namespace(policy: &Policy, namespace: Option<&SmolStr>) -> Policy {
    let near = |rule: &&Rule| {
        Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction)).any(|direction| {
            let mut pods = rule.subject(direction).pods().map(|(_, pods)| &pods.selector);
            pods.any(|pods| namespace.is_none_or(|name| policy.inventory.meets(name, &pods.namespace) != Some(false)))
        })
    };
    let rules = policy.rules.iter().filter(near).cloned().collect();
    Policy { rules, ..policy.clone() }
}

/// Returns a warning where an object lets something through that the rules forbid, or refuses what they let through.
fn opens(
    policy: &Policy,
    object: &PolicyObject,
    namespace: Option<&SmolStr>,
    direction: Direction,
    passages: &[Passage],
    refuses: bool,
) -> Option<Diagnostic> {
    let mut pods: Vec<String> = Vec::new();
    let mut first: Option<(RuleId, Flow)> = None;
    for pod in subjects(policy, object, namespace) {
        let flows = passages.iter().flat_map(|passage| flows(policy, &pod, direction, passage)).take(MOST);
        let found = flows.into_iter().find_map(|flow| {
            let verdict = eval(policy, &flow);
            let end = verdict.ends.into_iter().find(|end| end.direction == direction)?;
            let rule = match end.cause {
                Cause::Denied(rule) | Cause::NoneMatches { isolated_by: rule, .. } if !refuses => rule,
                Cause::Allowed(rule) if refuses => rule,
                _ => return None,
            };
            Some((rule, flow))
        });
        if let Some(found) = found {
            pods.push(pod.shown);
            first.get_or_insert(found);
        }
    }
    let (rule, flow) = first?;
    let (kind, word) = (object.kind.word(), if refuses { "refuses what" } else { "lets more" });
    let way = match (direction, refuses) {
        (_, true) => "these rules let into",
        (Direction::Ingress, false) => "into",
        (Direction::Egress, false) => "out of",
    };
    let than = if refuses { "" } else { " than these rules" };
    let name = format!("{kind} `{}/{}` of the cluster", object.namespace, object.name);
    let message = format!("{name} {word} {way} {}{than}", names(&pods));
    let hint = match (object.kind, refuses) {
        (_, true) => "an AuthorizationPolicy that denies beats what this build allows".to_owned(),
        (kind, false) => {
            format!("objects of {} add up: delete it, or write a rule for what it lets through", kind.word())
        }
    };
    Some(warning(policy, rule, object, message).at(format!("for example {}", shown(&flow))).note(hint))
}

/// Returns a warning where an object competes with one of the build for the same pods.
fn competes(policy: &Policy, object: &PolicyObject, namespace: Option<&SmolStr>) -> Option<Diagnostic> {
    let direction = if object.kind == PolicyKind::Sidecar { Direction::Egress } else { Direction::Ingress };
    let base = namespace.map_or_else(PodSelector::any, |name| PodSelector::in_namespace(name.clone()));
    let pods = PodSelector { labels: object.pods.clone(), ..base };
    let meets = |rule: &Rule| {
        let asks = object.kind == PolicyKind::Sidecar && rule.action != Action::Deny
            || object.kind == PolicyKind::PeerAuthentication
                && rule.action != Action::Isolate
                && rule.source.pods().next().is_some();
        rule.governs(direction)
            && asks
            && rule.subject(direction).pods().any(|(_, subject)| {
                // An object with labels wins over one without, and the namespace's over the mesh's.
                let like = object.pods.is_any() == subject.selector.labels.is_any()
                    && (namespace.is_some() || subject.selector.namespace.is_any());
                like && subject.selector.overlaps(&pods)
            })
    };
    let rule = RuleId::new(policy.rules.iter().position(meets)?);
    let (kind, name) = (object.kind.word(), format!("`{}/{}`", object.namespace, object.name));
    let known: Vec<String> = subjects(policy, object, namespace).into_iter().map(|pod| pod.shown).collect();
    let message = format!("{kind} {name} of the cluster competes with one of this build for {}", names(&known));
    Some(
        warning(policy, rule, object, message)
            .at(format!("of two objects of {kind} for a pod the older one counts"))
            .note("delete it, or leave these pods to it"),
    )
}

fn warning(policy: &Policy, rule: RuleId, object: &PolicyObject, message: String) -> Diagnostic {
    let span = policy.rule(rule).map_or(object.origin, |rule| rule.origin.span);
    Diagnostic::new(Code::ForeignObject, span, message).label(object.origin, "it is stated here")
}

fn names(pods: &[String]) -> String {
    let quoted = |pods: &[String]| pods.iter().map(|pod| format!("`{pod}`")).collect::<Vec<_>>().join(", ");
    match pods.len() {
        0 => "its pods".to_owned(),
        1..=3 => quoted(pods),
        more => format!("{} and {} more", quoted(&pods[..3]), more - 3),
    }
}

/// Returns the known pods that an object selects; where none are known, one that it would select.
fn subjects(policy: &Policy, object: &PolicyObject, namespace: Option<&SmolStr>) -> Vec<Pod> {
    let base = namespace.map_or_else(PodSelector::any, |name| PodSelector::in_namespace(name.clone()));
    let known = policy.inventory.select(&PodSelector { labels: object.pods.clone(), ..base });
    if known.is_empty() {
        return namespace.and_then(|name| made_up(&policy.inventory, name, &object.pods)).into_iter().collect();
    }
    known.into_iter().take(MOST).map(|workload| pod(&policy.inventory, workload)).collect()
}

fn flows(policy: &Policy, pod: &Pod, direction: Direction, passage: &Passage) -> Vec<Flow> {
    let inventory = &policy.inventory;
    let peers: Vec<Party> = if passage.peers.is_empty() {
        vec![Party::Address(OUTSIDE)]
    } else {
        passage.peers.iter().filter_map(|peer| party(inventory, peer)).collect()
    };
    let every = [PortMatch::range(1, u16::MAX, Protocol::Tcp)];
    let ports: &[PortMatch] = if passage.ports.is_empty() { &every } else { &passage.ports };
    let mut flows = Vec::new();
    for peer in peers {
        for port in ports {
            let (source, destination) = match direction {
                Direction::Ingress => (peer.clone(), Party::Pod(pod.clone())),
                Direction::Egress => (Party::Pod(pod.clone()), peer.clone()),
            };
            let Some(number) = number(&destination, port) else { continue };
            let (protocol, request) = (port.protocol, Request::default());
            flows.push(Flow { source, destination, port: Some(number), protocol, request });
        }
    }
    flows
}

/// Returns a number of a port: one that the destination has, where that is known.
fn number(destination: &Party, port: &PortMatch) -> Option<u16> {
    let ports = match destination {
        Party::Pod(pod) => pod.ports.as_slice(),
        _ => &[],
    };
    let mut own = ports.iter().filter(|own| own.protocol == port.protocol);
    match &port.port {
        PortTest::Range(first, last) => {
            Some(own.map(|own| own.port).find(|number| (first..=last).contains(&number)).unwrap_or(*first))
        }
        PortTest::Named(name) => own.find(|own| own.name.as_ref() == Some(name)).map(|own| own.port),
    }
}

fn party(inventory: &Inventory, peer: &Peer) -> Option<Party> {
    match peer {
        Peer::Block(block) => {
            let mut hosts = std::iter::once(OUTSIDE).chain(block.net.hosts().take(MOST));
            hosts.find(|address| block.contains(*address)).map(Party::Address)
        }
        Peer::Pods(selector) => match inventory.select(selector).first() {
            Some(workload) => Some(Party::Pod(pod(inventory, workload))),
            None => {
                let mut made = made_up(inventory, selector.namespace_name()?, &selector.labels)?;
                if let Account::Is(account) = &selector.account {
                    made.account = account.clone();
                }
                Some(Party::Pod(made))
            }
        },
    }
}

fn pod(inventory: &Inventory, workload: &Workload) -> Pod {
    Pod {
        shown: format!("{}/{}", workload.namespace, workload.name),
        namespace_labels: namespace_labels(inventory, &workload.namespace),
        labels: workload.labels.clone(),
        account: workload.account.clone(),
        ports: workload.ports.clone(),
        sidecar: workload.sidecar,
        single: false,
    }
}

/// Returns a pod with labels that meet requirements.
fn made_up(inventory: &Inventory, namespace: &SmolStr, required: &Requirements) -> Option<Pod> {
    let mut labels = Labels::new();
    for requirement in required.list() {
        match &requirement.test {
            Test::In(values) => labels.insert(requirement.key.clone(), values.first()?.clone()),
            Test::Exists => labels.insert(requirement.key.clone(), SmolStr::default()),
            _ => None,
        };
    }
    let text: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let shown = if text.is_empty() { format!("{namespace}/*") } else { format!("{namespace}/{{{}}}", text.join(", ")) };
    let namespace_labels = namespace_labels(inventory, namespace);
    Some(Pod {
        shown,
        namespace_labels,
        labels,
        account: "default".into(),
        ports: Vec::new(),
        sidecar: false,
        single: false,
    })
}

fn namespace_labels(inventory: &Inventory, name: &SmolStr) -> Labels {
    let known = inventory.namespaces.get(name).map(|namespace| namespace.labels.clone());
    known.unwrap_or_else(|| Labels::from([(NAMESPACE_NAME.into(), name.clone())]))
}

fn shown(flow: &Flow) -> String {
    let party = |party: &Party| match party {
        Party::Pod(pod) => pod.shown.clone(),
        Party::Address(address) => address.to_string(),
        Party::Host { name, .. } => name.to_string(),
    };
    let port = flow.port.map(|port| format!(":{port}")).unwrap_or_default();
    let protocol = if flow.protocol == Protocol::Tcp { "" } else { flow.protocol.word() };
    let slash = if protocol.is_empty() { "" } else { "/" };
    format!("`{} -> {}{port}{slash}{protocol}`", party(&flow.source), party(&flow.destination))
}
