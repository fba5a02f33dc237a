//! Values: the expressions of a policy while they are checked, and the arguments of templates' parameters.
//!
//! ```text
//! garden/{app=api}:8080          kind Workloads, with ports written at `:8080`
//! { garden/*, zenquotes.io }     kind Endpoint, since its members mix: it cannot be governed
//! ```

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
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

/// An endpoint, with the facts that the checker needs about it.
#[derive(Clone, Debug)]
pub struct Value {
    pub(super) shape: Shape,
    /// The span of a name that counts as a mixture whatever its members are: `dns`, `apiserver`, `anywhere`.
    pub mixed: Option<Span>,
    /// The span of the ports that it brings.
    pub ports: Option<Span>,
    /// Whether it contains a parameter whose argument is not known, so that it cannot be compared with facts.
    pub opaque: bool,
}

impl Value {
    pub fn one(span: Span, what: What) -> Value {
        Value::of(smallvec![Member { span, what, ports: Ports::All }])
    }

    pub fn of(members: Members) -> Value {
        Value::new(Arc::new(Endpoint { members }))
    }

    pub fn new(endpoint: Arc<Endpoint>) -> Value {
        Value { shape: Shape::Flat(endpoint), mixed: None, ports: None, opaque: false }
    }

    /// Returns the union of some values. Values that names share are copied only when a rule needs the members: in a
    /// chain of `let`s, each one member longer than the one before, rules may use only the last.
    pub fn union(values: Vec<Value>) -> Value {
        let parts: Vec<Shape> = values.into_iter().map(|value| value.shape).collect();
        let about = parts.iter().map(Shape::about).fold(About::default(), About::and);
        let shape = match parts.iter().any(|part| matches!(part, Shape::Union(_))) {
            true => Shape::Union(Rc::new(Union { parts, about, whole: OnceCell::new() })),
            false => {
                let flat = parts.into_iter().filter_map(|part| match part {
                    Shape::Flat(endpoint) => Some(endpoint),
                    Shape::Union(_) => None,
                });
                let endpoint = Arc::new(Endpoint { members: gathered(flat, about.most) });
                match about.most > FEW {
                    true => Shape::Union(Rc::new(Union { parts: Vec::new(), about, whole: endpoint.into() })),
                    false => Shape::Flat(endpoint),
                }
            }
        };
        Value { shape, mixed: None, ports: None, opaque: false }
    }

    pub fn endpoint(&self) -> &Arc<Endpoint> {
        match &self.shape {
            Shape::Flat(endpoint) => endpoint,
            Shape::Union(union) => union.endpoint(),
        }
    }

    pub fn into_endpoint(self) -> Arc<Endpoint> {
        match self.shape {
            Shape::Flat(endpoint) => endpoint,
            Shape::Union(union) => union.endpoint().clone(),
        }
    }

    /// Returns how many members there are at most.
    pub fn most_members(&self) -> usize {
        self.shape.about().most
    }

    /// Returns whether ports of some members are read in more than one way.
    pub fn is_read_in_ways(&self) -> bool {
        self.shape.about().read.count_ones() > 1
    }

    pub fn kind(&self) -> Kind {
        let kind = match &self.shape {
            Shape::Flat(endpoint) => kind_of(&endpoint.members),
            Shape::Union(union) => union.about.kind,
        };
        kind.filter(|_| self.mixed.is_none()).unwrap_or(Kind::Endpoint)
    }

    /// Returns the endpoint as a source: without ports.
    pub fn as_source(&self) -> Arc<Endpoint> {
        if self.endpoint().members.iter().all(|member| member.ports == Ports::All) {
            return self.endpoint().clone();
        }
        let bare = |member: &Member| Member { ports: Ports::All, ..member.clone() };
        Arc::new(Endpoint { members: self.endpoint().members.iter().map(bare).collect() })
    }
}

/// The most members of a union that is copied where it is used.
const FEW: usize = 64;

/// The members of a value.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Flat(Arc<Endpoint>),
    Union(Rc<Union>),
}

/// A union of many members, which are gathered once.
#[derive(Debug)]
pub(super) struct Union {
    parts: Vec<Shape>,
    about: About,
    whole: OnceCell<Arc<Endpoint>>,
}

