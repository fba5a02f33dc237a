//! Mistakes of a plan: the rules that a layer says instead of the source's are changed, as a plan that went wrong would
//! have them, and the judgements stay as they are. Each mistake must be found by comparing with the source alone.

use std::sync::Arc;

use netpol::model::addresses::AddressSet;
use netpol::model::endpoint::{Endpoint, Member, What};
use netpol::model::labels::{PodSelector, Requirements};
use netpol::model::ports::{PortMatch, PortTest, Ports, Protocol};
use netpol::model::rules::{Action, Rule};
use netpol::targets::effective::{Effective, Instead};

use super::{build, is_caught, part};

const POLICIES: &[(&str, &[&str])] = &[
    ("allow egress garden/{app=web} -> db/{app=pg}:5432", &[]),
    ("allow egress garden/* -> { db/*:{5432, 53/udp, 8000-8100}, 203.0.113.7:443 }", &[]),
    ("allow ingress { web/{tier=front}, 198.51.100.0/24 } -> garden/{app=api}:{80, 9-10/sctp}", &[]),
    ("allow ingress { 203.0.113.0/24 except 203.0.113.64/26 } -> garden/*:443", &[]),
    ("default deny { garden/*, shop/* }\nallow garden/{app=web} -> shop/{app=api}:http", &[]),
    ("deny egress garden/* -> payments/*", &["10.244.0.0/16"]),
    ("default deny ingress a/*\nallow ingress { b/*, c/* } -> a/{app}\ndeny ingress b/* -> a/{app=web}", &[]),
    ("let db = host db.example at 203.0.113.7\nallow egress garden/* -> db:5432", &[]),
    ("allow garden/* -> garden/*", &[]),
];

/// A mistake, at each place where it can be made.
type Mistake = (&'static str, fn(&Effective) -> Vec<Effective>);

const MISTAKES: &[Mistake] = &[
    ("an allow is lost", |all| without(all, |rule| rule.action == Action::Allow)),
    ("an isolation is lost", |all| without(all, |rule| rule.action == Action::Isolate)),
    ("a rule is for the other direction", |all| {
        each(all, |rule| {
            (rule.egress, rule.ingress) = (rule.ingress, rule.egress);
            std::mem::swap(&mut rule.source, &mut rule.destination);
            true
        })
    }),
    ("a peer is lost", |all| {
        each(all, |rule| {
            let peers = peers(rule);
            let last = peers.members.len() > 1;
            peers.members.pop();
            last
        })
    }),
    ("the labels of a peer are lost", |all| {
        each_peer(all, |pods| std::mem::take(&mut pods.labels) != Requirements::any())
    }),
    ("the namespace of a peer is lost", |all| {
        each_peer(all, |pods| std::mem::take(&mut pods.namespace) != Requirements::any())
    }),
    ("the labels of the pods are lost", |all| {
        each_own(all, |pods| std::mem::take(&mut pods.labels) != Requirements::any())
    }),
    ("the pods are of another namespace", |all| {
        each_own(all, |pods| {
            pods.namespace = PodSelector::in_namespace("elsewhere").namespace;
            true
        })
    }),
    ("the ports are lost", |all| each_port(all, |ports| std::mem::replace(ports, Ports::All) != Ports::All)),
    ("a port is lost", |all| {
        each_port(all, |ports| match ports {
            Ports::Some(list) if list.len() > 1 => list.pop().is_some(),
            _ => false,
        })
    }),
    ("a range is longer", |all| {
        each_entry(all, |entry| match &mut entry.port {
            PortTest::Range(_, last) if *last < 65535 => {
                *last += 1;
                true
            }
            _ => false,
        })
    }),
    ("a range is shorter", |all| {
        each_entry(all, |entry| match &mut entry.port {
            PortTest::Range(first, last) if *first < *last => {
                *first += 1;
                true
            }
            _ => false,
        })
    }),
    ("the protocol differs", |all| {
        each_entry(all, |entry| {
            entry.protocol = if entry.protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp };
            true
        })
    }),
    ("a port name is all ports", |all| {
        each_entry(all, |entry| {
            let named = matches!(entry.port, PortTest::Named(_));
            entry.port = PortTest::EVERY;
            named
        })
    }),
    ("exceptions are lost", |all| {
        each_block(all, |set| {
            let some = set.blocks.iter().any(|block| !block.except.is_empty());
            set.blocks.iter_mut().for_each(|block| block.except.clear());
            some
        })
    }),
    ("addresses are all addresses", |all| {
        each_block(all, |set| std::mem::replace(set, AddressSet::everything()) != AddressSet::everything())
    }),
];

