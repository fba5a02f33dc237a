//! The call hierarchy: who reaches an endpoint, and what it reaches, among the endpoints that the rules name.
//!
//! ```text
//! allow shop/{app=web} -> data/{app=db}:5432    who reaches data/{app=db}? shop/{app=web}
//! deny shop/{app=web} -> data/{app=db}          and with this line nobody
//! ```

use std::sync::Arc;

use super::Analysis;
use super::nodes::{self, Node};
use crate::model::endpoint::Endpoint;
use crate::model::rules::{Action, FlowPattern, Rule};
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::policy::provenance::normalized;
use crate::source::{FileId, Span};
use crate::syntax::tree::{Expr, ItemKind};

/// An endpoint as a party of flows.
#[derive(Clone, Debug, PartialEq)]
pub struct Party {
    /// The endpoint as it is written.
    pub name: String,
    /// Its span.
    pub span: Span,
    /// The statement that contains it.
    pub statement: Span,
}

/// A party at the other end of flows that the policy allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The party, at the first rule that names it.
    pub party: Party,
    /// The rules that name the flows.
    pub rules: Vec<Span>,
}

/// Which end of flows is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Who reaches the party.
    Sources,
    /// What the party reaches.
    Destinations,
}

/// The most rules of a policy that is asked: more would take too long, and a partial answer would be wrong.
const MOST_RULES: usize = 2_000;

impl Analysis {
    /// Returns the endpoint at an offset.
    pub fn party(&self, file: FileId, offset: u32) -> Option<Party> {
        let expr = self.endpoint_at(file, offset)?;
        self.meaning(expr)?;
        self.party_of(expr)
    }

    /// Returns who reaches the endpoint at an offset, or what it reaches: the other ends of `allow` rules, if the whole
    /// policy, with its denies, lets a flow between the two through. The error says why there is no answer; an answer
    /// is never partial.
    pub fn contacts(&self, file: FileId, offset: u32, asked: Asked) -> Result<Vec<Contact>, String> {
        let policy = self.policy().ok_or("the policy has errors, or its manifests cannot be read")?;
        let expr = self.endpoint_at(file, offset).ok_or("no endpoint stands here")?;
        let own = match asked {
            Asked::Sources => self.meaning(expr),
            Asked::Destinations => self.without_ports(expr),
        };
        let own = own.ok_or("inside a template an endpoint has no meaning of its own")?;
        let questions = questions(policy, &own, asked);
        if questions.len() > MOST_RULES {
            return Err(format!("the policy has more than {MOST_RULES} rules, too many to ask while you wait"));
        }
        let patterns: Vec<FlowPattern> = questions.iter().map(|(_, pattern)| pattern.clone()).collect();
        let mut meaning = Meaning::new(policy, &patterns);
        let mut contacts: Vec<Contact> = Vec::new();
        for (rule, pattern) in questions {
            let too_large = "labels overlap in too many ways to answer while you wait";
            let speaks = meaning.speaks_of(&pattern, rule).map_err(|_| too_large)?;
            if !speaks || meaning.allowed_of(&pattern).map_err(|_| too_large)?.is_none() {
                continue;
            }
            let Some(party) = self.other_end(rule, asked) else { continue };
            let place = rule.origin.span;
            match contacts.iter_mut().find(|contact| contact.party.name == party.name) {
                Some(contact) if contact.rules.contains(&place) => {}
                Some(contact) => contact.rules.push(place),
                None => contacts.push(Contact { party, rules: vec![place] }),
            }
        }
        Ok(contacts)
    }

    fn endpoint_at(&self, file: FileId, offset: u32) -> Option<&Expr> {
        let parts = nodes::at(self.tree(file)?, offset);
        parts.into_iter().rev().find_map(|node| match node {
            Node::Endpoint(expr) => Some(expr),
            _ => None,
        })
    }

    fn party_of(&self, expr: &Expr) -> Option<Party> {
        let items = &self.tree(expr.span.file)?.items;
        let item = items.get(items.partition_point(|item| item.span.end < expr.span.start))?;
        let name = normalized(self.sources(), expr.span).into_owned();
        Some(Party { name, span: expr.span, statement: item.span })
    }

    fn without_ports(&self, expr: &Expr) -> Option<Arc<Endpoint>> {
        self.meaning(&Expr { ports: None, ..expr.clone() })
    }

    /// Returns the end of a rule's statement that is asked for; for a rule of a template, the statement that applies
    /// it.
    fn other_end(&self, rule: &Rule, asked: Asked) -> Option<Party> {
        let place = rule.origin.place();
        let items = &self.tree(place.file)?.items;
        let item = items.get(items.partition_point(|item| item.span.end < place.start))?;
        let ItemKind::Rule(written) = &item.kind else {
            let name = normalized(self.sources(), place).into_owned();
            return Some(Party { name, span: place, statement: place });
        };
        // A `<->` is two rules; one of them has the right side as its source.
        let is_turned = self.without_ports(&written.source).is_some_and(|left| left != rule.source);
        match (asked == Asked::Sources) != is_turned {
            true => self.party_of(&written.source),
            false => self.party_of(&written.destination),
        }
    }
}

/// Returns a question for each rule that allows something: do its other end and the party have an allowed flow?
fn questions<'p>(policy: &'p Policy, own: &Arc<Endpoint>, asked: Asked) -> Vec<(&'p Rule, FlowPattern)> {
    let allows = policy.rules.iter().filter(|rule| rule.action == Action::Allow);
    let pattern = |rule: &Rule| match asked {
        Asked::Sources => (rule.source.clone(), own.clone()),
        Asked::Destinations => (own.clone(), rule.destination.clone()),
    };
    let asked = allows.map(|rule| {
        let (source, destination) = pattern(rule);
        (rule, FlowPattern { source, destination, conditions: Arc::default() })
    });
    asked.collect()
}
