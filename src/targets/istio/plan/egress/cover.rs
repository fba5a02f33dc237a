//! The fewest prefixes for a set of addresses, where the longest prefix that contains an address decides.
//!
//! ```netpol
//! allow egress garden/* -> {10.0.0.0/8 except 10.1.0.0/16}:443
//! ```
//!
//! ```yaml
//! addresses: [10.0.0.0/8]
//! addresses: [10.1.0.0/16]
//! resolution: STATIC
//! ```
//!
//! A hole takes one ServiceEntry, where the prefixes around it would take eight.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::addresses::{AddressSet, Range};

/// A prefix that is let through, or a hole in a shorter prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The addresses.
    pub net: IpNet,
    /// Whether the addresses are a hole.
    pub hole: bool,
}

/// Returns the fewest prefixes of a set, sorted; `None` if there are not fewer than `most`, which has no holes. No
/// prefix begins at 0.0.0.0 or `::`, which would stand for every address.
pub fn cover(set: &AddressSet, most: usize) -> Option<Vec<Prefix>> {
    const MOST_RANGES: usize = 512;
    let ranges = set.ranges();
    if ranges.len() > MOST_RANGES {
        return None;
    }
    let mut prefixes = Vec::new();
    let v4: IpNet = Ipv4Net::default().into();
    let v6: IpNet = Ipv6Net::default().into();
    for everything in [v4, v6] {
        let own = ranges.iter().map(bounds).filter(|(first, _)| first.is_ipv4() == everything.addr().is_ipv4());
        prefixes.extend(divide(everything, &own.collect::<Vec<_>>()).closed);
    }
    prefixes.sort();
    (prefixes.len() < most).then_some(prefixes)
}

fn bounds(range: &Range) -> (IpAddr, IpAddr) {
    match *range {
        Range::V4(first, last) => (Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into()),
        Range::V6(first, last) => (Ipv6Addr::from(first).into(), Ipv6Addr::from(last).into()),
    }
}

/// The fewest prefixes inside one, for each state of the prefix around it.
struct Fewest {
    closed: Vec<Prefix>,
    open: Vec<Prefix>,
}

fn divide(net: IpNet, ranges: &[(IpAddr, IpAddr)]) -> Fewest {
    let (first, last) = (net.network(), net.broadcast());
    let near = ranges.iter().filter(|(from, to)| *from <= last && *to >= first);
    let near: Vec<(IpAddr, IpAddr)> = near.copied().collect();
    let here = |hole| vec![Prefix { net, hole }];
    let sayable = !first.is_unspecified();
    match near.as_slice() {
        [] if sayable => return Fewest { closed: Vec::new(), open: here(true) },
        [(from, to)] if *from <= first && *to >= last && sayable => {
            return Fewest { closed: here(false), open: Vec::new() };
        }
        _ => {}
    }
    let Ok(halves) = net.subnets(net.prefix_len() + 1) else {
        // A single address that no prefix may begin at.
        return Fewest { closed: Vec::new(), open: Vec::new() };
    };
    let (mut closed, mut open) = (Vec::new(), Vec::new());
    for half in halves {
        let mut inside = divide(half, &near);
        closed.append(&mut inside.closed);
        open.append(&mut inside.open);
    }
    if sayable {
        let with = |state: &[Prefix], hole| [here(hole), state.to_vec()].concat();
        if open.len() + 1 < closed.len() {
            closed = with(&open, false);
        } else if closed.len() + 1 < open.len() {
            open = with(&closed, true);
        }
    }
    Fewest { closed, open }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::addresses::Block;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn open(prefixes: &[Prefix], address: IpAddr) -> bool {
        let of = prefixes.iter().filter(|prefix| prefix.net.contains(&address));
        of.max_by_key(|prefix| prefix.net.prefix_len()).is_some_and(|prefix| !prefix.hole)
    }

    #[test]
    fn a_prefix_with_a_hole_is_two() {
        let block = Block { net: net("10.0.0.0/8"), except: vec![net("10.1.0.0/16")] };
        let prefixes = cover(&AddressSet { blocks: vec![block] }, 8).unwrap();
        let hole = |text, hole| Prefix { net: net(text), hole };
        assert_eq!(prefixes, [hole("10.0.0.0/8", false), hole("10.1.0.0/16", true)]);
        assert_eq!(cover(&AddressSet::of([net("10.0.0.0/8")]), 1), None);
    }

    proptest! {
        #[test]
        fn the_longest_prefix_says_what_the_set_does(
            blocks in proptest::collection::vec((any::<u32>(), 1u8..=32), 1..12),
            asked in proptest::collection::vec(any::<u32>(), 40),
        ) {
            let nets: Vec<IpNet> =
                blocks.iter().map(|(at, length)| IpNet::V4(Ipv4Net::new((*at | 1 << 31).into(), *length).unwrap().trunc())).collect();
            let (open_nets, taken) = nets.split_at(nets.len().div_ceil(2));
            let nothing = IpNet::V4(Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 8).unwrap());
            let set = AddressSet::of(open_nets.iter().copied());
            let set = set.subtract(&AddressSet::of(taken.iter().copied().chain([nothing])));
            let prefixes = cover(&set, usize::MAX).unwrap();
            prop_assert!(prefixes.iter().all(|prefix| !prefix.net.network().is_unspecified()));
            prop_assert!(prefixes.len() <= crate::targets::istio::nets::prefixes(&set).len());
            let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for address in asked.iter().map(|at| IpAddr::from(Ipv4Addr::from(*at))).chain(edges) {
                prop_assert_eq!(open(&prefixes, address), set.contains(address), "{} in {:?}", address, prefixes);
            }
        }
    }
}
