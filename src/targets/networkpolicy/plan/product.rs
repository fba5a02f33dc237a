//! Products: an error for a policy of few lines whose objects would be gigabytes of YAML. A NetworkPolicy has no deny,
//! so the exceptions of the denies are written into every allow for the same pods. A NetworkPolicy is for one
//! namespace, so a rule for pods of many namespaces is written into each of them.
//!
//! ```text
//! 1,000 denies of a namespace each, and 1,500 allows, all for the pods of shop: 1,500,000 exceptions, an error
//! 1,000 rules for the pods of */{app=…}, and an inventory with 1,000 namespaces: 1,000,000 objects, an error
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use super::subjects::SubjectPods;
use crate::model::rules::RuleId;
use crate::targets::networkpolicy::model::Cause;
use crate::targets::networkpolicy::view::View;

/// The most exceptions that the denies of one direction may make.
const MOST: usize = 1_000_000;
/// The most exceptions for each rule: below this, the objects grow only in proportion to the policy.
const MOST_EACH: usize = 100;
/// The number of exceptions that cost as much as one more object.
const OBJECT: usize = 100;

/// The most subjects that rules for pods of several namespaces are written for.
const MOST_SUBJECTS: usize = 400_000;

/// Rules for pods of many namespaces, which would give too many objects.
#[derive(Clone, Debug)]
pub struct Spread {
    /// The first rule with the most subjects.
    pub rule: RuleId,
    /// The number of subjects of that rule.
    pub subjects: usize,
    /// The number of rules for pods of several namespaces.
    pub rules: usize,
}

impl Spread {
    /// Returns the rules that would be written for too many subjects. `ends` has the subjects of each rule end.
    pub fn of(view: View<'_>, ends: &[SubjectPods<'_>]) -> Option<Spread> {
        let count = |pods: &SubjectPods<'_>| pods.iter().map(|pods| pods.certain().len() + pods.perhaps().len()).sum();
        let counts = view.partition.ends().zip(ends).map(|((at, ..), pods)| (at, count(pods)));
        let several: Vec<(RuleId, usize)> = counts.filter(|(_, count)| *count > 1).collect();
        let all: usize = several.iter().map(|(_, count)| count).sum();
        if all <= MOST_SUBJECTS.max(MOST_EACH * ends.len()) {
            return None;
        }
        let (rule, subjects) = several.iter().copied().max_by_key(|(at, count)| (*count, std::cmp::Reverse(*at)))?;
        Some(Spread { rule, subjects, rules: several.len() })
    }
}

/// Denies and allows with too many exceptions.
#[derive(Clone, Debug)]
pub struct TooLarge {
    /// The first deny.
    pub deny: RuleId,
    /// The number of denies.
    pub denies: usize,
    /// An allow that they are taken out of, if rules isolate the pods.
    pub allow: Option<RuleId>,
    /// The number of allows for the same pods.
    pub allows: usize,
}

/// The counter of the exceptions of one direction.
pub struct Product {
    most: usize,
    exceptions: Cell<usize>,
    /// The rules at which the limit was reached.
    pub found: RefCell<Option<TooLarge>>,
}

impl Product {
    /// Begins to count the exceptions for a number of rules.
    pub fn of(rules: usize) -> Product {
        Product { most: MOST.max(MOST_EACH * rules), exceptions: Cell::default(), found: RefCell::default() }
    }

    /// Returns the most parts into which the peers of one allow may fall.
    pub fn most_parts(&self) -> usize {
        self.most / OBJECT
    }

    /// Returns whether there are too many.
    pub fn is_too_large(&self) -> bool {
        self.found.borrow().is_some()
    }

    /// Counts the exceptions that some denies make in each of a number of allows for the same pods, and the parts into
    /// which the denies split these pods.
    pub fn count(&self, parts: usize, denies: impl Iterator<Item = RuleId> + Clone, allows: usize, cause: &Cause) {
        let more = denies.clone().count() + OBJECT * parts.saturating_sub(1);
        self.exceptions.set(self.exceptions.get() + more);
        if self.exceptions.get() <= self.most || self.is_too_large() {
            return;
        }
        let denies: BTreeSet<RuleId> = denies.collect();
        let allow = if let Cause::Rule(rule) = cause { Some(*rule) } else { None };
        let found = denies.first().map(|&deny| TooLarge { deny, denies: denies.len(), allow, allows });
        self.found.replace(found);
    }
}
