//! The objects while they are made: for each subject and direction, whether it is isolated and what is let through.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use crate::model::port_list::PortList;
use crate::model::rules::{Direction, RuleId};
use crate::targets::networkpolicy::model::{Cause, Peers, Subject};

/// What is let through: some peers on some ports.
#[derive(Clone, Debug)]
pub struct Term<'a> {
    /// The peers.
    pub peers: Rc<Peers<'a>>,
    /// The ports, those of the destination pod.
    pub ports: PortList,
    /// Why it is there.
    pub cause: Cause,
}

/// One direction of one subject: an object, where it isolates.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    /// Whether the subject is isolated in this direction; only then is there an object.
    pub isolated: bool,
    /// The rules that isolate it.
    pub isolated_by: Vec<RuleId>,
    /// What is let through.
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
    /// Returns the number of a subject, which is met here perhaps for the first time.
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

/// Returns the place of a direction in a pair.
pub fn place(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}
