//! Facts about the cluster, indexed for the questions that Istio's objects raise: the workloads with some labels, the
//! Services that lead to some pods, the accounts that pods run as; and the addresses that no object may list, because
//! they are pods'.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

pub use super::model::Selector as MatchLabels;
use crate::inventory::{Injection, LeftOut, Service, Workload, WorkloadKind};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::Endpoint;
use crate::model::gateways::Gateway;
use crate::model::labels::{Labels, PodSelector, Requirements, Test};
use crate::model::rules::Direction;
use crate::policy::Policy;
use crate::targets::partition::Partition;
use crate::targets::{is_ambient, is_ambient_namespace};

/// The data for the passes over a partition.
pub struct Facts<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The partition that is lowered.
    pub part: &'a Partition<'a>,
    /// The indexed facts about the cluster.
    cluster: &'a Cluster<'a>,
    /// The addresses that are never let through as such.
    pub reserved: &'a Reserved,
    /// The pods of selectors that have no sidecar, for selectors that were looked up.
    unmeshed: RefCell<FxHashMap<Side, Rc<Unmeshed>>>,
}

/// Pods, the direction that a rule governs there, and the direction whose connections annotations may keep from a
/// sidecar.
type Side = (PodSelector, Direction, Direction);

/// Addresses that are never let through as such, and the internet, which has a name of its own.
pub struct Reserved {
    /// The pods' addresses, which are not outside, and 0.0.0.0/8, since a prefix that begins there matches every
    /// address.
    pub hidden: AddressSet,
    /// The internet, less those addresses.
    pub internet: AddressSet,
}

/// The indexed facts about the cluster, the same for all partitions.
pub struct Cluster<'a> {
    namespaces: FxHashMap<&'a str, NamespaceFacts<'a>>,
    names: Vec<&'a SmolStr>,
    /// The gateways as whose account other pods run, too.
    sharing: FxHashSet<&'a Gateway>,
    /// The pods of gateways through which rules lead out.
    leading_out: FxHashSet<&'a [PodSelector]>,
}

/// The facts about one namespace.
#[derive(Default)]
pub struct NamespaceFacts<'a> {
    /// The workloads whose pods a selector can match; a Pod of a known workload is left to that workload.
    pub workloads: Vec<&'a Workload>,
    /// The Services, by name.
    pub services: Vec<(&'a SmolStr, &'a Service)>,
    /// The number of workloads that run as each account.
    pub accounts: FxHashMap<&'a SmolStr, usize>,
    /// The workloads that have each label.
    postings: FxHashMap<(&'a str, &'a str), Vec<u32>>,
    /// The Services whose selector begins with each label.
    selecting: FxHashMap<(&'a str, &'a str), Vec<usize>>,
    /// The Services with a selector that no known workload meets.
    pub idle: Vec<usize>,
    /// The Services with a selector that workloads on the host network meet: those belong to their nodes.
    pub on_nodes: Vec<usize>,
}

impl<'a> Cluster<'a> {
    /// Indexes the inventory of a policy.
    pub fn new(policy: &'a Policy) -> Cluster<'a> {
        let mut namespaces: FxHashMap<&'a str, NamespaceFacts<'a>> = FxHashMap::default();
        for ((namespace, name), service) in &policy.inventory.services {
            namespaces.entry(namespace).or_default().services.push((name, service));
        }
        for workload in policy.inventory.workloads.iter().filter(|workload| !workload.host_network) {
            namespaces.entry(&workload.namespace).or_default().workloads.push(workload);
        }
        for (name, known) in &mut namespaces {
            known.leave_out_owned();
            for (at, workload) in known.workloads.iter().enumerate() {
                *known.accounts.entry(&workload.account).or_default() += 1;
                for (key, value) in &workload.labels {
                    known.postings.entry((key, value)).or_default().push(at as u32);
                }
            }
            for (at, (_, service)) in known.services.iter().enumerate() {
                if let Some((key, value)) = service.selector.as_ref().and_then(|selector| selector.first_key_value()) {
                    known.selecting.entry((key, value)).or_default().push(at);
                }
            }
            known.find_idle(policy.inventory.workloads_in(name));
        }
        let gateways = policy.gateways.iter().map(Arc::as_ref);
        let sharing = gateways.filter(|gateway| policy.shares_account(gateway)).collect();
        let out = policy.rules.iter().filter(|rule| rule.egress).filter_map(|rule| rule.via.as_ref());
        let leading_out = out.map(|via| via.gateway.pods.as_slice()).collect();
        Cluster { namespaces, names: policy.inventory.namespaces.keys().collect(), sharing, leading_out }
    }
}

impl Reserved {
    /// Finds the reserved addresses in the facts of a policy.
    pub fn new(policy: &Policy) -> Reserved {
        let this_network = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8));
        let mut hidden = policy.pod_addresses.clone();
        hidden.blocks.extend(AddressSet::of([this_network]).blocks);
        let internet = policy.internet.subtract(&hidden);
        Reserved { hidden, internet }
    }
}

