//! Sets of addresses as the fewest networks.

use ipnet::IpNet;

use crate::model::addresses::{AddressSet, Range};

/// Returns the fewest prefixes of a set, sorted.
pub fn prefixes(set: &AddressSet) -> Vec<IpNet> {
    set.ranges().into_iter().flat_map(Range::nets).collect()
}

/// Returns whether a network is one address.
pub fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}