/// The shape of members, known before they are gathered.
#[derive(Clone, Copy, Debug, Default)]
struct About {
    most: usize,
    kind: Option<Kind>,
    /// How their ports are read, a bit each.
    read: u8,
}

impl About {
    fn and(self, other: About) -> About {
        let kind = match (self.kind, other.kind) {
            (Some(a), Some(b)) if a != b => Some(Kind::Endpoint),
            (a, b) => a.or(b),
        };
        About { most: self.most.saturating_add(other.most), kind, read: self.read | other.read }
    }
}

impl Shape {
    fn about(&self) -> About {
        let endpoint = match self {
            Shape::Flat(endpoint) => endpoint,
            Shape::Union(union) => return union.about,
        };
        let entries = endpoint.members.iter().flat_map(|member| member.ports.entries());
        let read = entries.filter_map(|entry| entry.app).fold(0, |all, app| all | 1 << app as u8);
        About { most: endpoint.members.len(), kind: kind_of(&endpoint.members), read }
    }
}

impl Union {
    fn endpoint(&self) -> &Arc<Endpoint> {
        self.whole.get_or_init(|| {
            let mut flat = Vec::new();
            let mut known: FxHashSet<*const Union> = FxHashSet::default();
            // A loop and no recursion: a chain of names may be longer than the stack is deep.
            let mut open: Vec<&Shape> = self.parts.iter().rev().collect();
            while let Some(shape) = open.pop() {
                match shape {
                    Shape::Flat(endpoint) => flat.push(endpoint.clone()),
                    Shape::Union(union) if !known.insert(Rc::as_ptr(union)) => {}
                    Shape::Union(union) => match union.whole.get() {
                        Some(endpoint) => flat.push(endpoint.clone()),
                        None => open.extend(union.parts.iter().rev()),
                    },
                }
            }
            Arc::new(Endpoint { members: gathered(flat.into_iter(), self.about.most) })
        })
    }
}

impl Drop for Union {
    /// Drops a chain of names link by link, and not each inside the one before, which would exhaust the stack.
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut self.parts);
        while let Some(shape) = open.pop() {
            if let Shape::Union(mut union) = shape
                && let Some(union) = Rc::get_mut(&mut union)
            {
                open.append(&mut union.parts);
            }
        }
    }
}

/// Returns the members of some endpoints, at most `most` of them. A name that is reached twice brings its members once.
fn gathered(endpoints: impl Iterator<Item = Arc<Endpoint>>, most: usize) -> Members {
    let mut members = Members::new();
    let mut seen = FxHashSet::default();
    for member in endpoints.flat_map(|endpoint| Arc::unwrap_or_clone(endpoint).members) {
        if if most <= 16 { !members.contains(&member) } else { seen.insert(member.clone()) } {
            members.push(member);
        }
    }
    members
}

fn kind_of(members: &[Member]) -> Option<Kind> {
    let mut kinds = members.iter().map(member_kind);
    let first = kinds.next()?;
    Some(if kinds.any(|kind| kind != first) { Kind::Endpoint } else { first })
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

/// The argument of a parameter.
#[derive(Clone, Debug)]
pub enum Bound {
    Namespace(SmolStr),
    /// Of the four types of endpoints.
    Endpoint(Rc<Value>),
    Port(tree::Port),
    String(SmolStr),
}

impl Bound {
    /// Returns the narrowest type of a parameter that this may be bound to.
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

/// The environment of an expression: its module and, inside a template, the arguments.
#[derive(Clone, Debug)]
pub struct Env {
    pub module: ModuleId,
    /// The parameters in sight.
    pub parameters: Rc<FxHashMap<SmolStr, Bound>>,
    /// Whether the arguments are placeholders: the template is checked by itself.
    pub opaque: bool,
    /// The `apply` statements that led here, the outermost first.
    pub applied: Vec<Span>,
    /// The module of the outermost `apply`, whose scope applies to the rules that it yields.
    pub root: ModuleId,
}

impl Env {
    pub fn top(module: ModuleId) -> Env {
        Env { module, parameters: Rc::default(), opaque: false, applied: Vec::new(), root: module }
    }
}
