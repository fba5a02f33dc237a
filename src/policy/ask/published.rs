//! Public hosts: `203.0.113.8 -> shop.example.com:443` leads to the gateway that publishes the host, and on from there.
//!
//! The gateway sees the client's address and the names that are asked for; the workload sees the gateway. So an answer
//! has two flows, and both are decided. A request for a host of no rule has an unknown destination, so it is decided at
//! the gateway alone.

use std::net::IpAddr;

use smol_str::SmolStr;

use super::parties::Candidate;
use super::question::WantedPort;
use super::service::{Target, pod_port};
use super::{Asker, Question, Way, near};
use crate::model::endpoint::Member;
use crate::model::gateways::{Gateway, GatewayPort, Via};
use crate::model::labels::{Account, Labels, PodSelector};
use crate::model::ports::{AppProtocol, PortTest, Protocol};
use crate::model::rules::Rule;
use crate::policy::flow::{Flow, Party, Request};
use crate::syntax::tree::{Expr, ExprKind, PortKind};

impl Asker<'_> {
    /// Returns the flows of a client outside to a public host of a rule with `via … at`; `None` for any other question.
    pub(super) fn published(
        &mut self,
        sources: &[Candidate],
        to: &Expr,
        question: &Question,
        wanted: &WantedPort,
    ) -> Result<Option<Vec<Way>>, String> {
        let (ExprKind::Host(host), [from]) = (&to.kind, sources) else { return Ok(None) };
        let Party::Address(client) = &from.party else { return Ok(None) };
        if host.wildcard {
            return Ok(None);
        }
        let ways_in: Vec<(&Rule, &Via)> = self.policy.ways_in().filter_map(way_in).collect();
        let published: Vec<&Via> =
            ways_in.iter().map(|(_, via)| *via).filter(|via| publishes(via, &host.name)).collect();
        if published.is_empty() {
            return match ways_in.is_empty() {
                true => Ok(None),
                false => Err(not_published(&host.name, &ways_in)),
            };
        }
        let mut gateways: Vec<&Gateway> = Vec::new();
        for via in &published {
            if !gateways.iter().any(|known| **known == *via.gateway) {
                gateways.push(&via.gateway);
            }
        }
        let mut ways = Vec::new();
        // A host of several gateways is asked for at those that have the port.
        let ports: Vec<_> = gateways.iter().map(|gateway| port_of(gateway, wanted, question)).collect();
        let some = ports.iter().any(Result::is_ok);
        for (gateway, port) in gateways.into_iter().zip(ports).filter(|(_, port)| port.is_ok() || !some) {
            let port = port?;
            let request = request_on(port, &host.name, &question.request);
            // A port that passes TLS on shows the TLS name; on any other port the HTTP host decides where the request
            // leads.
            let asked = request.name(port.app).map(|name| name.split(':').next().unwrap_or_default());
            let mut targets = Vec::new();
            for (rule, via) in &ways_in {
                if *via.gateway == *gateway && asked.is_some_and(|asked| publishes(via, asked)) {
                    self.destinations(rule, &mut targets);
                }
            }
            for pod in self.gateway_pods(gateway)? {
                ways.extend(through(*client, from, &pod, port, &request, &targets));
            }
        }
        Ok(Some(ways))
    }

    /// Returns the pods of a gateway.
    fn gateway_pods(&mut self, gateway: &Gateway) -> Result<Vec<Candidate>, String> {
        let mut all = Vec::new();
        for selector in &gateway.pods {
            match self.known_or_made_up(selector, &gateway.name) {
                Some(found) => all.extend(found),
                None => {
                    return Err(format!(
                        "no pod of the gateway `{}` is known; ask for the pods themselves",
                        gateway.name
                    ));
                }
            }
        }
        Ok(all)
    }

    /// Adds the pods and ports that a rule leads to.
    fn destinations(&mut self, rule: &Rule, all: &mut Vec<Target>) {
        for (member, pods) in rule.destination.pods() {
            let shown = pods.named.as_ref().map(|named| SmolStr::from(format!("{}/{}", named.0, named.1)));
            let name = shown.unwrap_or_else(|| "the workload of the rule".into());
            for to in self.known_or_made_up(&pods.selector, &name).unwrap_or_default() {
                for (port, protocol) in ports_on(member, &to) {
                    let known = |target: &Target| {
                        (&target.to.name, target.port, target.protocol) == (&to.name, Some(port), protocol)
                    };
                    if !all.iter().any(known) {
                        all.push(Target { to: to.clone(), port: Some(port), protocol, behind: true });
                    }
                }
            }
        }
    }

    /// Returns the pods of the inventory that a selector selects, else an invented pod with its labels, if it gives
    /// them.
    fn known_or_made_up(&mut self, selector: &PodSelector, name: &SmolStr) -> Option<Vec<Candidate>> {
        let inventory = self.policy.inventory.clone();
        let known = inventory.select(selector);
        if !known.is_empty() {
            return Some(known.into_iter().map(|workload| self.any_of(workload)).collect());
        }
        let namespace = selector.namespace_name()?;
        let mut labels = Labels::new();
        for requirement in selector.labels.list() {
            labels.insert(requirement.key.clone(), selector.labels.only(&requirement.key)?.clone());
        }
        let account = match &selector.account {
            Account::Is(name) => Some(name.clone()),
            Account::Not(_) => None,
        };
        let shown = if name.contains('/') {
            name.to_string()
        } else {
            format!("{namespace}/{selector_text}", selector_text = text(&labels))
        };
        Some(vec![self.made_up(namespace, &shown, labels, account)])
    }
}

