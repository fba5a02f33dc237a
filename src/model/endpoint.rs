//! An endpoint after names and facts are resolved: a flat union of pods, addresses and hosts, each with its ports.

use smallvec::SmallVec;
use smol_str::SmolStr;

use super::addresses::AddressSet;
use super::hosts::Host;
use super::labels::PodSelector;
use super::ports::Ports;
use crate::source::Span;

/// A union of members. The targets read it through [`crate::policy`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The members, in the order of the source.
    pub members: Members,
}

/// The members of a union: most have one.
pub type Members = SmallVec<[Member; 1]>;

/// One member of a union.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The span where it was written; inside a `let` if it came through a name.
    pub span: Span,
    /// Its kind, with the pods, addresses or host.
    pub what: What,
    /// Its ports as a destination; of a source they mean nothing.
    pub ports: Ports,
}

/// The kinds of members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Pods of the cluster.
    Pods(Pods),
    /// Addresses that belong to no pod.
    Addresses(AddressSet),
    /// A host outside the cluster.
    Host(Host),
}

/// Pods, with the name by which the source spoke of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pods {
    /// Which pods.
    pub selector: PodSelector,
    /// The workload or Service (namespace, name) that `ns/name` named; `None` for selectors.
    pub named: Option<Box<(SmolStr, SmolStr)>>,
}

impl Member {
    /// Returns the host, if the member is one.
    pub fn host(&self) -> Option<&Host> {
        match &self.what {
            What::Host(host) => Some(host),
            What::Pods(_) | What::Addresses(_) => None,
        }
    }
}

impl Endpoint {
    /// Returns whether each member is pods.
    pub fn is_workloads(&self) -> bool {
        self.pods().count() == self.members.len()
    }

    /// Returns the members that are pods.
    pub fn pods(&self) -> impl Iterator<Item = (&Member, &Pods)> {
        self.members.iter().filter_map(|member| match &member.what {
            What::Pods(pods) => Some((member, pods)),
            _ => None,
        })
    }

    /// Returns the members that are hosts.
    pub fn hosts(&self) -> impl Iterator<Item = (&Member, &Host)> {
        self.members.iter().filter_map(|member| Some((member, member.host()?)))
    }
}

/// Returns whether some members together are every pod and every address.
pub fn is_everybody<'m>(members: impl Iterator<Item = &'m Member> + Clone) -> bool {
    let pods = |member: &Member| matches!(&member.what, What::Pods(pods) if pods.selector.is_any());
    if members.clone().nth(1).is_none() || !members.clone().any(pods) {
        return false;
    }
    let blocks = members.filter_map(|member| match &member.what {
        What::Addresses(set) => Some(set.blocks.iter().cloned()),
        _ => None,
    });
    AddressSet { blocks: blocks.flatten().collect() }.is_everything()
}
