//! Capabilities of layers: a row for each, with the parts of a flow that the layer sees and judges by. Messages about
//! enforcement are made from these rows, so that a new layer is a new row.
//!
//! ```text
//! allow ingress lab/@curl -> garden/*:8080/http where method GET
//! ```
//!
//! asks for an account and for a method. The row of istio has both where a pod receives; the row of networkpolicy has
//! neither. So on networkpolicy alone the rule is an error, and its message names istio, whose row has both.

use super::level::{PAST_SIDECAR, Traffic, Traffics};
use crate::model::conditions::Conditions;
use crate::model::rules::Direction;
use crate::settings::Layer;

/// An ability that a rule asks of a layer, beyond pods with labels, IPv4 addresses and ports by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Service accounts: `lab/@curl`.
    Accounts,
    /// Hosts outside by their names: `zenquotes.io`.
    Hosts,
    /// `where jwt`.
    Tokens,
    /// `where method` and `where path`.
    Requests,
    /// `where host`.
    RequestHosts,
    /// Ports by the names that each pod gives them, whether or not the pods are known: `garden/*:http`.
    PortNames,
    /// IPv6 addresses: `2001:db8::/32`.
    Ipv6,
    /// Denied flows among those that other rules allow.
    Denies,
}

impl Ability {
    /// Every ability.
    pub const ALL: [Ability; 8] = [
        Ability::Accounts,
        Ability::Hosts,
        Ability::Tokens,
        Ability::Requests,
        Ability::RequestHosts,
        Ability::PortNames,
        Ability::Ipv6,
        Ability::Denies,
    ];

    /// Returns the abilities that some conditions need, the most informative first.
    pub(super) fn by(conditions: &Conditions) -> impl Iterator<Item = Ability> {
        let requests = conditions.asks_of_requests();
        let tokens = conditions.jwt.is_some().then_some(Ability::Tokens);
        let hosts = (!conditions.hosts.is_empty()).then_some(Ability::RequestHosts);
        tokens.into_iter().chain(requests.then_some(Ability::Requests)).chain(hosts)
    }

    /// Returns the ability in words: `tokens`, `HTTP`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Ability::Accounts => "accounts",
            Ability::Hosts => "names",
            Ability::Tokens => "tokens",
            Ability::Requests => "HTTP",
            Ability::RequestHosts => "host names",
            Ability::PortNames => "port names",
            Ability::Ipv6 => "IPv6",
            Ability::Denies => "denies",
        }
    }
}

/// The row of a layer.
#[derive(Debug)]
pub struct Capability {
    /// The product whose objects the layer writes.
    pub product: &'static str,
    /// The traffic that the layer judges at both ends of every pod. With `keeper` it sees only TCP that reaches the
    /// keeper.
    pub traffic: Traffics,
    /// The abilities of the layer where a pod sends and where it receives.
    judges: [&'static [Ability]; 2],
    /// The proxy in a pod that judges for the layer; `None` where the node does. A pod may avoid its proxy, or have
    /// none.
    pub keeper: Option<&'static str>,
    /// How a pod gets its keeper, in words.
    pub given_by: &'static str,
    /// The TCP ports that every keeper leaves out on the way in.
    pub leaves_out: &'static [u16],
}

static NETWORKPOLICY: Capability = Capability {
    product: "NetworkPolicy",
    traffic: Traffics::ALL,
    judges: [
        &[Ability::PortNames, Ability::Ipv6, Ability::Denies],
        &[Ability::PortNames, Ability::Ipv6, Ability::Denies],
    ],
    keeper: None,
    given_by: "",
    leaves_out: &[],
};

static ISTIO: Capability = Capability {
    product: "Istio",
    traffic: Traffics::only(Traffic::Tcp),
    judges: [
        &[Ability::Hosts, Ability::Ipv6, Ability::Denies],
        &[Ability::Accounts, Ability::Tokens, Ability::Requests, Ability::RequestHosts, Ability::Ipv6, Ability::Denies],
    ],
    keeper: Some("sidecar"),
    given_by: "`istio-injection: enabled` among the labels of their namespace",
    leaves_out: &PAST_SIDECAR,
};

/// Returns the row of a layer.
pub fn of(layer: Layer) -> &'static Capability {
    match layer {
        Layer::NetworkPolicy => &NETWORKPOLICY,
        Layer::Istio => &ISTIO,
    }
}

impl Capability {
    /// Returns whether the layer has an ability at one end.
    pub fn judges(&self, asked: Ability, direction: Direction) -> bool {
        let [sending, receiving] = self.judges;
        match direction {
            Direction::Egress => sending.contains(&asked),
            Direction::Ingress => receiving.contains(&asked),
        }
    }
}

/// The layers of a build.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a>(pub(super) &'a [Layer]);

impl Layers<'_> {
    /// Returns whether one of the layers judges a kind of traffic.
    pub(super) fn see(self, kind: Traffic) -> bool {
        self.0.iter().any(|layer| of(*layer).traffic.contains(kind))
    }

    /// Returns the layer that a build lacks in order to judge by something.
    pub(super) fn lack(self, asked: Ability) -> Option<Layer> {
        let judges = |layer: &Layer| Direction::BOTH.iter().any(|end| of(*layer).judges(asked, *end));
        self.lack_one(judges)
    }

    /// Returns the layer that a build lacks in order to see every pod on all traffic.
    pub(super) fn lack_every_pod(self) -> Option<Layer> {
        self.lack_one(|layer| of(*layer).keeper.is_none())
    }

    fn lack_one(self, has: impl Fn(&Layer) -> bool) -> Option<Layer> {
        if self.0.iter().any(&has) {
            return None;
        }
        Layer::ALL.into_iter().find(has)
    }

    /// Returns the option that adds a layer to the build: `--target networkpolicy,istio`.
    pub(super) fn option_with(self, layer: Layer) -> String {
        let with = Layer::ALL.into_iter().filter(|one| *one == layer || self.0.contains(one));
        format!("--target {}", with.map(Layer::word).collect::<Vec<_>>().join(","))
    }
}
