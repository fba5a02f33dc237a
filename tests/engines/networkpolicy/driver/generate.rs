//! Random policies about a cluster. Everything selects something there, since the compiler refuses what does not.

use std::net::IpAddr;

use crate::cluster::{Cluster, Labels, NAMESPACE_LABELS, POD_LABELS, Pod};
use crate::networks;
use crate::policy::{Action, Direction, End, Namespace, Pods, Policy, Requirement, Shape, Statement};
use crate::random::Random;

const NAMES: [&str; 4] = ["http", "metrics", "dns/udp", "http/udp"];
const TRIES: usize = 20;

/// Makes a policy about a cluster.
pub fn policy(random: &mut Random, cluster: &Cluster) -> Policy {
    let around = networks::around(random);
    let mut writer = Writer { random, cluster, around };
    let most = writer.random.weighted(&[(9, 6), (1, 14)]);
    let count = writer.random.between(1, most);
    let mut statements: Vec<Statement> = (0..count).map(|_| writer.statement()).collect();
    if writer.random.percent(25) {
        statements.extend(writer.with_clause());
    }
    if writer.random.percent(6) {
        statements.extend(writer.account_inside_default_deny());
    }
    Policy { statements }
}

struct Writer<'a> {
    random: &'a mut Random,
    cluster: &'a Cluster,
    around: Vec<IpAddr>,
}

