//! Policies as trees, so that they can be written as text, be cut down, and be asked what they are made of.

use std::fmt::{self, Display, Formatter};

use crate::cluster::{Cluster, Labels, Pod};

/// Hosts of the policy: their names, and where they are.
pub const HOSTS: [(&str, &str); 2] = [
    ("mirror", "host mirror.example.com at 203.0.113.7"),
    ("depot", "host depot.example.com at { 198.51.100.0/24, [2001:db8:1::5] }"),
];

/// A policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub statements: Vec<Statement>,
}

/// A rule, or a `default deny`.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Whether a gap is accepted.
    pub approximate: bool,
    pub action: Action,
    pub direction: Direction,
    pub from: End,
    /// Of a `default deny` the pods that it is about.
    pub to: End,
    pub ports: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Allow,
    Deny,
    Isolate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Egress,
    Ingress,
    Both,
    /// `<->`.
    BothWays,
}

/// One side of an arrow.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Pods {
        namespace: Namespace,
        pods: Pods,
    },
    /// A network or an address.
    Block(&'static str),
    /// What a name means: the prelude's, or a host of [`HOSTS`].
    Named(&'static str),
    /// A host of which nobody says where it is.
    Host(&'static str),
    Union(Vec<End>),
    Except(Box<End>, Box<End>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Namespace {
    Any,
    Name(String),
    Labels(Vec<Requirement>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Pods {
    Any,
    /// A workload or a Service.
    Name(String),
    Labels(Vec<Requirement>),
    Account(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    Equals(String, String),
    Differs(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let named = |name: &str| self.statements.iter().any(|one| one.from.names(name) || one.to.names(name));
        for (name, host) in HOSTS.iter().filter(|(name, _)| named(name)) {
            writeln!(f, "let {name} = {host}")?;
        }
        self.statements.iter().try_for_each(|statement| writeln!(f, "{statement}"))
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.approximate {
            f.write_str("@approximate(\"as near as the layer comes\") ")?;
        }
        let direction = match self.direction {
            Direction::Egress => "egress ",
            Direction::Ingress => "ingress ",
            Direction::Both | Direction::BothWays => "",
        };
        match self.action {
            Action::Isolate => return write!(f, "default deny {direction}{}", self.to),
            Action::Allow => write!(f, "allow {direction}{} ", self.from)?,
            Action::Deny => write!(f, "deny {direction}{} ", self.from)?,
        }
        f.write_str(if self.direction == Direction::BothWays { "<-> " } else { "-> " })?;
        match self.to {
            End::Except(..) if !self.ports.is_empty() => write!(f, "{{ {} }}", self.to)?,
            _ => write!(f, "{}", self.to)?,
        }
        match self.ports.as_slice() {
            [] => Ok(()),
            [port] => write!(f, ":{port}"),
            ports => write!(f, ":{{{}}}", ports.join(", ")),
        }
    }
}

impl Display for End {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            End::Pods { namespace, pods } => write!(f, "{namespace}/{pods}"),
            End::Block(block) if block.contains(':') => write!(f, "[{block}]"),
            End::Block(text) | End::Named(text) | End::Host(text) => f.write_str(text),
            End::Union(members) => {
                let members: Vec<String> = members.iter().map(End::to_string).collect();
                write!(f, "{{ {} }}", members.join(", "))
            }
            End::Except(whole, taken) => write!(f, "{whole} except {taken}"),
        }
    }
}

impl Display for Namespace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Namespace::Any => f.write_str("*"),
            Namespace::Name(name) => f.write_str(name),
            Namespace::Labels(requirements) => write_labels(f, requirements),
        }
    }
}

impl Display for Pods {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Pods::Any => f.write_str("*"),
            Pods::Name(name) => f.write_str(name),
            Pods::Labels(requirements) => write_labels(f, requirements),
            Pods::Account(name) => write!(f, "@{name}"),
        }
    }
}

fn write_labels(f: &mut Formatter<'_>, requirements: &[Requirement]) -> fmt::Result {
    let all: Vec<String> = requirements.iter().map(Requirement::to_string).collect();
    write!(f, "{{{}}}", all.join(", "))
}

impl Display for Requirement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = |value: &String| if value.is_empty() { "\"\"".to_owned() } else { value.clone() };
        let list = |values: &[String]| values.iter().map(word).collect::<Vec<_>>().join(", ");
        match self {
            Requirement::Equals(key, value) => write!(f, "{key}={}", word(value)),
            Requirement::Differs(key, value) => write!(f, "{key}!={}", word(value)),
            Requirement::In(key, values) => write!(f, "{key} in ({})", list(values)),
            Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            Requirement::Exists(key) => write!(f, "{key}"),
            Requirement::Absent(key) => write!(f, "!{key}"),
        }
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Requirement::Equals(key, value) => labels.get(key) == Some(value),
            Requirement::Differs(key, value) => labels.get(key) != Some(value),
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        }
    }
}

impl End {
    /// Returns whether this names pods, with a prelude's name or without.
    pub fn is_pods(&self) -> bool {
        match self {
            End::Pods { .. } => true,
            End::Union(members) => members.iter().all(End::is_pods),
            End::Except(whole, _) => whole.is_pods(),
            End::Block(_) | End::Named(_) | End::Host(_) => false,
        }
    }

    /// Returns whether a pod is among the pods that are meant. It is for the generator alone, which must not write what
    /// selects nothing; no verdict rests on it.
    pub fn holds(&self, cluster: &Cluster, pod: &Pod) -> bool {
        match self {
            End::Pods { namespace, pods } => {
                let here = match namespace {
                    Namespace::Any => true,
                    Namespace::Name(name) => *name == pod.namespace,
                    Namespace::Labels(all) => {
                        cluster.namespaces.get(&pod.namespace).is_some_and(|has| all.iter().all(|one| one.holds(has)))
                    }
                };
                here && match pods {
                    Pods::Any => true,
                    Pods::Name(name) => *name == pod.workload || cluster.is_behind(pod, name),
                    Pods::Labels(all) => all.iter().all(|one| one.holds(&pod.labels)),
                    Pods::Account(name) => *name == pod.account,
                }
            }
            End::Union(members) => members.iter().any(|member| member.holds(cluster, pod)),
            End::Except(whole, taken) => whole.holds(cluster, pod) && !taken.holds(cluster, pod),
            End::Block(_) | End::Named(_) | End::Host(_) => false,
        }
    }

    fn names(&self, name: &str) -> bool {
        match self {
            End::Named(other) => *other == name,
            End::Union(members) => members.iter().any(|member| member.names(name)),
            End::Except(whole, taken) => whole.names(name) || taken.names(name),
            End::Pods { .. } | End::Block(_) | End::Host(_) => false,
        }
    }
}
