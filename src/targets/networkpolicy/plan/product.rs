//! Products: few lines of a policy that would be gigabytes of YAML, and are an error before these are made. A
//! NetworkPolicy has no deny, so the exceptions of the denies are written out in every allow for the same pods; and it
//! is for one namespace, so a rule for pods of many is written into each.
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

/// The most exceptions that are written of the denies of one direction.
const MOST: usize = 1_000_000;
/// The most exceptions for each rule: where it has fewer, the objects grow with the policy.
const MOST_EACH: usize = 100;
/// How many exceptions weigh as much as an object more.
const OBJECT: usize = 100;

/// The most subjects that rules for pods of several namespaces are written for.
const MOST_SUBJECTS: usize = 400_000;

/// Rules for pods of so many namespaces that their objects are too many.
#[derive(Clone, Debug)]
pub struct Spread {
    /// The first of the rules that are written for the most subjects.
    pub rule: RuleId,
    /// For how many subjects that rule is written.
    pub subjects: usize,
    /// How many rules there are for pods of several namespaces.
    pub rules: usize,
}

impl Spread {
    /// Returns the rules that would be written for too many subjects, of which `ends` has those of each rule end.
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

/// Denies and allows whose exceptions are too many.
#[derive(Clone, Debug)]
pub struct TooLarge {
    /// The first deny.
    pub deny: RuleId,
    /// How many denies there are.
    pub denies: usize,
    /// An allow that they are taken out of, if rules isolate the pods.
    pub allow: Option<RuleId>,
    /// How many allows there are for the same pods.
    pub allows: usize,
}

/// The exceptions of one direction, as far as they are counted.
pub struct Product {
    most: usize,
    exceptions: Cell<usize>,
    /// The rules at which there were too many.
    pub found: RefCell<Option<TooLarge>>,
}

impl Product {
    /// Begins to count the exceptions of so many terms and denies.
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

    /// Counts the exceptions that some denies make in one of several allows for the same pods, and the parts that these
    /// pods fall into.
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
