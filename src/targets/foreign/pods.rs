//! Governed pods that an object of the cluster selects, each with the rules that look at the pod.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::Sure;
use super::shape::Shape;
use crate::inventory::{Injection, Inventory, ListenerOf, Pods as For, PolicyKind, PolicyObject, Workload, is_passing};
use crate::model::labels::{Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::model::rules::{Direction, Rule, RuleId};
use crate::policy::{Grant, Pod, Policy, governs_pod};

/// The most governed pods that are looked at for one object.
const MOST: usize = 16;

/// The label of the pods that a Gateway of the Gateway API gets.
const MADE_FOR: &str = "gateway.networking.k8s.io/gateway-name";

/// A pod that some rule governs.
pub(super) struct Governed {
    pub(super) pod: Pod,
    /// Whether the pod is a gateway: a proxy alone.
    pub(super) gateway: bool,
    /// The policy with only the rules and grants that look at the pod.
    pub(super) policy: Policy,
    /// The flows that these rules name: on the way out, and on the way in.
    pub(super) spoken: [OnceCell<Vec<Shape>>; 2],
}

impl Governed {
    /// Returns the rules that decide about the pod in a direction: those that govern it, and those that let clients in
    /// through it.
    pub(super) fn rules(&self, direction: Direction) -> impl Iterator<Item = &Rule> {
        let published = move |rule: &&Rule| direction == Direction::Ingress && self.is_published_by(rule);
        self.policy.rules.iter().filter(move |rule| governs_pod(rule, direction, &self.pod) || published(rule))
    }

    /// Returns whether a rule lets clients in through the pod.
    pub(super) fn is_published_by(&self, rule: &Rule) -> bool {
        publishes_at(rule, &self.pod)
    }

    /// Returns whether some rule decides about the pod in a direction.
    pub(super) fn is_governed(&self, direction: Direction) -> bool {
        self.rules(direction).next().is_some()
    }
}

/// Returns whether a rule lets clients in through a gateway that has the pod.
fn publishes_at(rule: &Rule, pod: &Pod) -> bool {
    let via = rule.via.as_ref().filter(|_| rule.ingress);
    via.is_some_and(|via| {
        via.gateway.pods.iter().any(|one| one.matches(&pod.namespace_labels, &pod.labels, &pod.account))
    })
}

/// A finder of governed pods, which remembers them.
pub(super) struct Pods<'a> {
    policy: &'a Policy,
    namespaces: FxHashMap<SmolStr, Rc<Near<'a>>>,
    known: FxHashMap<*const Workload, Rc<Governed>>,
}

/// The rules and pods of one namespace.
struct Near<'a> {
    /// The rules that may look at its pods.
    rules: Vec<RuleId>,
    /// The known pods that they look at, in order.
    governed: Vec<&'a Workload>,
}

impl<'a> Pods<'a> {
    pub(super) fn new(policy: &'a Policy) -> Pods<'a> {
        Pods { policy, namespaces: FxHashMap::default(), known: FxHashMap::default() }
    }

    /// Returns the governed pods that an object selects, and whether there are more; where the object selects no known
    /// pod, one that it would select.
    pub(super) fn of(&mut self, object: &PolicyObject) -> (Vec<Rc<Governed>>, bool) {
        let inventory = &self.policy.inventory;
        let home = namespace(self.policy, object);
        let selector = selector(self.policy, object);
        let any = selector.iter().all(|selector| selector.labels.is_any());
        let namespaces: Vec<SmolStr> = match home {
            Some(name) => vec![name.clone()],
            None if any => inventory.namespaces.keys().cloned().collect(),
            None => {
                let pods = selector.iter().flat_map(|selector| inventory.select(selector));
                pods.map(|workload| workload.namespace.clone()).collect::<BTreeSet<_>>().into_iter().collect()
            }
        };
        let mut found = Vec::new();
        for name in &namespaces {
            let near = self.near(name);
            for workload in &near.governed {
                let is_meant = |selector: &PodSelector| selector.labels.matches(&workload.labels);
                if !selector.iter().any(is_meant) {
                    continue;
                }
                if found.len() == MOST {
                    return (found, true);
                }
                let governed = self.governed(&near, workload);
                if selects(self.policy, object, &governed.pod) > Sure::No && looks_at(object, &governed, workload) {
                    found.push(governed);
                }
            }
        }
        if let (true, Some(name), [one]) = (found.is_empty(), home, selector.as_slice())
            && inventory.select(one).is_empty()
            && let Some(pod) = made_up(inventory, name, &one.labels)
        {
            let near = self.near(name);
            let governed = govern(self.policy, &near.rules, pod, false);
            let looked_at = object.kind == PolicyKind::NetworkPolicy || governed.pod.sidecar;
            if looked_at && !governed.policy.rules.is_empty() {
                found.push(Rc::new(governed));
            }
        }
        (found, false)
    }

    fn near(&mut self, name: &SmolStr) -> Rc<Near<'a>> {
        if let Some(near) = self.namespaces.get(name) {
            return Rc::clone(near);
        }
        let policy = self.policy;
        let here = PodSelector::in_namespace(name.clone());
        let mut rules = Vec::new();
        let mut selectors: FxHashSet<&PodSelector> = FxHashSet::default();
        for (id, rule) in policy.numbered() {
            let may_be_here =
                |selector: &&PodSelector| policy.inventory.meets(name, &selector.namespace) != Some(false);
            let mut here = looking(rule).filter(may_be_here).peekable();
            if here.peek().is_some() {
                rules.push(id);
                selectors.extend(here);
            }
        }
        let mut governed: Vec<&Workload> = Vec::new();
        for selector in selectors {
            governed.extend(selector.intersect(&here).iter().flat_map(|pods| policy.inventory.select(pods)));
        }
        // All workloads are elements of one list, so that their addresses give their order.
        governed.sort_by_key(|workload| std::ptr::from_ref::<Workload>(workload));
        // A Deployment stands for its Pods, and one of several like Pods stands for all.
        let mut alike = FxHashSet::default();
        governed.retain(|workload| {
            let lasting = workload.labels.iter().filter(|(key, _)| !is_passing(key)).collect::<Vec<_>>();
            alike.insert((lasting, &workload.account, workload.sidecar))
        });
        let near = Rc::new(Near { rules, governed });
        self.namespaces.insert(name.clone(), Rc::clone(&near));
        near
    }

