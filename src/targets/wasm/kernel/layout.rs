//! The layout of the tables: 32-bit words, and bytes after them.
//!
//! ```text
//! words   header │ records, which refer to each other by offsets in words │ directories
//! bytes   strings │ members with the rules of each │ rules │ grants │ networks
//! ```
//!
//! What a policy has by the thousand is bytes, in numbers of variable length (LEB128) where nobody has to jump. The
//! compiler writes the tables and the kernel reads them, so both take every number from here.

/// The first word.
pub const MAGIC: u32 = u32::from_le_bytes(*b"npol");
/// The version of the ABI and of the tables; a kernel reads its own alone.
pub const ABI: u32 = 1;
/// Stands for an unknown string, and for no rule.
pub const NONE: u32 = u32::MAX;
/// Stands for `*` in the segments of a path.
pub const ANY_SEGMENT: u32 = u32::MAX;

/// Lists of ports, as endpoints refer to them: every port, one port that stands in the reference itself, or the offset
/// of a record.
pub mod ports {
    /// Every port.
    pub const ALL: u32 = u32::MAX;
    /// One port: the bits 0 to 15, with its protocol from bit 16 on and how it is read from bit 18 on.
    pub const ONE: u32 = 1 << 31;
}

/// The words of the header. Offsets in bytes begin behind the words.
pub mod header {
    /// [`super::MAGIC`].
    pub const MAGIC: usize = 0;
    /// [`super::ABI`].
    pub const ABI: usize = 1;
    /// The number of words.
    pub const WORDS: usize = 2;
    /// The number of bytes.
    pub const BYTES: usize = 3;
    /// Whether denied flows are only told (1), and the normalisation of paths (shifted by 8).
    pub const FLAGS: usize = 4;
    /// Strings, sorted, in blocks: two words for each block, the offset of its bytes and the first member that its
    /// strings lead to. The offset of that list, and the number of words.
    pub const STRINGS: usize = 5;
    /// The number of strings.
    pub const STRING_COUNT: usize = 7;
    /// Members: the offset of their bytes, and how many bytes they are.
    pub const MEMBERS: usize = 8;
    /// The number of members.
    pub const MEMBER_COUNT: usize = 10;
    /// The shapes of members: the offsets of their records.
    pub const SHAPES: usize = 11;
    /// Members that no string leads to: those that test no value of a label.
    pub const UNANCHORED: usize = 13;
    /// Networks, sorted, for each length of a prefix: four words, whether it is IPv6, the length, the offset of the
    /// bytes, and the number of networks.
    pub const NETS: usize = 15;
    /// Rules: the offset of their bytes, and their number.
    pub const RULES: usize = 17;
    /// Grants: the offset of their bytes, and their number.
    pub const GRANTS: usize = 19;
    /// The bytes of a number in rules, grants and networks: at most four.
    pub const WIDTH: usize = 21;
    /// The offsets of gateways.
    pub const GATEWAYS: usize = 22;
    /// Known namespaces, sorted: their names, each with the offset of its labels.
    pub const NAMESPACES: usize = 24;
    /// The offset in bytes of the addresses where a host without `at` may be.
    pub const INTERNET: usize = 26;
    /// The number of words of the header.
    pub const LENGTH: usize = 28;
}

/// Strings: each says how many bytes it has in common with the one before, how many follow, these, and how many bytes
/// the members are that it leads to. Both counts are the halves of one byte.
pub mod string {
    /// The strings of a block; the first has nothing in common with the one before.
    pub const BLOCK: usize = 16;
    /// The most that half a byte says. So many bytes that follow are this, and the number of further ones behind it.
    pub const MOST: usize = 15;
}

/// Members, in bytes: a number whose low bits say which lists there are, and whose high bits are the shape; the values
/// of the shape, or its addresses; the lists. The member itself is known by the offset of its bytes.
pub mod member {
    /// The rules that it is a source of.
    pub const SOURCES: u32 = 0;
    /// The rules that it is a destination of.
    pub const DESTINATIONS: u32 = 1;
    /// The grants that open it.
    pub const GRANTS: u32 = 2;
    /// The rules that lead clients in through it.
    pub const WAYS_IN: u32 = 3;
    /// The number of lists.
    pub const LISTS: u32 = 4;
    /// Whether the first rule of [`SOURCES`] isolates it on its way out. The others follow in their order.
    pub const ISOLATED_OUT: u32 = 4;
    /// Whether the first rule of [`DESTINATIONS`] isolates it on its way in.
    pub const ISOLATED_IN: u32 = 5;
    /// The number of low bits.
    pub const BITS: u32 = 6;
}

