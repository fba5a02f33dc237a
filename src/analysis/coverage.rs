//! Coverage: the rules that no line of a test concerns.
//!
//! ```text
//! allow shop/{app=web} -> shop/{app=api}:8080
//! test "…" { allow shop/{app=web} -> shop/{app=api}:8080 }      speaks of the rule
//! ```

use crate::flows::TooLarge;
use crate::model::rules::RuleId;
use crate::policy::Policy;
use crate::policy::meaning::Meaning;

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
        let mut spoken_of = false;
        for claim in policy.tests.iter().flat_map(|test| &test.claims) {
            let is_meant = match claim.way() {
                Some(way) => meaning.ways_speak_of(&way, rule)?,
                None => meaning.speaks_of(&claim.flows, rule)?,
            };
            if is_meant {
                spoken_of = true;
                break;
            }
        }
        match spoken_of {
            true => coverage.covered += 1,
            false => coverage.uncovered.push(at),
        }
    }
    Ok(coverage)
}
