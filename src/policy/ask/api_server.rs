//! The API server in a question, by its Service or by the prelude's name.
//!
//! ```text
//! default/kubernetes:443, kubernetes.default.svc:443, apiserver:443     each address of `apiserver`, on its own port
//! ```

use std::net::IpAddr;

use super::Asker;
use super::parties::Candidate;
use super::question::WantedPort;
use super::service::Target;
use crate::model::endpoint::{Endpoint, Member, What};
use crate::model::ports::{PortTest, Protocol};
use crate::policy::flow::Party;
use crate::syntax::tree::{Expr, ExprKind, NamespacePattern, PodPattern, PortKind};

/// The port of the API server's Service.
const SERVICE_PORT: u16 = 443;

impl Asker<'_> {
    /// Returns the API servers if a destination names them; `None` for any other destination.
    pub(super) fn api_servers(
        &self,
        to: &Expr,
        text: &str,
        wanted: &WantedPort,
    ) -> Option<Result<Vec<Target>, String>> {
        if !self.means_api_server(to) {
            return None;
        }
        let servers: &Endpoint = &self.policy.api_server;
        let Some(PortKind::Number(number)) = wanted.kind.clone() else {
            return Some(Err(format!("`{text}`: ask for the API server by the number of a port")));
        };
        let protocol = wanted.protocol.unwrap_or(Protocol::Tcp);
        let found: Vec<Target> = servers.members.iter().flat_map(|member| targets(member, number, protocol)).collect();
        if !found.is_empty() {
            return Some(Ok(found));
        }
        let ports: Vec<String> = servers.members.iter().flat_map(ports).map(|port| port.to_string()).collect();
        Some(Err(match (servers.members.is_empty(), ports.as_slice()) {
            (true, _) => format!("`{text}` is the API server, and its address is not known; ask for the address"),
            (false, []) => format!("`{text}` is the API server; ask for one of its addresses"),
            (false, ports) => format!("`{text}` is the API server, which answers on {}", ports.join(", ")),
        }))
    }

    fn means_api_server(&self, to: &Expr) -> bool {
        let inventory = &self.policy.inventory;
        match &to.kind {
            ExprKind::Name(name) => name == "apiserver",
            ExprKind::Pods(NamespacePattern::Name(namespace), PodPattern::Name(name)) => {
                (namespace.text.as_str(), name.text.as_str()) == ("default", "kubernetes")
                    && inventory.named("default", "kubernetes").is_empty()
            }
            ExprKind::Host(host) => {
                let domain = format!(".{}", self.policy.settings.domain);
                let local = host.name.strip_suffix(domain.as_str()).unwrap_or(&host.name);
                !host.wildcard && local.strip_suffix(".svc").unwrap_or(local) == "kubernetes.default"
            }
            ExprKind::Address(address) => {
                let service = inventory.services.get(&("default".into(), "kubernetes".into()));
                service.is_some_and(|service| service.addresses.contains(&address.ip))
            }
            _ => false,
        }
    }
}

/// Returns the single addresses of a member, each on its own port, if the question asks for that port or the Service's.
fn targets(member: &Member, number: u16, protocol: Protocol) -> Vec<Target> {
    let What::Addresses(set) = &member.what else { return Vec::new() };
    let single = set.blocks.iter().filter(|block| block.net.prefix_len() == block.net.max_prefix_len());
    let own: Vec<u16> = ports(member).into_iter().filter(|own| *own == number || number == SERVICE_PORT).collect();
    let own = if member.ports.entries().is_empty() { vec![number] } else { own };
    let target = |address: IpAddr, port: u16| Target {
        to: Candidate::one(Party::Address(address)),
        port: Some(port),
        protocol,
        behind: true,
    };
    single.flat_map(|block| own.iter().map(move |port| target(block.net.addr(), *port))).collect()
}

/// Returns the single TCP ports of a member.
fn ports(member: &Member) -> Vec<u16> {
    let tcp = member.ports.entries().iter().filter(|port| port.protocol == Protocol::Tcp);
    let single = tcp.filter_map(|port| match port.port {
        PortTest::Range(first, last) if first == last => Some(first),
        _ => None,
    });
    single.collect()
}