impl<'a> Facts<'a> {
    /// Gathers the data for the passes over a partition.
    pub fn new(part: &'a Partition<'a>, cluster: &'a Cluster<'a>, reserved: &'a Reserved) -> Facts<'a> {
        Facts { policy: part.policy, part, cluster, reserved, unmeshed: RefCell::default() }
    }

    /// Returns the known namespaces, sorted.
    pub fn names(&self) -> &[&'a SmolStr] {
        &self.cluster.names
    }

    /// Returns the facts about a namespace.
    pub fn known(&self, namespace: &str) -> Option<&NamespaceFacts<'a>> {
        self.cluster.namespaces.get(namespace)
    }

    /// Returns the facts about the workloads of a namespace, if an inventory shows any: workloads that only the source
    /// declares need not be all.
    pub fn workloads(&self, namespace: &str) -> Option<&NamespaceFacts<'a>> {
        self.known(namespace).filter(|known| self.closed() && !known.workloads.is_empty())
    }

    /// Returns whether all namespaces are known.
    pub fn closed(&self) -> bool {
        self.policy.inventory.given
    }

    /// Returns whether a namespace meets requirements; `None` if its labels are not known.
    pub fn meets(&self, namespace: &str, requirements: &Requirements) -> Option<bool> {
        self.policy.inventory.meets(namespace, requirements)
    }

    /// Returns the namespaces that a selector may mean, each with whether it surely does; `None` if the selector may
    /// mean namespaces that are not known.
    pub fn namespaces<'b>(&'b self, selector: &'b PodSelector) -> Option<Vec<(&'b SmolStr, bool)>> {
        self.policy.inventory.namespaces_of(selector)
    }

    /// Returns the declared gateway of a selector that matches only the gateway's pods.
    pub fn gateway_of(&self, selector: &PodSelector) -> Option<&'a Gateway> {
        let name = selector.namespace_name();
        // Most selectors name another namespace.
        let near = |pods: &PodSelector| name.is_none() || pods.namespace_name().is_none_or(|other| Some(other) == name);
        let gateways = self.policy.gateways.iter().map(std::sync::Arc::as_ref);
        let mut near = gateways.filter(|gateway| gateway.pods.iter().any(near));
        near.find(|gateway| selector.is_inside(&gateway.pods))
    }

    /// Returns whether other pods than a gateway's are known to run as its account.
    pub fn shares_account(&self, gateway: &Gateway) -> bool {
        self.cluster.sharing.contains(gateway)
    }

    /// Returns whether a rule leads out through a gateway, so that it knows some pods by their identity.
    pub fn leads_out(&self, gateway: &Gateway) -> bool {
        self.cluster.leading_out.contains(gateway.pods.as_slice())
    }

    /// Returns the pods of an endpoint that are known to have no sidecar, or whose annotations turn no connections to
    /// it in a direction. A gateway judges the way in, and nothing of the way out.
    pub fn unmeshed(&self, endpoint: &Endpoint, direction: Direction, turned: Direction) -> Rc<Unmeshed> {
        let selectors: Vec<&PodSelector> = endpoint.pods().map(|(_, pods)| &pods.selector).collect();
        let list = || {
            let mut unmeshed = Unmeshed { all: true, ..Unmeshed::default() };
            for selector in &selectors {
                self.add_unmeshed(selector, direction, turned, &mut unmeshed);
            }
            Rc::new(unmeshed)
        };
        let [selector] = selectors.as_slice() else { return list() };
        // Thousands of rules may govern the same thousands of pods.
        let key = (PodSelector::clone(selector), direction, turned);
        let known = self.unmeshed.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let unmeshed = list();
            self.unmeshed.borrow_mut().insert(key, Rc::clone(&unmeshed));
            unmeshed
        })
    }

    fn add_unmeshed(&self, selector: &PodSelector, direction: Direction, turned: Direction, to: &mut Unmeshed) {
        let mut elsewhere = false;
        for (namespace, _) in self.namespaces(selector).into_iter().flatten() {
            let mut selected = self.known(namespace).into_iter().flat_map(|known| known.selected(selector)).peekable();
            if selected.peek().is_none() {
                match is_ambient_namespace(self.policy, namespace, selector) {
                    true => to.ambient.push(format!("{namespace}/*")),
                    false => elsewhere = true,
                }
            }
            for workload in selected {
                let gateway =
                    || workload.injection == Injection::Gateway || self.gateway_of(&exactly(workload)).is_some();
                let judges = || direction == Direction::Ingress && gateway();
                let all = |left: &&LeftOut| left.direction == turned && left.is_everything();
                if let Some(left) = workload.left_out.iter().find(all).filter(|_| workload.sidecar) {
                    let annotation = left.annotation;
                    to.kept.push(format!("{}/{} (`{annotation}`)", workload.namespace, workload.name));
                } else if workload.sidecar || judges() {
                    to.all = false;
                } else {
                    let of_its_kind = if is_ambient(self.policy, workload) { &mut to.ambient } else { &mut to.bare };
                    let gets_one = self.policy.inventory.after_restart(workload) == Some(true);
                    let until = if gets_one { " (until it is restarted)" } else { "" };
                    of_its_kind.push(format!("{}/{}{until}", workload.namespace, workload.name));
                }
            }
        }
        // Unknown pods of other namespaces may have sidecars.
        to.all &= !(elsewhere && to.ambient.iter().any(|name| name.ends_with("/*")));
        if direction == Direction::Ingress {
            return;
        }
        // Only a declaration can say that a gateway's pods have no sidecar.
        for gateway in &self.policy.gateways {
            let met = gateway.pods.iter().any(|pods| pods.overlaps(selector));
            let shown = || {
                gateway.pods.iter().any(|pods| {
                    let namespaces = self.namespaces(pods).into_iter().flatten();
                    namespaces
                        .filter_map(|(name, _)| self.known(name))
                        .any(|known| known.selected(pods).next().is_some())
                })
            };
            if met && !shown() && !to.bare.iter().any(|name| *name == gateway.name) {
                to.bare.push(gateway.name.to_string());
                to.all &= selector.is_inside(&gateway.pods);
            }
        }
    }
}

