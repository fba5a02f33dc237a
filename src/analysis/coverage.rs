//! Coverage: the rules that no line of a test concerns, and the tests and assertions that concern a rule.
//!
//! ```text
//! allow shop/{app=web} -> shop/{app=api}:8080
//! test "…" { allow shop/{app=web} -> shop/{app=api}:8080 }      speaks of the rule
//! ```

use crate::flows::TooLarge;
use crate::model::rules::{Claim, Rule, RuleId};
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::source::Span;

/// The rules of a policy, with and without a test that concerns them.
#[derive(Debug)]
pub struct Coverage {
    /// The number of rules that some line concerns.
    pub covered: usize,
    /// The rules that no line concerns, in their order.
    pub uncovered: Vec<RuleId>,
}

impl Coverage {
    /// Returns the covered share in percent, rounded down; 100 without rules.
    pub fn percent(&self) -> usize {
        match self.covered + self.uncovered.len() {
            0 => 100,
            all => 100 * self.covered / all,
        }
    }
}

/// Finds the rules that no line of a test concerns. A line concerns an allow or a deny if the rule matches some of its
/// flows, and a `default deny` if the rule isolates the pods of some of its flows.
pub fn coverage(policy: &Policy) -> Result<Coverage, TooLarge> {
    let mut meaning = Meaning::new(policy, &[]);
    let mut coverage = Coverage { covered: 0, uncovered: Vec::new() };
    for (at, rule) in policy.numbered() {
        match concerned(&mut meaning, policy.tests.iter().flat_map(|test| &test.claims), rule)? {
            true => coverage.covered += 1,
            false => coverage.uncovered.push(at),
        }
    }
    Ok(coverage)
}

/// The statements of a policy that concern a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concern {
    /// The tests, by the spans of their names.
    pub tests: Vec<Span>,
    /// The assertions.
    pub assertions: Vec<Span>,
}

/// Returns, for each rule in their order, the tests and assertions that concern it.
pub fn concerns(policy: &Policy) -> Result<Vec<Concern>, TooLarge> {
    let mut meaning = Meaning::new(policy, &[]);
    let mut all = Vec::with_capacity(policy.rules.len());
    for rule in &policy.rules {
        let mut concern = Concern::default();
        for test in &policy.tests {
            if concerned(&mut meaning, &test.claims, rule)? {
                concern.tests.push(test.span);
            }
        }
        for claim in &policy.assertions {
            if concerned(&mut meaning, [claim], rule)? {
                concern.assertions.push(claim.span);
            }
        }
        all.push(concern);
    }
    Ok(all)
}

fn concerned<'c>(
    meaning: &mut Meaning<'_>,
    claims: impl IntoIterator<Item = &'c Claim>,
    rule: &Rule,
) -> Result<bool, TooLarge> {
    for claim in claims {
        let is_meant = match claim.way() {
            Some(way) => meaning.ways_speak_of(&way, rule)?,
            None => meaning.speaks_of(&claim.flows, rule)?,
        };
        if is_meant {
            return Ok(true);
        }
    }
    Ok(false)
}
