//! Groups: all flows with the same sentence (`garden/web -> garden/api:8080`) and decision, with their number and
//! times.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::text::Moment;
use super::who::Who;
use super::words::Words;
use crate::model::ports::Protocol;
use crate::policy::{Cause, End, Flow};

/// The most groups of one list. Flows that would need a further group are only counted.
const MOST_GROUPS: usize = 10_000;

/// The flows with one sentence and one decision.
#[derive(Debug)]
pub struct Group {
    /// The sender.
    pub source: Words,
    /// The destination.
    pub destination: Words,
    /// The destination's port, and the protocol.
    pub port: (Option<u16>, Protocol),
    /// The judgement at each end.
    pub ends: SmallVec<[End; 2]>,
    /// How many lines tell of such a flow.
    pub count: u64,
    /// When the first and the last were seen, if the log says so.
    pub seen: Option<(Moment, Moment)>,
    /// The first of them: the number of the log, and the line.
    pub first: (usize, u64),
    /// One of these flows.
    pub sample: Flow,
    /// The parties of the sample.
    pub who: [Rc<Who>; 2],
}

impl Group {
    /// Returns the flows as the right side of a rule: `garden/web -> garden/api:8080`.
    pub fn sentence(&self) -> String {
        format!("{} -> {}:{}", self.source.text, self.destination.text, port_words(self.port))
    }

    /// Counts one more.
    pub(super) fn add(&mut self, time: Option<Moment>) {
        self.count += 1;
        if let Some(time) = time {
            let (first, last) = self.seen.unwrap_or((time, time));
            self.seen = Some((first.min(time), last.max(time)));
        }
    }
}

/// Returns a port with its protocol, as a rule writes it.
pub(super) fn port_words(port: (Option<u16>, Protocol)) -> String {
    match port {
        (Some(port), Protocol::Tcp) => port.to_string(),
        (Some(port), protocol) => format!("{port}/{}", protocol.word()),
        (None, protocol) => format!("*/{}", protocol.word()),
    }
}

/// A list of groups.
#[derive(Debug, Default)]
pub struct Groups {
    /// The groups, in the order of their first flows.
    pub list: Vec<Group>,
    /// The number of flows without a group, because the list is full.
    pub beyond: u64,
    by_key: FxHashMap<Key, usize>,
}

/// The properties that all flows of a group share.
type Key = (Words, Words, Option<u16>, Protocol, SmallVec<[EndKey; 2]>);
type EndKey = (u8, u32);

impl Groups {
    /// Returns the index of a flow's group, which may be new; `None` if the list is full.
    pub(super) fn of(
        &mut self,
        who: [Rc<Who>; 2],
        flow: &Flow,
        ends: SmallVec<[End; 2]>,
        first: (usize, u64),
    ) -> Option<usize> {
        let [source, destination] = who.each_ref().map(|who| who.words.clone());
        let why = ends.iter().map(|end| end_key(end.cause)).collect();
        let key = (source, destination, flow.port, flow.protocol, why);
        if let Some(known) = self.by_key.get(&key) {
            return Some(*known);
        }
        if self.list.len() >= MOST_GROUPS {
            return None;
        }
        let at = self.list.len();
        self.list.push(Group {
            source: key.0.clone(),
            destination: key.1.clone(),
            port: (flow.port, flow.protocol),
            ends,
            count: 0,
            seen: None,
            first,
            sample: flow.clone(),
            who,
        });
        self.by_key.insert(key, at);
        Some(at)
    }

    /// Counts a flow of a group, or one without a group.
    pub(super) fn add(&mut self, group: Option<usize>, time: Option<Moment>) {
        match group.and_then(|at| self.list.get_mut(at)) {
            Some(group) => group.add(time),
            None => self.beyond += 1,
        }
    }

    /// Returns how many flows all groups have.
    pub fn flows(&self) -> u64 {
        self.list.iter().map(|group| group.count).sum::<u64>() + self.beyond
    }

    /// Returns the groups, those with the most flows first.
    pub fn sorted(&self) -> Vec<&Group> {
        let mut all: Vec<&Group> = self.list.iter().collect();
        all.sort_by_key(|group| (std::cmp::Reverse(group.count), group.first));
        all
    }
}

/// Returns the part of a decision that separates groups: whether the end lets the flow through, else the rule that
/// refuses it.
fn end_key(cause: Cause) -> EndKey {
    match cause {
        Cause::Denied(rule) => (2, rule.index() as u32),
        Cause::NoneMatches { isolated_by, .. } => (1, isolated_by.index() as u32),
        _ => (0, 0),
    }
}
