//! Kept flows: each different flow once, with the number of lines that tell of it.

use std::rc::Rc;

use crate::model::ports::Protocol;
use crate::model::rules::Direction;
use crate::policy::{Flow, Party, Request};
use crate::replay::groups::port_words;
use crate::replay::who::Who;

/// The most different flows that are kept; further ones are counted.
const MOST: usize = 1 << 16;

/// The different flows of a log that should pass.
#[derive(Debug, Default)]
pub struct Kept {
    /// The flows, in the order of the log.
    pub(super) flows: Vec<KeptFlow>,
    /// The number of different flows that were not kept.
    pub(super) beyond: u64,
}

/// A flow, without a copy of its parties.
#[derive(Debug)]
pub(super) struct KeptFlow {
    pub who: [Rc<Who>; 2],
    pub port: Option<u16>,
    pub protocol: Protocol,
    pub request: Request,
    /// How many lines tell of it.
    pub count: u64,
}

impl Kept {
    /// Keeps a flow, and returns its index.
    pub(in crate::replay) fn add(&mut self, who: [Rc<Who>; 2], flow: &Flow) -> Option<usize> {
        if self.flows.len() >= MOST {
            self.beyond += 1;
            return None;
        }
        let Flow { port, protocol, request, .. } = flow;
        self.flows.push(KeptFlow { who, port: *port, protocol: *protocol, request: request.clone(), count: 0 });
        Some(self.flows.len() - 1)
    }

    /// Counts one more line of a kept flow.
    pub(in crate::replay) fn count(&mut self, at: usize) {
        if let Some(flow) = self.flows.get_mut(at) {
            flow.count += 1;
        }
    }
}

impl KeptFlow {
    /// Returns the flow itself.
    pub fn flow(&self) -> Flow {
        let [source, destination] = self.who.each_ref().map(|who| who.party.clone());
        Flow { source, destination, port: self.port, protocol: self.protocol, request: self.request.clone() }
    }

    /// Returns the party that is judged in a direction.
    pub fn party(&self, direction: Direction) -> &Party {
        &self.who[usize::from(direction == Direction::Ingress)].party
    }

    /// Returns the flow as the right side of a rule.
    pub fn sentence(&self) -> String {
        let [source, destination] = self.who.each_ref().map(|who| &who.words.text);
        format!("{source} -> {destination}:{}", port_words((self.port, self.protocol)))
    }
}
