//! Findings: what the passes report about rule ends, as data. `judge` turns them into judgements of each rule end, and
//! adds the spans of other rules.

use std::borrow::Cow;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::facts::Unmeshed;
use crate::model::gateways::Gateway;
use crate::model::rules::{Direction, RuleId};
use crate::targets::{Level, Narrower, Refuses, Traffics};

/// A gap: flows that an object lets through in excess of a rule, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IstioGap {
    /// The level that the gap brings the rule to.
    pub level: Level,
    /// The reason.
    pub reason: Reason,
}

/// The reason of a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A reason in these words.
    Words(Cow<'static, str>),
    /// A reason in these words, and the way out of it.
    Mendable(String, String),
    /// Clients who come past the proxies in front of this gateway, so many, write their address themselves.
    PastProxies(SmolStr, u32),
    /// Pods may have the addresses of a gateway's clients.
    PodsAmongClients,
    /// Istio cannot distinguish the pods from those of another rule, and gives them the access of that rule.
    Shared(RuleId),
    /// Another rule leaves the pods open, for this reason. The last value lists its destinations that would need ports.
    Open(RuleId, String, Option<String>),
}

impl IstioGap {
    /// Makes the gap of a rule for which the objects let more through.
    pub fn wider(reason: impl Into<Cow<'static, str>>) -> IstioGap {
        IstioGap { level: Level::Wider, reason: Reason::Words(reason.into()) }
    }

    /// Makes the gap of a rule for which the objects let more through, with a way to avoid it.
    pub fn mendable(reason: String, way: impl Into<String>) -> IstioGap {
        IstioGap { level: Level::Wider, reason: Reason::Mendable(reason, way.into()) }
    }

    /// Makes the gap of a rule that stops nothing.
    pub fn unable(reason: impl Into<Cow<'static, str>>) -> IstioGap {
        IstioGap { level: Level::Unable, reason: Reason::Words(reason.into()) }
    }

    /// Makes the gap of a rule that stops only pods which keep their sidecar.
    pub fn bypassable(reason: impl Into<Cow<'static, str>>) -> IstioGap {
        IstioGap { level: Level::Bypassable, reason: Reason::Words(reason.into()) }
    }

    /// Makes the gap of a rule about clients of a gateway that does not know the proxies in front of it.
    pub fn past_proxies(gateway: &Gateway) -> IstioGap {
        let reason = Reason::PastProxies(gateway.name.clone(), gateway.proxies);
        IstioGap { level: Level::Bypassable, reason }
    }

    /// Makes the gap of a rule about clients of a gateway whose addresses pods may have, too.
    pub fn pods_among_clients() -> IstioGap {
        IstioGap { level: Level::Bypassable, reason: Reason::PodsAmongClients }
    }

    /// Returns the gap of a rule that stops nothing, for the same reason.
    pub fn at_worst(self) -> IstioGap {
        IstioGap { level: Level::Unable, ..self }
    }

    /// Makes the gap of pods that get the access of another rule.
    pub fn shared(rule: RuleId) -> IstioGap {
        IstioGap { level: Level::Wider, reason: Reason::Shared(rule) }
    }

    /// Makes the gap of pods that another rule leaves open, because no object can express its access. `portless` lists
    /// the destinations of that rule that would need ports.
    pub fn open(rule: RuleId, why: String, portless: Option<String>) -> IstioGap {
        IstioGap { level: Level::Unable, reason: Reason::Open(rule, why, portless) }
    }
}

/// The gaps for all rules about some pods. Each gap has the rule that causes it, for which it is no gap. The two worst
/// are kept, so that every rule has at least one of them.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    list: Vec<(Option<RuleId>, IstioGap)>,
}

impl Gaps {
    /// Adds a gap.
    pub fn add(&mut self, cause: Option<RuleId>, gap: &IstioGap) {
        match self.list.iter().position(|(have, _)| *have == cause) {
            Some(at) if gap.level > self.list[at].1.level => self.list[at].1.clone_from(gap),
            Some(_) => {}
            None => self.list.push((cause, gap.clone())),
        }
        self.list.sort_by_key(|(_, gap)| std::cmp::Reverse(gap.level));
        self.list.truncate(2);
    }

