//! Sets of IP addresses, as people write them (networks with exceptions) and as ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network less some networks inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// The network; no bits are set beyond its prefix.
    pub net: IpNet,
    /// What is left out: each strictly inside `net`, none inside another, sorted.
    pub except: Vec<IpNet>,
}

/// A set of addresses: the union of its blocks, in the order of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AddressSet {
    /// The blocks; they may overlap.
    pub blocks: Vec<Block>,
}

impl Block {
    /// Makes the block of a whole network.
    pub fn whole(net: IpNet) -> Block {
        Block { net: net.trunc(), except: Vec::new() }
    }

    /// Returns whether an address lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.net.contains(&address) && !self.except.iter().any(|except| except.contains(&address))
    }

    /// Returns the block less a network; `None` where nothing is left.
    fn without(&self, taken: IpNet) -> Option<Block> {
        if taken.contains(&self.net) {
            return None;
        }
        let mut block = self.clone();
        if self.net.contains(&taken) && !block.except.iter().any(|except| except.contains(&taken)) {
            block.except.retain(|except| !taken.contains(except));
            block.except.push(taken);
            block.except.sort();
        }
        let left = AddressSet { blocks: vec![block.clone()] };
        (!left.ranges().is_empty()).then_some(block)
    }
}

/// A range of addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Range {
    /// IPv4.
    V4(u32, u32),
    /// IPv6.
    V6(u128, u128),
}

impl Range {
    /// Returns the first address.
    pub fn first(self) -> IpAddr {
        match self {
            Range::V4(first, _) => Ipv4Addr::from(first).into(),
            Range::V6(first, _) => Ipv6Addr::from(first).into(),
        }
    }

    /// Returns the fewest networks that make up the range, in order.
    pub fn nets(self) -> Vec<IpNet> {
        match self {
            Range::V4(first, last) => ipnet::Ipv4Subnets::new(first.into(), last.into(), 0).map(IpNet::V4).collect(),
            Range::V6(first, last) => ipnet::Ipv6Subnets::new(first.into(), last.into(), 0).map(IpNet::V6).collect(),
        }
    }
}

impl AddressSet {
    /// Makes the set of some networks.
    pub fn of(nets: impl IntoIterator<Item = IpNet>) -> AddressSet {
        AddressSet { blocks: nets.into_iter().map(Block::whole).collect() }
    }

    /// Makes the set of all addresses of both families.
    pub fn everything() -> AddressSet {
        AddressSet::of([IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())])
    }

    /// Returns whether an address lies in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }

    /// Returns the set less `taken`, keeping the blocks as written where it can.
    pub fn subtract(&self, taken: &AddressSet) -> AddressSet {
        let mut blocks = self.blocks.clone();
        for take in &taken.blocks {
            let mut left = Vec::new();
            for block in &blocks {
                left.extend(block.without(take.net));
                // What `take` leaves out stays: the part of the block inside each of its exceptions.
                left.extend(take.except.iter().filter_map(|&except| intersect_net(block, except)));
            }
            blocks = left;
        }
        AddressSet { blocks }
    }

    /// Returns the addresses that lie in both sets.
    pub fn intersect(&self, other: &AddressSet) -> AddressSet {
        let outside = AddressSet::everything().subtract(other);
        self.subtract(&outside)
    }

    /// Returns whether no address lies in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges().is_empty()
    }

    /// Returns whether every address of this set lies in `other`.
    pub fn is_inside(&self, other: &AddressSet) -> bool {
        let (mine, theirs) = (self.ranges(), other.ranges());
        mine.iter().all(|range| theirs.iter().any(|outer| range_contains(*outer, *range)))
    }

    /// Returns whether some address lies in both sets.
    pub fn overlaps(&self, other: &AddressSet) -> bool {
        let (mine, theirs) = (self.ranges(), other.ranges());
        mine.iter().any(|a| theirs.iter().any(|b| range_overlaps(*a, *b)))
    }

    /// Returns the set as ranges: sorted, disjoint and not adjacent, IPv4 first.
    pub fn ranges(&self) -> Vec<Range> {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for block in &self.blocks {
            match block.net {
                IpNet::V4(net) => {
                    let holes = block.except.iter().filter_map(|except| match except {
                        IpNet::V4(net) => Some((u32::from(net.network()).into(), u32::from(net.broadcast()).into())),
                        IpNet::V6(_) => None,
                    });
                    punch((u32::from(net.network()).into(), u32::from(net.broadcast()).into()), holes, &mut v4);
                }
                IpNet::V6(net) => {
                    let holes = block.except.iter().filter_map(|except| match except {
                        IpNet::V6(net) => Some((u128::from(net.network()), u128::from(net.broadcast()))),
                        IpNet::V4(_) => None,
                    });
                    punch((net.network().into(), net.broadcast().into()), holes, &mut v6);
                }
            }
        }
        let v4 = merge(v4).into_iter().map(|(first, last)| Range::V4(first as u32, last as u32));
        let v6 = merge(v6).into_iter().map(|(first, last)| Range::V6(first, last));
        v4.chain(v6).collect()
    }
}

