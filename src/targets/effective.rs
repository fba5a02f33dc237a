//! Effective policies: what a layer says instead of a policy, in rules.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443      networkpolicy says: allow egress garden/* -> internet:443
//! ```
//!
//! A layer that cannot express a rule says another one, and that one can be written in the language itself. A build is
//! checked in two steps over it: the objects mean exactly these rules, and these rules are wider than the source only
//! where a judgement says so.

use super::Traffics;
use crate::model::rules::{Direction, GrantId, Rule, RuleId};

/// The rules that a layer says for a part of a policy, none of which is a deny.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// The rules.
    pub rules: Vec<Stated>,
    /// The flows that the layer is said to let through in excess of rule ends.
    pub excess: Vec<Excess>,
}

/// A rule that a layer says.
#[derive(Clone, Debug)]
pub struct Stated {
    /// The rule, for one direction.
    pub rule: Rule,
    /// What it stands for.
    pub instead_of: Instead,
}

/// What a rule of a layer stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The isolation of pods.
    Isolation,
    /// An allow.
    Rule(RuleId),
    /// A grant.
    Grant(GrantId),
    /// Everything but what these denies name, for pods that no rule isolates.
    Rest(Vec<RuleId>),
}

/// Flows that a layer lets through although a rule end forbids them, as its judgement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// The rule.
    pub rule: RuleId,
    /// The direction of the rule end.
    pub direction: Direction,
    /// The traffic that is meant.
    pub on: Traffics,
    /// Which flows of the traffic are meant.
    pub of: ExcessOf,
}

/// The flows of an excess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExcessOf {
    /// Those of the rules that the layer says instead.
    Rule,
    /// All flows of the pods that the rule end governs.
    Pods,
    /// Those that the deny matches.
    Deny,
}
