//! Random blocks of addresses, and ports.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cluster::POD_RANGES;
use crate::policy::End;
use crate::random::Random;

/// Addresses around which blocks are made: those outside the cluster, pods', and a node's.
const AROUND: [&str; 13] = [
    "203.0.113.7",
    "203.0.113.200",
    "198.51.100.1",
    "8.8.8.8",
    "169.254.169.254",
    "10.9.0.1",
    "10.244.0.11",
    "192.168.0.77",
    "2001:db8::1",
    "2001:db8:1::5",
    "2606:4700::1111",
    "fd12::1",
    "fd00:10:244::11",
];
/// Numbers at which ranges of ports begin and end.
const EDGES: [u16; 12] = [1, 53, 54, 79, 80, 443, 5353, 8000, 8080, 8081, 9090, 65535];

/// Returns the few addresses around which a policy's blocks are made, so that they meet. The first is outside the
/// cluster: some block around it is apart from pods.
pub fn around(random: &mut Random) -> Vec<IpAddr> {
    let mut all = vec![AROUND[0].parse().unwrap()];
    all.extend((0..random.between(1, 3)).map(|_| random.pick(&AROUND).parse::<IpAddr>().unwrap()));
    all
}

/// Returns a block. Where the compiler does not know where pods are, it must be apart from them: what a block means for
/// the pods in it differs from engine to engine.
fn block(random: &mut Random, around: &[IpAddr], pods_known: bool) -> IpNet {
    loop {
        let around = random.pick(around);
        let longest = if around.is_ipv4() { 32 } else { 128 };
        let shortest = random.weighted(&[(1, 0), (2, longest / 4), (3, longest / 2), (3, longest)]);
        let net = IpNet::new(around, random.between(shortest, longest) as u8).unwrap().trunc();
        let holds_pods = POD_RANGES.map(|range| range.parse().unwrap()).iter().any(|pods| overlap(&net, pods));
        if pods_known || !holds_pods {
            return net;
        }
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Returns addresses: a block, or a block without one or two that are inside it.
pub fn addresses(random: &mut Random, around: &[IpAddr], pods_known: bool) -> End {
    let whole = block(random, around, pods_known);
    let mut parts = Vec::new();
    if random.percent(40) {
        for _ in 0..40 {
            let part = block(random, around, pods_known);
            if whole.contains(&part) && whole != part && !parts.iter().any(|other| overlap(other, &part)) {
                parts.push(part);
            }
        }
        parts.truncate(2);
    }
    let taken = parts.iter().map(|part| End::Block(written(part))).collect::<Vec<_>>();
    let whole = End::Block(written(&whole));
    match taken.len() {
        0 => whole,
        1 => End::Except(Box::new(whole), Box::new(taken[0].clone())),
        _ => End::Except(Box::new(whole), Box::new(End::Union(taken))),
    }
}

/// Returns a block as the language has it: one address without its length.
fn written(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

/// Returns a port or several.
pub fn port(random: &mut Random) -> String {
    let which = match random.below(10) {
        0..=4 => random.pick(&[80, 443, 8080, 9090, 53, 8443]).to_string(),
        5..=7 => {
            let (one, other) = (random.pick(&EDGES), random.pick(&EDGES));
            if one == other { one.to_string() } else { format!("{}-{}", one.min(other), one.max(other)) }
        }
        8 => "*".to_owned(),
        _ => return random.pick(&["*/icmp", "8080/http", "*/tcp"]).to_owned(),
    };
    format!("{which}{}", random.weighted(&[(6, ""), (2, "/udp"), (1, "/sctp")]))
}
