//! Hosts outside the cluster, by name.

use ipnet::IpNet;
use smol_str::SmolStr;

use super::addresses::AddressSet;
use super::ports::{AppProtocol, PortMatch};

/// A host or a family of hosts, in lower case, in ASCII, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName {
    /// Whether the name begins with `*.`: one or more further labels, without the name itself.
    pub wildcard: bool,
    /// The name.
    pub name: SmolStr,
}

impl HostName {
    /// Reads a host's name, `example.com` or `*.example.com`; the error says what is wrong with it. Labels are RFC
    /// 1123's: letters, digits and inner `-`, at most 63 characters each and 253 together.
    pub fn parse(text: &str) -> Result<HostName, &'static str> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.len() > 253 {
            return Err("a host has at most 253 characters");
        }
        for label in name.split('.') {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            if label.is_empty() || label.len() > 63 {
                return Err("a host is made of labels of 1 to 63 characters, without a final dot");
            }
            if !label.bytes().all(inner) || label.starts_with('-') || label.ends_with('-') {
                return Err("a host's labels have letters, digits and inner `-` only; `*.` stands in front alone");
            }
        }
        Ok(HostName { wildcard, name: name.to_ascii_lowercase().into() })
    }

    /// Returns whether a host of that name (compared without case and without a final dot) is meant.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if !self.wildcard {
            return host.eq_ignore_ascii_case(&self.name);
        }
        let Some(rest) = host.len().checked_sub(self.name.len() + 1) else { return false };
        rest > 0
            && host.as_bytes()[rest] == b'.'
            && host.is_char_boundary(rest + 1)
            && host[rest + 1..].eq_ignore_ascii_case(&self.name)
    }

    /// Returns whether every host that `other` means is meant by this one too.
    pub fn contains(&self, other: &HostName) -> bool {
        match (self.wildcard, other.wildcard) {
            (false, false) => self.name == other.name,
            (false, true) => false,
            (true, false) => self.matches(&other.name),
            (true, true) => self.name == other.name || self.matches(&other.name),
        }
    }

    /// Returns whether some host is meant by both.
    pub fn overlaps(&self, other: &HostName) -> bool {
        self.contains(other) || other.contains(self)
    }
}

impl std::fmt::Display for HostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}

/// A host as a destination: its name, the names that `except` leaves out, and its addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// The names that `except` took out of a wildcard; each lies inside `name`.
    pub except: Vec<HostName>,
    /// Its addresses (`at`); empty where it is somewhere in the internet.
    pub at: Vec<WeightedNet>,
    /// The ports at which the mesh opens TLS to it.
    pub originates: Vec<Origination>,
}

/// A port that pods dial in plain HTTP, for which the mesh opens TLS to another port of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origination {
    /// The port that pods dial.
    pub port: u16,
    /// How pods speak on it: HTTP or gRPC.
    pub app: AppProtocol,
    /// The host's own port, where TLS arrives.
    pub target: u16,
}

impl Host {
    /// Returns the addresses that the source gives it; none where it is somewhere in the internet.
    pub fn addresses(&self) -> AddressSet {
        AddressSet::of(self.at.iter().map(|at| at.net))
    }

    /// Returns whether a host of that name is meant.
    pub fn matches(&self, host: &str) -> bool {
        self.name.matches(host) && !self.except.iter().any(|except| except.matches(host))
    }

    /// Returns how pods reach one of the host's ports, if a rule names the port that they dial (`api:80`).
    pub fn origination(&self, port: &PortMatch) -> Option<&Origination> {
        self.originates.iter().find(|one| Some(one.port) == port.service_port)
    }
}

/// One address or network of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightedNet {
    /// The address, with the full prefix length, or the network.
    pub net: IpNet,
    /// Its share of the traffic, where it was given.
    pub weight: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::HostName;

    fn host(text: &str) -> HostName {
        match text.strip_prefix("*.") {
            Some(name) => HostName { wildcard: true, name: name.into() },
            None => HostName { wildcard: false, name: text.into() },
        }
    }

    #[test]
    fn a_wildcard_is_one_or_more_labels_and_never_the_apex() {
        let wild = host("*.example.com");
        assert!(wild.matches("a.example.com") && wild.matches("B.a.EXAMPLE.com."));
        assert!(!wild.matches("example.com") && !wild.matches("notexample.com") && !wild.matches(".example.com"));
        assert!(wild.contains(&host("*.a.example.com")) && !host("*.a.example.com").contains(&wild));
        assert!(wild.overlaps(&host("www.example.com")) && !wild.overlaps(&host("example.com")));
    }
}