    fn governed(&mut self, near: &Near<'a>, workload: &'a Workload) -> Rc<Governed> {
        let policy = self.policy;
        let make = || {
            let gateway = workload.injection == Injection::Gateway;
            Rc::new(govern(policy, &near.rules, pod(&policy.inventory, workload), gateway))
        };
        Rc::clone(self.known.entry(std::ptr::from_ref(workload)).or_insert_with(make))
    }
}

/// Returns the selectors of the pods that a rule looks at.
fn looking(rule: &Rule) -> impl Iterator<Item = &PodSelector> {
    let subjects = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
    let subjects = subjects.flat_map(|direction| rule.subject(direction).pods().map(|(_, pods)| &pods.selector));
    let via = rule.via.as_ref().filter(|_| rule.ingress);
    subjects.chain(via.into_iter().flat_map(|via| &via.gateway.pods))
}

/// Reduces a policy to the rules that look at a pod.
fn govern(policy: &Policy, near: &[RuleId], pod: Pod, gateway: bool) -> Governed {
    let mut rules: Vec<Rule> = Vec::new();
    let mut ids: FxHashMap<RuleId, RuleId> = FxHashMap::default();
    for &id in near {
        let Some(rule) = policy.rule(id) else { continue };
        let looks = Direction::BOTH.into_iter().any(|direction| governs_pod(rule, direction, &pod));
        if looks || publishes_at(rule, &pod) {
            ids.insert(id, RuleId::new(rules.len()));
            rules.push(rule.clone());
        }
    }
    let concerns = |grant: &&Grant| {
        let mut pods = grant.subject().pods().map(|(_, pods)| &pods.selector);
        pods.any(|one| one.matches(&pod.namespace_labels, &pod.labels, &pod.account))
    };
    let of_pod = |grant: &Grant| Grant {
        because: grant.because.iter().filter_map(|id| ids.get(id).copied()).collect(),
        ..grant.clone()
    };
    let grants = policy.grants.iter().filter(concerns).map(of_pod).collect();
    let policy = Policy {
        rules,
        assertions: Vec::new(),
        tests: Vec::new(),
        grants,
        gateways: policy.gateways.clone(),
        inventory: policy.inventory.clone(),
        settings: policy.settings.clone(),
        api_server: policy.api_server.clone(),
        internet: policy.internet.clone(),
        pod_addresses: policy.pod_addresses.clone(),
        node_addresses: policy.node_addresses.clone(),
        lacks_mesh: policy.lacks_mesh,
        concerning: Default::default(),
    };
    Governed { pod, gateway, policy, spoken: Default::default() }
}

/// Returns the governed pod for the pod of a flow that a question names.
pub(super) fn of_flow(policy: &Policy, pod: &Pod) -> Governed {
    let all: Vec<RuleId> = policy.numbered().map(|(id, _)| id).collect();
    let home = pod.namespace_labels.get(NAMESPACE_NAME);
    let here = home.map(|name| policy.inventory.workloads_in(name)).unwrap_or_default();
    let gateway = here.iter().any(|one| one.injection == Injection::Gateway && one.labels == pod.labels);
    govern(policy, &all, pod.clone(), gateway)
}

/// Returns whether the proxies that read an object stand before a pod.
fn looks_at(object: &PolicyObject, governed: &Governed, workload: &Workload) -> bool {
    match object.kind {
        PolicyKind::NetworkPolicy => true,
        PolicyKind::Sidecar | PolicyKind::PeerAuthentication => workload.sidecar,
        PolicyKind::AuthorizationPolicy | PolicyKind::RequestAuthentication => workload.sidecar || governed.gateway,
    }
}

