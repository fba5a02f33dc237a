//! Parties: the pods, addresses and hosts that one side of a question may mean.
//!
//! ```text
//! garden/web     the workload web of the inventory, else the Pod, the Service, or pods labelled with that name
//! 10.1.2.3       the Pod with this address, else the address itself
//! ```

use std::net::IpAddr;

use smol_str::SmolStr;

use super::{Asker, near};
use crate::inventory::{Matched, Workload, WorkloadKind, is_passing};
use crate::model::labels::{Account, Labels, PodSelector, Requirements};
use crate::policy::flow::{Party, Pod};
use crate::syntax::tree::{Expr, ExprKind, LabelTest, Labels as Written, NamespacePattern, PodPattern};

/// The label that pods are assumed to have if the inventory has nothing of their name.
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// A party that a question may mean.
#[derive(Clone)]
pub(super) struct Candidate {
    /// Who.
    pub party: Party,
    /// The name under which it is shown: `garden/web`.
    pub name: SmolStr,
    /// The workload that it belongs to: pods of one workload with the same decision share one answer.
    pub workload: SmolStr,
    /// Whether it is a pod whose account is not known.
    pub no_account: bool,
}

impl Candidate {
    pub(super) fn one(party: Party) -> Candidate {
        let name = SmolStr::from(super::shown(&party));
        // A declaration may leave the account out.
        let no_account = matches!(&party, Party::Pod(pod) if pod.account.is_empty());
        Candidate { party, workload: name.clone(), name, no_account }
    }
}

