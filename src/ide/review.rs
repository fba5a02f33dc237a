//! The review of a policy: what takes longer than the layers, and comes after them.
//!
//! ```text
//! opens shop/web -> data/db, tcp 5432 · closes nothing       what the file means beside its version in git
//! allow shop/web -> data/db:5432      1 test · 1 assertion    the statements that concern the rule
//! ```

use std::collections::HashMap;

use super::margin::LensAction;
use super::{Analysis, hover};
use crate::analysis::{Concern, concerns};
use crate::inventory::Inventory;
use crate::policy::ask::{Answer, Answers, shown};
use crate::policy::meaning::{Versions, in_words};
use crate::policy::{Flow, Policy, eval};
use crate::source::{FileId, Span};
use crate::syntax::tree::ItemKind;

/// The findings of a review.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// The tests and assertions that concern the rules of each statement; empty if that is too much work.
    concerns: HashMap<Span, Concern>,
    changes: HashMap<FileId, Result<Changes, String>>,
}

/// The difference between a policy and an earlier one: examples of flows, one for each pair of namespaces.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Flows that only the new policy allows.
    pub opened: Vec<Flow>,
    /// Flows that only the old policy allows.
    pub closed: Vec<Flow>,
}

/// The most questions to sets, one for each rule and each line of a test: some seconds of work.
const MOST_QUESTIONS: usize = 100_000;
/// The most pairs of namespaces for which a flow is shown.
const MOST_PAIRS: usize = 20;

impl Analysis {
    /// Returns whether [`Analysis::review`] has something to find: the policy has no errors, its layers are known, and
    /// it is not large.
    pub fn awaits_review(&self) -> bool {
        self.review.get().is_none() && self.is_judged() && !self.is_large() && self.sound_policy().is_ok()
    }

    /// Finds the tests that concern each rule, and the flows that files open and close. `earlier` has some files, each
    /// with the policy that there is with an earlier text of the file.
    pub fn review(&self, earlier: &[(FileId, Analysis)]) {
        let Ok(policy) = self.sound_policy() else { return };
        let changes =
            earlier.iter().map(|(file, before)| (*file, before.sound_policy().and_then(|old| compare(old, policy))));
        let review = Review { concerns: concerns_of(policy), changes: changes.collect() };
        // Another review of the same policy finds the same.
        let _ = self.review.set(review);
    }

    /// Returns the flows that a file opens and closes beside its earlier text, if it has one. The error says why they
    /// are not known.
    pub fn changes(&self, file: FileId) -> Option<Result<&Changes, &str>> {
        let changes = self.review.get()?.changes.get(&file)?;
        Some(changes.as_ref().map_err(String::as_str))
    }

    /// Returns the changes of a file in one line.
    pub(super) fn changes_in_words(&self, file: FileId) -> Option<String> {
        let changes = self.changes(file)?.ok()?;
        if changes.opened.is_empty() && changes.closed.is_empty() {
            return Some("allows the same flows as in git".to_owned());
        }
        let some = |flows: &[Flow]| match flows {
            [] => "nothing".to_owned(),
            [one] => in_words(one),
            [one, rest @ ..] if rest.len() + 1 < MOST_PAIRS => format!("{}, and {} more", in_words(one), rest.len()),
            [one, ..] => format!("{}, and many more", in_words(one)),
        };
        Some(format!("since git: opens {} · closes {}", some(&changes.opened), some(&changes.closed)))
    }

    /// Returns the verdict of the policy on a flow.
    pub fn verdict(&self, flow: &Flow) -> Option<(&Policy, Answers)> {
        let policy = self.policy()?;
        let port = flow.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
        let answer = Answer {
            from: shown(&flow.source),
            to: format!("{}:{port}/{}", shown(&flow.destination), flow.protocol.word()),
            gateway: None,
            flow: flow.clone(),
            verdict: eval(policy, flow),
        };
        Some((policy, Answers { all: vec![answer], assumed: Vec::new() }))
    }

