//! Policies as trees, so that they can be written as text, be cut down, and be asked what they are made of.

use std::fmt::{self, Display, Formatter};

use crate::cluster::{Cluster, Labels, Pod};

/// Hosts of the policy: their names, and where they are.
pub const HOSTS: [(&str, &str); 3] = [
    ("mirror", "host mirror.example.com at 203.0.113.7"),
    ("depot", "host depot.example.com at { 198.51.100.0/24, [2001:db8:1::5] }"),
    ("opened", "host opened.example.com at 203.0.113.200 { port 80/http -> 443/tls }"),
];

/// The gateway that a `via` names, with its Service.
pub const GATEWAY: &str = "\
service edges/envoy { select {app=envoy}  port 443 -> 8443/tls  port 80 -> 8080/http }
gateway edge { pods edges/{app=envoy}  service edges/envoy  port 443 -> 8443/tls  port 80 -> 8080/http }";

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
    pub shape: Shape,
    pub action: Action,
    pub direction: Direction,
    pub from: End,
    /// Of a `default deny` the pods that it is about.
    pub to: End,
    pub ports: Vec<String>,
    /// `where …` or `via …`, or nothing.
    pub clause: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Allow,
    Deny,
    Isolate,
}

/// How a rule is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Plain,
    /// With names for its ends.
    Let,
    /// By a template that is applied once.
    Template,
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
    Block(String),
    /// What a name means: the prelude's, or a host of [`HOSTS`].
    Named(&'static str),
    /// A host of which nobody says where it is.
    Host(&'static str),
    Union(Vec<End>),
    Except(Box<End>, Box<End>),
    /// With ports of its own, as a member of a union.
    Suffixed(Box<End>, Vec<String>),
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
    Account(String),
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
        let named = |name: &str| {
            let is = |end: &End| matches!(end, End::Named(other) if *other == name);
            self.statements.iter().any(|one| one.from.any(&is) || one.to.any(&is))
        };
        for (name, host) in HOSTS.iter().filter(|(name, _)| named(name)) {
            writeln!(f, "let {name} = {host}")?;
        }
        if self.statements.iter().any(|one| one.clause.starts_with("via")) {
            writeln!(f, "{GATEWAY}")?;
        }
        self.statements.iter().enumerate().try_for_each(|(at, statement)| statement.write(f, at))
    }
}

impl Policy {
    /// Returns whether some pods are told by their service account.
    pub fn has_accounts(&self) -> bool {
        let mut ends = self.statements.iter().flat_map(|one| [&one.from, &one.to]);
        ends.any(|end| end.any(&|end| matches!(end, End::Pods { pods: Pods::Account(_), .. })))
    }
}

impl Statement {
    /// Writes the statement; its number makes names for what it defines.
    fn write(&self, f: &mut Formatter<'_>, at: usize) -> fmt::Result {
        let to = with_ports(&self.to, &self.ports);
        match self.shape {
            Shape::Plain => writeln!(f, "{}", self.with_ends(&self.from.to_string(), &to)),
            Shape::Let => {
                // Ports may be a part of what a name means, or follow the name.
                let (named, ports) =
                    if at % 2 == 0 { (to, String::new()) } else { (self.to.to_string(), suffix(&self.ports)) };
                writeln!(f, "let from{at} = {}\nlet to{at} = {named}", self.from)?;
                writeln!(f, "{}", self.with_ends(&format!("from{at}"), &format!("to{at}{ports}")))
            }
            Shape::Template => {
                let of = |end: &End| if end.is_pods() { "Workloads" } else { "Endpoint" };
                writeln!(f, "template rule{at}(from: {}, to: {}) {{", of(&self.from), of(&self.to))?;
                writeln!(
                    f,
                    "  {}\n}}\napply rule{at}({}, {})",
                    self.with_ends("from", &format!("to{}", suffix(&self.ports))),
                    self.from,
                    self.to
                )
            }
        }
    }

