//! Ports and protocols.

use smol_str::SmolStr;

/// The protocols on top of IP. The first three have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP, of both address families; it has no ports.
    Icmp,
}

impl Protocol {
    /// The protocols that have ports.
    pub const WITH_PORTS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// Returns `tcp`, `udp`, `sctp` or `icmp`.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
            Protocol::Icmp => "icmp",
        }
    }

    /// Returns the protocol of a word, in either case.
    pub fn parse(word: &str) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp, Protocol::Icmp]
            .into_iter()
            .find(|protocol| protocol.word().eq_ignore_ascii_case(word))
    }
}

/// How the bytes of a TCP port are read. It narrows nothing; `where` and Istio need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AppProtocol {
    /// HTTP in clear text.
    Http,
    /// gRPC in clear text.
    Grpc,
    /// TLS, whatever is inside.
    Tls,
    /// HTTP in TLS that ends where it is received, as at a gateway. On ports of other pods `https` is [`Self::Tls`].
    Https,
}

impl AppProtocol {
    /// Returns `http`, `grpc` or `tls`.
    pub fn word(self) -> &'static str {
        match self {
            AppProtocol::Http => "http",
            AppProtocol::Grpc => "grpc",
            AppProtocol::Tls => "tls",
            AppProtocol::Https => "https",
        }
    }

    /// Returns whether requests can be read on such a port: HTTP and gRPC, and TLS that ends there.
    pub fn has_requests(self) -> bool {
        matches!(self, AppProtocol::Http | AppProtocol::Grpc | AppProtocol::Https)
    }

    /// Returns the protocol of a port that is not a gateway's, where TLS does not end: `https` means `tls` there.
    pub fn unless_gateway(self) -> AppProtocol {
        if self == AppProtocol::Https { AppProtocol::Tls } else { self }
    }
}

/// The ports of a destination, resolved: a Service's port has become the pod's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// No suffix: every port of every protocol, ICMP included.
    All,
    /// These, in the order of the source, without repetition. Never empty.
    Some(Vec<PortMatch>),
}

/// One entry of a list of ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortMatch {
    /// Which ports.
    pub port: PortTest,
    /// Their protocol.
    pub protocol: Protocol,
    /// How they are read, if it is known.
    pub app: Option<AppProtocol>,
    /// The Service's own port, if the source names this pod port by it (`garden/api:80`); of a host the port that pods
    /// dial, where the mesh opens TLS to this one.
    pub service_port: Option<u16>,
}

/// Which ports an entry means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PortTest {
    /// First and last; `*` is 1–65535, one port has both equal, and ICMP (which has none) has 0–0.
    Range(u16, u16),
    /// A port name of the pods, resolved pod by pod.
    Named(SmolStr),
}

impl PortTest {
    /// Every port.
    pub const EVERY: PortTest = PortTest::Range(1, u16::MAX);

    /// Returns whether it is every port.
    pub fn is_every(&self) -> bool {
        *self == PortTest::EVERY
    }

    /// Returns the first and the last of its numbers; `None` where it is a name.
    pub fn numbers(&self) -> Option<(u16, u16)> {
        match self {
            PortTest::Range(first, last) => Some((*first, *last)),
            PortTest::Named(_) => None,
        }
    }

    /// Returns whether every port of another test certainly passes this one. Each pod has its own number for a name, so
    /// a name is certainly contained only in the same name.
    pub fn covers(&self, other: &PortTest) -> bool {
        match (self, other) {
            (PortTest::Range(first, last), PortTest::Range(from, to)) => first <= from && to <= last,
            (PortTest::Named(one), PortTest::Named(other)) => one == other,
            _ => false,
        }
    }

    /// Returns whether some port passes both; `None` if this depends on the numbers of port names.
    pub fn overlaps(&self, other: &PortTest) -> Option<bool> {
        match (self, other) {
            (PortTest::Range(first, last), PortTest::Range(from, to)) => Some(first <= to && from <= last),
            (PortTest::Named(one), PortTest::Named(other)) if one == other => Some(true),
            _ => None,
        }
    }
}

/// `8080`, `8000-8999`, or a name.
impl std::fmt::Display for PortTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PortTest::Range(first, last) if first == last => write!(f, "{first}"),
            PortTest::Range(first, last) => write!(f, "{first}-{last}"),
            PortTest::Named(name) => f.write_str(name),
        }
    }
}

impl PortMatch {
    /// Makes a range of ports of a protocol.
    pub fn range(first: u16, last: u16, protocol: Protocol) -> PortMatch {
        PortMatch { port: PortTest::Range(first, last), protocol, app: None, service_port: None }
    }

    /// Returns the first and the last of its numbers; `None` where it is a name.
    pub fn numbers(&self) -> Option<(u16, u16)> {
        self.port.numbers()
    }

    /// Returns whether it is every port of a protocol.
    pub fn is_every(&self, protocol: Protocol) -> bool {
        self.protocol == protocol && self.port.is_every()
    }

    /// Returns whether another entry reads one of these ports in another way.
    pub fn reads_otherwise(&self, other: &PortMatch) -> bool {
        let meet = self.port.overlaps(&other.port) == Some(true);
        meet && self.app.is_some() && other.app.is_some() && self.app != other.app
    }

    /// Returns whether every port of another entry is certainly one of these.
    pub fn covers(&self, other: &PortMatch) -> bool {
        self.protocol == other.protocol && self.port.covers(&other.port)
    }

    /// Returns whether a port of a pod or an address is meant. `port` is `None` for ICMP alone; `names` are the names
    /// that the destination pod gives this port number with this protocol (none for an address).
    pub fn matches(&self, port: Option<u16>, protocol: Protocol, names: &[SmolStr]) -> bool {
        if self.protocol != protocol {
            return false;
        }
        match (&self.port, port) {
            (PortTest::Range(first, last), Some(port)) => (*first..=*last).contains(&port),
            (PortTest::Range(..), None) => protocol == Protocol::Icmp,
            (PortTest::Named(name), _) => names.contains(name),
        }
    }
}

impl Ports {
    /// Returns whether a port of a pod or an address is meant; see [`PortMatch::matches`].
    pub fn matches(&self, port: Option<u16>, protocol: Protocol, names: &[SmolStr]) -> bool {
        match self {
            Ports::All => true,
            Ports::Some(list) => list.iter().any(|entry| entry.matches(port, protocol, names)),
        }
    }

    /// Returns whether every one of other ports is certainly one of these.
    pub fn covers(&self, other: &Ports) -> bool {
        match (self, other) {
            (Ports::All, _) => true,
            (_, Ports::All) => false,
            (Ports::Some(wide), Ports::Some(narrow)) => {
                narrow.iter().all(|entry| wide.iter().any(|outer| outer.covers(entry)))
            }
        }
    }

    /// Returns whether some port may be in both; a name may stand for any number.
    pub fn may_overlap(&self, other: &Ports) -> bool {
        let (Ports::Some(mine), Ports::Some(theirs)) = (self, other) else { return true };
        let may = |a: &PortMatch, b: &PortMatch| a.protocol == b.protocol && a.port.overlaps(&b.port) != Some(false);
        mine.iter().any(|a| theirs.iter().any(|b| may(a, b)))
    }

    /// Returns the entries; none stand for [`Ports::All`].
    pub fn entries(&self) -> &[PortMatch] {
        match self {
            Ports::All => &[],
            Ports::Some(list) => list,
        }
    }

    /// Returns whether some of them are ports of a protocol.
    pub fn has_protocol(&self, protocol: Protocol) -> bool {
        *self == Ports::All || self.entries().iter().any(|port| port.protocol == protocol)
    }
}
