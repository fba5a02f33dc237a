//! A concrete flow: who sends what to whom.

use std::net::IpAddr;

use serde_json::Value as Json;
use smol_str::SmolStr;

use crate::inventory::ContainerPort;
use crate::model::addresses::AddressSet;
use crate::model::labels::Labels;
use crate::model::ports::{AppProtocol, Protocol};

/// A concrete flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The sender.
    pub source: Party,
    /// The destination.
    pub destination: Party,
    /// The destination's port; for a pod, the pod's. `None` for ICMP alone.
    pub port: Option<u16>,
    /// The protocol.
    pub protocol: Protocol,
    /// The request, as far as it is known.
    pub request: Request,
}

/// One end of a flow.
#[derive(Clone, Debug)]
pub enum Party {
    /// A pod.
    Pod(Pod),
    /// An address that no pod has.
    Address(IpAddr),
    /// A host outside, by name (lower case), at one of these addresses.
    Host {
        /// The name.
        name: SmolStr,
        /// The addresses that it may have: its `at`, or the internet.
        at: AddressSet,
    },
}

/// A concrete pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// The pod or workload as it is shown: `garden/web`.
    pub shown: String,
    /// Its namespace's labels, the name among them.
    pub namespace_labels: Labels,
    /// Its labels.
    pub labels: Labels,
    /// Its service account.
    pub account: SmolStr,
    /// Its ports.
    pub ports: Vec<ContainerPort>,
    /// Whether it has an Istio sidecar.
    pub sidecar: bool,
    /// Whether it is one certain Pod, asked for by its name or address, and not any pod of a workload, a selector or a
    /// Service. A Pod reaches itself; two pods of one workload are different pods.
    pub single: bool,
}

/// The request that a flow carries, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The HTTP method.
    pub method: Option<SmolStr>,
    /// The HTTP path, with or without a query.
    pub path: Option<String>,
    /// The HTTP host; where [`Request::tls`] is not known, the TLS name too.
    pub host: Option<SmolStr>,
    /// The TLS name (SNI), if it differs from the HTTP host; empty for TLS without a name.
    pub tls: Option<SmolStr>,
    /// The client whose request a gateway passes on, if the source is a gateway.
    pub client: Option<IpAddr>,
    /// Headers that are known, by their names in lower case.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// The claims of a valid token.
    pub jwt: Option<serde_json::Map<String, Json>>,
}

impl Request {
    /// Returns the value of a header, if it is known.
    pub fn header(&self, name: &str) -> Option<&SmolStr> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the name that a port read in this way shows: the TLS name (SNI) on `tls`, else the HTTP host.
    pub fn name(&self, app: Option<AppProtocol>) -> Option<&SmolStr> {
        match app {
            Some(AppProtocol::Tls) => self.tls.as_ref().or(self.host.as_ref()),
            _ => self.host.as_ref(),
        }
    }
}
