//! What a layer makes of a rule end.

use super::gap::{Gap, Why};
use super::{Level, Levels, Narrower, Traffics};
use crate::model::rules::{Direction, RuleId};
use crate::settings::Layer;

/// What a layer makes of a rule end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The rule.
    pub rule: RuleId,
    /// The end.
    pub direction: Direction,
    /// How well it is enforced: the worst of the traffic that the layer sees.
    pub level: Level,
    /// How well it is enforced on each kind of traffic, that which the layer does not see included.
    pub levels: Levels,
    /// How well it would be without the rule's conditions, which this end may not read.
    pub but_conditions: Levels,
    /// Why it is not exact, or how it is.
    pub reason: Why,
    /// What the layer refuses although the rule allows it (callers without a sidecar).
    pub narrower: Vec<Narrower>,
    /// The hosts with addresses of its own that the layer finds by their names: dialled by an address without the name they
    /// are refused.
    pub by_name: Option<Box<str>>,
    /// Pods of the subject that are known to have no sidecar and that the layer therefore does not see, by name; where
    /// all known pods are such, the level says so.
    pub unmeshed: Option<Box<str>>,
    /// What of its ports the rule names although the layer leaves them out.
    pub names: Traffics,
    /// What annotations of the governed pods leave out, in words.
    pub left_out: Option<Box<str>>,
    /// Of a rule through a gateway on the way out, what the layer closes.
    pub at_gateway: AtGateway,
}

/// What a layer closes for a rule through a gateway on the way out. Where layers together close both, nothing but the rule's
/// hosts is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtGateway {
    /// Every way of its pods but the one to the gateway.
    pub other_ways: bool,
    /// Every host of the gateway but the rule's, for pods that avoid their sidecar too.
    pub other_hosts: bool,
}

impl Judgement {
    /// Makes the judgement of an end that the layer enforces exactly.
    pub(super) fn exact(rule: RuleId, direction: Direction) -> Judgement {
        Judgement {
            rule,
            direction,
            level: Level::Exact,
            levels: Levels::all(Level::Exact),
            but_conditions: Levels::all(Level::Exact),
            reason: Why::Nothing,
            narrower: Vec::new(),
            by_name: None,
            unmeshed: None,
            names: Traffics::default(),
            left_out: None,
            at_gateway: AtGateway::default(),
        }
    }

    /// Makes the judgement of an end with gaps: the worst counts, and the first of the worst is told.
    pub(super) fn with_gaps(rule: RuleId, direction: Direction, gaps: Vec<Gap>) -> Judgement {
        let mut judgement = Judgement::exact(rule, direction);
        for gap in &gaps {
            judgement.levels.raise(gap.on, gap.level);
            if !matches!(gap.why, Why::Unseen(_)) {
                judgement.but_conditions.raise(gap.on, gap.level);
            }
        }
        let first_of_the_worst = |worst: Gap, gap: Gap| if gap.level > worst.level { gap } else { worst };
        if let Some(worst) = gaps.into_iter().reduce(first_of_the_worst) {
            (judgement.level, judgement.reason) = (worst.level, worst.why);
        }
        judgement
    }

    /// Returns what the layer refuses although the rule allows it, for a table.
    pub(super) fn refused(&self) -> Option<String> {
        let by_name = self.by_name.as_deref();
        let all: Vec<&str> = self.narrower.iter().map(|narrower| &*narrower.words).chain(by_name).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Returns what a layer makes of a rule, as a clause.
    pub(super) fn words(&self, layer: Layer) -> String {
        format!("{} is {}: {}", layer.word(), self.level.word(), self.reason)
    }
}
