//! The index of rules and grants by the pods and hosts that they may concern, so that a question about one flow does
//! not look at all of them.
//!
//! ```text
//! allow ingress shop/* -> garden/{app=web}:80     may govern pods of garden
//! allow egress {env=prod}/* -> dns                may govern pods of every namespace
//! ```

use std::sync::OnceLock;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::isolation::Isolated;
use super::{Grant, Pod, Policy};
use crate::model::endpoint::What;
use crate::model::labels::{NAMESPACE_NAME, PodSelector};
use crate::model::rules::{Direction, GrantId, Rule, RuleId};

/// The index of a policy, made by the first question.
#[derive(Debug, Default)]
pub struct Concerning {
    tables: OnceLock<Tables>,
    /// The isolation of each gateway's pods.
    pub(super) gateways: OnceLock<FxHashMap<Vec<PodSelector>, Isolated>>,
}

impl Clone for Concerning {
    /// A copy of a policy may get other rules, so it starts without an index.
    fn clone(&self) -> Concerning {
        Concerning::default()
    }
}

#[derive(Debug, Default)]
struct Tables {
    /// Rules by the pods that they govern; the pods of a gateway that a rule leads through count too.
    rules: ByNamespace,
    /// Grants by the pods that they open.
    grants: ByNamespace,
    /// Rules by the pods that they select by an account, on either side.
    accounts: ByNamespace,
    /// Rules that give a host addresses, by its name.
    hosts: FxHashMap<SmolStr, Vec<u32>>,
    /// Rules that lead clients in through a gateway.
    ways_in: Vec<u32>,
}

/// Rule or grant numbers by the namespaces of the pods that they concern.
#[derive(Debug, Default)]
struct ByNamespace {
    named: FxHashMap<SmolStr, Vec<u32>>,
    /// The numbers of those that select pods of unnamed namespaces.
    others: Vec<u32>,
}

impl ByNamespace {
    fn add<'a>(&mut self, at: usize, pods: impl Iterator<Item = &'a PodSelector>) {
        let mut names: Vec<&SmolStr> = Vec::new();
        for selector in pods {
            match selector.namespace.values(NAMESPACE_NAME) {
                Some(list) => names.extend(list),
                None => return self.others.push(at as u32),
            }
        }
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| self.named.entry(name.clone()).or_default().push(at as u32));
    }

    /// Returns the numbers that may concern a pod, in order.
    fn of(&self, pod: &Pod) -> impl Iterator<Item = usize> + use<> {
        let own = pod.namespace_labels.get(NAMESPACE_NAME).and_then(|name| self.named.get(name));
        let mut all: Vec<u32> = own.into_iter().flatten().chain(&self.others).copied().collect();
        all.sort_unstable();
        all.into_iter().map(|at| at as usize)
    }
}

impl Policy {
    /// Returns every rule that governs a pod, or that leads through its gateway, in order. Some others may be among
    /// them.
    pub fn rules_concerning(&self, pod: &Pod) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.tables().rules.of(pod).map(|at| (RuleId::new(at), &self.rules[at]))
    }

    /// Returns every grant that opens a pod, in order. Some others may be among them.
    pub(super) fn grants_concerning(&self, pod: &Pod) -> impl Iterator<Item = (GrantId, &Grant)> {
        self.tables().grants.of(pod).map(|at| (GrantId::new(at), &self.grants[at]))
    }

    /// Returns every rule that selects pods like this one by an account. Some others may be among them.
    pub(super) fn rules_by_account(&self, pod: &Pod) -> impl Iterator<Item = &Rule> {
        self.tables().accounts.of(pod).map(|at| &self.rules[at])
    }

    /// Returns every rule that gives a host addresses.
    pub(super) fn rules_placing(&self, host: &str) -> impl Iterator<Item = &Rule> {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let rules = self.tables().hosts.get(name.as_str()).into_iter().flatten();
        rules.map(|&at| &self.rules[at as usize])
    }

    /// Returns the rules with `via` on the way in.
    pub(super) fn ways_in(&self) -> impl Iterator<Item = &Rule> {
        self.tables().ways_in.iter().map(|&at| &self.rules[at as usize])
    }

    fn tables(&self) -> &Tables {
        self.concerning.tables.get_or_init(|| {
            let mut tables = Tables::default();
            for (at, rule) in self.rules.iter().enumerate() {
                let governed = Direction::BOTH.into_iter().filter(|direction| rule.governs(*direction));
                let governed = governed.flat_map(|direction| rule.subject(direction).pods());
                let through = rule.via.iter().flat_map(|via| &via.gateway.pods);
                tables.rules.add(at, governed.map(|(_, pods)| &pods.selector).chain(through));
                let sides = || [&rule.source, &rule.destination].into_iter();
                let by_account = sides().flat_map(|side| side.pods()).map(|(_, pods)| &pods.selector);
                let mut by_account = by_account.filter(|selector| !selector.account.is_any()).peekable();
                if by_account.peek().is_some() {
                    tables.accounts.add(at, by_account);
                }
                for member in sides().flat_map(|side| &side.members) {
                    if let What::Host(host) = &member.what
                        && !host.at.is_empty()
                    {
                        let name = host.name.name.to_ascii_lowercase().into();
                        tables.hosts.entry(name).or_default().push(at as u32);
                    }
                }
                if rule.ingress && rule.via.is_some() {
                    tables.ways_in.push(at as u32);
                }
            }
            for (at, grant) in self.grants.iter().enumerate() {
                tables.grants.add(at, grant.subject().pods().map(|(_, pods)| &pods.selector));
            }
            tables
        })
    }
}
