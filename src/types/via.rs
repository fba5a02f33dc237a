//! `via`: the gateway that a rule leads through, and the public hosts that clients ask it for.
//!
//! ```text
//! allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via edge at "garden.example.com"
//!     clients of these addresses may ask the gateway edge for this host; the pods see the gateway
//! allow egress garden/* -> zenquotes.io:443 via egress-gateway
//!     the pods of garden reach the host through the gateway alone
//! ```

use std::sync::Arc;

use super::value::{Env, Value};
use super::{Checker, errors};
use crate::model::conditions::Conditions;
use crate::model::endpoint::{Member, What};
use crate::model::gateways::{Gateway, GatewayPort, Via};
use crate::model::hosts::{Host, HostName, WeightedNet};
use crate::model::ports::{AppProtocol, PortMatch, PortTest, Protocol};
use crate::source::Span;
use crate::syntax::tree::{self, Claim, Clause, ClauseKind, Direction, Effect, Expr, Ident, ItemKind, Text};

/// A `via` as it is written.
#[derive(Clone, Copy)]
struct Written<'c> {
    span: Span,
    gateway: &'c Ident,
    at: &'c [Text],
}

fn via_of(clauses: &[Clause]) -> Option<Written<'_>> {
    clauses.iter().find_map(|clause| match &clause.kind {
        ClauseKind::Via { gateway, at } => Some(Written { span: clause.span, gateway, at }),
        _ => None,
    })
}

