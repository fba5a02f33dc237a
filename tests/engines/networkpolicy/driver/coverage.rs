//! What policies are made of, so that a run can show that it had some of everything.

use std::collections::BTreeMap;

use crate::policy::{Action, Direction, End, Namespace, Pods, Policy, Requirement, Shape, Statement};

/// What must be in at least one policy of twenty.
pub const WANTED: [&str; 14] = [
    "namespace by labels",
    "In",
    "NotIn",
    "Exists",
    "DoesNotExist",
    "port",
    "named port",
    "range",
    "udp",
    "sctp",
    "except",
    "deny",
    "both directions",
    "IPv6",
];

/// Counts the policies that have something.
#[derive(Default)]
pub struct Coverage(pub BTreeMap<&'static str, usize>);

impl Coverage {
    /// Counts a policy.
    pub fn add(&mut self, policy: &Policy) {
        let mut found = Vec::new();
        policy.statements.iter().for_each(|statement| of_statement(statement, &mut found));
        found.sort_unstable();
        found.dedup();
        for what in found {
            *self.0.entry(what).or_default() += 1;
        }
    }

    /// Returns what fewer than one policy of twenty has.
    pub fn missing(&self, policies: usize) -> Vec<&'static str> {
        WANTED.into_iter().filter(|what| self.0.get(what).copied().unwrap_or(0) * 20 < policies).collect()
    }
}

fn of_statement(statement: &Statement, found: &mut Vec<&'static str>) {
    found.push(match statement.action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Isolate => "default deny",
    });
    if matches!(statement.direction, Direction::Both | Direction::BothWays) {
        found.push("both directions");
    }
    match statement.shape {
        Shape::Plain => {}
        Shape::Let => found.push("let"),
        Shape::Template => found.push("template"),
    }
    found.extend(statement.clause.split(' ').next().filter(|word| !word.is_empty()));
    if statement.approximate {
        found.push("accepted gap");
    }
    of_ports(&statement.ports, found);
    of_end(&statement.from, found);
    of_end(&statement.to, found);
}

fn of_ports(ports: &[String], found: &mut Vec<&'static str>) {
    for port in ports {
        let (which, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        found.push(match which {
            "*" => "every port",
            _ if which.contains('-') => "range",
            _ if which.bytes().all(|byte| byte.is_ascii_digit()) => "port",
            _ => "named port",
        });
        found.extend(["udp", "sctp"].into_iter().find(|known| *known == protocol));
    }
}

fn of_end(end: &End, found: &mut Vec<&'static str>) {
    match end {
        End::Pods { namespace, pods } => {
            match namespace {
                Namespace::Any => found.push("any namespace"),
                Namespace::Name(_) => {}
                Namespace::Labels(list) => {
                    found.push("namespace by labels");
                    list.iter().for_each(|one| of_requirement(one, found));
                }
            }
            match pods {
                Pods::Any => {}
                Pods::Name(_) => found.push("workload or Service"),
                Pods::Labels(list) => list.iter().for_each(|one| of_requirement(one, found)),
                Pods::Account(_) => found.push("account"),
            }
        }
        End::Block(block) => found.push(if block.contains(':') { "IPv6" } else { "IPv4" }),
        End::Named("anywhere" | "internet" | "private" | "dns" | "nodes" | "apiserver") => {
            found.push("name of the prelude")
        }
        End::Named(_) | End::Host(_) => found.push("host"),
        End::Union(members) => {
            found.push("union");
            members.iter().for_each(|member| of_end(member, found));
        }
        End::Except(whole, taken) => {
            found.push(if whole.is_pods() { "except, of pods" } else { "except" });
            of_end(whole, found);
            of_end(taken, found);
        }
        End::Suffixed(end, ports) => {
            found.push("union, by ports");
            of_ports(ports, found);
            of_end(end, found);
        }
    }
}

fn of_requirement(requirement: &Requirement, found: &mut Vec<&'static str>) {
    found.push(match requirement {
        Requirement::Equals(..) => "equals",
        Requirement::In(..) => "In",
        Requirement::Differs(..) | Requirement::NotIn(..) => "NotIn",
        Requirement::Exists(_) => "Exists",
        Requirement::Absent(_) => "DoesNotExist",
    });
}
