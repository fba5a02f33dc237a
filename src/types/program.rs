//! The typed program: rules whose names, facts and ports are resolved, in the order of the source.

use std::sync::Arc;

use smol_str::SmolStr;

use super::gateway::{Gateway, Via};
use crate::inventory::Inventory;
use crate::source::Span;
use crate::vocab::addresses::AddressSet;
use crate::vocab::endpoint::Endpoint;
use crate::vocab::hosts::HostName;

/// A program without type errors (or the part of one that has none, when errors were reported).
#[derive(Clone, Debug)]
pub struct Program {
    /// The rules; templates are expanded at their `apply`, and `<->` is two rules.
    pub rules: Vec<Rule>,
    /// The gateways of all modules in use, in the order of their declarations.
    pub gateways: Vec<Arc<Gateway>>,
    /// The facts of the cluster, those of the source's declarations included.
    pub inventory: Arc<Inventory>,
    /// The cluster's DNS as a destination: the prelude's `dns`, with the resolver addresses of the settings.
    pub dns: Arc<Endpoint>,
    /// istiod's pods on TCP 15012, as std/istio says; empty where `istio` is no layer.
    pub istiod: Arc<Endpoint>,
    /// std/net's `internet`.
    pub internet: AddressSet,
    /// `[cluster] pods`; empty where not known.
    pub pod_addresses: AddressSet,
    /// The prelude's `nodes`; empty where not known.
    pub node_addresses: AddressSet,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Lets flows through, and isolates the governed pods.
    Allow,
    /// Forbids flows; beats every allow; isolates nothing.
    Deny,
    /// Isolates the governed pods and lets nothing through.
    Isolate,
}

/// Which end of a flow is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// What a pod sends, judged at the source.
    Egress,
    /// What a pod receives, judged at the destination.
    Ingress,
}

impl Direction {
    /// Both directions, egress first.
    pub const BOTH: [Direction; 2] = [Direction::Egress, Direction::Ingress];

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
    /// What it does.
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
    /// Where it was written and what was said about it.
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

/// Where a rule comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The statement, without its annotations.
    pub span: Span,
    /// What most rules have nothing of.
    notes: Option<Box<Notes>>,
}

/// What was said about a rule.
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
    /// `@approximate`, with its place.
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

    /// Returns where a reader finds it: its `apply`, where a template yielded it, else the statement.
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

    /// Returns the text of `@approximate`, with its place.
    pub fn approximate(&self) -> Option<&(SmolStr, Span)> {
        self.notes.as_ref()?.approximate.as_ref()
    }
}

/// The conditions of `where`, joined by and; each list is joined by or, and an empty one is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// HTTP methods, upper case.
    pub methods: Vec<SmolStr>,
    /// Path patterns.
    pub paths: Vec<PathPattern>,
    /// Hosts, by the HTTP Host header or the TLS SNI.
    pub hosts: Vec<HostName>,
    /// A token.
    pub jwt: Option<Arc<Jwt>>,
}

impl Conditions {
    /// Returns whether there is no condition.
    pub fn is_none(&self) -> bool {
        self.methods.is_empty() && self.paths.is_empty() && self.hosts.is_empty() && self.jwt.is_none()
    }
}

/// A path pattern: segments between slashes, where `*` is one whole non-empty segment, and perhaps everything below.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern {
    /// The pattern as written, `/api/**`.
    pub text: SmolStr,
    /// The segments after the first `/`, without a final `**`. `/` alone is one empty segment.
    pub segments: Vec<Segment>,
    /// Whether `/**` ends it: the path itself and everything below.
    pub below: bool,
}

/// A segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// This text.
    Literal(SmolStr),
    /// `*`: any non-empty text without a slash.
    Any,
}

/// What a token must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jwt {
    /// Who issued it.
    pub issuer: Arc<Issuer>,
    /// Its `sub`, one of these; empty is any.
    pub subjects: Vec<SmolStr>,
    /// Claims by name, each with one of these values.
    pub claims: Vec<(SmolStr, Vec<SmolStr>)>,
}

impl Jwt {
    /// Returns whether the mesh divides the values of a claim at spaces: Istio does with these two, and with no other.
    pub fn is_split(claim: &str) -> bool {
        matches!(claim, "scope" | "permission")
    }
}

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    /// Its name in the source.
    pub name: SmolStr,
    /// The `iss` of its tokens.
    pub url: SmolStr,
    /// Where its keys are.
    pub keys: Keys,
    /// Where it was declared.
    pub span: Span,
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// A URL, at these addresses where they were given.
    Remote {
        /// The URL of the JWKS.
        url: SmolStr,
        /// `at`; empty where not given.
        at: AddressSet,
    },
    /// JWKS in JSON.
    Inline(SmolStr),
}