fn intersect_net(block: &Block, net: IpNet) -> Option<Block> {
    let inner = if block.net.contains(&net) {
        net
    } else if net.contains(&block.net) {
        block.net
    } else {
        return None;
    };
    if block.except.iter().any(|except| except.contains(&inner)) {
        return None;
    }
    let except = block.except.iter().copied().filter(|except| inner.contains(except)).collect();
    let part = Block { net: inner, except };
    (!AddressSet { blocks: vec![part.clone()] }.is_empty()).then_some(part)
}

fn range_contains(outer: Range, inner: Range) -> bool {
    match (outer, inner) {
        (Range::V4(a, b), Range::V4(c, d)) => a <= c && d <= b,
        (Range::V6(a, b), Range::V6(c, d)) => a <= c && d <= b,
        _ => false,
    }
}

fn range_overlaps(a: Range, b: Range) -> bool {
    match (a, b) {
        (Range::V4(a, b), Range::V4(c, d)) => a <= d && c <= b,
        (Range::V6(a, b), Range::V6(c, d)) => a <= d && c <= b,
        _ => false,
    }
}

/// Adds `range` less `holes` to `out`.
fn punch(range: (u128, u128), holes: impl Iterator<Item = (u128, u128)>, out: &mut Vec<(u128, u128)>) {
    let mut holes: Vec<(u128, u128)> = holes.collect();
    holes.sort_unstable();
    let mut from = Some(range.0);
    for (first, last) in holes {
        let Some(start) = from else { return };
        if first > start {
            out.push((start, first - 1));
        }
        from = if last >= range.1 { None } else { Some(start.max(last + 1)) };
    }
    if let Some(start) = from {
        out.push((start, range.1));
    }
}

fn merge(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(end) if end.1 == u128::MAX || first <= end.1 + 1 => end.1 = end.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &[&str]) -> AddressSet {
        AddressSet::of(list.iter().map(|net| net.parse().unwrap()))
    }

    #[test]
    fn differences_keep_what_the_taken_set_leaves_out() {
        let left = set(&["10.0.0.0/8"]).subtract(&set(&["10.1.0.0/16"]).subtract(&set(&["10.1.2.0/24"])));
        for (address, inside) in [("10.0.0.1", true), ("10.1.0.1", false), ("10.1.2.3", true), ("10.1.3.0", false)] {
            assert_eq!(left.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(set(&["10.1.0.0/16"]).subtract(&set(&["10.0.0.0/8"])).is_empty());
        assert!(set(&["10.0.0.0/8"]).subtract(&set(&["10.0.0.0/9", "10.128.0.0/9"])).is_empty());
    }

    #[test]
    fn ranges_join_neighbours_and_families_stay_apart() {
        assert_eq!(
            set(&["10.0.0.0/9", "10.128.0.0/9", "::/0"]).ranges(),
            vec![Range::V4(0x0a00_0000, 0x0aff_ffff), Range::V6(0, u128::MAX),]
        );
        assert!(!set(&["10.0.0.0/8"]).is_inside(&set(&["::/0"])));
        assert!(set(&["10.1.2.3/32"]).is_inside(&set(&["10.0.0.0/9"])));
        assert!(set(&["10.0.0.0/8"]).overlaps(&set(&["10.3.0.0/16"])));
        assert_eq!(set(&["10.0.0.0/8", "192.0.2.0/24"]).intersect(&set(&["10.3.0.0/16"])).ranges().len(), 1);
    }

    #[test]
    fn ranges_become_the_fewest_networks() {
        let rest = set(&["0.0.0.0/0"]).subtract(&set(&["128.0.0.0/1"]));
        assert_eq!(rest.ranges()[0].nets(), vec!["0.0.0.0/1".parse::<IpNet>().unwrap()]);
    }
}
