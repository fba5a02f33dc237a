//! Callers with and without an identity, which decide where mTLS is strict.
//!
//! ```text
//! allow ingress lab/*          -> garden/{app=web}:80      with an identity
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:8443    without one, on 8443
//! ```

use std::rc::Rc;

use crate::model::labels::PodSelector;
use crate::model::rules::RuleId;
use crate::targets::istio::plan::peers::Peer;

/// The callers of pods, with and without an identity.
#[derive(Default)]
pub struct Callers<'a> {
    /// The calls, in the order of the rules.
    pub calls: Vec<Call<'a>>,
}

/// The callers that one rule allows or denies to some pods.
pub struct Call<'a> {
    /// The rule.
    pub rule: RuleId,
    /// The pods.
    pub selector: &'a PodSelector,
    /// Whether some callers are known by identity.
    pub strict: bool,
    /// The ports on which others may call.
    pub plain: Plain,
    /// The ports of a deny by identity.
    pub denies: Plain,
    /// Whether the rule closes the pods.
    pub isolates: bool,
}

/// The ports on which callers without identity may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// Every port.
    All,
    /// These ports.
    Ports(Rc<[u16]>),
}

impl Plain {
    /// Returns no port.
    pub fn none() -> Plain {
        Plain::Ports(Rc::new([]))
    }

    /// Returns the ports of either.
    pub fn join(&self, other: &Plain) -> Plain {
        match (self, other) {
            (Plain::All, _) | (_, Plain::All) => Plain::All,
            (one, Plain::Ports(none)) if none.is_empty() => one.clone(),
            (Plain::Ports(none), other) if none.is_empty() => other.clone(),
            (Plain::Ports(a), Plain::Ports(b)) => {
                let mut ports: Vec<u16> = a.iter().chain(b.iter()).copied().collect();
                ports.sort_unstable();
                ports.dedup();
                Plain::Ports(ports.into())
            }
        }
    }

    /// Returns whether there is a port in common.
    pub fn meets(&self, other: &Plain) -> bool {
        match (self, other) {
            (Plain::All, Plain::All) => true,
            (Plain::All, Plain::Ports(ports)) | (Plain::Ports(ports), Plain::All) => !ports.is_empty(),
            (Plain::Ports(a), Plain::Ports(b)) => a.iter().any(|port| b.contains(port)),
        }
    }
}

impl<'a> Callers<'a> {
    /// Notes that a rule closes some pods.
    pub fn isolate(&mut self, rule: RuleId, selector: &'a PodSelector) {
        self.calls.push(Call {
            rule,
            selector,
            strict: false,
            plain: Plain::none(),
            denies: Plain::none(),
            isolates: true,
        });
    }

    /// Records the peers that may call some pods on some ports; an empty list is all ports.
    pub fn allow(&mut self, rule: RuleId, selector: &'a PodSelector, peer: &Peer, ports: Vec<u16>, nothing: bool) {
        let plain = match (peer.plain && !nothing, ports.is_empty()) {
            (false, _) => Plain::none(),
            (true, true) => Plain::All,
            (true, false) => Plain::Ports(ports.into()),
        };
        let denies = Plain::none();
        self.calls.push(Call { rule, selector, strict: peer.identity, plain, denies, isolates: true });
    }

    /// Notes that any caller may call some pods.
    pub fn open(&mut self, rule: RuleId, selector: &'a PodSelector) {
        self.calls.push(Call {
            rule,
            selector,
            strict: false,
            plain: Plain::All,
            denies: Plain::none(),
            isolates: true,
        });
    }

    /// Notes that some callers are denied by their identity on some ports; an empty list is all ports.
    pub fn deny(&mut self, rule: RuleId, selector: &'a PodSelector, ports: Vec<u16>) {
        let denies = if ports.is_empty() { Plain::All } else { Plain::Ports(ports.into()) };
        self.calls.push(Call { rule, selector, strict: true, plain: Plain::none(), denies, isolates: false });
    }
}
