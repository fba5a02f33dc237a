//! Levels: how well a layer enforces a rule end, for each kind of traffic.
//!
//! A layer that is exact on TCP may not see UDP at all. `allow ingress lab/@curl -> garden/{app=web}` is enforced by
//! Istio on TCP, since Istio knows the account, while on UDP there is only a NetworkPolicy, which lets all of `lab` in.
//! One level for all traffic would call that exact.

use crate::inventory::{AllLeftOut, PortRange};
use crate::model::port_list::{PortEntry, PortList};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::model::rules::Rule;

/// How well a layer enforces a rule end, from best to worst. A bypassable layer is better than a wider one, because it
/// stops every pod that keeps its sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The layer stops every flow that the rule forbids.
    Exact,
    /// The layer stops only pods that keep to their proxy: a pod can avoid its sidecar.
    Bypassable,
    /// The layer lets more through than the rule allows.
    Wider,
    /// The layer stops none of the flows that the rule forbids.
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

/// A kind of traffic that layers distinguish. ICMP has no kind, because no layer judges it.
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

    /// Returns the kinds of traffic on some ports, where annotations leave some out.
    pub fn of(ports: &Ports, left_out: &AllLeftOut) -> Traffics {
        let of = |port: &PortMatch| Traffics::of_range(port.protocol, port.numbers(), left_out);
        match ports {
            Ports::All => Traffics::ALL,
            Ports::Some(list) => list.iter().fold(Traffics::default(), |kinds, port| kinds.with(of(port))),
        }
    }

    /// Returns the kinds of traffic on the ports of a rule, where annotations leave some out.
    pub fn named(rule: &Rule, left_out: &AllLeftOut) -> Traffics {
        let ports = rule.destination.members.iter().map(|member| Traffics::of(&member.ports, left_out));
        ports.fold(Traffics::default(), Traffics::with)
    }

    /// Returns the kinds of traffic on a list of ports, where annotations leave some out.
    pub fn of_list(ports: &PortList, left_out: &AllLeftOut) -> Traffics {
        let PortList::Some(list) = ports else { return Traffics::ALL };
        let of = |entry: &PortEntry| Traffics::of_range(entry.transport.protocol(), entry.port.numbers(), left_out);
        list.as_slice().iter().fold(Traffics::default(), |kinds, entry| kinds.with(of(entry)))
    }

    /// Returns the kinds of traffic on a range of ports; `None` is a port name, which may be any number.
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
    pub const fn with(self, other: Traffics) -> Traffics {
        Traffics(self.0 | other.0)
    }

    /// Returns the kinds of this set that are not in the other.
    pub fn without(self, other: Traffics) -> Traffics {
        Traffics(self.0 & !other.0)
    }

    /// Returns the kinds that are in both sets.
    pub fn among(self, other: Traffics) -> Traffics {
        Traffics(self.0 & other.0)
    }

    /// Returns whether a kind is in the set.
    pub fn contains(self, kind: Traffic) -> bool {
        self.0 & Traffics::only(kind).0 != 0
    }

    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the kinds.
    pub fn iter(self) -> impl Iterator<Item = Traffic> {
        Traffic::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Traffic> for Traffics {
    fn from_iter<I: IntoIterator<Item = Traffic>>(kinds: I) -> Traffics {
        kinds.into_iter().fold(Traffics::default(), |all, kind| all.with(Traffics::only(kind)))
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
