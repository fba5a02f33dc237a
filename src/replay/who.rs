//! Who the parties are: from the data of a log line to a party that the evaluator can judge, with the help of the
//! inventory.
//!
//! ```text
//! a Pod's name          the Pod of the inventory; without it, the workload that makes Pods of such names
//! labels                those, with the ports of the workload that selects them
//! an address            the Pod of the inventory with this address, else a host of the told names, else the address
//! ```
//!
//! Missing data is not invented: a pod without known labels has none, and an unknown account stays empty.

use std::net::IpAddr;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::hubble::{Label, label};
use super::record::{Passed, Told};
use super::words::Words;
use crate::inventory::{Workload, WorkloadKind};
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::model::names::is_dns_subdomain;
use crate::policy::{Party, Pod, Policy};

/// The most ends that are remembered. When this is reached the memory is cleared.
const REMEMBERED: usize = 1 << 14;

/// The letters in the random suffixes of Pod names (`-x2k4q`).
const ENDINGS: &str = "bcdfghjklmnpqrstvwxz2456789";

/// A party, with how it is named and how well it is known.
#[derive(Debug)]
pub struct Who {
    /// The party.
    pub party: Party,
    /// How a sentence names it.
    pub words: Words,
    /// Whether this is a pod that the inventory does not have.
    pub unexplained: bool,
    /// Whether this is a pod whose labels are unknown.
    pub unlabelled: bool,
}

/// The parties that a log can name, by a policy's inventory.
pub(super) struct Cast<'p> {
    policy: &'p Policy,
    by_address: FxHashMap<IpAddr, &'p Workload>,
    services: FxHashSet<IpAddr>,
    known: FxHashMap<Vec<u8>, Result<Rc<Who>, Passed>>,
}

impl<'p> Cast<'p> {
    pub fn new(policy: &'p Policy) -> Cast<'p> {
        let inventory = &policy.inventory;
        let pods = inventory.workloads.iter().filter(|one| one.kind == WorkloadKind::Pod && !one.host_network);
        let by_address = pods.flat_map(|pod| pod.addresses.iter().map(move |address| (*address, pod))).collect();
        let services = inventory.services.values().flat_map(|one| one.addresses.iter().copied()).collect();
        Cast { policy, by_address, services, known: FxHashMap::default() }
    }

    /// Returns the party that a line names. A Service is no party: one of its pods took the flow, and the line does not
    /// say which.
    pub fn who(&mut self, told: &Told<'_>) -> Result<Rc<Who>, Passed> {
        let key = told.key();
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.find(told).map(Rc::new);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, found.clone());
        found
    }

    /// Returns a party of the evaluator with its words.
    pub fn of(&self, party: &Party) -> Who {
        let words = Words::of(&self.policy.inventory, party);
        Who { party: party.clone(), words, unexplained: false, unlabelled: false }
    }

    fn find(&self, told: &Told<'_>) -> Result<Who, Passed> {
        // A socket for both families shows IPv4 addresses as `::ffff:203.0.113.7`.
        let address = told.address.map(|address| address.to_canonical());
        let inventory = &self.policy.inventory;
        let namespace = told.namespace.told().filter(|_| !told.no_pod);
        let at_address = address.and_then(|address| self.by_address.get(&address).copied());
        if let Some(namespace) = namespace {
            if let Some(pod) = told.pod.told().and_then(|name| inventory.pod(namespace, name)) {
                return Ok(self.pod(pod, true));
            }
            // The address may have passed to another Pod since: the Pod must have the namespace and the account of the
            // line.
            let agrees = |pod: &&Workload| {
                pod.namespace == namespace && told.account.told().is_none_or(|account| pod.account == account)
            };
            if let Some(pod) = at_address.filter(agrees).filter(|_| told.pod.told().is_none()) {
                return Ok(self.pod(pod, true));
            }
            return Ok(self.told_pod(namespace, told));
        }
        let Some(address) = address else { return Ok(self.unknown(None)) };
        if let Some(pod) = at_address.filter(|_| !told.no_pod) {
            return Ok(self.pod(pod, true));
        }
        if self.services.contains(&address) {
            return Err(Passed::Service);
        }
        if let Some(party) = self.host(told) {
            return Ok(self.of(&party));
        }
        if !told.no_pod && self.policy.pod_addresses.contains(address) {
            return Ok(self.unknown(Some(address)));
        }
        Ok(self.of(&Party::Address(address)))
    }

    /// Returns the host outside of a line. An address may have several names, and the line does not say which was
    /// meant; a name that a rule has is preferred.
    fn host(&self, told: &Told<'_>) -> Option<Party> {
        let names = told.names.iter().filter_map(|name| {
            let name = name.told()?;
            let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let is_host = name.contains('.') && is_dns_subdomain(&name) && name.parse::<IpAddr>().is_err();
            (is_host && !name.contains(".svc.")).then(|| SmolStr::from(name))
        });
        let names: Vec<SmolStr> = names.collect();
        let named = names.iter().find(|name| self.policy.names_host(name)).or(names.first())?;
        Some(Party::Host { name: named.clone(), at: self.policy.whereabouts(named) })
    }

