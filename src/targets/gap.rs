//! Gaps: what a layer lets through in excess of a rule end, and why. Targets find gaps as data; here they become words.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//! ```
//!
//! on networkpolicy has the gap of [`Why::OtherHosts`]: a NetworkPolicy knows no names, and lets `any public address
//! :443` through.

use std::borrow::Cow;
use std::fmt::{Display, Formatter, Result};
use std::sync::Arc;

use smol_str::SmolStr;

use super::capability::Ability;
use super::{Level, Traffics};
use crate::inventory::Indistinct;
use crate::model::endpoint::{Endpoint, What};
use crate::model::ports::{Ports, Protocol};

/// Flows that a layer lets through in excess of a rule end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The traffic that has the gap.
    pub(super) on: Traffics,
    /// The level that the gap brings the rule end to.
    pub(super) level: Level,
    /// The reason.
    pub(super) why: Why,
}

const BEHIND_PROXIES: &str = "packets come from the proxies in front of the gateway, whatever client they are for";

/// The reason why a layer does not enforce a rule end exactly, or how it does. In words it is lower case, without a
/// final period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// No reason.
    #[default]
    Nothing,
    /// A reason in these words.
    Said(Cow<'static, str>),
    /// A reason in these words, and the way out of it.
    Mendable(Box<(String, String)>),
    /// No labels distinguish the pods of the rule end from others.
    Indistinct(Box<Indistinct>),
    /// The rule at this span opens something to its pods, and no labels distinguish these from the pods of the rule
    /// end.
    SharedWith(Box<str>),
    /// The layer cannot judge by a property that the rule has a condition on.
    Unseen(Ability),
    /// Other hosts pass at the addresses of the hosts of a destination.
    OtherHosts(Arc<Endpoint>),
    /// The gateway serves other hosts.
    OtherHostsOfGateway,
    /// The gateway has other clients.
    OtherClientsOfGateway,
    /// This gateway leads the pods of a deny to hosts that may be at denied addresses.
    LedOutBy(SmolStr),
    /// Proxies are in front of a gateway, and all packets come from them.
    BehindProxies,
    /// So many proxies are in front of this gateway, which does not know them: who comes past them writes the client's
    /// address himself.
    PastProxies(Box<(SmolStr, u32)>),
    /// Pods may have the addresses of a gateway's clients.
    PodsAmongClients,
    /// The layer lets through flows of a deny, for this reason.
    Kept(Kept),
    /// The layer does not define what happens to icmp.
    Icmp,
    /// The layer judges by the address that packets come from.
    PacketSource,
    /// This waypoint stands before the pods of the destination.
    Waypoint(SmolStr),
}

/// The reason why a layer that can only allow cannot leave out the flows of a deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The deny has conditions on requests.
    Requests,
    /// The deny names a service account whose pods no labels select.
    Account,
    /// The deny names a host without addresses.
    Host,
    /// A port name may have any number.
    PortName,
    /// Two port names may have one number.
    TwoPortNames,
    /// The remaining flows would have to be written as addresses, which may be addresses of pods.
    BesidePods,
    /// Proxies stand in front of a gateway, and hide the clients that the deny names.
    BehindProxies,
    /// The subject would fall into too many parts.
    TooManyParts,
}

impl Why {
    /// Returns whether there is no reason to report.
    pub fn is_nothing(&self) -> bool {
        match self {
            Why::Nothing => true,
            Why::Said(words) => words.is_empty(),
            _ => false,
        }
    }
}

impl From<Cow<'static, str>> for Why {
    fn from(words: Cow<'static, str>) -> Why {
        Why::Said(words)
    }
}

impl From<&'static str> for Why {
    fn from(words: &'static str) -> Why {
        Why::Said(words.into())
    }
}

impl From<String> for Why {
    fn from(words: String) -> Why {
        Why::Said(words.into())
    }
}

impl Display for Why {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Why::Nothing => "",
            Why::Said(words) => words,
            Why::Mendable(said) => &said.0,
            Why::Indistinct(indistinct) => return indistinct.fmt(f),
            Why::SharedWith(place) => {
                return write!(f, "what {place} gives holds for these pods too, since no labels tell them apart");
            }
            Why::Unseen(asked) => asked.word(),
            Why::OtherHosts(destination) => return OtherHosts::of(destination).fmt(f),
            Why::OtherHostsOfGateway => "whatever the gateway serves",
            Why::LedOutBy(gateway) => {
                return write!(f, "{gateway} leads these pods to a host that may be at a denied address");
            }
            Why::OtherClientsOfGateway => "every client of the gateway",
            Why::BehindProxies => BEHIND_PROXIES,
            Why::PodsAmongClients => "pods may have some of these addresses",
            Why::PastProxies(_) => "who comes past the proxies writes X-Forwarded-For himself",
            Why::Kept(kept) => kept.words(),
            Why::Icmp => "what a network plugin does with icmp is not defined",
            Why::PacketSource => "by the packet's source",
            Why::Waypoint(name) => {
                return write!(
                    f,
                    "what callers in the mesh send comes from the waypoint {name}, with its address and identity"
                );
            }
        })
    }
}

impl Kept {
    fn words(self) -> &'static str {
        match self {
            Kept::Requests => "it sees addresses and ports, not requests",
            Kept::Account => "no labels tell the pods of the service account from others",
            Kept::Host => "the host has no addresses that could be left out",
            Kept::PortName => "a port name stands for other numbers on every pod",
            Kept::TwoPortNames => "another port name that is let through may stand for the same number",
            Kept::BesidePods => {
                "it would have to name addresses beside pods, and `[cluster] pods` does not say where pods are"
            }
            Kept::BehindProxies => BEHIND_PROXIES,
            Kept::TooManyParts => "its pods overlap with those of other rules in too many ways",
        }
    }
}

/// The traffic that other hosts get at the addresses of some hosts, by addresses and ports.
pub(super) struct OtherHosts<'a> {
    /// Whether some host may be anywhere in the internet.
    pub(super) public: bool,
    /// The ports of the hosts, one after the other.
    pub(super) ports: Vec<&'a Ports>,
}

impl OtherHosts<'_> {
    /// Returns the traffic that other hosts get at the addresses of a destination's hosts.
    pub(super) fn of(destination: &Endpoint) -> OtherHosts<'_> {
        let mut others = OtherHosts { public: false, ports: Vec::new() };
        for member in &destination.members {
            if let What::Host(host) = &member.what {
                others.public |= host.at.is_empty();
                others.ports.push(&member.ports);
            }
        }
        others
    }
}

impl Display for OtherHosts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut ports: Vec<String> = Vec::new();
        for port in self.ports.iter().flat_map(|ports| ports.entries()) {
            let number = if port.port.is_every() { "*".to_owned() } else { port.port.to_string() };
            let text = match port.protocol {
                Protocol::Tcp => format!(":{number}"),
                other => format!(":{number}/{}", other.word()),
            };
            if !ports.contains(&text) {
                ports.push(text);
            }
        }
        f.write_str(if self.public { "any public address" } else { "any host at these addresses" })?;
        if ports.is_empty() || self.ports.contains(&&Ports::All) { Ok(()) } else { write!(f, " {}", ports.join(", ")) }
    }
}
