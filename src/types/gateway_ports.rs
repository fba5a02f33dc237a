//! A gateway's ports: from its block, with the protocols that Gateway objects of the inventory give them.
//!
//! ```text
//! gateway edge { pods edges/{app=envoy}  port 443 -> 8443/https }
//!     TLS ends at the gateway; a Gateway object that only passes TLS on there is an error
//! ```

use smol_str::SmolStr;

use super::facts::service_port;
use super::value::Env;
use super::{Checker, errors};
use crate::inventory::{Listener, TargetPort};
use crate::model::gateways::{GatewayPort, Server};
use crate::model::labels::PodSelector;
use crate::model::ports::{AppProtocol, Protocol};
use crate::syntax::tree::{GatewayDecl, PortMapping};

impl Checker<'_> {
    /// Returns the ports of a gateway, and further ports that Gateway objects open on its pods.
    #[allow(clippy::type_complexity, reason = "two parts of a gateway, made in one go")]
    pub(super) fn gateway_ports(
        &mut self,
        item: &GatewayDecl,
        pods: &[PodSelector],
        service: Option<&(SmolStr, SmolStr)>,
        env: &Env,
    ) -> Option<(Vec<GatewayPort>, Vec<(u16, Server)>)> {
        let listeners = self.inventory.listeners_on(pods, service);
        let mut ports: Vec<GatewayPort> = Vec::new();
        let mut used = vec![false; listeners.len()];
        for written in &item.ports {
            let port = service_port(written, self.diagnostics)?;
            let TargetPort::Number(target) = port.target else {
                self.push(errors::gateway_port_name(written.span));
                return None;
            };
            if ports.iter().any(|have| have.port == port.port && have.protocol == port.protocol) {
                self.push(errors::service_port_twice(written.span, port.port));
                return None;
            }
            let is_tcp = port.protocol == Protocol::Tcp;
            let on_it = |listener: &Listener| is_tcp && (listener.port == port.port || listener.port == target);
            let here: Vec<&Listener> = listeners.iter().copied().filter(|listener| on_it(listener)).collect();
            used.iter_mut().zip(&listeners).for_each(|(used, listener)| *used |= on_it(listener));
            let app = self.reading(written, port.app, &here, env)?;
            let unknown =
                is_tcp && here.is_empty() && app.is_none() && !says_tcp(written) && is_tls_by_number(port.port);
            let servers = servers(&here);
            ports.push(GatewayPort { port: port.port, target, protocol: port.protocol, app, unknown, servers });
        }
        let beside = listeners.iter().zip(used).filter(|(_, used)| !used);
        let undeclared =
            beside.flat_map(|(listener, _)| servers(&[listener]).into_iter().map(|one| (listener.port, one)));
        Some((ports, undeclared.collect()))
    }

    /// Returns the protocol of a port: as declared, else as Gateway objects say. If the two disagree, the inventory
    /// replaces a gateway of the standard library, and a gateway of the user's files is an error.
    #[allow(clippy::option_option, reason = "the outer one is an error that is said, the inner one is neither")]
    fn reading(
        &mut self,
        written: &PortMapping,
        declared: Option<AppProtocol>,
        listeners: &[&Listener],
        env: &Env,
    ) -> Option<Option<AppProtocol>> {
        let said = declared.is_some() || says_tcp(written);
        let Some(first) = listeners.first() else {
            let bare_http =
                !said && written.protocol.is_none_or(|protocol| protocol == Protocol::Tcp) && written.port == 80;
            return Some(if bare_http { Some(AppProtocol::Http) } else { declared });
        };
        let same = |listener: &&&Listener| class(listener.app) == class(declared);
        if said && (listeners.iter().any(|listener| same(&listener))) {
            return Some(declared);
        }
        if said && self.is_users(env) {
            let object = (first.object.as_str(), first.origin);
            let diagnostic =
                errors::gateway_contradicted(written.span, written.port, word(declared), object, word(first.app));
            self.push(diagnostic);
            return None;
        }
        // Gateway objects may read hosts in more than one way: each one counts for its own hosts, and all other hosts
        // are read as requests.
        let requests = listeners.iter().find(|listener| listener.app.is_some_and(AppProtocol::has_requests));
        Some(requests.unwrap_or(first).app)
    }
}

/// Returns whether a port is declared to be `tcp`, and so neither HTTP nor TLS.
fn says_tcp(written: &PortMapping) -> bool {
    use crate::syntax::tree::PortProtocol::Transport;
    let target = written.target.as_ref().and_then(|target| target.protocol);
    written.protocol == Some(Protocol::Tcp) || target == Some(Transport(Protocol::Tcp))
}

/// Returns whether a bare port is one on which TLS is expected, so that the gateway may end it or pass it on.
fn is_tls_by_number(port: u16) -> bool {
    matches!(port, 443 | 8443)
}

/// HTTP and gRPC count as one: both are plain requests.
fn class(app: Option<AppProtocol>) -> Option<AppProtocol> {
    if app == Some(AppProtocol::Grpc) { Some(AppProtocol::Http) } else { app }
}

fn word(app: Option<AppProtocol>) -> &'static str {
    class(app).map_or("tcp", AppProtocol::word)
}

fn servers(listeners: &[&Listener]) -> Vec<Server> {
    let of = |listener: &&Listener| {
        let app = listener.app;
        listener.hosts.iter().map(move |host| Server { host: host.clone(), app }).collect::<Vec<_>>()
    };
    let mut servers: Vec<Server> = listeners.iter().flat_map(of).collect();
    servers.sort();
    servers.dedup();
    servers
}
