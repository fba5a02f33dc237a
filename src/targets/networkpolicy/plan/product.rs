//! Products of denies and allows. A NetworkPolicy has no deny, so the exceptions of the denies are written out in every
//! allow for the same pods: few lines of a policy may be gigabytes of YAML, and are an error before these are made.
//!
//! ```text
//! 1,000 denies of a namespace each, and 1,500 allows, all for the pods of shop: 1,500,000 exceptions, an error
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use crate::model::rules::RuleId;
use crate::targets::networkpolicy::model::Cause;

/// The most exceptions that are written of the denies of one direction.
const MOST: usize = 1_000_000;
/// The most exceptions for each rule: where it has fewer, the objects grow with the policy.
const MOST_EACH: usize = 100;
/// How many exceptions weigh as much as an object more.
const OBJECT: usize = 100;

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
