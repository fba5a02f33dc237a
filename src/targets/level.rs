//! How well a layer holds one end of a rule, by what the flows run on.
//!
//! A layer that is exact on TCP may not see UDP at all. `allow ingress lab/@curl -> garden/{app=web}` is held by Istio on
//! TCP, since it knows the account, while on UDP there is only a NetworkPolicy, which lets all of `lab` in: whoever looked
//! at one level for all traffic would call that exact.

use std::borrow::Cow;

use crate::inventory::{AllLeftOut, PortRange};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::model::rules::{Direction, RuleId};
use crate::settings::Layer;

/// How well a layer holds one end of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It stops every flow that the rule forbids.
    Exact,
    /// It holds for whoever plays by the rules, as with a sidecar that a pod can go round.
    Bypassable,
    /// It lets more through than the rule says.
    Wider,
    /// It stops nothing of what the rule forbids.
    Unable,
}

impl Level {
    /// Returns `exact`, `bypassable`, `wider` or `unable`.
    pub fn word(self) -> &'static str {
        match self {
            Level::Exact => "exact",
            Level::Bypassable => "bypassable",
            Level::Wider => "wider",
            Level::Unable => "unable",
        }
    }
}

/// Flows that layers tell apart by what they run on. ICMP is judged by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// TCP.
    Tcp,
    /// TCP to the ports that every sidecar leaves out on the way in.
    PastSidecar,
    /// UDP and SCTP.
    Datagrams,
    /// TCP that annotations of pods keep from their sidecars.
    LeftOut,
}

/// The TCP ports of its pod that every sidecar leaves out on the way in: those of its agent and of its own metrics.
pub const PAST_SIDECAR: [u16; 3] = [15020, 15021, 15090];

/// Some kinds of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffics(u8);

impl Traffic {
    /// Every kind.
    pub const ALL: [Traffic; 4] = [Traffic::Tcp, Traffic::PastSidecar, Traffic::Datagrams, Traffic::LeftOut];
}

impl Traffics {
    /// Every kind of traffic.
    pub const ALL: Traffics = Traffics(0b1111);

    /// Returns the kinds that some ports are for, where annotations leave some out.
    pub fn of(ports: &Ports, left_out: &AllLeftOut) -> Traffics {
        let of = |port: &PortMatch| Traffics::of_range(port.protocol, port.numbers(), left_out);
        match ports {
            Ports::All => Traffics::ALL,
            Ports::Some(list) => list.iter().fold(Traffics::default(), |kinds, port| kinds.with(of(port))),
        }
    }

    /// Returns the kinds that a range of ports is for; without numbers it is the ports of some name.
    pub fn of_range(protocol: Protocol, range: Option<PortRange>, left_out: &AllLeftOut) -> Traffics {
        match protocol {
            Protocol::Udp | Protocol::Sctp => Traffics::only(Traffic::Datagrams),
            Protocol::Icmp => Traffics::default(),
            Protocol::Tcp => {
                let within = |(first, last)| PAST_SIDECAR.iter().filter(|at| (first..=last).contains(*at)).count();
                let past = range.map_or(0, within);
                let all = range.is_some_and(|(first, last)| usize::from(last.saturating_sub(first)) < past);
                let kind = |kind, yes| if yes { Traffics::only(kind) } else { Traffics::default() };
                kind(Traffic::Tcp, !all)
                    .with(kind(Traffic::PastSidecar, past > 0))
                    .with(kind(Traffic::LeftOut, left_out.may_have(range)))
            }
        }
    }

    /// Makes a set of one kind.
    pub const fn only(kind: Traffic) -> Traffics {
        Traffics(1 << kind as u8)
    }

    /// Returns the kinds that are in either.
    pub fn with(self, other: Traffics) -> Traffics {
        Traffics(self.0 | other.0)
    }

    /// Returns the kinds that are in this set alone.
    pub fn without(self, other: Traffics) -> Traffics {
        Traffics(self.0 & !other.0)
    }

    /// Returns whether a kind is among them.
    pub fn contains(self, kind: Traffic) -> bool {
        self.0 & Traffics::only(kind).0 != 0
    }

    /// Returns whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the kinds.
    pub fn iter(self) -> impl Iterator<Item = Traffic> {
        Traffic::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

/// A level for each kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels([Level; 4]);

impl Levels {
    /// The same level for all traffic.
    pub const fn all(level: Level) -> Levels {
        Levels([level; 4])
    }

    /// Returns the level of a kind of traffic.
    pub fn of(self, kind: Traffic) -> Level {
        self.0[kind as usize]
    }

    /// Makes the levels of some kinds at least as bad as one.
    pub fn raise(&mut self, kinds: Traffics, level: Level) {
        kinds.iter().for_each(|kind| self.0[kind as usize] = self.0[kind as usize].max(level));
    }

    /// Returns, for each kind of traffic, the best of some levels.
    pub fn best(of: impl IntoIterator<Item = Levels>) -> Levels {
        of.into_iter().fold(Levels::all(Level::Unable), |best, one| {
            Levels(std::array::from_fn(|kind| best.0[kind].min(one.0[kind])))
        })
    }
}

/// What a layer makes of one end of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule.
    pub rule: RuleId,
    /// The end.
    pub direction: Direction,
    /// How well it holds: the worst of the traffic that the layer sees.
    pub level: Level,
    /// How well it holds each kind of traffic, that which the layer does not see included.
    pub levels: Levels,
    /// How well it would hold without the rule's conditions, which this end may not read.
    pub but_conditions: Levels,
    /// Why it is not exact, or how it is: lower case, no final period ("other hosts at these addresses pass too").
    pub reason: Cow<'static, str>,
    /// What the layer refuses although the rule allows it, where there is such a thing (callers without a sidecar).
    pub narrower: Option<Box<str>>,
    /// The hosts with addresses of its own that the layer finds by their names: dialled by an address without the name they
    /// are refused.
    pub by_name: Option<Box<str>>,
    /// Whether a build says so, and not only `explain`: pods that are named are refused, or callers of all kinds.
    pub refuses: bool,
    /// Pods of the subject that are known to have no sidecar and that the layer therefore does not hold, by name; where
    /// all known pods are such, the level says so.
    pub unmeshed: Option<Box<str>>,
    /// What of its ports the rule names although the layer leaves them out.
    pub names: Traffics,
    /// What annotations of the governed pods leave out, in words.
    pub left_out: Option<Box<str>>,
    /// Of a rule through a gateway on the way out. On networkpolicy: whether the gateway is the only way that its pods
    /// have. On istio: whether the gateway stops what the rule forbids, also of pods that avoid their sidecar.
    pub at_gateway: bool,
}

impl Judgement {
    /// Returns what the layer refuses although the rule allows it, for a table.
    pub(super) fn refused(&self) -> Option<String> {
        let by_name = self.by_name.as_deref();
        let all: Vec<&str> = self.narrower.as_deref().into_iter().chain(by_name).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Returns what a layer makes of a rule, as a clause.
    pub(super) fn words(&self, layer: Layer) -> String {
        format!("{} is {}: {}", layer.word(), self.level.word(), self.reason)
    }
}
