//! Effective policies: the rules that a layer enforces instead of a policy.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443      networkpolicy says: allow egress garden/* -> internet:443
//! ```
//!
//! If a layer cannot express a rule, it enforces a different one, which the language can write too. So a build is
//! checked in two steps: the objects mean exactly these rules, and these rules are wider than the source only if a
//! judgement says so.

use super::Traffics;
use crate::model::rules::{Direction, GrantId, Rule, RuleId};

/// The rules that a layer enforces for a partition of a policy. None of them is a deny.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// The rules.
    pub rules: Vec<Stated>,
    /// The excess that judgements admit, for each rule end.
    pub excess: Vec<Excess>,
}

/// A rule that a layer enforces.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The rule, for one direction.
    pub rule: Rule,
    /// The statement of the source that it stands for.
    pub instead_of: Instead,
}

/// The statement of the source that a rule of a layer stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The isolation of pods.
    Isolation,
    /// An allow.
    Rule(RuleId),
    /// A grant.
    Grant(GrantId),
    /// Everything except the flows of these denies, for pods that no rule isolates.
    Rest(Vec<RuleId>),
}

/// Flows that a rule end forbids and a layer lets through, as the judgement of the end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The rule.
    pub rule: RuleId,
    /// The direction of the rule end.
    pub direction: Direction,
    /// The kinds of traffic.
    pub on: Traffics,
    /// The flows of this traffic.
    pub of: ExcessOf,
}

/// The flows of an excess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExcessOf {
    /// The flows of the rules that the layer has instead.
    Rule,
    /// All flows of the pods that the rule end governs.
    Pods,
    /// The flows that the deny matches.
    Deny,
}
