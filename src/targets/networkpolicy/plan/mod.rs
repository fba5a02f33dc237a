//! From rules and grants to drafts of objects: each subject with its terms, and the findings of the passes.
//!
//! ```netpol
//! default deny egress garden/*
//! allow egress garden/{app=web} -> db/*:5432
//! deny egress garden/* -> db/{tier=old}
//! ```
//!
//! `subjects` finds all pods of `garden` and those with `app=web`; `give` gives the latter a term for `db`; `take_out`
//! leaves the pods with `tier=old` out of it:
//!
//! ```yaml
//! podSelector:
//!   matchLabels:
//!     app: web
//! - { key: tier, operator: NotIn, values: [old] }
//! ```

mod denials;
mod deny;
mod difference;
mod drafts;
mod give;
mod idle;
mod peers;
mod product;
mod shared;
mod spread;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};

pub use self::drafts::{Draft, Drafts, Term};
pub use self::product::{Spread, TooLarge};
pub use self::subjects::SubjectPods;

use self::deny::Outcome;
use self::give::Given;
use self::shared::SharedWith;
use super::view::View;
use crate::model::rules::{Direction, RuleId};
use crate::targets::Kept;
use crate::targets::gap::Gap;

/// The drafts of a partition's objects, and the findings about its rule ends.
pub struct Plan<'a> {
    /// The drafts of objects.
    pub drafts: Drafts<'a>,
    /// The pods of each rule end.
    pub ends: Vec<SubjectPods<'a>>,
    /// The findings of the passes.
    pub found: Found,
}

/// The findings of the passes about rule ends, each with the index of its end in the partition.
pub struct Found {
    /// The ends that may mean pods which no object isolates.
    pub uncovered: BTreeSet<usize>,
    /// The denies that may mean any of some pods, to none of which anything is open that they deny.
    pub idle: BTreeSet<usize>,
    /// The gaps of wider peers, in the order of the ends.
    pub wider: Vec<(usize, Gap)>,
    /// The terms of other rules that the pods of ends get.
    pub shared: BTreeMap<usize, SharedWith>,
    /// The rules that would be written into too many namespaces, so that no object is drafted.
    pub spread: Option<Spread>,
    denied: [Outcome; 2],
}

/// Plans a partition, pass by pass.
pub fn plan<'a>(view: View<'a>) -> Plan<'a> {
    let mut subjects = subjects::subjects(view);
    let spread = Spread::of(view, &subjects.ends);
    if spread.is_some() {
        subjects.clear();
    }
    let Given { drafts, waiting, wider } = give::give(view, &subjects);
    let (drafts, for_others) = spread::spread(view, drafts, waiting);
    let uncovered = shared::uncovered(view, &subjects, &drafts);
    let shared = shared::shared(view, &subjects, &drafts, &for_others);
    let idle = idle::idle(view, &subjects, &drafts);
    let (drafts, denied) = deny::take_out(view, &subjects, drafts);
    Plan { drafts, ends: subjects.ends, found: Found { uncovered, idle, wider, shared, spread, denied } }
}

impl Found {
    /// Returns whether some flows of a deny were taken out.
    pub fn is_taken(&self, rule: RuleId, direction: Direction) -> bool {
        self.denied[drafts::place(direction)].taken.contains(&rule)
    }

    /// Returns whether flows of any deny were taken out.
    pub fn is_any_taken(&self) -> bool {
        self.denied.iter().any(|outcome| !outcome.taken.is_empty())
    }

    /// Returns the denies that cannot be taken out because the objects would be too many.
    pub fn too_large(&self) -> impl Iterator<Item = &TooLarge> {
        self.denied.iter().filter_map(|outcome| outcome.too_large.as_ref())
    }

    /// Returns why some flows of a deny were not taken out.
    pub fn kept(&self, rule: RuleId, direction: Direction) -> Option<Kept> {
        self.denied[drafts::place(direction)].kept.get(&rule).copied()
    }
}