    fn with_ends(&self, from: &str, to: &str) -> String {
        let accepted = if self.approximate { "@approximate(\"as near as the layer comes\") " } else { "" };
        let direction = match self.direction {
            Direction::Egress => "egress ",
            Direction::Ingress => "ingress ",
            Direction::Both | Direction::BothWays => "",
        };
        let action = match self.action {
            Action::Isolate => return format!("{accepted}default deny {direction}{to}"),
            Action::Allow => "allow",
            Action::Deny => "deny",
        };
        let arrow = if self.direction == Direction::BothWays { "<->" } else { "->" };
        let clause = if self.clause.is_empty() { String::new() } else { format!(" {}", self.clause) };
        format!("{accepted}{action} {direction}{from} {arrow} {to}{clause}")
    }
}

/// Writes an end with ports behind it; a difference needs braces for that.
fn with_ports(end: &End, ports: &[String]) -> String {
    match end {
        End::Except(..) if !ports.is_empty() => format!("{{ {end} }}{}", suffix(ports)),
        _ => format!("{end}{}", suffix(ports)),
    }
}

fn suffix(ports: &[String]) -> String {
    match ports {
        [] => String::new(),
        [port] => format!(":{port}"),
        ports => format!(":{{{}}}", ports.join(", ")),
    }
}

impl Display for End {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            End::Pods { namespace, pods } => write!(f, "{namespace}/{pods}"),
            End::Block(block) if block.contains(':') => write!(f, "[{block}]"),
            End::Block(text) => f.write_str(text),
            End::Named(text) | End::Host(text) => f.write_str(text),
            End::Union(members) => {
                let members: Vec<String> = members.iter().map(End::to_string).collect();
                write!(f, "{{ {} }}", members.join(", "))
            }
            End::Except(whole, taken) => write!(f, "{whole} except {taken}"),
            End::Suffixed(end, ports) => f.write_str(&with_ports(end, ports)),
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
    fn matches(&self, labels: &Labels) -> bool {
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
            End::Except(whole, _) | End::Suffixed(whole, _) => whole.is_pods(),
            End::Block(_) | End::Named(_) | End::Host(_) => false,
        }
    }

    /// Returns whether a pod is among the pods that are meant. It is for the generator alone, which must not write what
    /// selects nothing; no verdict rests on it.
    pub fn contains(&self, cluster: &Cluster, pod: &Pod) -> bool {
        match self {
            End::Pods { namespace, pods } => {
                let here = match namespace {
                    Namespace::Any => true,
                    Namespace::Name(name) => *name == pod.namespace,
                    Namespace::Labels(all) => {
                        cluster.namespaces.get(&pod.namespace).is_some_and(|has| all.iter().all(|one| one.matches(has)))
                    }
                };
                here && match pods {
                    Pods::Any => true,
                    Pods::Name(name) => *name == pod.workload || cluster.is_behind(pod, name),
                    Pods::Labels(all) => all.iter().all(|one| one.matches(&pod.labels)),
                    Pods::Account(name) => *name == pod.account,
                }
            }
            End::Union(members) => members.iter().any(|member| member.contains(cluster, pod)),
            End::Except(whole, taken) => whole.contains(cluster, pod) && !taken.contains(cluster, pod),
            End::Suffixed(end, _) => end.contains(cluster, pod),
            End::Block(_) | End::Named(_) | End::Host(_) => false,
        }
    }

    /// Returns whether this, or something that it is made of, is of a kind.
    pub fn any(&self, is: &dyn Fn(&End) -> bool) -> bool {
        is(self)
            || match self {
                End::Union(members) => members.iter().any(|member| member.any(is)),
                End::Except(whole, taken) => whole.any(is) || taken.any(is),
                End::Suffixed(end, _) => end.any(is),
                End::Pods { .. } | End::Block(_) | End::Named(_) | End::Host(_) => false,
            }
    }
}
