//! What expressions are while they are checked: values with their kinds, and what parameters are bound to.

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::smallvec;
use smol_str::SmolStr;

use crate::model::endpoint::{Endpoint, Member, Members, What};
use crate::model::ports::Ports;
use crate::resolve::ModuleId;
use crate::source::Span;
use crate::syntax::tree;

/// The kind of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Workloads,
    Host,
    Addresses,
    /// A mixture, or one of the prelude's names that may be one on another platform.
    Endpoint,
}

impl Kind {
    pub fn words(self) -> &'static str {
        match self {
            Kind::Workloads => "pods",
            Kind::Host => "a host",
            Kind::Addresses => "addresses",
            Kind::Endpoint => "a mixture of kinds",
        }
    }
}

/// An endpoint with what the checker must know of it.
#[derive(Clone, Debug)]
pub struct Value {
    pub endpoint: Arc<Endpoint>,
    /// Where it counts as a mixture whatever its members are (`dns`, `apiserver`, `anywhere`).
    pub mixed: Option<Span>,
    /// Where the ports that it brings were written.
    pub ports: Option<Span>,
    /// Whether it rests on a parameter whose argument is not known: facts about it cannot be checked.
    pub opaque: bool,
}

impl Value {
    pub fn one(span: Span, what: What) -> Value {
        Value::of(smallvec![Member { span, what, ports: Ports::All }])
    }

    pub fn of(members: Members) -> Value {
        Value { endpoint: Arc::new(Endpoint { members }), mixed: None, ports: None, opaque: false }
    }

    pub fn kind(&self) -> Kind {
        let mut kinds = self.endpoint.members.iter().map(member_kind);
        let first = kinds.next().unwrap_or(Kind::Endpoint);
        if self.mixed.is_some() || kinds.any(|kind| kind != first) { Kind::Endpoint } else { first }
    }

    /// Returns the endpoint as a source: without ports.
    pub fn as_source(&self) -> Arc<Endpoint> {
        if self.endpoint.members.iter().all(|member| member.ports == Ports::All) {
            return self.endpoint.clone();
        }
        let bare = |member: &Member| Member { ports: Ports::All, ..member.clone() };
        Arc::new(Endpoint { members: self.endpoint.members.iter().map(bare).collect() })
    }
}

pub fn member_kind(member: &Member) -> Kind {
    match member.what {
        What::Pods(_) => Kind::Workloads,
        What::Host(_) => Kind::Host,
        What::Addresses(_) => Kind::Addresses,
    }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    Namespace,
    Workloads,
    Host,
    Addresses,
    Endpoint,
    Port,
    String,
}

impl ParameterType {
    pub const ALL: [ParameterType; 7] = [
        ParameterType::Namespace,
        ParameterType::Workloads,
        ParameterType::Host,
        ParameterType::Addresses,
        ParameterType::Endpoint,
        ParameterType::Port,
        ParameterType::String,
    ];

    pub fn parse(word: &str) -> Option<ParameterType> {
        ParameterType::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub fn word(self) -> &'static str {
        match self {
            ParameterType::Namespace => "Namespace",
            ParameterType::Workloads => "Workloads",
            ParameterType::Host => "Host",
            ParameterType::Addresses => "Addresses",
            ParameterType::Endpoint => "Endpoint",
            ParameterType::Port => "Port",
            ParameterType::String => "String",
        }
    }
}

/// What a parameter stands for.
#[derive(Clone, Debug)]
pub enum Bound {
    Namespace(SmolStr),
    /// Of the four types of endpoints.
    Endpoint(Rc<Value>),
    Port(tree::Port),
    String(SmolStr),
}

impl Bound {
    /// Returns the type of parameter that this may stand for.
    pub fn kind(&self) -> ParameterType {
        match self {
            Bound::Namespace(_) => ParameterType::Namespace,
            Bound::Port(_) => ParameterType::Port,
            Bound::String(_) => ParameterType::String,
            Bound::Endpoint(value) => match value.kind() {
                Kind::Workloads => ParameterType::Workloads,
                Kind::Host => ParameterType::Host,
                Kind::Addresses => ParameterType::Addresses,
                Kind::Endpoint => ParameterType::Endpoint,
            },
        }
    }
}

/// Where an expression stands: in which module, and inside a template with which arguments.
#[derive(Clone, Debug)]
pub struct Env {
    pub module: ModuleId,
    /// The parameters in sight.
    pub parameters: Rc<FxHashMap<SmolStr, Bound>>,
    /// Whether the arguments are stand-ins: the template is checked by itself.
    pub opaque: bool,
    /// The `apply` statements that led here, the outermost first.
    pub applied: Vec<Span>,
    /// The module of the outermost `apply`, whose scope governs what it yields.
    pub root: ModuleId,
}

impl Env {
    pub fn top(module: ModuleId) -> Env {
        Env { module, parameters: Rc::default(), opaque: false, applied: Vec::new(), root: module }
    }
}