/// Pods that are known to have no sidecar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmeshed {
    /// The workloads without one, `namespace/name`.
    pub bare: Vec<String>,
    /// Those in ambient mode.
    pub ambient: Vec<String>,
    /// The workloads that have one and whose annotations turn no connections to it, each with the annotation.
    pub kept: Vec<String>,
    /// Whether no other pods are known.
    pub all: bool,
}

impl Unmeshed {
    /// Returns whether no pods are in it.
    pub fn is_empty(&self) -> bool {
        self.bare.is_empty() && self.ambient.is_empty() && self.kept.is_empty()
    }
}

impl<'a> NamespaceFacts<'a> {
    /// Drops the Pods of workloads that are known themselves.
    fn leave_out_owned(&mut self) {
        if self.workloads.iter().all(|workload| !workload.owned) {
            return;
        }
        let mut owners: FxHashMap<(&str, &str), Vec<&Requirements>> = FxHashMap::default();
        for workload in self.workloads.iter().filter(|workload| workload.kind != WorkloadKind::Pod) {
            let Some(selector) = &workload.selector else { continue };
            let first = selector.list().iter().find_map(|requirement| match &requirement.test {
                Test::In(values) => values.first().map(|value| (requirement.key.as_str(), value.as_str())),
                _ => None,
            });
            owners.entry(first.unwrap_or_default()).or_default().push(selector);
        }
        self.workloads.retain(|workload| {
            let keys = workload.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let mut candidates = keys.chain([("", "")]).filter_map(|key| owners.get(&key)).flatten();
            !workload.owned || !candidates.any(|selector| selector.matches(&workload.labels))
        });
    }

    /// Finds the Services without pods, or with pods that no selector matches.
    fn find_idle(&mut self, all: &[Workload]) {
        let nodes: Vec<&Workload> = all.iter().filter(|workload| workload.host_network).collect();
        for (at, (_, service)) in self.services.iter().enumerate() {
            let Some(labels) = &service.selector else { continue };
            let pairs: Vec<(SmolStr, SmolStr)> = labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            if nodes.iter().any(|workload| has_labels(&workload.labels, &pairs)) {
                self.on_nodes.push(at);
            } else if self.having(&pairs).is_empty() {
                self.idle.push(at);
            }
        }
    }

