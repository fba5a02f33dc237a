//! Gateways through which requests come to some pods: the requests that they let in for the hosts of these pods, even
//! if the gateway's own pods are compared in another group.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> garden/web:8080/http via edge at "garden.example"
//!     beside the pods of garden: what the objects for the pods of edge let in for garden.example
//! ```

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::{Failed, Said, seen};
use crate::flows::{Name, Terms};
use crate::inventory::{PolicyObject, Says};
use crate::model::hosts::HostName;
use crate::model::rules::Rule;
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::targets::istio::read::{Asked, Ingress, NotUnderstood};

/// The gateways through which requests come to some pods, for each namespace of the gateways' pods.
pub(super) struct Entries<'a> {
    hosts: Vec<HostName>,
    list: Vec<Entry<'a>>,
}

struct Entry<'a> {
    /// The number of the gateway.
    gateway: usize,
    /// The namespace of its pods.
    home: &'a SmolStr,
    /// The objects for requests to these hosts at the gateway.
    objects: Vec<PolicyObject>,
}

impl<'a> Entries<'a> {
    /// Finds the gateways that some rules lead in through. `of_namespace` returns the objects of a namespace.
    pub(super) fn new(
        policy: &'a Policy,
        said: &Said,
        of_namespace: &dyn Fn(&SmolStr) -> &'a [&'a PolicyObject],
    ) -> Entries<'a> {
        let rules = said.ends.iter().map(|(at, _)| &policy.rules[at.index()]);
        let led: Vec<&Rule> = rules.filter(|rule| rule.ingress && rule.via.is_some()).collect();
        let vias = || led.iter().filter_map(|rule| rule.via.as_ref());
        let hosts: BTreeSet<&HostName> = vias().flat_map(|via| &via.at).collect();
        let hosts: Vec<HostName> = hosts.into_iter().cloned().collect();
        if hosts.is_empty() {
            return Entries { hosts, list: Vec::new() };
        }
        let asked = Asked::new(&hosts);
        let root = SmolStr::from(policy.settings.root_namespace.as_str());
        let mut list = Vec::new();
        for (gateway, one) in policy.gateways.iter().enumerate() {
            if !vias().any(|via| via.gateway.pods == one.pods) {
                continue;
            }
            for home in one.pods.iter().filter_map(|pods| pods.namespace_name()) {
                let own = if *home == root { &[][..] } else { of_namespace(home) };
                let near = of_namespace(&root).iter().chain(own).filter(|object| object.may_be_for(&one.pods));
                let objects = near.map(|object| asked.of(object)).collect();
                list.push(Entry { gateway, home, objects });
            }
        }
        Entries { hosts, list }
    }

    /// Returns the number of rules of the objects.
    pub(super) fn count(&self) -> usize {
        let rules = |object: &PolicyObject| match &object.says {
            Says::Authorization(says) => says.rules.len(),
            _ => 1,
        };
        self.list.iter().flat_map(|entry| &entry.objects).map(rules).sum()
    }

    /// Adds the values of the gateways' objects to the values in play.
    pub(super) fn terms(&self, policy: &Policy, terms: &mut Terms) -> Result<(), NotUnderstood> {
        self.list.iter().try_for_each(|entry| Ingress::new(policy, &entry.objects).terms(terms))
    }

    /// Records the requests that the gateways let in.
    pub(super) fn let_in(&self, policy: &Policy, meaning: &mut Meaning<'_>) -> Result<(), Failed> {
        if self.list.is_empty() {
            return Ok(());
        }
        let asked = meaning.flows().asks_for_names(Name::Host, &self.hosts);
        for entry in &self.list {
            let ingress = Ingress::new(policy, &entry.objects);
            let mut common = ingress.common(meaning.flows())?;
            let place = meaning.flows().space.place(entry.home);
            let seen = seen::into(meaning.flows());
            let read = meaning.read_by_proxies(place);
            let d = &mut meaning.flows().diagrams;
            let within = [seen, read].into_iter().fold(asked, |set, other| d.and(set, other));
            let layer = ingress.row(meaning.flows(), &mut common, place, within)?;
            meaning.let_in(entry.gateway, place, layer, within);
        }
        Ok(())
    }
}
