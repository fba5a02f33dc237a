//! The layout of the tables: one list of 32-bit words, and a text after them.
//!
//! ```text
//! header │ records, lists, directories (offsets are counted in words from the header) │ text
//! ```
//!
//! The compiler writes them and the kernel reads them, so both take every number from here.

/// The first word.
pub const MAGIC: u32 = u32::from_le_bytes(*b"npol");
/// The version of the ABI and of the tables; a kernel reads its own alone.
pub const ABI: u32 = 1;
/// Stands for an unknown string, and for no rule.
pub const NONE: u32 = u32::MAX;
/// Stands for `*` in the segments of a path.
pub const ANY_SEGMENT: u32 = u32::MAX;
/// Stands for every port.
pub const ALL_PORTS: u32 = u32::MAX;

/// The words of the header.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::ABI`].
    pub const ABI: usize = 1;
    /// The number of words before the text.
    pub const WORDS: usize = 2;
    /// The number of bytes of the text.
    pub const TEXT: usize = 3;
    /// Whether denied flows are only told (1), and the normalisation of paths (shifted by 8).
    pub const FLAGS: usize = 4;
    /// Strings: the ends of each in the text. The offset of the list, and the number of strings.
    pub const STRINGS: usize = 5;
    /// A hash table of strings: the offset, and the number of slots, a power of two.
    pub const STRING_SLOTS: usize = 7;
    /// A hash table of anchors, four words a slot: hash, start and number of members.
    pub const ANCHORS: usize = 9;
    /// Members without an anchor.
    pub const UNANCHORED: usize = 11;
    /// Members that have addresses.
    pub const PLACED: usize = 13;
    /// The lengths of prefixes in anchors: the offset of those of IPv4 and their number, then those of IPv6.
    pub const PREFIXES: usize = 15;
    /// The directory of members.
    pub const MEMBERS: usize = 19;
    /// The directory of rules.
    pub const RULES: usize = 21;
    /// The offsets of grants.
    pub const GRANTS: usize = 23;
    /// The offsets of gateways.
    pub const GATEWAYS: usize = 25;
    /// Known namespaces, sorted: their names, each with the offset of its labels.
    pub const NAMESPACES: usize = 27;
    /// The offset of the addresses where a host without `at` may be.
    pub const INTERNET: usize = 29;
    /// The number of words of the header.
    pub const LENGTH: usize = 32;
}

/// The words of a member in the directory. A list ends where that of the next member begins.
pub mod member {
    /// The offset of its record.
    pub const RECORD: usize = 0;
    /// The rules that it is a source of.
    pub const SOURCES: usize = 1;
    /// The rules that it is a destination of.
    pub const DESTINATIONS: usize = 2;
    /// The grants that open it.
    pub const GRANTS: usize = 3;
    /// The rules that lead clients in through it.
    pub const WAYS_IN: usize = 4;
    /// The first rule that isolates it on its way out.
    pub const ISOLATED_OUT: usize = 5;
    /// The first rule that isolates it on its way in.
    pub const ISOLATED_IN: usize = 6;
    /// The number of words.
    pub const LENGTH: usize = 7;
}

/// The words of a rule in the directory.
pub mod rule {
    /// Flags.
    pub const FLAGS: usize = 0;
    /// The offset of its source.
    pub const SOURCE: usize = 1;
    /// The offset of its destination.
    pub const DESTINATION: usize = 2;
    /// The offset of two words, the offsets of its conditions and of its `via`, of which 0 is none; or 0.
    pub const MORE: usize = 3;
    /// The number of words.
    pub const LENGTH: usize = 4;

    /// It forbids.
    pub const DENY: u32 = 1;
    /// It governs its source.
    pub const EGRESS: u32 = 2;
    /// It governs its destination.
    pub const INGRESS: u32 = 4;
}

/// The kinds of members.
pub mod kind {
    /// Pods.
    pub const PODS: u32 = 0;
    /// Addresses.
    pub const ADDRESSES: u32 = 1;
    /// A host.
    pub const HOST: u32 = 2;
}

/// The tests of labels.
pub mod test {
    /// One of these values.
    pub const IN: u32 = 0;
    /// None of these values, or no label.
    pub const NOT_IN: u32 = 1;
    /// The label is there.
    pub const EXISTS: u32 = 2;
    /// The label is not there.
    pub const ABSENT: u32 = 3;
}

/// The reasons of grants that ask for more than their ends.
pub mod grant {
    /// Nothing more.
    pub const PLAIN: u32 = 0;
    /// The source has a sidecar.
    pub const ISTIOD: u32 = 1;
    /// Some rule of the gateway lets the flow through.
    pub const GATEWAY: u32 = 2;
}

/// How a port is read.
pub mod app {
    /// Not known.
    pub const NONE: u32 = 0;
    /// HTTP or gRPC in clear text.
    pub const HTTP: u32 = 1;
    /// TLS.
    pub const TLS: u32 = 2;
    /// HTTP in TLS that ends there.
    pub const HTTPS: u32 = 3;
}

/// Protocols.
pub mod protocol {
    /// TCP.
    pub const TCP: u32 = 0;
    /// UDP.
    pub const UDP: u32 = 1;
    /// SCTP.
    pub const SCTP: u32 = 2;
    /// ICMP.
    pub const ICMP: u32 = 3;
}

/// The kinds of anchors: what a party must have, to be held by the members of that anchor.
pub mod anchor {
    /// A label of its namespace.
    pub const NAMESPACE: u32 = 0;
    /// A label.
    pub const LABEL: u32 = 1;
    /// An account.
    pub const ACCOUNT: u32 = 2;
    /// The name of a host, or the end of one.
    pub const HOST: u32 = 3;
    /// The beginning of an address of IPv4.
    pub const V4: u32 = 4;
    /// The beginning of an address of IPv6.
    pub const V6: u32 = 5;
}

/// Returns the hash of a text; `kind` tells texts of different meaning apart.
pub fn hash(kind: u32, text: &[u8]) -> u64 {
    let mut hash = mix(u64::from(kind) ^ 0x243f_6a88_85a3_08d3, text.len() as u64);
    let (whole, rest) = text.as_chunks::<8>();
    for word in whole {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    mix(mix(hash, u64::from_le_bytes(last)), 0x1319_8a2e_0370_7344)
}

/// Returns the hash of two numbers, such as those of a key and a value.
pub fn hash_pair(kind: u32, one: u32, other: u32) -> u64 {
    mix(mix(u64::from(kind), u64::from(one) << 32 | u64::from(other)), 0x1319_8a2e_0370_7344)
}

/// Returns the hash of the beginning of an address.
pub fn hash_net(kind: u32, length: u32, first: u128) -> u64 {
    mix(mix(hash_pair(kind, length, 0), first as u64), (first >> 64) as u64)
}

fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