    /// Returns the number of tests and of assertions that concern the rules of a statement, in words; `None` while it
    /// is not known, and in a policy without both.
    pub(super) fn concern_in_words(&self, statement: Span) -> Option<(String, LensAction)> {
        let Concern { tests, assertions } = self.review.get()?.concerns.get(&statement)?;
        let policy = self.policy()?;
        if policy.tests.is_empty() && policy.assertions.is_empty() {
            return None;
        }
        let some = [(tests.len(), "test"), (assertions.len(), "assertion")].into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some.map(|(count, noun)| hover::counted(count, noun)).collect();
        Some(match words.is_empty() {
            true => ("no test".to_owned(), LensAction::None),
            false => (words.join(" · "), LensAction::Tests),
        })
    }

    /// Returns the text of the tests and assertions that concern the rules of the statement at an offset. The error
    /// says why there is none.
    pub fn tests_of(&self, file: FileId, offset: u32) -> Result<String, String> {
        let statement = self.statement_at(file, offset).ok_or("no statement stands here")?;
        let review = self.review.get().ok_or("the tests were not asked yet, or the policy has errors or is large")?;
        let of_statement = review.concerns.iter().filter(|(span, _)| statement.contains(**span));
        let mut places: Vec<Span> =
            of_statement.flat_map(|(_, concern)| concern.tests.iter().chain(&concern.assertions)).copied().collect();
        places.sort_unstable();
        places.dedup();
        let mut text = String::new();
        for place in places {
            let items = self.tree(place.file).map(|tree| tree.items.as_slice()).unwrap_or_default();
            let item = items.iter().find(|item| item.span.contains(place));
            let written = item.filter(|item| matches!(item.kind, ItemKind::Test(_))).map_or(place, |item| item.span);
            text.push_str(&format!("# {}\n{}\n\n", self.sources().place(written), self.text(written)));
        }
        match text.is_empty() {
            true => Err("no test and no assertion speaks of this rule".to_owned()),
            false => Ok(text),
        }
    }
}

/// Returns the tests and assertions that concern the rules of each statement; a `<->` has two rules.
fn concerns_of(policy: &Policy) -> HashMap<Span, Concern> {
    let lines: usize = policy.tests.iter().map(|test| test.claims.len()).sum();
    let mut of_statements: HashMap<Span, Concern> = HashMap::new();
    if policy.rules.len() * (lines + policy.assertions.len()) > MOST_QUESTIONS {
        return of_statements;
    }
    for (rule, concern) in policy.rules.iter().zip(concerns(policy).unwrap_or_default()) {
        let own = of_statements.entry(rule.origin.span).or_default();
        own.tests.extend(concern.tests);
        own.assertions.extend(concern.assertions);
    }
    for list in of_statements.values_mut().flat_map(|own| [&mut own.tests, &mut own.assertions]) {
        list.sort_unstable();
        list.dedup();
    }
    of_statements
}

/// Compares two policies. The error says why they cannot be compared.
fn compare(old: &Policy, new: &Policy) -> Result<Changes, String> {
    if !have_the_same_labels(&old.inventory, &new.inventory) {
        return Err("the labels of a namespace changed, and so the pods that rules select".to_owned());
    }
    let too_large = |_| "labels overlap in too many ways to compare the two".to_owned();
    let mut versions = Versions::new(old, new);
    let opened = versions.all_opened(MOST_PAIRS).map_err(too_large)?;
    let closed = versions.all_closed(MOST_PAIRS).map_err(too_large)?;
    Ok(Changes { opened, closed })
}

/// Returns whether the namespaces that two inventories share have the same labels, as [`Versions`] needs.
fn have_the_same_labels(old: &Inventory, new: &Inventory) -> bool {
    let shared = old.namespaces.iter().filter_map(|(name, one)| Some((one, new.namespaces.get(name)?)));
    shared.into_iter().all(|(one, other)| one.declared == other.declared && one.labels == other.labels)
}
