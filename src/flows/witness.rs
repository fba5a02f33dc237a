//! Witnesses: one example flow of a set, with the values that a reader expects.
//!
//! ```text
//! egress garden/* minus internet:443     garden/{} -> 0.0.0.0, tcp 1
//! ```
//!
//! A label that the set does not test is left out. A value that some rule names is preferred to an invented one, and a
//! well-known port (443, 80) to the lowest number.

use std::net::IpAddr;

use smol_str::SmolStr;

use super::diagram::{Choice, Set, Var};
use super::sets::{Flows, TRUE};
use super::side::Side;
use super::space::{ABSENT, EMPTY, Feature, NAMELESS, OTHER, OTHERWISE, OUTSIDE, Space};
use super::terms::TokenClaim;
use crate::model::labels::{Labels, NAMESPACE_NAME};
use crate::model::paths::spellings;
use crate::model::ports::Protocol;

/// One flow of a set. A value that the set does not test is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// Who sends.
    pub source: End,
    /// Who receives.
    pub destination: End,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination's port; `None` for ICMP.
    pub port: Option<u16>,
    /// The names that the destination pod gives the port.
    pub port_names: Vec<SmolStr>,
    /// The client whose request a gateway passes on.
    pub client: Option<IpAddr>,
    /// The HTTP method.
    pub method: Option<SmolStr>,
    /// The path.
    pub path: Option<String>,
    /// The HTTP host.
    pub host: Option<SmolStr>,
    /// The name that TLS asks for; empty for TLS without a name.
    pub tls: Option<SmolStr>,
    /// Headers of the request.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// The token.
    pub token: Option<Token>,
}

/// One end of a witness.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// A pod.
    Pod {
        /// The labels of its namespace, the name among them.
        namespace: Labels,
        /// Its labels, as far as the set asks for them.
        labels: Labels,
        /// Its service account, if the set asks for one.
        account: Option<SmolStr>,
        /// Whether it has a sidecar.
        sidecar: bool,
    },
    /// Something that is no pod.
    Outside {
        /// Its address, if the set asks for one.
        address: Option<IpAddr>,
        /// The name of the host, if it is known.
        host: Option<SmolStr>,
    },
}

/// A valid token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its issuer.
    pub issuer: SmolStr,
    /// Its subject.
    pub subject: Option<SmolStr>,
    /// Its claims.
    pub claims: Vec<TokenClaim>,
}

/// Well-known ports, the most preferred first.
const KNOWN_PORTS: [u32; 4] = [443, 80, 8080, 5432];

impl Flows {
    /// Returns a flow of a set between two places, by their numbers; `None` if the set is empty.
    pub fn witness(&self, set: Set, source: u32, destination: u32) -> Option<Witness> {
        let space = &self.space;
        let way = self.diagrams.cheapest(set, &mut |var, choice| pick(space, var, choice))?;
        Some(Way { space, way }.witness(source, destination))
    }
}

/// Returns the value to show for a choice, with its cost.
fn pick(space: &Space, var: Var, choice: Choice<'_>) -> Option<(u32, u64)> {
    let feature = space.feature(var);
    Some(match choice {
        Choice::Between(first, last) => match feature {
            Feature::Port => {
                let known = (0..).zip(KNOWN_PORTS).find(|(_, port)| (first..=last).contains(port));
                known.map_or((first, 6), |(rank, port)| (port, 1 + rank))
            }
            Feature::Client => (first, u64::from(first > 0)),
            _ => (first, 1),
        },
        Choice::Named(ABSENT) => match feature {
            Feature::Account(_) => return None,
            _ => (ABSENT, 0),
        },
        Choice::Named(number) => match feature {
            Feature::Protocol => (number, u64::from(number)),
            // TLS without a name, an empty segment and another spelling of a segment cost more than a name in play.
            Feature::TlsName | Feature::RequestHost if number == NAMELESS => (number, 2),
            Feature::Segment(_) if number == EMPTY => (number, 2),
            _ => (number, 1),
        },
        Choice::Other(named) if named.first() != Some(&ABSENT) && !matches!(feature, Feature::Account(_)) => {
            (ABSENT, 0)
        }
        Choice::Other(named) => match feature {
            // A fact is true or false; it has no other value.
            Feature::PortName(_) | Feature::Claim(_) | Feature::Sidecar => match named {
                [ABSENT] => (TRUE, 1),
                _ => return None,
            },
            Feature::Protocol => return None,
            _ => (OTHER, 3),
        },
    })
}

struct Way<'s> {
    space: &'s Space,
    way: Vec<(Var, u32)>,
}

