//! Rules: who may send what to whom, at which ends each rule is judged, and where it was written.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::model::conditions::Conditions;
use crate::model::endpoint::Endpoint;
use crate::model::gateways::Via;
use crate::model::ports::Protocol;
use crate::source::Span;

/// A rule of a policy, by its index: the first rule in the source is rule 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(u32);

/// A grant of a policy, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId(u32);

impl RuleId {
    /// Makes the id of the rule at an index. Sources have fewer bytes than 2³², and so fewer rules.
    pub fn new(index: usize) -> RuleId {
        RuleId(index as u32)
    }

    /// Returns the index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl GrantId {
    /// Makes the id of the grant at an index.
    pub fn new(index: usize) -> GrantId {
        GrantId(index as u32)
    }

    /// Returns the index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The action of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Lets flows through, and isolates the governed pods.
    Allow,
    /// Forbids flows; beats every allow; isolates nothing.
    Deny,
    /// Isolates the governed pods and lets nothing through.
    Isolate,
}

/// The directions: which end of a flow a judgement concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Flows that a pod sends, judged at the source.
    Egress,
    /// Flows that a pod receives, judged at the destination.
    Ingress,
}

impl Direction {
    /// Both directions, egress first.
    pub const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

    /// Returns the other one.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
        }
    }

    /// Returns `sending` or `receiving`: which end of a flow it is.
    pub fn end_word(self) -> &'static str {
        match self {
            Direction::Egress => "sending",
            Direction::Ingress => "receiving",
        }
    }

    /// Returns `egress` or `ingress`.
    pub fn word(self) -> &'static str {
        match self {
            Direction::Egress => "egress",
            Direction::Ingress => "ingress",
        }
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its action.
    pub action: Action,
    /// Whether it governs the pods of its source, on their way out.
    pub egress: bool,
    /// Whether it governs the pods of its destination, on their way in.
    pub ingress: bool,
    /// The left side. Of `default deny`, the isolated pods.
    pub source: Arc<Endpoint>,
    /// The right side, with ports. Of `default deny`, the isolated pods.
    pub destination: Arc<Endpoint>,
    /// `where`.
    pub conditions: Arc<Conditions>,
    /// `via`.
    pub via: Option<Arc<Via>>,
    /// Where it was written, with its documentation and annotations.
    pub origin: Origin,
}

impl Rule {
    /// Returns whether the rule governs a direction.
    pub fn governs(&self, direction: Direction) -> bool {
        match direction {
            Direction::Egress => self.egress,
            Direction::Ingress => self.ingress,
        }
    }

    /// Returns whether the rule names ICMP itself; a rule without ports only includes it.
    pub fn names_icmp(&self) -> bool {
        let ports = self.destination.members.iter().flat_map(|member| member.ports.entries());
        ports.into_iter().any(|port| port.protocol == Protocol::Icmp)
    }

    /// Returns the governed side of a direction.
    pub fn subject(&self, direction: Direction) -> &Arc<Endpoint> {
        match direction {
            Direction::Egress => &self.source,
            Direction::Ingress => &self.destination,
        }
    }

    /// Returns the other side of a direction.
    pub fn peer(&self, direction: Direction) -> &Arc<Endpoint> {
        match direction {
            Direction::Egress => &self.destination,
            Direction::Ingress => &self.source,
        }
    }
}

/// Flows from some endpoints to others, under conditions.
#[derive(Clone, Debug)]
pub struct FlowPattern {
    /// Who sends.
    pub source: Arc<Endpoint>,
    /// Who receives, on which ports.
    pub destination: Arc<Endpoint>,
    /// The conditions on requests.
    pub conditions: Arc<Conditions>,
}

/// `assert never S -> D`, or a line of a test, where `deny` is `never` and `allow` is `always`.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whether every flow is to be allowed, or none.
    pub kind: ClaimKind,
    /// The flows.
    pub flows: FlowPattern,
    /// `via`: not the flows are meant, but the ways of these clients, or to these hosts, that lead through the gateway.
    pub via: Option<Arc<Via>>,
    /// The statement.
    pub span: Span,
    /// The `apply` statements that yielded it, the outermost first; none outside templates.
    pub applied: Vec<Span>,
}

impl Claim {
    /// Returns the rule that allows the ways through a gateway of which the claim speaks, and nothing else; `None` for
    /// a claim without `via`. A way to pods leads in, a way to anything else leads out.
    pub fn way(&self) -> Option<Rule> {
        let via = Some(Arc::clone(self.via.as_ref()?));
        let FlowPattern { source, destination, conditions } = self.flows.clone();
        let ingress = destination.is_workloads();
        let origin = Origin::new(self.span, Notes::default());
        Some(Rule { action: Action::Allow, egress: !ingress, ingress, source, destination, conditions, via, origin })
    }
}

/// The kinds of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimKind {
    /// Every flow is allowed.
    Always,
    /// No flow is allowed.
    Never,
}

/// A test: claims under a name.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name.
    pub name: SmolStr,
    /// The span of the name.
    pub span: Span,
    /// Its lines.
    pub claims: Vec<Claim>,
}

/// The origin of a rule.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The statement, without its annotations.
    pub span: Span,
    /// The notes, which most rules do not have.
    notes: Option<Box<Notes>>,
}

/// The documentation and the annotations of a rule, and the templates that it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The `apply` statements that yielded it, the outermost first; empty outside templates.
    pub applied: Vec<Span>,
    /// The statement's documentation comment.
    pub doc: Option<SmolStr>,
    /// `@owner`.
    pub owner: Option<SmolStr>,
    /// `@reason`.
    pub reason: Option<SmolStr>,
    /// `@approximate`, with its span.
    pub approximate: Option<(SmolStr, Span)>,
}

impl Origin {
    /// Makes the origin of a statement.
    pub fn new(span: Span, notes: Notes) -> Origin {
        Origin { span, notes: (notes != Notes::default()).then(|| Box::new(notes)) }
    }

    /// Returns the `apply` statements that yielded it, the outermost first; none outside templates.
    pub fn applied(&self) -> &[Span] {
        self.notes.as_ref().map_or(&[], |notes| &notes.applied)
    }

    /// Returns the span at which a reader finds the rule: the outermost `apply` for a rule of a template, else the
    /// statement.
    pub fn place(&self) -> Span {
        self.applied().first().copied().unwrap_or(self.span)
    }

    /// Returns the statement's documentation comment.
    pub fn doc(&self) -> Option<&SmolStr> {
        self.notes.as_ref()?.doc.as_ref()
    }

    /// Returns the text of `@owner`.
    pub fn owner(&self) -> Option<&str> {
        self.notes.as_ref()?.owner.as_deref()
    }

    /// Returns the text of `@reason`.
    pub fn reason(&self) -> Option<&str> {
        self.notes.as_ref()?.reason.as_deref()
    }

    /// Returns the text of `@approximate`, with its span.
    pub fn approximate(&self) -> Option<&(SmolStr, Span)> {
        self.notes.as_ref()?.approximate.as_ref()
    }
}