impl Asker<'_> {
    /// Returns every party that an endpoint of a question may mean: pods of the inventory, else one invented pod.
    pub(super) fn parties(&mut self, expr: &Expr, text: &str) -> Result<Vec<Candidate>, String> {
        // A pod is shown without the port of the question.
        let text = expr.ports.as_ref().and_then(|ports| text.get(..ports.span.start as usize)).unwrap_or(text);
        match &expr.kind {
            ExprKind::Address(address) => {
                let most = if address.ip.is_ipv4() { 32 } else { 128 };
                if address.prefix.is_some_and(|prefix| prefix != most) {
                    return Err(format!("`{text}` is a network; ask for one address"));
                }
                Ok(vec![self.at_address(address.ip)?])
            }
            ExprKind::Host(host) if host.wildcard => Err(format!("`{text}` is many hosts; ask for one")),
            ExprKind::Host(host) => {
                self.refuse_cluster_name(&host.name)?;
                let at = self.policy.whereabouts(&host.name);
                Ok(vec![Candidate::one(Party::Host { name: host.name.clone(), at })])
            }
            ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Name(name)) => {
                self.check_namespace(&namespace.text)?;
                self.named(&namespace.text, &name.text)
            }
            ExprKind::Pods(namespace, PodPattern::Name(name)) if !matches!(namespace, NamespacePattern::Scope(_)) => {
                Err(format!("`{text}`: a name is that of one namespace, as `garden/{}`", name.text))
            }
            ExprKind::Pods(namespace, pods) => self.selected(namespace, pods, text),
            ExprKind::Name(name) => Err(format!("`{name}` is a name; ask for a pod, a host or an address")),
            _ => Err(format!("`{text}` is not one pod, host or address")),
        }
    }

    fn check_namespace(&self, namespace: &str) -> Result<(), String> {
        let inventory = &self.policy.inventory;
        match inventory.given && !inventory.namespaces.contains_key(namespace) {
            true => Err(near::no_namespace(inventory, namespace)),
            false => Ok(()),
        }
    }

    /// Refuses a name of the cluster's own DNS, which is no host outside.
    fn refuse_cluster_name(&self, host: &str) -> Result<(), String> {
        let domain = format!(".{}", self.policy.settings.domain);
        let inside = host.strip_suffix(domain.as_str());
        let local = inside.unwrap_or(host);
        let is_local = inside.is_some() || local.ends_with(".svc");
        let mut labels = local.strip_suffix(".svc").unwrap_or(local).rsplit('.');
        let (Some(namespace), Some(name), pod) = (labels.next(), labels.next(), labels.next()) else { return Ok(()) };
        let known = || self.policy.inventory.services.contains_key(&(namespace.into(), name.into()));
        match (is_local || pod.is_none() && known(), pod) {
            (false, _) => Ok(()),
            (true, _) if (namespace, name) == ("default", "kubernetes") => {
                Err(format!("`{host}` is the API server; ask for its address"))
            }
            (true, Some(pod)) => Err(format!("`{host}` is a pod of the cluster; ask for `{namespace}/{pod}`")),
            (true, None) => Err(format!("`{host}` is a Service of the cluster; ask for `{namespace}/{name}`")),
        }
    }

    /// Returns the pod that has an address, or the address itself. Pods on the host network belong to their node.
    fn at_address(&self, address: IpAddr) -> Result<Candidate, String> {
        // A socket for both families shows IPv4 addresses as `::ffff:203.0.113.7`.
        let address = address.to_canonical();
        let pod = self.policy.inventory.workloads.iter().find(|workload| {
            workload.kind == WorkloadKind::Pod && !workload.host_network && workload.addresses.contains(&address)
        });
        match pod {
            Some(workload) => Ok(self.one_pod(workload)),
            None if self.policy.pod_addresses.contains(address) => Err(format!(
                "`{address}` is an address of pods, as `[cluster] pods` says, and no pod is known that has it; ask for the pod"
            )),
            None => Ok(Candidate::one(Party::Address(address))),
        }
    }

    /// Returns what `namespace/name` means: the workload of that name, else the Pod, the Service, or pods with that
    /// name as their label.
    fn named(&mut self, namespace: &SmolStr, name: &SmolStr) -> Result<Vec<Candidate>, String> {
        let inventory = self.policy.inventory.clone();
        match (inventory.named(namespace, name).as_slice(), inventory.pod(namespace, name)) {
            ([], None) => {}
            ([], Some(pod)) => return Ok(vec![self.unless_on_a_node(pod, |asker| asker.one_pod(pod))?]),
            ([one], _) if one.kind == WorkloadKind::Pod => {
                return Ok(vec![self.unless_on_a_node(one, |asker| asker.one_pod(one))?]);
            }
            (workloads, _) => {
                let any = |one: &&Workload| self.unless_on_a_node(one, |asker| asker.any_of(one));
                return workloads.iter().map(any).collect();
            }
        }
        if inventory.services.contains_key(&(namespace.clone(), name.clone())) {
            return self.behind_service(namespace, name);
        }
        let labels = Labels::from([(NAME_LABEL.into(), name.clone())]);
        let known = inventory.select(&with_labels(namespace, &labels));
        if known.is_empty() && inventory.given {
            return Err(near::no_name(&inventory, namespace, name));
        }
        let shown = format!("{namespace}/{name}");
        self.assume(format!("pods labelled {NAME_LABEL}={name} for {shown}"));
        if !known.is_empty() {
            return Ok(known.into_iter().map(|workload| self.any_of(workload)).collect());
        }
        Ok(vec![self.made_up(namespace, &shown, labels, None)])
    }

    /// Returns the pods that a Service leads to.
    pub(super) fn behind_service(&mut self, namespace: &SmolStr, name: &SmolStr) -> Result<Vec<Candidate>, String> {
        let inventory = self.policy.inventory.clone();
        let service = inventory.services.get(&(namespace.clone(), name.clone()));
        let Some(labels) = service.and_then(|service| service.selector.clone()) else {
            return Err(format!(
                "the Service {namespace}/{name} has no pods of its own; ask for the address or the host that it leads to"
            ));
        };
        let pods = with_labels(namespace, &labels);
        let known = inventory.select(&pods);
        if !known.is_empty() {
            return Ok(known.into_iter().map(|workload| self.any_of(workload)).collect());
        }
        if let Matched::HostNetwork(workload) = inventory.matched(&pods) {
            return Ok(vec![self.unless_on_a_node(workload, |asker| asker.any_of(workload))?]);
        }
        let shown = format!("{namespace}/{name}");
        self.assume(format!("pods labelled {} and nothing else behind the Service {shown}", list(&labels)));
        Ok(vec![self.made_up(namespace, &shown, labels, None)])
    }

    /// Returns the pods that a selector means, one for each known workload; if none is known, an invented pod with
    /// exactly these labels.
    fn selected(
        &mut self,
        namespace: &NamespacePattern,
        pods: &PodPattern,
        text: &str,
    ) -> Result<Vec<Candidate>, String> {
        let mut selector = match namespace {
            NamespacePattern::Any => PodSelector::any(),
            NamespacePattern::Name(name) => {
                self.check_namespace(&name.text)?;
                PodSelector::in_namespace(name.text.clone())
            }
            NamespacePattern::Labels(labels) => {
                PodSelector { namespace: requirements(labels, text)?, ..PodSelector::any() }
            }
            NamespacePattern::Scope(_) => {
                return Err(format!("`{text}`: `./` is the namespace of a file's scope; write the namespace"));
            }
        };
        match pods {
            PodPattern::Any | PodPattern::Name(_) => {}
            PodPattern::Labels(labels) => selector.labels = requirements(labels, text)?,
            PodPattern::Account(account) => selector.account = Account::Is(account.text.clone()),
        }
        let inventory = self.policy.inventory.clone();
        let known = inventory.select(&selector);
        if !known.is_empty() {
            return Ok(known.into_iter().map(|workload| self.any_of(workload)).collect());
        }
        if let Matched::HostNetwork(workload) = inventory.matched(&selector) {
            let Workload { namespace, name, .. } = workload;
            return Err(format!("`{text}`: {namespace}/{name} is on the host network; ask for the node's address"));
        }
        let (NamespacePattern::Name(namespace), false) = (namespace, matches!(pods, PodPattern::Any)) else {
            return Err(match inventory.given {
                true => format!("`{text}`: the inventory has no such pod"),
                false => format!("`{text}` is many pods, and without an inventory none is known; ask for one"),
            });
        };
        let near = near::near_label(&inventory, &selector).map(|near| format!("; {near}")).unwrap_or_default();
        match pods {
            PodPattern::Account(account) => {
                if inventory.given && !near::knows_account(&inventory, &namespace.text, &account.text) {
                    return Err(near::no_account(&inventory, &namespace.text, &account.text));
                }
                let none = if inventory.given { "; the inventory has none" } else { "" };
                self.assume(format!("a pod without labels for {text}{none}"));
                Ok(vec![self.made_up(&namespace.text, text, Labels::new(), Some(account.text.clone()))])
            }
            PodPattern::Labels(written) => {
                let mut labels = Labels::new();
                for requirement in &written.requirements {
                    let LabelTest::Equals(value) = &requirement.test else {
                        return Err(format!(
                            "`{text}`: no such pod is known, and to make one up it takes labels as `{{app=web}}`"
                        ));
                    };
                    labels.insert(requirement.key.text.clone(), value.text.clone());
                }
                if inventory.given {
                    self.assume(format!(
                        "a pod labelled {} and nothing else; the inventory has none{near}",
                        list(&labels)
                    ));
                }
                Ok(vec![self.made_up(&namespace.text, text, labels, None)])
            }
            PodPattern::Any | PodPattern::Name(_) => Err(format!("`{text}` is many pods; ask for one")),
        }
    }

    /// Returns the party of a workload. A pod on the host network is its node's address; it is an error if that is
    /// unknown.
    fn unless_on_a_node(
        &self,
        workload: &Workload,
        then: impl Fn(&Asker<'_>) -> Candidate,
    ) -> Result<Candidate, String> {
        match (workload.host_network, workload.addresses.first()) {
            (false, _) => Ok(then(self)),
            (true, Some(address)) => Ok(Candidate::one(Party::Address(*address))),
            (true, None) => Err(format!(
                "{}/{} is on the host network and belongs to its node; ask for the node's address",
                workload.namespace, workload.name
            )),
        }
    }

    /// Returns one Pod. A single Pod reaches itself by its own address.
    fn one_pod(&self, workload: &Workload) -> Candidate {
        Candidate::one(Party::Pod(Pod { single: true, ..self.policy.pod_of(workload) }))
    }

    /// Returns any pod of a workload, or any of several equal Pods.
    pub(super) fn any_of(&self, workload: &Workload) -> Candidate {
        let owner = if workload.owned { self.owner(workload) } else { None };
        let mut candidate = Candidate::one(Party::Pod(self.policy.pod_of(workload)));
        if let Some(owner) = owner {
            candidate.workload = owner;
        }
        candidate
    }

    /// Returns the workload of a Pod: the known one that selects it, else the labels and the account that its copies
    /// share.
    fn owner(&self, pod: &Workload) -> Option<SmolStr> {
        let all = self.policy.inventory.workloads_in(&pod.namespace).iter();
        let mut owners = all.filter(|other| other.kind != WorkloadKind::Pod);
        let owner = owners.find(|other| other.selector.as_ref().is_some_and(|it| it.matches(&pod.labels)));
        Some(match owner {
            Some(owner) => format!("{}/{}", owner.namespace, owner.name).into(),
            None => {
                let lasting = pod.labels.iter().filter(|(key, _)| !is_passing(key));
                let labels: Vec<String> = lasting.map(|(key, value)| format!("{key}={value}")).collect();
                format!("{}/{{{}}}@{}", pod.namespace, labels.join(", "), pod.account).into()
            }
        })
    }

    /// Returns an invented pod with these labels. Without an inventory every pod counts as meshed.
    pub(super) fn made_up(
        &self,
        namespace: &SmolStr,
        shown: &str,
        labels: Labels,
        account: Option<SmolStr>,
    ) -> Candidate {
        let no_account = account.is_none();
        let account = account.unwrap_or_else(|| "default".into());
        let made_up = Candidate::one(Party::Pod(self.policy.made_up(namespace, shown, labels, account)));
        Candidate { no_account, ..made_up }
    }

    /// Notes the account that a pod is assumed to have, if a rule asks for an account and the pod's is not known.
    pub(super) fn assume_account(&mut self, candidate: &Candidate) {
        let (Party::Pod(pod), true) = (&candidate.party, candidate.no_account) else { return };
        let asks = |selector: &PodSelector| {
            !selector.account.is_any()
                && selector.namespace.matches(&pod.namespace_labels)
                && selector.labels.matches(&pod.labels)
        };
        let mut sides = self.policy.rules_by_account(pod).flat_map(|rule| [&rule.source, &rule.destination]);
        if !sides.any(|side| side.pods().any(|(_, pods)| asks(&pods.selector))) {
            return;
        }
        self.assume(match pod.account.as_str() {
            "" => {
                format!("{} runs as none of the accounts that rules name; its declaration says no `account`", pod.shown)
            }
            account => format!("{} runs as the account `{account}`", pod.shown),
        });
    }
}

pub(super) fn with_labels(namespace: &SmolStr, labels: &Labels) -> PodSelector {
    let labels = crate::types::equalities(labels).unwrap_or_default();
    PodSelector { labels, ..PodSelector::in_namespace(namespace.clone()) }
}

fn list(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn requirements(labels: &Written, text: &str) -> Result<Requirements, String> {
    let all = Requirements::new(labels.requirements.iter().map(crate::types::requirement));
    all.ok_or_else(|| format!("`{text}`: no pod meets these labels"))
}
