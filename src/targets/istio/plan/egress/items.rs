//! Items that a Sidecar lets out: hosts, addresses and Services, each on TCP ports.
//!
//! ```text
//! allow egress garden/* -> {zenquotes.io:443, 203.0.113.0/24:5432, shop/*}    a host, addresses, Services of `shop`
//! ```

use std::rc::Rc;

use smol_str::SmolStr;

use crate::model::addresses::AddressSet;
use crate::model::hosts::HostName;
use crate::model::ports::AppProtocol;

/// The protocol by which the listener of a port reads connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// HTTP and gRPC.
    Http,
    /// TLS, distinguished by the SNI.
    Tls,
    /// TCP.
    Tcp,
    /// Detected from the client's first bytes: for a Service's port whose name gives no protocol.
    Auto,
}

/// One item that a Sidecar lets out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A host on a port.
    Host(Rc<Outside>, HostPort),
    /// Addresses on ports.
    Addresses(Rc<AddressSet>, Rc<[u16]>),
    /// A port of a Service.
    Service {
        /// Its namespace.
        namespace: SmolStr,
        /// Its name.
        name: SmolStr,
        /// The Service's port.
        port: u16,
        /// How Istio reads it.
        class: Class,
        /// Whether the Service has no address of its own.
        headless: bool,
    },
    /// All Services of a namespace, or of every namespace.
    Services {
        /// The namespace.
        namespace: Option<SmolStr>,
    },
}

/// A port of a host, as pods dial it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// The port that pods dial.
    pub number: u16,
    /// The protocol that pods speak on it; `None` is TCP, as on the way through a gateway.
    pub app: Option<AppProtocol>,
    /// The host's own port, if the mesh opens TLS to it.
    pub tls_to: Option<u16>,
    /// Whether connections are sent to another port of a gateway's Service, which a listener with this port would not
    /// find.
    pub is_sent_on: bool,
}

impl HostPort {
    /// Makes a port on which pods speak this protocol with the host itself.
    pub fn plain(number: u16, app: Option<AppProtocol>) -> HostPort {
        HostPort { number, app, tls_to: None, is_sent_on: false }
    }

    /// Returns the port on which connections leave the pod.
    pub fn leaves_on(self) -> u16 {
        self.tls_to.unwrap_or(self.number)
    }
}

/// `http`, or `http, with TLS to 443`.
impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.app.map_or("tcp", AppProtocol::word))?;
        self.tls_to.map_or(Ok(()), |target| write!(f, ", with TLS to {target}"))
    }
}

/// A host outside, and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outside {
    /// Its name.
    pub name: HostName,
    /// The addresses; none for a host without `at`.
    pub at: Vec<Endpointed>,
}

/// An address of a host with its share of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpointed {
    /// The address or network.
    pub net: ipnet::IpNet,
    /// Its weight.
    pub weight: Option<u32>,
}
