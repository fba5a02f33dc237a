//! An index of networks with values, to find those that overlap others: a policy may compare thousands of denied
//! networks with thousands of allowed ones.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::addresses::AddressSet;

/// Networks, each with a value.
#[derive(Clone, Debug)]
pub struct Networks<T> {
    /// Sorted, so that the networks inside one follow it.
    sorted: Vec<(IpNet, T)>,
    /// The lengths of their prefixes, sorted: of IPv4, and of IPv6.
    lengths: [Vec<u8>; 2],
}

impl<T> Default for Networks<T> {
    fn default() -> Networks<T> {
        Networks { sorted: Vec::new(), lengths: [Vec::new(), Vec::new()] }
    }
}

impl<T: Ord> Networks<T> {
    /// Indexes some networks.
    pub fn new(list: impl IntoIterator<Item = (IpNet, T)>) -> Networks<T> {
        let mut sorted: Vec<(IpNet, T)> = list.into_iter().collect();
        sorted.sort_unstable();
        let mut lengths = [Vec::new(), Vec::new()];
        for (net, _) in &sorted {
            lengths[family(net)].push(net.prefix_len());
        }
        for list in &mut lengths {
            list.sort_unstable();
            list.dedup();
        }
        Networks { sorted, lengths }
    }
}

impl<T> Networks<T> {
    /// Returns whether there are no networks.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Returns the networks that have addresses in common with one: those around it, then those inside it.
    pub fn meeting(&self, net: &IpNet) -> impl Iterator<Item = &(IpNet, T)> {
        let net = *net;
        let shorter = self.lengths[family(&net)].iter().take_while(move |length| **length < net.prefix_len());
        let around = shorter.filter_map(move |length| around(&net, *length)).flat_map(|outer| self.equal(outer));
        let from = self.sorted.partition_point(|(have, _)| *have < net);
        around.chain(self.sorted[from..].iter().take_while(move |(have, _)| net.contains(have)))
    }

    /// Returns the networks that have addresses in common with a set; one may come several times.
    pub fn meeting_set(&self, set: &AddressSet) -> impl Iterator<Item = &(IpNet, T)> {
        set.blocks.iter().flat_map(|block| self.meeting(&block.net).filter(|(net, _)| block.meets(net)))
    }

    fn equal(&self, net: IpNet) -> impl Iterator<Item = &(IpNet, T)> {
        let from = self.sorted.partition_point(|(have, _)| *have < net);
        self.sorted[from..].iter().take_while(move |(have, _)| *have == net)
    }
}

fn family(net: &IpNet) -> usize {
    usize::from(matches!(net, IpNet::V6(_)))
}

/// Returns the network of a shorter prefix around one.
fn around(net: &IpNet, length: u8) -> Option<IpNet> {
    Some(match net {
        IpNet::V4(net) => IpNet::V4(Ipv4Net::new(net.addr(), length).ok()?.trunc()),
        IpNet::V6(net) => IpNet::V6(Ipv6Net::new(net.addr(), length).ok()?.trunc()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::addresses::Block;

    fn net((at, length, v6): (u16, u8, bool)) -> IpNet {
        match v6 {
            false => IpNet::V4(Ipv4Net::new((u32::from(at) << 16).into(), length % 20).unwrap().trunc()),
            true => IpNet::V6(Ipv6Net::new((u128::from(at) << 112).into(), length % 20).unwrap().trunc()),
        }
    }

    proptest! {
        #[test]
        fn networks_are_found_by_the_addresses_that_they_share(
            list in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<bool>()), 0..24),
            holes in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<bool>()), 0..6),
            asked in (any::<u16>(), any::<u8>(), any::<bool>()),
        ) {
            let list: Vec<IpNet> = list.into_iter().map(net).collect();
            let networks = Networks::new(list.iter().copied().zip(0..));
            let whole = AddressSet { blocks: vec![Block::whole(net(asked))] };
            let set = whole.subtract(&AddressSet::of(holes.into_iter().map(net)));
            let mut found: Vec<usize> = networks.meeting_set(&set).map(|(_, at)| *at).collect();
            found.sort_unstable();
            found.dedup();
            let shares = |net: &IpNet| AddressSet::of([*net]).overlaps(&set);
            let expected: Vec<usize> = (0..list.len()).filter(|at| shares(&list[*at])).collect();
            prop_assert_eq!(found, expected, "{:?} in {:?}", set, list);
        }
    }
}
