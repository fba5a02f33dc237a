//! Lists of TCP, UDP and SCTP ports, with their differences: `1-65535 less 8000-8999` is `1-7999, 9000-65535`, and no
//! list can express `1-65535 less metrics`.

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use crate::model::non_empty::NonEmpty;
use crate::model::ports::{PortTest, Ports, Protocol};

/// The protocols that have ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    const ALL: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

    /// Returns the protocol; ICMP has none.
    pub fn of(protocol: Protocol) -> Option<Transport> {
        match protocol {
            Protocol::Tcp => Some(Transport::Tcp),
            Protocol::Udp => Some(Transport::Udp),
            Protocol::Sctp => Some(Transport::Sctp),
            Protocol::Icmp => None,
        }
    }

    /// Returns the protocol as rules have it.
    pub fn protocol(self) -> Protocol {
        match self {
            Transport::Tcp => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
            Transport::Sctp => Protocol::Sctp,
        }
    }

    /// Returns `TCP`, `UDP` or `SCTP`.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
            Transport::Sctp => "SCTP",
        }
    }
}

/// One entry of a list of ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortEntry {
    /// The protocol.
    pub transport: Transport,
    /// The ports.
    pub port: PortTest,
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortList {
    /// Every port of every protocol.
    All,
    /// These.
    Some(NonEmpty<PortEntry>),
}

/// A difference that no list of ports can express: a name may have another number on every pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

impl PortList {
    /// Returns the list for ports; `None` for ICMP alone, which has no ports.
    pub fn of(ports: &Ports) -> Option<PortList> {
        let Ports::Some(list) = ports else { return Some(PortList::All) };
        const FEW: usize = 16;
        let mut entries: Vec<PortEntry> = Vec::with_capacity(list.len());
        let mut known = FxHashSet::default();
        for port in list {
            let Some(transport) = Transport::of(port.protocol) else { continue };
            let entry = PortEntry { transport, port: port.port.clone() };
            let new = if list.len() <= FEW { !entries.contains(&entry) } else { known.insert(entry.clone()) };
            if new {
                entries.push(entry);
            }
        }
        NonEmpty::new(entries).map(PortList::Some)
    }

    /// Returns the port names among them, each with its protocol.
    pub fn names(&self) -> impl Iterator<Item = (Transport, &SmolStr)> {
        let entries = match self {
            PortList::All => &[],
            PortList::Some(list) => list.as_slice(),
        };
        entries.iter().filter_map(|entry| match &entry.port {
            PortTest::Named(name) => Some((entry.transport, name)),
            PortTest::Range(..) => None,
        })
    }

    /// Returns the entries if all are numbers of one protocol.
    pub fn ranges_of_one(&self) -> Option<&[PortEntry]> {
        let PortList::Some(list) = self else { return None };
        let list = list.as_slice();
        let first = list.first()?.transport;
        let range = |entry: &PortEntry| entry.transport == first && matches!(entry.port, PortTest::Range(..));
        list.iter().all(range).then_some(list)
    }

    /// Returns these ports and those of some names.
    pub fn with_names(&self, names: impl IntoIterator<Item = (Transport, SmolStr)>) -> PortList {
        let PortList::Some(list) = self else { return PortList::All };
        let named = names.into_iter().map(|(transport, name)| PortEntry { transport, port: PortTest::Named(name) });
        let entries: Vec<PortEntry> = list.as_slice().iter().cloned().chain(named).collect();
        NonEmpty::new(entries).map_or(PortList::All, PortList::Some)
    }

    /// Returns the entries; those of [`PortList::All`] are all ports of each protocol.
    fn entries(&self) -> Vec<PortEntry> {
        match self {
            PortList::All => Transport::ALL.map(|transport| PortEntry { transport, port: PortTest::EVERY }).to_vec(),
            PortList::Some(list) => list.as_slice().to_vec(),
        }
    }