impl Way<'_> {
    fn value(&self, feature: Feature<'_>) -> Option<u32> {
        let var = self.space.var(feature);
        self.way.iter().find(|(one, _)| *one == var).map(|(_, value)| *value)
    }

    fn present(&self, feature: Feature<'_>) -> Option<u32> {
        self.value(feature).filter(|value| *value != ABSENT)
    }

    fn witness(&self, source: u32, destination: u32) -> Witness {
        let space = self.space;
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp];
        let protocol = protocol[self.value(Feature::Protocol).unwrap_or(0) as usize % 4];
        let named = |feature, table: &super::space::Table<SmolStr>, other: &str| {
            let number = self.present(feature)?;
            Some(table.value(number).cloned().unwrap_or_else(|| made_up(other, table)))
        };
        let host = |name| self.present(name).map(|number| space.host_shown(number));
        let headers = space.headers.numbered().filter_map(|(_, name)| {
            let table = space.header_values_of(name);
            let number = self.present(Feature::Header(name))?;
            Some((name.clone(), table.value(number).cloned().unwrap_or_else(|| made_up("another", table))))
        });
        let claims = space.claims.numbered().map(|(_, claim)| claim.clone());
        let client = self.present(Feature::Client).and_then(|number| space.first_address(number - 1));
        let issuer = named(Feature::Issuer, &space.issuers, "https://another.example");
        Witness {
            source: self.end(Side::Source, source),
            destination: self.end(Side::Destination, destination),
            protocol,
            port: (protocol != Protocol::Icmp).then(|| self.value(Feature::Port).map_or(443, |port| port as u16)),
            port_names: space
                .port_names
                .numbered()
                .filter(|(_, name)| self.present(Feature::PortName(name)).is_some())
                .map(|(_, name)| name.clone())
                .collect(),
            client,
            method: named(Feature::Method, &space.methods, "OTHER"),
            path: self.path(),
            host: host(Feature::RequestHost),
            tls: host(Feature::TlsName),
            headers: headers.collect(),
            token: issuer.map(|issuer| Token {
                issuer,
                subject: named(Feature::Subject, &space.subjects, "another"),
                claims: claims.filter(|claim| self.present(Feature::Claim(claim)).is_some()).collect(),
            }),
        }
    }

    fn end(&self, side: Side, place: u32) -> End {
        let space = self.space;
        if place == OUTSIDE {
            let address = self.value(Feature::Address(side)).and_then(|number| space.first_address(number));
            let host = (side == Side::Destination).then(|| self.present(Feature::Host)).flatten();
            return End::Outside { address, host: host.map(|number| space.host_shown(number)) };
        }
        let mut namespace = space.namespace_labels(place).cloned().unwrap_or_default();
        let name = space.namespace(place).cloned().unwrap_or_else(|| made_up("another", &space.namespaces));
        namespace.insert(SmolStr::new_static(NAMESPACE_NAME), name);
        for (_, key) in space.namespace_keys.numbered() {
            if let Some(number) = self.present(Feature::NamespaceLabel(side, key)) {
                let table = space.namespace_values_of(key);
                namespace
                    .insert(key.clone(), table.value(number).cloned().unwrap_or_else(|| made_up("another", table)));
            }
        }
        let labels = space.keys.numbered().filter_map(|(_, key)| {
            let table = space.values_of(key);
            let number = self.present(Feature::Label(side, key))?;
            Some((key.clone(), table.value(number).cloned().unwrap_or_else(|| made_up("another", table))))
        });
        let account = self.present(Feature::Account(side));
        End::Pod {
            namespace,
            labels: labels.collect(),
            account: account.map(|number| {
                space.accounts.value(number).cloned().unwrap_or_else(|| made_up("another", &space.accounts))
            }),
            sidecar: side == Side::Source && self.present(Feature::Sidecar).is_some(),
        }
    }

    fn path(&self) -> Option<String> {
        let space = self.space;
        let mut path = String::new();
        // The path needs every segment up to the last one that is tested; after it, any segment may follow.
        let last = (0..space.depth).rev().find(|at| self.present(Feature::Segment(*at)).is_some())?;
        for at in 0..=last {
            path.push('/');
            match self.value(Feature::Segment(at)) {
                Some(EMPTY) => {}
                Some(number) => match space.segments.value(number) {
                    Some(text) => path.push_str(&spelled(text, space)),
                    None => path.push_str(&made_up("another", &space.segments)),
                },
                None => path.push_str(&made_up("another", &space.segments)),
            }
        }
        Some(path)
    }
}

/// Returns a segment in play as text. A segment that stands for other spellings becomes the first spelling that no
/// policy writes.
fn spelled(segment: &str, space: &Space) -> String {
    let Some(of) = segment.strip_prefix(OTHERWISE) else { return segment.to_owned() };
    let all = spellings(of, 4096).unwrap_or_default();
    let other = all.into_iter().find(|one| space.segments.number(one.as_str()) == OTHER);
    other.unwrap_or_else(|| of.to_owned())
}

/// Returns a text that is not in play.
fn made_up(begin: &str, table: &super::space::Table<SmolStr>) -> SmolStr {
    let mut text = begin.to_owned();
    while table.number(text.as_str()) != OTHER {
        text.push('x');
    }
    text.into()
}
