//! Drafts of objects: for each subject and direction, whether a rule isolates it and the terms that it gets.
//!
//! ```text
//! allow egress garden/* -> db/*:5432    garden, egress: isolated, with the term "pods of db on TCP 5432"
//! ```

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::model::port_list::PortList;
use crate::model::rules::{Direction, RuleId};
use crate::targets::networkpolicy::model::{Cause, Peers, Subject};

/// A term: some peers on some ports that are let through.
#[derive(Clone, Debug)]
pub struct Term<'a> {
    /// The peers.
    pub peers: Rc<Peers<'a>>,
    /// The ports, those of the destination pod.
    pub ports: PortList,
    /// The cause of the term.
    pub cause: Cause,
}

/// The draft of one direction of one subject: an object, if the subject is isolated.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    /// Whether a rule isolates the subject in this direction; only then is there an object.
    pub isolated: bool,
    /// The rules that isolate it.
    pub isolated_by: Vec<RuleId>,
    /// The terms that are let through.
    pub terms: Vec<Rc<Term<'a>>>,
}

/// The drafts of a partition, in the order in which their subjects were first met.
#[derive(Debug, Default)]
pub struct Drafts<'a> {
    subjects: Vec<Subject<'a>>,
    drafts: Vec<[Draft<'a>; 2]>,
    numbers: FxHashMap<Subject<'a>, usize>,
}

impl<'a> Drafts<'a> {
    /// Returns the number of a subject, which may be met here for the first time.
    pub fn number(&mut self, subject: Subject<'a>) -> usize {
        let (subjects, drafts) = (&mut self.subjects, &mut self.drafts);
        *self.numbers.entry(subject).or_insert_with_key(|subject| {
            subjects.push(subject.clone());
            drafts.push(Default::default());
            subjects.len() - 1
        })
    }

    /// Returns a subject.
    pub fn subject(&self, number: usize) -> &Subject<'a> {
        &self.subjects[number]
    }

    /// Returns the draft of a subject.
    pub fn draft(&self, number: usize, direction: Direction) -> &Draft<'a> {
        &self.drafts[number][place(direction)]
    }

    /// Returns the draft of a subject, to add to it.
    pub fn draft_mut(&mut self, number: usize, direction: Direction) -> &mut Draft<'a> {
        &mut self.drafts[number][place(direction)]
    }

    /// Returns the subjects that are isolated in a direction, each with its number and its draft.
    pub fn isolated(&self, direction: Direction) -> impl Iterator<Item = (usize, &Subject<'a>, &Draft<'a>)> {
        let all = self.subjects.iter().zip(&self.drafts).enumerate();
        all.map(move |(at, (subject, drafts))| (at, subject, &drafts[place(direction)]))
            .filter(|(.., draft)| draft.isolated)
    }
}

/// Returns the index of a direction in a pair: egress 0, ingress 1.
pub fn place(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}