    /// Returns whether some port may be in both; a name may stand for any number, and two names are two ports.
    pub fn overlaps(&self, other: &PortList) -> bool {
        let (PortList::Some(mine), PortList::Some(theirs)) = (self, other) else { return true };
        mine.as_slice().iter().any(|a| theirs.as_slice().iter().any(|b| entries_overlap(a, b)))
    }

    /// Returns the ports less `taken`; `None` if no port is left.
    pub fn subtract(&self, taken: &PortList) -> Result<Option<PortList>, Unknown> {
        let PortList::Some(taken) = taken else { return Ok(None) };
        let mut left = self.entries();
        if let Some(left) = less_ranges(&left, taken.as_slice()) {
            return Ok(NonEmpty::new(left).map(PortList::Some));
        }
        for take in taken.as_slice() {
            let mut next = Vec::with_capacity(left.len());
            for entry in left {
                if !entries_overlap(&entry, take) {
                    next.push(entry);
                    continue;
                }
                match (&entry.port, &take.port) {
                    (PortTest::Named(_), PortTest::Named(_)) => {}
                    (_, &PortTest::EVERY) => {}
                    (PortTest::Range(first, last), PortTest::Range(from, to)) => {
                        let below = (first < from).then(|| PortTest::Range(*first, from - 1));
                        let above = (last > to).then(|| PortTest::Range(to + 1, *last));
                        next.extend(below.into_iter().chain(above).map(|port| PortEntry { port, ..entry.clone() }));
                    }
                    _ => return Err(Unknown),
                }
            }
            left = next;
        }
        Ok(NonEmpty::new(left).map(PortList::Some))
    }

    /// Returns the ports that are in both; `None` if there are none.
    pub fn intersect(&self, other: &PortList) -> Result<Option<PortList>, Unknown> {
        let (PortList::Some(mine), PortList::Some(theirs)) = (self, other) else {
            return Ok(Some(if *self == PortList::All { other.clone() } else { self.clone() }));
        };
        let mut both = Vec::new();
        for a in mine.as_slice() {
            for b in theirs.as_slice().iter().filter(|b| entries_overlap(a, b)) {
                let port = match (&a.port, &b.port) {
                    (PortTest::Range(first, last), PortTest::Range(from, to)) => {
                        PortTest::Range(*first.max(from), *last.min(to))
                    }
                    (named, &PortTest::EVERY) | (&PortTest::EVERY, named) => named.clone(),
                    (PortTest::Named(_), PortTest::Named(_)) => a.port.clone(),
                    _ => return Err(Unknown),
                };
                let entry = PortEntry { transport: a.transport, port };
                if !both.contains(&entry) {
                    both.push(entry);
                }
            }
        }
        Ok(NonEmpty::new(both).map(PortList::Some))
    }
}

/// Returns the ranges that are left of some when others are taken out, which may be thousands; `None` if there is a
/// name among either.
fn less_ranges(ports: &[PortEntry], taken: &[PortEntry]) -> Option<Vec<PortEntry>> {
    let range = |entry: &PortEntry| match entry.port {
        PortTest::Range(first, last) => Some((entry.transport, first, last)),
        PortTest::Named(_) => None,
    };
    let mut taken: Vec<(Transport, u16, u16)> = taken.iter().map(range).collect::<Option<_>>()?;
    taken.sort_unstable();
    let mut left = Vec::with_capacity(ports.len());
    for entry in ports {
        let (transport, first, last) = range(entry)?;
        let mut next = Some(first);
        for &(_, from, to) in taken.iter().filter(|(of, ..)| *of == transport) {
            let Some(start) = next.filter(|start| *start <= last && from <= last) else { break };
            if from > start {
                left.push(PortEntry { transport, port: PortTest::Range(start, from - 1) });
            }
            next = if to < start { next } else { to.checked_add(1) };
        }
        left.extend(next.filter(|start| *start <= last).map(|start| {
            let port = if start == first { entry.port.clone() } else { PortTest::Range(start, last) };
            PortEntry { transport, port }
        }));
    }
    Some(left)
}

