//! Ports by number, as Istio knows them.
//!
//! ```text
//! allow egress garden/* -> 203.0.113.0/24:8080-8082    8080, 8081, 8082: Istio has no ranges
//! ```

use smol_str::SmolStr;

use crate::inventory::ContainerPort;
use crate::model::ports::{PortTest, Ports, Protocol};
use crate::targets::istio::limits::MOST_PORTS;

/// Why a set of ports cannot be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMany {
    /// It is every port.
    All,
    /// It has more ports than an object takes.
    Listed,
}

/// Returns the TCP ports by number, sorted; port names, which addresses do not have, are left out.
pub fn tcp_numbers(ports: &Ports) -> Result<Vec<u16>, TooMany> {
    let Ports::Some(list) = ports else { return Err(TooMany::All) };
    let mut numbers: Vec<u16> = Vec::new();
    for port in list.iter().filter(|port| port.protocol == Protocol::Tcp) {
        if let PortTest::Range(first, last) = port.port {
            if (first, last) == (1, u16::MAX) {
                return Err(TooMany::All);
            }
            if usize::from(last - first) >= MOST_PORTS {
                return Err(TooMany::Listed);
            }
            numbers.extend(first..=last);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() > MOST_PORTS { Err(TooMany::Listed) } else { Ok(numbers) }
}

/// Returns the numbers of the TCP ports with a name.
pub fn numbers_of(ports: &[ContainerPort], name: &SmolStr) -> impl Iterator<Item = u16> {
    let tcp = ports.iter().filter(move |port| port.protocol == Protocol::Tcp && port.name.as_ref() == Some(name));
    tcp.map(|port| port.port)
}