/// Rules, in bytes: flags, and three numbers of the header's width, the source, the destination and the ports of it.
pub mod rule {
    /// It forbids.
    pub const DENY: u32 = 1;
    /// It governs its source.
    pub const EGRESS: u32 = 2;
    /// It governs its destination.
    pub const INGRESS: u32 = 4;
    /// It only isolates, and matches no flow.
    pub const ISOLATE: u32 = 8;
    /// Its source is the offset of a record of several members, and not a member.
    pub const SOURCES: u32 = 16;
    /// So is its destination, and its members have their ports there.
    pub const DESTINATIONS: u32 = 32;
    /// What its ports are, from this bit on: [`ALL`], [`ONE`], [`LIST`], [`MORE`].
    pub const PORTS: u32 = 6;
    /// Every port.
    pub const ALL: u32 = 0;
    /// One port, without the bit that says so.
    pub const ONE: u32 = 1;
    /// The offset of a list.
    pub const LIST: u32 = 2;
    /// The offset of three words: the ports, as an endpoint has them, and the offsets of conditions and of a `via`, of
    /// which 0 is none.
    pub const MORE: u32 = 3;
}

/// Grants, in bytes: flags, and two numbers of the header's width. The source is that of a rule; the destination is the
/// offset of a record of members, of a gateway the offset of that offset and of the rules that are the cause.
pub mod grant {
    /// Nothing more is asked than the ends.
    pub const PLAIN: u32 = 0;
    /// The source has a sidecar.
    pub const ISTIOD: u32 = 1;
    /// Some rule of the gateway lets the flow through.
    pub const GATEWAY: u32 = 2;
    /// The bits of these reasons.
    pub const REASON: u32 = 3;
    /// It opens the way in.
    pub const INGRESS: u32 = 4;
    /// Its source is a record of several members.
    pub const SOURCES: u32 = 8;
}

/// The kinds of members.
pub mod kind {
    /// Pods.
    pub const PODS: u32 = 0;
    /// Addresses.
    pub const ADDRESSES: u32 = 1;
    /// A host.
    pub const HOST: u32 = 2;
    /// No member, but the number of one that several strings lead to.
    pub const OTHER: u32 = 3;
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

/// Returns the hash of a text; `kind` tells texts of different meaning apart. It takes as few steps as it can: whoever
/// finds a text by it compares the text too.
#[inline(never)]
pub fn hash(kind: u32, text: &[u8]) -> u64 {
    let seed = (u64::from(kind) << 32 ^ text.len() as u64).wrapping_mul(FACTOR);
    // Eight words at a time, two and two, which do not wait for each other.
    let mut lanes = [seed, seed ^ 0x1319_8a2e_0370_7344, seed ^ 0xa409_3822_299f_31d0, seed ^ 0x082e_fa98_ec4e_6c89];
    match text.last_chunk::<64>() {
        // The last ones stand in part in those before, since their number is rarely whole.
        Some(last) => {
            let (whole, _) = text.get(..text.len() - 1).unwrap_or_default().as_chunks::<64>();
            whole.iter().for_each(|eight| step(&mut lanes, eight));
            // So that a word that comes twice does not take back what it did.
            lanes = lanes.map(|lane| lane.rotate_left(17));
            step(&mut lanes, last);
        }
        None => {
            let mut eight = [0; 64];
            eight.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            step(&mut lanes, &eight);
        }
    }
    let [a, b, c, d] = lanes;
    mix(mix(a, b), mix(c, d))
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Takes eight words. The turn lets the highest bits, which a product does not spread, change others the next time.
#[inline(always)]
fn step(lanes: &mut [u64; 4], eight: &[u8; 64]) {
    let words = eight.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
    let (ones, others) = (words.clone().take(4), words.skip(4));
    for ((lane, one), other) in lanes.iter_mut().zip(ones).zip(others) {
        *lane = (*lane ^ one).rotate_left(29).wrapping_add(other).wrapping_mul(FACTOR);
    }
}

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    mixed ^ (mixed >> 29)
}