    /// Returns a Pod or a pod of a workload of the inventory. A pod on the host network is its node's address.
    fn pod(&self, workload: &Workload, single: bool) -> Who {
        if let (true, Some(address)) = (workload.host_network, workload.addresses.first()) {
            return self.of(&Party::Address(*address));
        }
        self.of(&Party::Pod(Pod { single, ..self.policy.pod_of(workload) }))
    }

    /// Returns a pod that is no Pod of the inventory: with the data of the log, completed by its workload.
    fn told_pod(&self, namespace: &str, told: &Told<'_>) -> Who {
        let mut labels = Labels::new();
        let namespace = SmolStr::from(namespace);
        let mut namespace_labels = self.policy.namespace_labels(&namespace);
        let is_declared = self.policy.inventory.namespaces.get(&namespace).is_some_and(|known| known.declared);
        for text in told.labels.iter().filter_map(|text| label(text.told()?)) {
            match text {
                Label::Pod(key, value) => drop(labels.insert(key.into(), value.into())),
                Label::Namespace(key, value) if !is_declared && key != NAMESPACE_NAME => {
                    namespace_labels.insert(key.into(), value.into());
                }
                Label::Namespace(..) => {}
            }
        }
        let workload = self.workload(&namespace, told, &labels);
        let unlabelled = labels.is_empty() && workload.is_none();
        let shown = match (told.pod.told(), told.account.told()) {
            (Some(name), _) => format!("{namespace}/{name}"),
            (None, Some(account)) => format!("{namespace}/@{account}"),
            (None, None) => format!("{namespace}/*"),
        };
        let account = told.account.told().map(SmolStr::from);
        let pod = match workload {
            Some(workload) => {
                let known = self.policy.pod_of(workload);
                let labels = if labels.is_empty() { known.labels } else { labels };
                Pod { shown, namespace_labels, labels, account: account.unwrap_or(known.account), ..known }
            }
            None => {
                let made_up = self.policy.made_up(&namespace, &shown, labels, account.unwrap_or_default());
                Pod { namespace_labels, ..made_up }
            }
        };
        let unexplained = self.policy.inventory.given && workload.is_none();
        let who = self.of(&Party::Pod(Pod { single: told.pod.told().is_some(), ..pod }));
        Who { unexplained, unlabelled, ..who }
    }

    /// Returns the workload of a pod: by its labels, else by the workload's name, else by the Pod's name.
    fn workload(&self, namespace: &str, told: &Told<'_>, labels: &Labels) -> Option<&'p Workload> {
        let all = self.policy.inventory.workloads_in(namespace).iter();
        let account = |one: &&Workload| {
            one.account.is_empty() || told.account.told().is_none_or(|account| one.account == account)
        };
        let mut all = all.filter(|one| one.kind != WorkloadKind::Pod && !one.host_network).filter(account);
        let selects = |one: &&Workload| one.selector.as_ref().is_some_and(|selector| selector.matches(labels));
        if !labels.is_empty() {
            return all.find(selects);
        }
        match (told.workload.told(), told.pod.told()) {
            (Some(name), _) => all.find(|one| one.name == name),
            (None, Some(pod)) => all.find(|one| makes(one, pod)),
            (None, None) => None,
        }
    }

    /// Returns a pod about which nothing is known.
    fn unknown(&self, address: Option<IpAddr>) -> Who {
        let shown = address.map_or_else(|| "an unknown pod".to_owned(), |address| address.to_string());
        let pod = Pod {
            shown: shown.clone(),
            namespace_labels: Labels::new(),
            labels: Labels::new(),
            account: SmolStr::default(),
            ports: Vec::new(),
            sidecar: false,
            single: false,
        };
        let unexplained = self.policy.inventory.given;
        Who { party: Party::Pod(pod), words: Words::unsaid(shown), unexplained, unlabelled: true }
    }
}

/// Returns whether a Pod's name is one that a workload gives: `web-5d9c8bf7d-x2k4q` by the Deployment `web`, `db-0` by
/// the StatefulSet `db`.
fn makes(workload: &Workload, pod: &str) -> bool {
    let Some(rest) = pod.strip_prefix(workload.name.as_str()).and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    let ending = |text: &str, longest: usize| {
        !text.is_empty() && text.len() <= longest && text.chars().all(|letter| ENDINGS.contains(letter))
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match workload.kind {
        WorkloadKind::Deployment => {
            rest.split_once('-').is_some_and(|(set, one)| ending(set, 10) && one.len() == 5 && ending(one, 5))
        }
        WorkloadKind::StatefulSet => number(rest),
        WorkloadKind::ReplicaSet | WorkloadKind::DaemonSet | WorkloadKind::Job => rest.len() == 5 && ending(rest, 5),
        WorkloadKind::CronJob => {
            rest.split_once('-').is_some_and(|(at, one)| number(at) && one.len() == 5 && ending(one, 5))
        }
        WorkloadKind::Pod | WorkloadKind::Declared => false,
    }
}
