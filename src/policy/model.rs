//! The data of a policy: rules and grants, with the facts that they rest on.

use std::sync::Arc;

use super::concerning::Concerning;
use crate::inventory::{Inventory, Workload};
use crate::model::addresses::AddressSet;
use crate::model::endpoint::{Endpoint, What};
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::rules::{Claim, Direction, GrantId, Rule, RuleId, Test};
use crate::settings::{Layer, Settings};

/// A checked policy: its rules and grants, with every name resolved.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The rules, in the order of the files and of the source; templates are expanded at their `apply`, and `<->` is
    /// two rules.
    pub rules: Vec<Rule>,
    /// The assertions about them.
    pub assertions: Vec<Claim>,
    /// The tests.
    pub tests: Vec<Test>,
    /// The grants: ways that the compiler opens by itself.
    pub grants: Vec<Grant>,
    /// Every gateway in scope, in the order of the declarations, without repetition. A gateway's pods see a client's
    /// address, and have no sidecar.
    pub gateways: Vec<Arc<Gateway>>,
    /// The facts about the cluster, including those declared in the source.
    pub inventory: Arc<Inventory>,
    /// The settings of the run.
    pub settings: Arc<Settings>,
    /// The API servers on their ports; empty if they are unknown.
    pub api_server: Arc<Endpoint>,
    /// The addresses where a host without `at` may be: std/net's `internet`.
    pub internet: AddressSet,
    /// `[cluster] pods`: the addresses of pods; empty if they are unknown.
    pub pod_addresses: AddressSet,
    /// The prelude's `nodes`; empty if they are unknown.
    pub node_addresses: AddressSet,
    /// Whether the layers are the default, and the inventory shows no mesh.
    pub lacks_mesh: bool,
    /// The index of the rules that may concern a pod. A copy of the policy starts without one, since its rules may
    /// change.
    pub concerning: Concerning,
}

impl Policy {
    /// Returns whether Istio is a layer of the build.
    pub fn has_istio(&self) -> bool {
        self.settings.targets.contains(&Layer::Istio)
    }

    /// Returns a rule.
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(id.index())
    }

    /// Returns a grant.
    pub fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(id.index())
    }

    /// Returns a gateway among some pods that has proxies in front of it: its packets come from the proxies, not the
    /// clients.
    pub fn behind_proxies(&self, pods: &PodSelector) -> Option<&Gateway> {
        let mut gateways = self.gateways.iter().filter(|gateway| gateway.proxies > 0);
        gateways.find(|gateway| gateway.pods.iter().any(|own| own.overlaps(pods))).map(Arc::as_ref)
    }

    /// Returns whether other pods than a gateway's run as its account: some that are known, or those of another
    /// gateway.
    pub fn shares_account(&self, gateway: &Gateway) -> bool {
        let Some((namespace, account)) = &gateway.account else { return false };
        // The namespace of a workload that the source declares need not be known.
        let here = |pods: &&PodSelector| pods.namespace_name().is_none_or(|name| name == namespace);
        let own =
            |workload: &Workload| gateway.pods.iter().filter(here).any(|pods| pods.labels.matches(&workload.labels));
        let running = self.inventory.workloads_in(namespace).iter().filter(|workload| workload.account == *account);
        let other = |other: &Arc<Gateway>| {
            other.account == gateway.account && !other.pods.iter().all(|pods| pods.is_inside(&gateway.pods))
        };
        self.gateways.iter().any(other) || running.filter(|one| !one.host_network).any(|workload| !own(workload))
    }

    /// Returns every rule with its id, in their order.
    pub fn numbered(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.rules.iter().enumerate().map(|(at, rule)| (RuleId::new(at), rule))
    }
}

/// Returns whether a deny names some clients by their addresses, and not all of them.
pub fn denies_some_clients(deny: &Rule) -> bool {
    let blocks = deny.source.members.iter().flat_map(|member| match &member.what {
        What::Addresses(set) => set.blocks.clone(),
        What::Host(host) => host.addresses().blocks,
        What::Pods(_) => Vec::new(),
    });
    let clients = AddressSet { blocks: blocks.collect() };
    !clients.is_empty() && !clients.is_everything()
}

/// A grant: a way that the compiler opens by itself. It never isolates, counts for pods that some rule isolates in that
/// direction, and a deny beats it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Why the compiler adds it.
    pub reason: GrantReason,
    /// The direction that it opens.
    pub direction: Direction,
    /// The endpoints that may send.
    pub source: Arc<Endpoint>,
    /// The endpoints that they may reach, with ports.
    pub destination: Arc<Endpoint>,
    /// The rules that need it; empty for a grant to every isolated pod.
    pub because: Vec<RuleId>,
}

impl Grant {
    /// Returns the side that the grant opens.
    pub fn subject(&self) -> &Arc<Endpoint> {
        match self.direction {
            Direction::Egress => &self.source,
            Direction::Ingress => &self.destination,
        }
    }

    /// Returns the other side.
    pub fn peer(&self) -> &Arc<Endpoint> {
        match self.direction {
            Direction::Egress => &self.destination,
            Direction::Ingress => &self.source,
        }
    }
}

/// Why the compiler adds a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantReason {
    /// The way to the cluster's DNS, for the subject of an egress allow to hosts or pods: their names must resolve.
    Dns,
    /// The way of a pod with a sidecar to istiod, TCP 15012.
    Istiod,
    /// A gateway's half of `via`.
    Gateway,
    /// istiod's way to the keys of an issuer.
    Keys,
}
