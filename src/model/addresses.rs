//! Sets of IP addresses, as people write them (networks with exceptions) and as ranges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network less some networks inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// The network; no bits are set beyond its prefix.
    pub net: IpNet,
    /// The networks that are left out: each strictly inside `net`, none inside another, sorted.
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

    /// Returns whether some address of a network lies in the block.
    pub fn meets(&self, net: &IpNet) -> bool {
        let inner = match (self.net.contains(net), net.contains(&self.net)) {
            (true, _) => *net,
            (_, true) => self.net,
            _ => return false,
        };
        // An exception that contains the network is the network itself, or the last before it.
        let from = self.except.partition_point(|except| *except < inner);
        let around = |except: &IpNet| except.contains(&inner);
        if self.except.get(from).is_some_and(around)
            || from.checked_sub(1).is_some_and(|before| around(&self.except[before]))
        {
            return false;
        }
        let inside: Vec<IpNet> =
            self.except[from..].iter().take_while(|except| inner.contains(*except)).copied().collect();
        inside.is_empty() || !Block { net: inner, except: inside }.is_empty()
    }

    /// Returns the block as several blocks with at most `most` holes each.
    pub fn divided(&self, most: usize) -> Vec<Block> {
        if self.except.len() <= most {
            return vec![self.clone()];
        }
        let halves = self.net.subnets(self.net.prefix_len() + 1).into_iter().flatten();
        halves.filter_map(|half| intersect_net(self, half)).flat_map(|half| half.divided(most)).collect()
    }

    /// Returns the block less a network; `None` if no address is left.
    fn without(&self, taken: IpNet) -> Option<Block> {
        if taken.contains(&self.net) {
            return None;
        }
        let inside = self.net.contains(&taken) && !self.except.iter().any(|except| except.contains(&taken));
        if inside { self.without_nets(&[taken]) } else { Some(self.clone()) }
    }

    /// Returns the block less networks that lie strictly inside it; `None` if no address is left.
    fn without_nets(&self, taken: &[IpNet]) -> Option<Block> {
        if taken.is_empty() {
            return Some(self.clone());
        }
        let except = outermost(self.except.iter().chain(taken).copied().collect());
        let block = Block { net: self.net, except };
        (!block.is_empty()).then_some(block)
    }

    fn is_empty(&self) -> bool {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        self.punched(&mut v4, &mut v6);
        v4.is_empty() && v6.is_empty()
    }

    /// Adds the ranges of the block to those of its family.
    fn punched(&self, v4: &mut Vec<(u128, u128)>, v6: &mut Vec<(u128, u128)>) {
        let holes = self.except.iter().filter(|except| same_family(except, &self.net)).map(|except| ends(*except));
        let out = if matches!(self.net, IpNet::V4(_)) { v4 } else { v6 };
        punch(ends(self.net), holes, out);
    }
}

/// Returns the networks that lie in no other one, sorted.
fn outermost(mut nets: Vec<IpNet>) -> Vec<IpNet> {
    // A network sorts before those inside it.
    nets.sort_unstable();
    let mut kept: Vec<IpNet> = Vec::with_capacity(nets.len());
    for net in nets {
        if !kept.last().is_some_and(|outer| outer.contains(&net)) {
            kept.push(net);
        }
    }
    kept
}

fn same_family(a: &IpNet, b: &IpNet) -> bool {
    matches!((a, b), (IpNet::V4(_), IpNet::V4(_)) | (IpNet::V6(_), IpNet::V6(_)))
}

