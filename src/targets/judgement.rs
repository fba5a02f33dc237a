//! Judgements: how well one layer enforces one rule end.

use super::gap::{Gap, Why};
use super::{Level, Levels, Narrower, Traffic, Traffics};
use crate::model::rules::{Direction, RuleId};
use crate::settings::Layer;

/// How well one layer enforces one rule end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule.
    pub rule: RuleId,
    /// The direction of the rule end.
    pub direction: Direction,
    /// The level of the end: the worst of the traffic that the layer sees.
    pub level: Level,
    /// The level for each kind of traffic, including traffic that the layer does not see.
    pub levels: Levels,
    /// The levels without the rule's conditions, for an end at which the layer cannot read these.
    pub but_conditions: Levels,
    /// Why the level is not exact, or how the layer enforces the end.
    pub reason: Why,
    /// The reason without the rule's conditions; none if the layer enforces the rest of the rule.
    pub but_reason: Why,
    /// The kinds of traffic that the rule names and that the layer leaves out.
    pub names: Traffics,
    /// For an egress rule through a gateway, and for a deny of hosts that a gateway leads to: the ways that the layer
    /// closes.
    pub at_gateway: AtGateway,
    /// Further data that few judgements have: a policy may have hundreds of thousands of judgements.
    remarks: Option<Box<Remarks>>,
}

/// Further data that a judgement may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Flows that the layer refuses although the rule allows them, for example those of callers without a sidecar.
    pub narrower: Vec<Narrower>,
    /// The hosts with `at` that the layer finds by their names: it refuses a client that dials the address without the
    /// name.
    pub by_name: Option<Box<str>>,
    /// The known pods of the subject without a sidecar, by name: the layer does not see their traffic. If all known
    /// pods have none, the level is unable.
    pub unmeshed: Option<Box<str>>,
    /// The connections that annotations of the governed pods keep from their sidecars, in words.
    pub left_out: Option<Box<str>>,
    /// The ports on which the layer may let connections to any address through, whatever the rule's destination is.
    pub at_any_address: Vec<u16>,
    /// The sentences that the layer enforces instead of a rule that is not exact. Only [`super::explain`] asks for
    /// them; empty if no sentence can express it.
    pub instead: Vec<Box<str>>,
    /// A flow that the rule forbids and the layer lets through, if `instead` is wanted and is empty.
    pub passes: Option<Box<str>>,
}

/// No remarks.
static NO_REMARKS: Remarks = Remarks {
    narrower: Vec::new(),
    by_name: None,
    unmeshed: None,
    left_out: None,
    at_any_address: Vec::new(),
    instead: Vec::new(),
    passes: None,
};

/// The ways that a layer closes, for an egress rule through a gateway and for a deny of hosts that gateways lead to. If
/// the layers of a build close both, pods reach the rule's hosts and nothing else, or none of the denied hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtGateway {
    /// All ways of the rule's pods except the one to the gateway.
    pub other_ways: bool,
    /// All hosts of the gateway except the rule's, or those that a deny names, even for pods that avoid their sidecar.
    pub other_hosts: bool,
    /// For a deny: the gateways that lead to its hosts refuse its pods there.
    pub refuses: bool,
}

impl Judgement {
    /// Makes the judgement of a rule end that the layer enforces exactly.
    pub(super) fn exact(rule: RuleId, direction: Direction) -> Judgement {
        Judgement {
            rule,
            direction,
            level: Level::Exact,
            levels: Levels::all(Level::Exact),
            but_conditions: Levels::all(Level::Exact),
            reason: Why::Nothing,
            but_reason: Why::Nothing,
            names: Traffics::default(),
            at_gateway: AtGateway::default(),
            remarks: None,
        }
    }

    /// Returns the further data of the judgement.
    pub fn remarks(&self) -> &Remarks {
        self.remarks.as_deref().unwrap_or(&NO_REMARKS)
    }

    /// Returns the further data of the judgement, to add to it.
    pub fn remarks_mut(&mut self) -> &mut Remarks {
        self.remarks.get_or_insert_default()
    }

    /// Makes the judgement of a rule end with gaps. The worst gap gives the level, and the first of the worst gives the
    /// reason.
    pub(super) fn with_gaps(rule: RuleId, direction: Direction, gaps: Vec<Gap>) -> Judgement {
        let mut judgement = Judgement::exact(rule, direction);
        for gap in &gaps {
            judgement.levels.raise(gap.on, gap.level);
            if !matches!(gap.why, Why::Unseen(_)) {
                judgement.but_conditions.raise(gap.on, gap.level);
            }
        }
        let first_of_the_worst = |worst: Gap, gap: Gap| if gap.level > worst.level { gap } else { worst };
        let others = gaps.iter().filter(|gap| !matches!(gap.why, Why::Unseen(_))).cloned();
        if let Some(worst) = others.reduce(first_of_the_worst) {
            judgement.but_reason = worst.why;
        }
        if let Some(worst) = gaps.into_iter().reduce(first_of_the_worst) {
            (judgement.level, judgement.reason) = (worst.level, worst.why);
        }
        judgement
    }

    /// Returns the flows that the layer refuses although the rule allows them, for a table.
    pub(super) fn refused(&self) -> Option<String> {
        let Remarks { narrower, by_name, .. } = self.remarks();
        let by_name = by_name.as_deref();
        let all: Vec<&str> = narrower.iter().map(|narrower| &*narrower.words).chain(by_name).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Returns the judgement without the rule's conditions as a clause of a sentence.
    pub(super) fn words_but_conditions(&self, layer: Layer) -> String {
        let level = self.but_conditions.of(Traffic::Tcp);
        format!("{} is {}: {}", layer.word(), level.word(), self.but_reason)
    }

    /// Returns the judgement as a clause of a sentence.
    pub(super) fn words(&self, layer: Layer) -> String {
        format!("{} is {}: {}", layer.word(), self.level.word(), self.reason)
    }
}