    /// Adds all gaps of others.
    pub fn add_all(&mut self, others: &Gaps) {
        others.list.iter().for_each(|(cause, gap)| self.add(*cause, gap));
    }

    /// Returns whether no gap is in it.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the gaps that concern a rule.
    pub fn of(&self, rule: RuleId) -> impl Iterator<Item = &IstioGap> {
        self.list.iter().filter(move |(cause, _)| *cause != Some(rule)).map(|(_, gap)| gap)
    }
}

/// A finding about a rule end.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The direction of the end.
    pub direction: Direction,
    /// The finding itself.
    pub note: Note,
}

/// The content of a finding about a rule end.
#[derive(Clone, Debug)]
pub enum Note {
    /// A gap: the worst decides the level, and the first of the worst is the reason.
    Gap(IstioGap),
    /// The level of the end and the way in which it is enforced, unless a gap is worse.
    How(Level, Cow<'static, str>),
    /// The end allows all flows, so there is nothing to enforce.
    Everything,
    /// The objects do not read the rule's conditions at this end.
    Unread,
    /// The gateways that lead to the hosts of a deny refuse its pods there. A pod without an identity still reaches the
    /// hosts, unless these gateways are isolated.
    Refused {
        /// Whether these gateways are isolated.
        isolated: bool,
    },
    /// Flows that are refused although the rule allows them.
    Narrower(Narrower),
    /// Known pods without a sidecar: no object stops them.
    Unmeshed(Rc<Unmeshed>),
    /// Ports that the rule names and that sidecars leave out: a gap for these ports.
    NamesLeftOut(Traffics, IstioGap),
    /// Connections that annotations of the governed pods keep from their sidecars.
    PodsLeaveOut(String),
    /// Headless Services, each with the port on which requests for it may go to any address.
    AtAnyAddress(Vec<(String, u16)>),
}

impl Note {
    /// Makes a note about flows that are refused although the rule allows them; only `explain` shows it.
    pub fn narrower(flows: Refuses, words: impl Into<Box<str>>) -> Note {
        Note::Narrower(Narrower { flows, words: words.into(), said: false })
    }

    /// Makes a note about flows that are refused although the rule allows them; a build shows it too.
    pub fn refuses(flows: Refuses, words: impl Into<Box<str>>) -> Note {
        Note::Narrower(Narrower { flows, words: words.into(), said: true })
    }
}

/// The findings of a pass, in its order.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    /// The worst gap of each end so far in this pass; smaller gaps are dropped.
    worst: FxHashMap<(RuleId, Direction), Level>,
}

impl Findings {
    /// Adds a gap.
    pub fn gap(&mut self, rule: RuleId, direction: Direction, gap: &IstioGap) {
        let worst = self.worst.entry((rule, direction)).or_insert(Level::Exact);
        if gap.level > *worst {
            *worst = gap.level;
            self.list.push(Finding { rule, direction, note: Note::Gap(gap.clone()) });
        }
    }

    /// Adds a note.
    pub fn add(&mut self, rule: RuleId, direction: Direction, note: Note) {
        match (&note, self.list.last_mut()) {
            (Note::Gap(gap), _) => return self.gap(rule, direction, gap),
            // A rule with several members has the same note for each.
            (Note::How(level, _), Some(Finding { rule: last, direction: end, note: Note::How(have, reason) }))
                if (*last, *end) == (rule, direction) && have == level =>
            {
                if let Note::How(_, words) = note {
                    *reason = words;
                }
                return;
            }
            (Note::Everything, _) => _ = self.worst.remove(&(rule, direction)),
            _ => {}
        }
        self.list.push(Finding { rule, direction, note });
    }

    /// Adds flows that are refused although a rule allows them.
    pub fn narrower(&mut self, rule: RuleId, direction: Direction, flows: Refuses, words: impl Into<Box<str>>) {
        self.add(rule, direction, Note::narrower(flows, words));
    }

    /// Returns these findings and those of a later pass.
    pub fn then(mut self, later: Findings) -> Findings {
        self.list.extend(later.list);
        Findings { list: self.list, worst: FxHashMap::default() }
    }

    /// Returns the findings, in their order.
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }
}
