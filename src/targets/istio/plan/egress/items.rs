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
    /// TLS, told apart by the SNI.
    Tls,
    /// Any bytes.
    Tcp,
    /// Whatever the client begins with: for a Service's port whose name tells no protocol.
    Auto,
}

/// One item that a Sidecar lets out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A host on a port.
    Host(Rc<Outside>, u16, AppProtocol),
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
    /// All Services of a namespace, or of every one.
    Services {
        /// The namespace.
        namespace: Option<SmolStr>,
    },
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