impl Checker<'_> {
    /// Checks the `via` of a rule towards one destination. The outer `None` is an error, which has been reported.
    #[allow(clippy::option_option, reason = "a rule may have none, and one that it has may be wrong")]
    pub(super) fn via_of_rule(
        &mut self,
        rule: &tree::Rule,
        to: &Value,
        (to_expr, conditions): (&Expr, &Conditions),
        env: &Env,
    ) -> Option<Option<Arc<Via>>> {
        let Some(written) = via_of(&rule.clauses) else { return Some(None) };
        let direction = match (rule.effect, rule.direction, rule.arrow) {
            (Effect::Allow, Some((direction, _)), tree::Arrow::To) => direction,
            (effect, _, arrow) => {
                self.push(errors::via_misplaced(
                    written.span,
                    match (effect, arrow) {
                        (Effect::Deny, _) => "on a `deny`",
                        (_, tree::Arrow::Both) => "with `<->`",
                        _ => "without a direction",
                    },
                ));
                return None;
            }
        };
        let mut via = self.via(written, env)?;
        match direction {
            Direction::Ingress => {
                self.check_way_in(to, to_expr, written, &mut via, env)?;
                if !(env.opaque && to.opaque || via.at.is_empty()) {
                    self.check_public_hosts(&via.at, written.span, &via.gateway.name, env)?;
                }
                self.warn_of_rewrites(&via, conditions);
                self.warn_of_other_hosts(&via, conditions);
            }
            Direction::Egress => {
                self.refuse_at(written)?;
                self.check_way_out(to, to_expr, &via, env)?;
                let hosts = to.endpoint().hosts().map(|(_, host)| host.name.clone());
                self.check_public_hosts(&hosts.collect::<Vec<_>>(), written.span, &via.gateway.name, env)?;
            }
        }
        Some(Some(Arc::new(via)))
    }

    /// Checks the `via` of a claim, as if a rule allowed the claim's flows.
    #[allow(clippy::option_option, reason = "a claim may have none, and one that it has may be wrong")]
    pub(super) fn via_of_claim(&mut self, claim: &Claim, to: &Value, env: &Env) -> Option<Option<Arc<Via>>> {
        let Some(written) = via_of(&claim.clauses) else { return Some(None) };
        let mut via = self.via(written, env)?;
        match to.endpoint().is_workloads() {
            true => self.check_way_in(to, &claim.destination, written, &mut via, env)?,
            false => {
                self.refuse_at(written)?;
                self.check_way_out(to, &claim.destination, &via, env)?;
            }
        }
        Some(Some(Arc::new(via)))
    }

    /// Refuses `at` on the way out.
    fn refuse_at(&mut self, written: Written<'_>) -> Option<()> {
        let (Some(first), Some(last)) = (written.at.first(), written.at.last()) else { return Some(()) };
        let gateway_end = written.gateway.span.after();
        let blank = self.text(Span { end: first.span().start, ..gateway_end });
        let start = gateway_end.start + (blank.len() - blank.trim_start().len()) as u32;
        self.push(errors::via_at_on_egress(Span { start, ..last.span() }));
        None
    }

    fn via(&mut self, written: Written<'_>, env: &Env) -> Option<Via> {
        let gateway = self.gateway_named(written.gateway, env)?;
        let mut at = Vec::with_capacity(written.at.len());
        for text in written.at {
            let host = self.host_pattern(text, env)?;
            if !at.contains(&host) {
                at.push(host);
            }
        }
        Some(Via { gateway, at, ports: Vec::new(), span: written.span })
    }

    fn gateway_named(&mut self, name: &Ident, env: &Env) -> Option<Arc<Gateway>> {
        let def = self.declared(name, env, "gateway")?;
        if matches!(self.names.item(def).kind, ItemKind::Gateway(_)) {
            let gateway = self.gateway(def)?;
            let pods = gateway.pods.iter().map(|pods| (gateway.span, pods));
            self.note_missing_namespaces(def, name.span, || pods, env);
            return Some(gateway);
        }
        self.push(errors::not_a_gateway(name, Some(self.names.name_span(def))));
        None
    }

    /// Checks `via` on ingress. On HTTP and TLS ports clients ask for a public host, which `at` names; on other ports
    /// they send no name, and only the gateway's port decides where the gateway leads.
    fn check_way_in(
        &mut self,
        to: &Value,
        to_expr: &Expr,
        written: Written<'_>,
        via: &mut Via,
        env: &Env,
    ) -> Option<()> {
        if env.opaque && to.opaque {
            return Some(());
        }
        if !written.at.is_empty() {
            self.check_readable(written.span, "at", to, to_expr, env)?;
            self.warn_of_unread_tls(to, via);
            return Some(());
        }
        let nameless = |port: &GatewayPort| port.protocol == Protocol::Tcp && port.app.is_none();
        let ports: Vec<&GatewayPort> = via.gateway.ports.iter().filter(|port| nameless(port)).collect();
        let plain = |port: &PortMatch| port.protocol == Protocol::Tcp && port.app.is_none();
        let unread = |member: &Member| {
            let entries = member.ports.entries();
            !entries.is_empty() && entries.iter().all(plain)
        };
        let unread = to.endpoint().members.iter().all(unread);
        if !unread || ports.is_empty() {
            self.push(errors::via_needs_at(written.span, &via.gateway.name, unread));
            return None;
        }
        let mut chosen = Vec::new();
        for entry in to.endpoint().members.iter().flat_map(|member| member.ports.entries()) {
            match leading_to(&ports, entry) {
                Some(port) => chosen.push(port.target),
                None => {
                    let numbers: Vec<u16> = ports.iter().map(|port| port.port).collect();
                    self.push(errors::via_port_unclear(written.span, &via.gateway, &numbers));
                    return None;
                }
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        via.ports = chosen;
        Some(())
    }

    /// Checks that the scope of the file names the public hosts. The gateway closes such a host to all clients whom no
    /// rule names, also on the way to pods outside the scope.
    fn check_public_hosts(&mut self, hosts: &[HostName], span: Span, gateway: &str, env: &Env) -> Option<()> {
        let Some(scope) = &self.scope else { return Some(()) };
        let Some(host) = hosts.iter().find(|host| !scope.hosts.iter().any(|own| own.contains(host))) else {
            return Some(());
        };
        let place = env.applied.first().copied().unwrap_or(span);
        let diagnostic =
            errors::host_outside_scope(place, &host.to_string(), gateway, scope.span, !scope.hosts.is_empty());
        self.push(diagnostic);
        None
    }

    /// Warns about public hosts if no condition of the rule asks for one of them, so that nobody comes in.
    fn warn_of_other_hosts(&mut self, via: &Via, conditions: &Conditions) {
        let asked = &conditions.hosts;
        let meet = via.at.iter().any(|host| asked.iter().any(|asked| asked.overlaps(host)));
        if let ([asked, ..], [host, ..], false) = (asked.as_slice(), via.at.as_slice(), meet) {
            self.push(errors::other_hosts(via.span, &host.to_string(), &asked.to_string()));
        }
    }

    /// Warns of routes that change the path or the host, which the workload compares once more.
    fn warn_of_rewrites(&mut self, via: &Via, conditions: &Conditions) {
        let paths = !conditions.paths.is_empty();
        let found = self.inventory.rewrites.iter().find(|rewrite| {
            let routes = |host: &HostName| {
                rewrite.hosts.iter().any(|other| other.as_ref().is_none_or(|other| other.overlaps(host)))
            };
            (rewrite.host || rewrite.path && paths) && via.at.iter().any(routes)
        });
        if let Some(rewrite) = found {
            let what = if rewrite.path && paths { "path" } else { "host" };
            let diagnostic = errors::route_rewrites(via.span, &rewrite.title, what, rewrite.origin);
            self.push(diagnostic);
        }
    }

    /// Warns of a rule on requests whose gateway passes TLS on unread.
    fn warn_of_unread_tls(&mut self, to: &Value, via: &Via) {
        let requests =
            |member: &Member| member.ports.entries().iter().any(|port| port.app.is_some_and(AppProtocol::has_requests));
        if !to.endpoint().members.iter().any(requests) {
            return;
        }
        let unread = |host: &HostName| {
            let ends = |port: &GatewayPort| {
                let names = port.names(host);
                (names.host && port.app != Some(AppProtocol::Http)) || names.unknown
            };
            let sealed = |port: &&GatewayPort| port.names(host).sni && port.servers.is_empty();
            let ports = &via.gateway.ports;
            if ports.iter().any(ends) { None } else { ports.iter().find(sealed) }
        };
        let found = via.at.iter().find_map(|host| Some((host, unread(host)?)));
        if let Some((host, port)) = found
            && self.warned.insert(via.gateway.span)
        {
            let diagnostic = errors::passes_tls_through(via.span, &via.gateway, port, &host.to_string());
            self.push(diagnostic);
        }
    }

    /// Checks `via` on egress: its destinations must be hosts that a sidecar can recognise, by a name in TLS or
    /// requests or by an address, and the gateway's Service must be known.
    fn check_way_out(&mut self, to: &Value, to_expr: &Expr, via: &Via, env: &Env) -> Option<()> {
        if env.opaque && to.opaque {
            return Some(());
        }
        let wrong = to.endpoint().members.iter().find_map(|member| {
            let ports = member.ports.entries();
            let reason = match &member.what {
                What::Pods(_) => {
                    ("pods are reached directly, not by way of an egress gateway", Some("leave the `via` out"))
                }
                What::Addresses(_) => (
                    "addresses have no name that a gateway could go by",
                    Some("give the address a name: `let NAME = host HOST at ADDRESS`, and lead to that"),
                ),
                What::Host(_) if ports.is_empty() => ("say the port: `:443`, or another as `:8443/tls`", None),
                What::Host(_) if ports.iter().any(|port| port.protocol != Protocol::Tcp) => {
                    ("a sidecar sees tcp alone", Some("lead this port past the gateway, in a rule without `via`"))
                }
                What::Host(host) if ports.iter().any(|port| host.origination(port).is_some()) => {
                    ("through a gateway the pod opens TLS itself", Some("name the host's own port: `:443`"))
                }
                What::Host(host) => ports.iter().find_map(|port| unsayable(host, port, self.settings.dns_capture))?,
            };
            Some((member.span, reason))
        });
        if let Some((place, reason)) = wrong {
            let place = if to_expr.span.contains(place) { place } else { to_expr.span };
            self.push(errors::via_needs_hosts(place, reason, via.span));
            return None;
        }
        if via.gateway.service.is_none() {
            let near = self.narrower_service_of(&via.gateway.pods);
            self.push(errors::gateway_service(via.span, &via.gateway.name, via.gateway.span, near));
            return None;
        }
        Some(())
    }
}

/// Returns why a gateway cannot recognise a host on a port, and what to write instead.
fn unsayable(host: &Host, port: &PortMatch, captured: bool) -> Option<(&'static str, Option<&'static str>)> {
    let one = |at: &WeightedNet| at.net.prefix_len() == at.net.max_prefix_len();
    match port.app {
        _ if host.name.wildcard => Some((
            "a gateway resolves one name, and these are many",
            Some("name the hosts that are meant one by one: `{ a.example.com, b.example.com }:443`"),
        )),
        Some(_) => None,
        None if host.at.is_empty() && captured => None,
        None if host.at.is_empty() => Some((
            "a tcp port tells no name, and the host has no address",
            Some(
                "give the host an address, `let NAME = host HOST at ADDRESS`, or say what it speaks, `:8443/tls` or \
                 `:8080/http`",
            ),
        )),
        None if host.at.len() > 1 || !host.at.iter().all(one) => Some((
            "on a tcp port a host is found at one address",
            Some("give it the one address, or say what it speaks: `:8443/tls` or `:8080/http`"),
        )),
        None => None,
    }
}

/// Returns the port of a gateway, among those without names, that leads to a port of a destination: the only one, or
/// the one of the same number.
fn leading_to<'g>(ports: &[&'g GatewayPort], entry: &PortMatch) -> Option<&'g GatewayPort> {
    if let [port] = ports {
        return Some(port);
    }
    let number = match entry.port {
        PortTest::Range(first, last) if first == last => Some(first),
        _ => None,
    };
    let has = |port: &&&GatewayPort| {
        [number, entry.service_port].into_iter().flatten().any(|number| port.port == number || port.target == number)
    };
    let mut found = ports.iter().filter(has);
    let port = found.next()?;
    found.next().is_none().then_some(*port)
}