    /// Returns the names of the Services that lead elsewhere than to pods which a selector can match: those without a
    /// selector, and those of pods on the host network.
    pub fn leading_elsewhere(&self) -> impl Iterator<Item = &'a SmolStr> {
        let elsewhere = |at: &usize| self.services[*at].1.selector.is_none() || self.on_nodes.binary_search(at).is_ok();
        (0..self.services.len()).filter(elsewhere).map(|at| self.services[at].0)
    }

    /// Returns the numbers of the workloads that have all these labels.
    pub fn having(&self, labels: &[(SmolStr, SmolStr)]) -> Vec<u32> {
        let mut fewest: Option<&[u32]> = None;
        for (key, value) in labels {
            let list = self.postings.get(&(key.as_str(), value.as_str())).map_or(&[][..], Vec::as_slice);
            if fewest.is_none_or(|have| list.len() < have.len()) {
                fewest = Some(list);
            }
        }
        match fewest {
            None => (0..self.workloads.len() as u32).collect(),
            Some(list) if labels.len() == 1 => list.to_vec(),
            Some(list) => {
                let has = |at: &&u32| has_labels(&self.workloads[**at as usize].labels, labels);
                list.iter().filter(has).copied().collect()
            }
        }
    }

    /// Returns the numbers of the workloads that a selector matches, the namespace aside.
    pub fn numbers(&self, selector: &PodSelector) -> Vec<u32> {
        let narrow = selector.labels.list().iter().find_map(|requirement| match &requirement.test {
            Test::In(values) => Some((&requirement.key, values)),
            _ => None,
        });
        let meant = |at: &u32| means(selector, self.workloads[*at as usize]);
        match narrow {
            None => (0..self.workloads.len() as u32).filter(meant).collect(),
            Some((key, values)) => {
                let lists = values.iter().filter_map(|value| self.postings.get(&(key.as_str(), value.as_str())));
                let mut numbers: Vec<u32> = lists.flatten().copied().filter(meant).collect();
                numbers.sort_unstable();
                numbers
            }
        }
    }

    /// Returns the numbers of the Services that lead to one of some workloads.
    pub fn services_of(&self, workloads: Vec<u32>) -> Vec<usize> {
        let mut found = Vec::new();
        for at in workloads {
            let labels = &self.workloads[at as usize].labels;
            for (key, value) in labels {
                let candidates = self.selecting.get(&(key.as_str(), value.as_str())).into_iter().flatten();
                found.extend(candidates.copied().filter(|&at| {
                    let selector = self.services[at].1.selector.iter().flatten();
                    selector.into_iter().all(|(key, value)| labels.get(key) == Some(value))
                }));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Returns the workloads that a selector matches, the namespace aside.
    pub fn selected(&self, selector: &PodSelector) -> impl Iterator<Item = &'a Workload> {
        self.numbers(selector).into_iter().map(|at| self.workloads[at as usize])
    }
}

/// Returns whether the pods of a workload meet a selector's labels and account.
pub fn means(selector: &PodSelector, workload: &Workload) -> bool {
    use crate::model::labels::Account;
    selector.labels.matches(&workload.labels)
        && match &selector.account {
            Account::Is(name) => *name == workload.account,
            Account::Not(names) => !names.contains(&workload.account),
        }
}

/// Returns whether all of `wanted` are among `labels`.
pub fn has_labels(labels: &Labels, wanted: &[(SmolStr, SmolStr)]) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Returns the selector of just the pods with a workload's labels.
pub fn exactly(workload: &Workload) -> PodSelector {
    let list = workload
        .labels
        .iter()
        .map(|(key, value)| crate::model::labels::Requirement::is_in(key.clone(), [value.clone()]));
    // Each key has one value, so that no requirement contradicts another.
    PodSelector {
        labels: Requirements::new(list).unwrap_or_default(),
        ..PodSelector::in_namespace(workload.namespace.clone())
    }
}

/// Returns the labels of a conjunction that requires only single values.
pub fn match_labels(requirements: &Requirements) -> Option<MatchLabels> {
    let one = |requirement: &crate::model::labels::Requirement| match &requirement.test {
        Test::In(values) => match values.as_slice() {
            [value] => Some((requirement.key.clone(), value.clone())),
            _ => None,
        },
        _ => None,
    };
    requirements.list().iter().map(one).collect()
}
