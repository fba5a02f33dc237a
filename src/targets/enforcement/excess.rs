//! Accepted excess: the flows that gaps with `@approximate` let through, for claims that depend on them.

use super::{Levels, Lowering, Row, RowEnd, Together};
use crate::model::rules::Action;
use crate::policy::Policy;
use crate::policy::meaning::{Excess, Reach};
use crate::targets::capability::Ability;
use crate::targets::{Level, Traffic, Why};

impl Lowering {
    /// Returns the ends of rules that no layer enforces and that have `@approximate`, with the flows that pass there. A
    /// rule that no layer enforces without `@approximate` is an error of its own.
    pub fn accepted_excess(&self, policy: &Policy) -> Vec<Excess> {
        if policy.rules.iter().all(|rule| rule.origin.approximate().is_none()) {
            return Vec::new();
        }
        let rows = super::rows(policy, &self.layers, &|_| true);
        let open = rows.filter(|row| row.together == Together::Open && row.rule.origin.approximate().is_some());
        open.flat_map(|row| of_row(&row)).collect()
    }
}

fn of_row(row: &Row<'_>) -> Vec<Excess> {
    let denies = row.rule.action == Action::Deny;
    let open = row.ends.iter().filter(|end| denies || end.together == Together::Open);
    let of_end = |end: &RowEnd<'_>| {
        let rule = end.layers.first()?.1.rule;
        Some(Excess { rule, direction: end.direction, reach: reach(row, end) })
    };
    open.filter_map(of_end).collect()
}

/// Returns which flows pass at an end: those of the layer with the smallest known gap.
fn reach(row: &Row<'_>, end: &RowEnd<'_>) -> Reach {
    let best = Levels::best(end.layers.iter().map(|(_, judgement)| judgement.but_conditions));
    let of_requests =
        |why: &Why| matches!(why, Why::Unseen(Ability::Tokens | Ability::Requests | Ability::RequestHosts));
    let unseen = end.layers.iter().any(|(_, judgement)| of_requests(&judgement.reason));
    // What only pods that avoid their sidecars send is a note.
    if row.crossed.is_none() && unseen && best.of(Traffic::Tcp) <= Level::Bypassable {
        return Reach::AnyRequest;
    }
    let by_address = |why: &Why| matches!(why, Why::OtherHosts(_));
    match row.crossed.is_none() && end.layers.iter().any(|(_, judgement)| by_address(&judgement.reason)) {
        true => Reach::OtherHosts,
        false => Reach::Perhaps,
    }
}