/// Returns the first and the last address of a network as numbers of its family.
fn ends(net: IpNet) -> (u128, u128) {
    match net {
        IpNet::V4(net) => (u32::from(net.network()).into(), u32::from(net.broadcast()).into()),
        IpNet::V6(net) => (net.network().into(), net.broadcast().into()),
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

    /// Returns the largest range that sorts with those of the same first address.
    fn last_with_first(self) -> Range {
        match self {
            Range::V4(first, _) => Range::V4(first, u32::MAX),
            Range::V6(first, _) => Range::V6(first, u128::MAX),
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

    /// Returns whether the set is all addresses of both families.
    pub fn is_everything(&self) -> bool {
        AddressSet::everything().is_inside(self)
    }

    /// Returns whether an address lies in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }

    /// Returns the set less `taken`, keeping the blocks as written where it can.
    pub fn subtract(&self, taken: &AddressSet) -> AddressSet {
        // Whole networks are taken at once: `0.0.0.0/0 except { … }` may have thousands.
        let (whole, others): (Vec<&Block>, Vec<&Block>) = taken.blocks.iter().partition(|take| take.except.is_empty());
        let nets = outermost(whole.iter().map(|take| take.net).collect());
        let mut blocks: Vec<Block> = if nets.is_empty() {
            self.blocks.clone()
        } else {
            self.blocks.iter().filter_map(|block| less(block, &nets)).collect()
        };
        for take in others {
            let mut left = Vec::new();
            for block in &blocks {
                left.extend(block.without(take.net));
                // The exceptions of `take` are not taken: the part of the block inside each of them stays.
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
        mine.iter().all(|range| {
            let next = theirs.partition_point(|outer| outer <= &range.last_with_first());
            next > 0 && range_contains(theirs[next - 1], *range)
        })
    }

    /// Returns whether some address lies in both sets.
    pub fn overlaps(&self, other: &AddressSet) -> bool {
        const FEW: usize = 64;
        if self.blocks.len() * other.blocks.len() <= FEW {
            let pairs = || self.blocks.iter().flat_map(|mine| other.blocks.iter().map(move |theirs| (mine, theirs)));
            let mut meeting = pairs()
                .filter(|(mine, theirs)| mine.net.contains(&theirs.net) || theirs.net.contains(&mine.net))
                .peekable();
            if meeting.peek().is_none() {
                return false;
            }
            if meeting.any(|(mine, theirs)| mine.except.is_empty() && theirs.except.is_empty()) {
                return true;
            }
        }
        let (mine, theirs) = (self.ranges(), other.ranges());
        let (mut left, mut right) = (mine.iter().peekable(), theirs.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            if range_overlaps(**a, **b) {
                return true;
            }
            if a < b {
                left.next()
            } else {
                right.next()
            };
        }
        false
    }

    /// Returns the set as ranges: sorted, disjoint and not adjacent, IPv4 first.
    pub fn ranges(&self) -> Vec<Range> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            block.punched(&mut v4, &mut v6);
        }
        let v4 = merge(v4).into_iter().map(|(first, last)| Range::V4(first as u32, last as u32));
        let v6 = merge(v6).into_iter().map(|(first, last)| Range::V6(first, last));
        v4.chain(v6).collect()
    }
}

/// Returns a block less sorted networks, none inside another; `None` if no address is left.
fn less(block: &Block, nets: &[IpNet]) -> Option<Block> {
    let from = nets.partition_point(|net| *net < block.net);
    // A network that contains the block is the block itself, or the last before it.
    let contains = |net: &IpNet| net.contains(&block.net);
    if nets.get(from).is_some_and(contains) || from.checked_sub(1).is_some_and(|before| contains(&nets[before])) {
        return None;
    }
    let count = nets[from..].iter().take_while(|net| block.net.contains(*net)).count();
    block.without_nets(&nets[from..from + count])
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
    (!part.is_empty()).then_some(part)
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

    #[test]
    fn many_networks_are_taken_out_at_once() {
        let taken = set(&["10.1.0.0/16", "10.1.2.0/24", "10.0.0.0/32", "192.0.2.0/24", "2001:db8::/32", "10.1.0.0/16"]);
        let left =
            set(&["10.0.0.0/8", "10.1.2.0/25", "192.0.2.0/25", "2001:db8::/31", "198.51.100.7/32"]).subtract(&taken);
        let shown: Vec<String> = left.blocks.iter().map(|block| format!("{} {:?}", block.net, block.except)).collect();
        assert_eq!(
            shown,
            ["10.0.0.0/8 [10.0.0.0/32, 10.1.0.0/16]", "2001:db8::/31 [2001:db8::/32]", "198.51.100.7/32 []"]
        );
        assert!(!left.overlaps(&taken) && left.is_inside(&AddressSet::everything()));
        assert!(!set(&["10.0.0.0/8"]).is_inside(&left) && set(&["10.2.0.0/16"]).is_inside(&left));
        assert!(left.overlaps(&set(&["198.51.100.0/24"])) && !left.overlaps(&set(&["192.0.2.0/24", "::1/128"])));
    }
}