/// Returns the one namespace of an object's pods; `None` where they may be of any.
pub(super) fn namespace<'a>(policy: &Policy, object: &'a PolicyObject) -> Option<&'a SmolStr> {
    let root = object.namespace == policy.settings.root_namespace;
    let everywhere = match (&object.pods, object.kind) {
        (_, PolicyKind::NetworkPolicy) => false,
        (For::Gateways { selecting, .. }, _) => !selecting.is_empty(),
        (For::Labels(_), PolicyKind::AuthorizationPolicy | PolicyKind::RequestAuthentication) => root,
        (For::Labels(labels), PolicyKind::Sidecar | PolicyKind::PeerAuthentication) => root && labels.is_any(),
    };
    (!everywhere).then_some(&object.namespace)
}

/// Returns the pods that an object selects, as the union of these selectors.
fn selector(policy: &Policy, object: &PolicyObject) -> Vec<PodSelector> {
    let base = || {
        let home = namespace(policy, object).filter(|_| matches!(object.pods, For::Labels(_)));
        home.map_or_else(PodSelector::any, |name| PodSelector::in_namespace(name.clone()))
    };
    match &object.pods {
        For::Labels(labels) => vec![PodSelector { labels: labels.clone(), ..base() }],
        For::Gateways { made, selecting } => {
            let here = PodSelector::in_namespace(object.namespace.clone());
            let made =
                (!made.is_empty()).then(|| Requirements::one(Requirement::is_in(MADE_FOR, made.iter().cloned())));
            let made = made.map(|labels| PodSelector { labels, ..here });
            made.into_iter()
                .chain(selecting.iter().flat_map(|name| selected_by(policy, &object.namespace, name)))
                .collect()
        }
    }
}

/// Returns the pods that a Gateway of Istio selects.
fn selected_by(policy: &Policy, namespace: &SmolStr, name: &SmolStr) -> Option<PodSelector> {
    let of = |object: &str| object.split_once('/').is_some_and(|(home, own)| home == namespace && own == name);
    let listener = policy.inventory.listeners.iter().find(|listener| of(&listener.object))?;
    let ListenerOf::Labels(labels) = &listener.of else { return None };
    let list = labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
    Some(PodSelector { labels: Requirements::new(list)?, ..PodSelector::any() })
}

/// Returns whether an object is for a pod.
pub(super) fn selects(policy: &Policy, object: &PolicyObject, pod: &Pod) -> Sure {
    let home = pod.namespace_labels.get(NAMESPACE_NAME);
    let here = namespace(policy, object).is_none_or(|name| home == Some(name));
    let root = object.namespace == policy.settings.root_namespace;
    match &object.pods {
        // Istio passes over such a PeerAuthentication.
        For::Labels(labels) if object.kind == PolicyKind::PeerAuthentication && root && !labels.is_any() => Sure::No,
        // A waypoint looks only at objects that target the waypoint.
        For::Labels(_)
            if pod.labels.get("gateway.istio.io/managed").is_some_and(|by| by == "istio.io-mesh-controller") =>
        {
            Sure::No
        }
        For::Labels(labels) => Sure::from(here && labels.matches(&pod.labels)),
        For::Gateways { made, selecting } => {
            let own =
                home == Some(&object.namespace) && pod.labels.get(MADE_FOR).is_some_and(|name| made.contains(name));
            let selected = selecting.iter().filter_map(|name| selected_by(policy, &object.namespace, name));
            let selected = selected.into_iter().any(|one| one.labels.matches(&pod.labels));
            // Releases of Istio differ in whether they read such a `targetRef`.
            Sure::from(own).max(if selected { Sure::Maybe } else { Sure::No })
        }
    }
}

/// Returns a known pod.
pub(super) fn pod(inventory: &Inventory, workload: &Workload) -> Pod {
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
pub(super) fn made_up(inventory: &Inventory, namespace: &SmolStr, required: &Requirements) -> Option<Pod> {
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
    let sidecar = inventory.injects(namespace, &namespace_labels, &labels);
    Some(Pod { shown, namespace_labels, labels, account: "default".into(), ports: Vec::new(), sidecar, single: false })
}

fn namespace_labels(inventory: &Inventory, name: &SmolStr) -> Labels {
    let known = inventory.namespaces.get(name).map(|namespace| namespace.labels.clone());
    known.unwrap_or_else(|| Labels::from([(NAMESPACE_NAME.into(), name.clone())]))
}

/// Returns whether a caller of a pod has an identity of the mesh: it has a sidecar, or is a gateway, or comes by a
/// tunnel.
pub(super) fn has_identity(governed: &Governed, pod: &Pod) -> bool {
    let inventory = &governed.policy.inventory;
    let gateway = || {
        let home = pod.namespace_labels.get(NAMESPACE_NAME);
        let mut here = home.map(|name| inventory.workloads_in(name)).unwrap_or_default().iter();
        here.any(|one| one.injection == Injection::Gateway && one.labels == pod.labels)
    };
    pod.sidecar || crate::targets::is_tunnelled(pod, &governed.pod) || gateway()
}
