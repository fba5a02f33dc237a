//! Records: the data of one log line about a flow, in one shape for all formats.
//!
//! ```text
//! ztunnel   "src.workload":"web-5d9c8-x2k4q"   -> the source is this Pod, and its account is that of src.identity
//! Envoy     "downstream_remote_address":"…"    -> the source has this address, and no more is told
//! ```

use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::text::Text;
use crate::model::ports::Protocol;
use crate::policy::ask::Question;

/// The content of a line.
pub(super) enum Reading<'l> {
    /// Flows: one, or two at a gateway (from the client to the gateway, and from the gateway on).
    Flows(Vec<Record<'l>>),
    /// A flow in the words of `eval --flows`.
    Question(Box<Question>),
    /// A line that is not judged.
    Passed(Passed),
}

/// Why a line that could be read is not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Passed {
    /// It tells of the reply of a flow, which no rule judges.
    Reply,
    /// It does not say whether it is the flow or its reply.
    Undirected,
    /// The sender is the pod's own node (probes of the kubelet), which no layer refuses.
    OwnNode,
    /// It names a Service, and not the pod that took the flow.
    Service,
    /// The sender's address is from a header, and which gateway passed the request on is not told.
    Forwarded,
    /// It tells of no flow.
    NoFlow,
}

impl Passed {
    /// Every reason.
    pub const ALL: [Passed; 6] =
        [Passed::Reply, Passed::Undirected, Passed::OwnNode, Passed::Service, Passed::Forwarded, Passed::NoFlow];

    /// Returns the reason as a key of JSON.
    pub fn key(self) -> &'static str {
        match self {
            Passed::Reply => "reply",
            Passed::Undirected => "undirected",
            Passed::OwnNode => "own_node",
            Passed::Service => "service",
            Passed::Forwarded => "forwarded",
            Passed::NoFlow => "no_flow",
        }
    }

    /// Returns the reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Passed::Reply => "the way back of a flow",
            Passed::Undirected => "does not say which end began",
            Passed::OwnNode => "from the pod's own node",
            Passed::Service => "names a Service, and not the pod that took the flow",
            Passed::Forwarded => "has the client from a header, and not the gateway that passed the request on",
            Passed::NoFlow => "no flow",
        }
    }
}

/// A flow, with the data that its line has.
#[derive(Default)]
pub(super) struct Record<'l> {
    /// When it was seen.
    pub time: Text<'l>,
    /// The sender.
    pub source: Told<'l>,
    /// The destination.
    pub destination: Told<'l>,
    /// The destination's port; `None` for ICMP.
    pub port: Option<u16>,
    /// The protocol, TCP by default.
    pub protocol: Carried,
    /// The HTTP method.
    pub method: Text<'l>,
    /// The HTTP path.
    pub path: Text<'l>,
    /// The HTTP host.
    pub host: Text<'l>,
    /// The name that TLS asked for.
    pub tls: Text<'l>,
    /// Headers.
    pub headers: Vec<(Text<'l>, Text<'l>)>,
    /// The client whose request a gateway passes on.
    pub client: Option<IpAddr>,
    /// Whether the flow was refused when it was recorded.
    pub refused: bool,
}

/// The protocol of a record.
#[derive(Clone, Copy)]
pub(super) struct Carried(pub Protocol);

impl Default for Carried {
    fn default() -> Carried {
        Carried(Protocol::Tcp)
    }
}

/// The data of one end.
#[derive(Default)]
pub(super) struct Told<'l> {
    /// The namespace of a pod.
    pub namespace: Text<'l>,
    /// The name of a Pod.
    pub pod: Text<'l>,
    /// The name of the pod's workload.
    pub workload: Text<'l>,
    /// Its service account.
    pub account: Text<'l>,
    /// Labels as Cilium writes them, `k8s:app=web`; empty if the line has no labels.
    pub labels: Vec<Text<'l>>,
    /// Whether the log says that this end is no pod.
    pub no_pod: bool,
    /// The address.
    pub address: Option<IpAddr>,
    /// Names of a host outside for the address, such as the name that was resolved.
    pub names: SmallVec<[Text<'l>; 1]>,
}

impl<'l> Told<'l> {
    /// Makes an end of which only the address is known.
    pub fn at(address: IpAddr) -> Told<'l> {
        Told { address: Some(address), ..Told::default() }
    }

    /// Returns a key that tells this end from all that a line could tell otherwise.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(128);
        for text in [&self.namespace, &self.pod, &self.workload, &self.account] {
            piece(text, &mut key);
        }
        key.push(u8::from(self.no_pod));
        match self.address {
            None => key.push(0),
            Some(IpAddr::V4(address)) => key.extend(address.octets()),
            Some(IpAddr::V6(address)) => key.extend(address.octets()),
        }
        self.labels.iter().chain(&self.names).for_each(|text| piece(text, &mut key));
        key
    }
}

fn piece(text: &Text<'_>, key: &mut Vec<u8>) {
    let text = text.told().unwrap_or_default();
    key.extend((text.len() as u32).to_le_bytes());
    key.extend(text.as_bytes());
}

/// Reads `10.1.2.3:80` or `[2001:db8::1]:80`; of an address without a port, port 0.
pub(super) fn socket(text: &Text<'_>) -> Option<SocketAddr> {
    let text = text.told()?;
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, 0)))
}

/// Reads the namespace and the account of `spiffe://cluster.local/ns/NAMESPACE/sa/ACCOUNT`.
pub(super) fn identity(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("spiffe://")?;
    let (_, rest) = rest.split_once("/ns/")?;
    rest.split_once("/sa/")
}