/// Returns whether a port may be in both; two names count as two ports.
fn entries_overlap(a: &PortEntry, b: &PortEntry) -> bool {
    let names = || matches!((&a.port, &b.port), (PortTest::Named(_), PortTest::Named(_)));
    a.transport == b.transport && a.port.overlaps(&b.port).unwrap_or_else(|| !names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ports::PortMatch;

    fn list(entries: &[PortEntry]) -> Option<PortList> {
        NonEmpty::new(entries.to_vec()).map(PortList::Some)
    }

    fn range(transport: Transport, first: u16, last: u16) -> PortEntry {
        PortEntry { transport, port: PortTest::Range(first, last) }
    }

    fn tcp(port: u16) -> PortList {
        list(&[range(Transport::Tcp, port, port)]).unwrap()
    }

    fn named(name: &str) -> PortEntry {
        PortEntry { transport: Transport::Tcp, port: PortTest::Named(name.into()) }
    }

    /// Differences and intersections are compared with membership, port by port.
    fn has(list: &Option<PortList>, transport: Transport, port: u16) -> bool {
        match list {
            None => false,
            Some(PortList::All) => true,
            Some(PortList::Some(entries)) => entries.as_slice().iter().any(|entry| {
                entry.transport == transport && matches!(entry.port, PortTest::Range(a, b) if (a..=b).contains(&port))
            }),
        }
    }

    #[test]
    fn differences_agree_with_membership() {
        let lists: Vec<PortList> = [
            vec![range(Transport::Tcp, 1, 65535)],
            vec![range(Transport::Tcp, 80, 80), range(Transport::Udp, 53, 53)],
            vec![range(Transport::Tcp, 70, 90), range(Transport::Tcp, 85, 100)],
            vec![range(Transport::Sctp, 65535, 65535), range(Transport::Tcp, 1, 1)],
        ]
        .iter()
        .filter_map(|entries| list(entries))
        .chain([PortList::All])
        .collect();
        for a in &lists {
            for b in &lists {
                let (difference, both) = (a.subtract(b).unwrap(), a.intersect(b).unwrap());
                let mut some = false;
                for transport in Transport::ALL {
                    for port in [1, 2, 53, 69, 70, 80, 85, 90, 91, 100, 101, 65534, 65535] {
                        let (x, y) = (has(&Some(a.clone()), transport, port), has(&Some(b.clone()), transport, port));
                        assert_eq!(has(&difference, transport, port), x && !y, "{a:?} - {b:?} at {port}");
                        assert_eq!(has(&both, transport, port), x && y, "{a:?} and {b:?} at {port}");
                        some |= x && y;
                    }
                }
                assert_eq!(a.overlaps(b), some);
            }
        }
    }

    #[test]
    fn a_name_is_taken_out_only_where_that_is_certain() {
        let http = list(&[named("http")]).unwrap();
        let both = list(&[named("http"), named("metrics")]).unwrap();
        assert_eq!(both.subtract(&http), Ok(list(&[named("metrics")])));
        assert_eq!(tcp(8080).subtract(&http), Err(Unknown));
        assert_eq!(http.subtract(&tcp(8080)), Err(Unknown));
        assert_eq!(http.intersect(&tcp(8080)), Err(Unknown));
        assert_eq!(PortList::All.subtract(&http), Err(Unknown));
        assert_eq!(http.subtract(&PortList::All), Ok(None));
        assert_eq!(http.subtract(&list(&[range(Transport::Tcp, 1, 65535)]).unwrap()), Ok(None));
        assert_eq!(http.subtract(&list(&[range(Transport::Udp, 1, 65535)]).unwrap()), Ok(Some(http.clone())));
    }

    #[test]
    fn icmp_alone_has_no_list() {
        let icmp = PortMatch::range(0, 0, Protocol::Icmp);
        assert_eq!(PortList::of(&Ports::Some(vec![icmp.clone()])), None);
        let with_tcp = Ports::Some(vec![icmp, PortMatch::range(80, 80, Protocol::Tcp)]);
        assert_eq!(PortList::of(&with_tcp), Some(tcp(80)));
    }
}