impl Writer<'_> {
    fn statement(&mut self) -> Statement {
        let direction =
            [(5, Direction::Egress), (5, Direction::Ingress), (4, Direction::Both), (1, Direction::BothWays)];
        let direction = self.random.weighted(&direction);
        let action = self.random.weighted(&[(2, Action::Isolate), (7, Action::Allow), (3, Action::Deny)]);
        if action == Action::Isolate {
            let direction = if direction == Direction::BothWays { Direction::Both } else { direction };
            let to = self.subject();
            let (from, shape) = (to.clone(), Shape::Plain);
            return Statement { approximate: false, shape, action, direction, from, to, ports: Vec::new(), clause: "" };
        }
        let (from, to) = match direction {
            Direction::Egress => (self.subject(), self.peer(true)),
            Direction::Ingress => (self.peer(false), self.subject()),
            Direction::Both | Direction::BothWays => (self.subject(), self.subject()),
        };
        let (to, ports) = match self.service(direction) {
            None if self.random.percent(12) => (self.several(direction == Direction::Egress), Vec::new()),
            Some(service) => (service, vec!["8000".to_owned()]),
            None => {
                // What is denied by a port name can seldom be said, since it is another number on every pod.
                let names = direction != Direction::BothWays && (action == Action::Allow || self.random.percent(60));
                let ports = self.ports(&to, names);
                (to, ports)
            }
        };
        let approximate = to.any(&|end| matches!(end, End::Host(_))) || self.random.percent(10);
        let shape = self.random.weighted(&[(8, Shape::Plain), (1, Shape::Let), (1, Shape::Template)]);
        Statement { approximate, shape, action, direction, from, to, ports, clause: "" }
    }

    /// Returns a `default deny` for a namespace and an allow for the pods of one account there.
    fn account_inside_default_deny(&mut self) -> [Statement; 2] {
        let pod = self.random.pick(&self.cluster.listed().collect::<Vec<_>>());
        let direction = self.random.pick(&[Direction::Egress, Direction::Ingress]);
        let pods = |pods| End::Pods { namespace: Namespace::Name(pod.namespace.clone()), pods };
        let (all, some) = (pods(Pods::Any), pods(Pods::Account(pod.account.clone())));
        let (from, to) = match direction {
            Direction::Egress => (some, self.peer(true)),
            _ => (self.peer(false), some),
        };
        let ports = if to.is_pods() { vec![networks::port(self.random)] } else { Vec::new() };
        let plain = |action, from, to, ports| Statement {
            approximate: false,
            shape: Shape::Plain,
            action,
            direction,
            from,
            to,
            ports,
            clause: "",
        };
        [plain(Action::Isolate, all.clone(), all, Vec::new()), plain(Action::Allow, from, to, ports)]
    }

    /// Returns an allow with a clause, of which NetworkPolicy enforces only a part, or nothing; now and then with a deny
    /// beside it.
    fn with_clause(&mut self) -> Vec<Statement> {
        let direction = self.random.pick(&[Direction::Egress, Direction::Ingress]);
        let from = if direction == Direction::Egress { self.subject() } else { self.peer(false) };
        let (direction, to, ports, clause) = match direction {
            Direction::Egress if self.cluster.gateway => {
                (Direction::Egress, End::Host("zenquotes.io"), "443/tls", "via edge")
            }
            Direction::Ingress if self.cluster.gateway => {
                (Direction::Ingress, self.subject(), "8080/http", "via edge at \"shop.example.com\"")
            }
            _ => {
                let clause = self.random.pick(&["where method GET", "where host \"shop.example.com\""]);
                (Direction::Ingress, self.subject(), "8080/http", clause)
            }
        };
        let allow = Statement {
            approximate: true,
            shape: Shape::Plain,
            action: Action::Allow,
            direction,
            from,
            to,
            ports: vec![ports.to_owned()],
            clause,
        };
        let mut all = vec![allow];
        if self.random.percent(40) {
            let mut deny = all[0].clone();
            (deny.action, deny.clause) = (Action::Deny, "");
            deny.to = match &deny.to {
                End::Host(_) => {
                    self.random.pick(&[deny.to.clone(), End::Named("internet"), End::Block("198.51.100.0/24".into())])
                }
                pods => pods.clone(),
            };
            deny.from = if direction == Direction::Egress { self.subject() } else { self.peer(false) };
            all.push(deny);
        }
        all
    }

    /// Returns, now and then, the Service of the cluster, for its port.
    fn service(&mut self, direction: Direction) -> Option<End> {
        let service = self.cluster.services.first()?;
        let (namespace, pods) = (Namespace::Name(service.namespace.clone()), Pods::Name(service.name.clone()));
        (direction != Direction::BothWays && self.random.percent(15)).then_some(End::Pods { namespace, pods })
    }

    /// Returns a union whose members have ports of their own.
    fn several(&mut self, peers: bool) -> End {
        let members = (0..self.random.between(2, 3)).map(|_| {
            let end = if peers { self.peer(true) } else { self.subject() };
            match self.ports(&end, false) {
                ports if ports.is_empty() => end,
                ports => End::Suffixed(Box::new(end), ports),
            }
        });
        End::Union(members.collect())
    }

    /// Returns pods that a rule may govern.
    fn subject(&mut self) -> End {
        match self.random.below(10) {
            0 => End::Union(vec![self.pods(), self.pods()]),
            1 => self.difference(),
            _ => self.pods(),
        }
    }

    fn peer(&mut self, destination: bool) -> End {
        let known = self.cluster.ranges_known;
        match self.random.below(25) {
            0..=9 => self.subject(),
            10..=17 => self.addresses(),
            18 => End::Union(vec![self.addresses(), self.addresses()]),
            19 => End::Union(vec![self.pods(), self.addresses()]),
            20 => End::Named("anywhere"),
            21 => End::Named("internet"),
            22 if known => End::Named("private"),
            23 => End::Named(self.random.pick(&["nodes", "apiserver", "dns"])),
            24 if destination => End::Host("zenquotes.io"),
            // Where Istio is a layer, sidecars open TLS to a host.
            _ if destination && self.cluster.istio => {
                End::Named(self.random.pick(&["mirror", "depot", "opened", "opened"]))
            }
            _ if destination => End::Named(self.random.pick(&["mirror", "depot"])),
            _ => self.pods(),
        }
    }

    fn addresses(&mut self) -> End {
        networks::addresses(self.random, &self.around, self.cluster.ranges_known)
    }

    /// Returns some pods without others, such that there are both.
    fn difference(&mut self) -> End {
        for _ in 0..TRIES {
            let (mut whole, mut taken) = (self.pods(), self.pods());
            if self.random.percent(25) {
                (whole, taken) = (End::Union(vec![whole, self.pods()]), End::Union(vec![taken, self.pods()]));
            }
            let mut pods = self.cluster.listed().filter(|pod| whole.contains(self.cluster, pod));
            let some = pods.clone().any(|pod| taken.contains(self.cluster, pod));
            if some && pods.any(|pod| !taken.contains(self.cluster, pod)) {
                return End::Except(Box::new(whole), Box::new(taken));
            }
        }
        self.pods()
    }

    /// Returns pods, of which there is at least one.
    fn pods(&mut self) -> End {
        let selectable: Vec<&Pod> = self.cluster.listed().collect();
        let pod = self.random.pick(&selectable);
        let here = &self.cluster.namespaces[&pod.namespace];
        let namespace = match self.random.below(10) {
            // Without an inventory nobody knows which namespaces others would be.
            _ if !self.cluster.inventory => Namespace::Name(pod.namespace.clone()),
            0..=6 => Namespace::Name(pod.namespace.clone()),
            7 => Namespace::Any,
            _ if here.is_empty() => Namespace::Any,
            _ => Namespace::Labels(self.labels(here, false)),
        };
        let named = matches!(namespace, Namespace::Name(_));
        let pods = match self.random.below(20) {
            0..=5 => Pods::Any,
            6 | 7 if named && !pod.labels.is_empty() && self.cluster.inventory => Pods::Name(pod.workload.clone()),
            8 if self.random.percent(50) && self.cluster.inventory => Pods::Account(pod.account.clone()),
            _ => Pods::Labels(self.labels(&pod.labels, true)),
        };
        End::Pods { namespace, pods }
    }

    /// Returns requirements that some labels meet. Before a slash no key stands alone.
    fn labels(&mut self, labels: &Labels, alone: bool) -> Vec<Requirement> {
        let count = self.random.weighted(&[(3, 1), (2, 2)]);
        let mut all: Vec<Requirement> = Vec::new();
        for _ in 0..count {
            let known = if alone { &POD_LABELS[..] } else { &NAMESPACE_LABELS[..] };
            let (key, values, _) = self.random.pick(known);
            let key = key.to_owned();
            let other = |random: &mut Random, not: Option<&String>| loop {
                let value = random.pick(&values);
                if not.is_none_or(|not| not != value) {
                    return value.to_owned();
                }
            };
            let requirement = match labels.get(&key) {
                Some(value) => match self.random.below(if alone { 7 } else { 6 }) {
                    0 | 1 => Requirement::Equals(key, value.clone()),
                    2 => Requirement::Differs(key, other(self.random, Some(value))),
                    3 | 4 => Requirement::In(key, vec![value.clone(), other(self.random, Some(value))]),
                    5 => Requirement::NotIn(
                        key,
                        values.iter().filter(|one| *one != value).map(ToString::to_string).collect(),
                    ),
                    _ => Requirement::Exists(key),
                },
                None => match self.random.below(if alone { 4 } else { 2 }) {
                    0 => Requirement::Differs(key, other(self.random, None)),
                    1 => Requirement::NotIn(key, vec![other(self.random, None)]),
                    _ => Requirement::Absent(key),
                },
            };
            if !all.contains(&requirement) {
                all.push(requirement);
            }
        }
        all
    }

    fn ports(&mut self, to: &End, names: bool) -> Vec<String> {
        // These bring ports of their own.
        if to == &End::Named("opened") && self.random.percent(80) {
            return self.random.pick(&[vec!["80".to_owned()], vec!["80".to_owned(), "443".to_owned()]]);
        }
        if self.random.percent(35) || matches!(to, End::Named("dns" | "apiserver")) {
            return Vec::new();
        }
        let mut ports: Vec<String> = Vec::new();
        for _ in 0..self.random.weighted(&[(5, 1), (2, 2), (1, 3)]) {
            let port = if names && to.is_pods() && self.random.percent(30) {
                let name = self.random.pick(&NAMES);
                if !self.has_port(to, name) {
                    continue;
                }
                name.to_owned()
            } else {
                networks::port(self.random)
            };
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        if ports.len() > 1 {
            ports.retain(|port| port != "8080/http");
        }
        ports
    }

    fn has_port(&self, to: &End, name: &str) -> bool {
        let (name, protocol) = name.split_once('/').unwrap_or((name, "tcp"));
        let has =
            |pod: &Pod| pod.ports.iter().any(|port| port.name == name && port.protocol.eq_ignore_ascii_case(protocol));
        self.cluster.listed().any(|pod| to.contains(self.cluster, pod) && has(pod))
    }
}