/// Returns the `via` of a rule that publishes hosts.
fn way_in(rule: &Rule) -> Option<(&Rule, &Via)> {
    let via = rule.via.as_deref()?;
    (rule.ingress && !via.at.is_empty()).then_some((rule, via))
}

fn publishes(via: &Via, host: &str) -> bool {
    via.serves(host)
}

fn not_published(host: &str, ways_in: &[(&Rule, &Via)]) -> String {
    let mut names: Vec<String> =
        ways_in.iter().flat_map(|(_, via)| via.at.iter()).map(|host| host.to_string()).collect();
    names.sort_unstable();
    names.dedup();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("no rule publishes `{host}` at a gateway{}", near::instead(host, &names, ""))
}

fn text(labels: &Labels) -> String {
    let parts: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if parts.is_empty() { "*".to_owned() } else { format!("{{{}}}", parts.join(", ")) }
}

/// Returns the port of a gateway that clients dial.
fn port_of<'g>(gateway: &'g Gateway, wanted: &WantedPort, question: &Question) -> Result<&'g GatewayPort, String> {
    let protocol = wanted.protocol.unwrap_or(Protocol::Tcp);
    let dialled = |port: &&GatewayPort| {
        matches!(wanted.kind, Some(PortKind::Number(number)) if number == port.port) && port.protocol == protocol
    };
    gateway.ports.iter().find(dialled).ok_or_else(|| {
        let ports: Vec<String> = gateway.ports.iter().map(|port| port.port.to_string()).collect();
        format!("`{}`: the gateway `{}` has the ports {} and no other", question.to, gateway.name, ports.join(", "))
    })
}

/// Returns a request for a host with the names that a gateway's port shows.
fn request_on(port: &GatewayPort, host: &SmolStr, asked: &Request) -> Request {
    let mut request = asked.clone();
    match port.app {
        // A port that may be TLS (`unknown`) shows names; one that is known to be neither HTTP nor TLS shows none.
        None if !port.unknown && port.servers.is_empty() => return request,
        None => {}
        Some(AppProtocol::Http | AppProtocol::Grpc) => request.tls = None,
        Some(_) => request.tls = request.tls.or(Some(host.clone())),
    }
    request.host = request.host.or(Some(host.clone()));
    request
}

/// Returns the ports that a member names, as a pod has them; of a range the first.
fn ports_on(member: &Member, to: &Candidate) -> Vec<(u16, Protocol)> {
    let port = |port: &PortTest, protocol| match (port, &to.party) {
        (PortTest::Range(first, _), _) => Some(*first),
        (PortTest::Named(name), Party::Pod(pod)) => pod_port(pod, name, protocol),
        (PortTest::Named(_), _) => None,
    };
    let entries = member.ports.entries().iter();
    entries.filter_map(|entry| Some((port(&entry.port, entry.protocol)?, entry.protocol))).collect()
}

/// Returns the two flows of a client through a gateway's pod; without a known destination, only the flow to the
/// gateway.
fn through(
    client: IpAddr,
    from: &Candidate,
    gateway: &Candidate,
    port: &GatewayPort,
    request: &Request,
    targets: &[Target],
) -> Vec<Way> {
    let enters = Flow {
        source: Party::Address(client),
        destination: gateway.party.clone(),
        port: Some(port.target),
        protocol: port.protocol,
        request: request.clone(),
    };
    if targets.is_empty() {
        let to = Target { to: gateway.clone(), port: Some(port.target), protocol: port.protocol, behind: true };
        return vec![Way { from: from.clone(), to, gateway: None, flow: enters }];
    }
    let way = |target: &Target| Way {
        from: from.clone(),
        to: target.clone(),
        gateway: Some(enters.clone()),
        flow: Flow {
            source: gateway.party.clone(),
            destination: target.to.party.clone(),
            port: target.port,
            protocol: target.protocol,
            request: Request { client: Some(client), ..request.clone() },
        },
    };
    targets.iter().map(way).collect()
}