fn without(all: &Effective, fits: impl Fn(&Rule) -> bool) -> Vec<Effective> {
    let places = (0..all.rules.len()).filter(|at| fits(&all.rules[*at].rule));
    let less = |at| {
        let mut less = all.clone();
        less.rules.remove(at);
        less
    };
    places.map(less).collect()
}

/// Returns the effective policies with one rule changed; `change` says whether it has changed something.
fn each(all: &Effective, change: impl Fn(&mut Rule) -> bool) -> Vec<Effective> {
    let allows = (0..all.rules.len()).filter(|at| all.rules[*at].instead_of != Instead::Isolation);
    let changed = |at: usize| {
        let mut changed = all.clone();
        change(&mut changed.rules[at].rule).then_some(changed)
    };
    allows.filter_map(changed).collect()
}

fn peers(rule: &mut Rule) -> &mut Endpoint {
    Arc::make_mut(if rule.egress { &mut rule.destination } else { &mut rule.source })
}

fn own(rule: &mut Rule) -> &mut Endpoint {
    Arc::make_mut(if rule.egress { &mut rule.source } else { &mut rule.destination })
}

fn each_pods(endpoint: &mut Endpoint, change: impl Fn(&mut PodSelector) -> bool) -> bool {
    endpoint.members.iter_mut().any(|member| match &mut member.what {
        What::Pods(pods) => change(&mut pods.selector),
        _ => false,
    })
}

fn each_peer(all: &Effective, change: fn(&mut PodSelector) -> bool) -> Vec<Effective> {
    each(all, |rule| each_pods(peers(rule), change))
}

fn each_own(all: &Effective, change: fn(&mut PodSelector) -> bool) -> Vec<Effective> {
    each(all, |rule| each_pods(own(rule), change))
}

fn each_block(all: &Effective, change: fn(&mut AddressSet) -> bool) -> Vec<Effective> {
    each(all, |rule| {
        peers(rule).members.iter_mut().any(|member| match &mut member.what {
            What::Addresses(set) => change(set),
            _ => false,
        })
    })
}

fn each_port(all: &Effective, change: fn(&mut Ports) -> bool) -> Vec<Effective> {
    each(all, |rule| {
        let destination: &mut Endpoint = Arc::make_mut(&mut rule.destination);
        let mut some = false;
        destination.members.iter_mut().for_each(|member: &mut Member| some |= change(&mut member.ports));
        some
    })
}

fn each_entry(all: &Effective, change: fn(&mut PortMatch) -> bool) -> Vec<Effective> {
    each(all, |rule| {
        let destination: &mut Endpoint = Arc::make_mut(&mut rule.destination);
        destination.members.iter_mut().any(|member| match &mut member.ports {
            Ports::Some(list) => list.iter_mut().any(change),
            Ports::All => false,
        })
    })
}

#[test]
fn no_mistake_of_the_plan_survives() {
    let mut survivors = Vec::new();
    let mut made = vec![0; MISTAKES.len()];
    for (source, pods) in POLICIES {
        let build = build(source, pods);
        let mut part = part(&build);
        assert!(!is_caught(&part.check_effective(&build)), "{source}");
        let right = part.effective.clone();
        for (number, (name, make)) in MISTAKES.iter().enumerate() {
            // An isolation more, or pods more of those that nothing isolates, changes nothing.
            let closed = source.starts_with("default deny");
            if *name == "an isolation is lost" && closed || *name == "the labels of the pods are lost" && !closed {
                continue;
            }
            for wrong in make(&right) {
                made[number] += 1;
                part.effective = wrong;
                if !is_caught(&part.check_effective(&build)) {
                    survivors.push(format!("{name}\n{source}\n{:#?}", part.effective.rules));
                }
            }
        }
    }
    assert!(survivors.is_empty(), "{} survive:\n{}", survivors.len(), survivors.join("\n"));
    assert!(made.iter().all(|count| *count > 0), "{made:?}");
}

/// A judgement that is better than it should be is found too.
#[test]
fn what_is_said_to_be_exact_and_is_not_is_found() {
    for source in [
        "allow egress garden/* -> zenquotes.io:443",
        "allow ingress garden/* -> lab/@curl:80",
        "allow ingress lab/@curl -> garden/*:80",
        "default deny egress */*",
        "allow ingress web/* -> garden/{app=api}:8080/http where method GET",
        "deny ingress lab/@curl -> garden/*:80",
        "deny egress garden/* -> evil.example:443",
        "default deny ingress lab/*\nallow ingress garden/* -> lab/@good:8080",
    ] {
        let build = build(source, &[]);
        let mut part = part(&build);
        assert!(!is_caught(&part.check_effective(&build)), "{source}");
        part.effective.excess.clear();
        assert!(is_caught(&part.check_effective(&build)), "{source}");
    }
}
