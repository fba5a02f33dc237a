//! Sets of addresses as ranges, sorted and disjoint, in bytes: how many of IPv4 and of IPv6, then the first and the
//! last address of each, with the highest byte first.

use std::net::IpAddr;

use super::bytes::{Bytes, put};

/// A set of addresses.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'w> {
    v4: &'w [[u8; 8]],
    v6: &'w [[u8; 32]],
}

/// The address families: whether each is IPv6.
const FAMILIES: [bool; 2] = [false, true];

impl<'w> Ranges<'w> {
    /// Returns the empty set.
    pub fn none() -> Ranges<'static> {
        Ranges { v4: &[], v6: &[] }
    }

    /// Takes a set from the beginning of some bytes.
    pub fn take(bytes: &mut Bytes<'w>) -> Ranges<'w> {
        let (v4, v6) = (bytes.number() as usize, bytes.number() as usize);
        let v4 = bytes.take(v4.saturating_mul(8)).as_chunks().0;
        Ranges { v4, v6: bytes.take(v6.saturating_mul(32)).as_chunks().0 }
    }

    /// Returns whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn len(&self, v6: bool) -> usize {
        if v6 { self.v6.len() } else { self.v4.len() }
    }

    fn get(&self, v6: bool, at: usize) -> Option<(u128, u128)> {
        match v6 {
            false => {
                let [a, b, c, d, e, f, g, h] = *self.v4.get(at)?;
                let (first, last) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
                Some((first.into(), last.into()))
            }
            true => {
                let (halves, _) = self.v6.get(at)?.as_chunks::<16>();
                let [first, last] = halves else { return None };
                Some((u128::from_be_bytes(*first), u128::from_be_bytes(*last)))
            }
        }
    }

    /// Returns the end of the range around an address.
    fn end_around(&self, v6: bool, address: u128) -> Option<u128> {
        let (mut from, mut to) = (0, self.len(v6));
        while from < to {
            let middle = (from + to) / 2;
            let (first, last) = self.get(v6, middle)?;
            if last < address {
                from = middle + 1;
            } else if first > address {
                to = middle;
            } else {
                return Some(last);
            }
        }
        None
    }

    /// Adds the ranges to those of each family; `None` if there is no memory for them.
    pub fn add_to(&self, families: &mut [Vec<(u128, u128)>; 2]) -> Option<()> {
        for (list, v6) in families.iter_mut().zip(FAMILIES) {
            list.try_reserve(self.len(v6)).ok()?;
            list.extend((0..self.len(v6)).filter_map(|at| self.get(v6, at)));
        }
        Some(())
    }

    /// Returns whether an address is in the set.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (v6, address) = of_address(address);
        self.end_around(v6, address).is_some()
    }

    /// Returns whether some address is in both sets.
    pub fn overlaps(&self, other: &Ranges<'_>) -> bool {
        FAMILIES.into_iter().any(|v6| {
            let (mut a, mut b) = (0, 0);
            while let (Some(mine), Some(theirs)) = (self.get(v6, a), other.get(v6, b)) {
                if mine.1 < theirs.0 {
                    a += 1;
                } else if theirs.1 < mine.0 {
                    b += 1;
                } else {
                    return true;
                }
            }
            false
        })
    }

    /// Returns whether every address of the set is in one of others, to which `others` hands each of them.
    pub fn is_inside(&self, others: &Others<'_>) -> bool {
        FAMILIES.into_iter().all(|v6| {
            (0..self.len(v6)).all(|at| {
                let Some((mut address, last)) = self.get(v6, at) else { return false };
                loop {
                    let mut reached = None;
                    others(&mut |set| reached = reached.max(set.end_around(v6, address)));
                    match reached {
                        None => return false,
                        Some(end) if end >= last => return true,
                        Some(end) => address = end + 1,
                    }
                }
            })
        })
    }
}

/// Hands each of some sets to a function.
pub type Others<'o> = dyn Fn(&mut dyn FnMut(Ranges<'_>)) + 'o;

/// Returns whether an address is of IPv6, and its number.
pub fn of_address(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, u32::from(address).into()),
        IpAddr::V6(address) => (true, address.into()),
    }
}

/// Returns the bytes of ranges, given in order for each family.
pub fn to_bytes(v4: &[(u128, u128)], v6: &[(u128, u128)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + 8 * v4.len() + 32 * v6.len());
    put(&mut bytes, v4.len() as u32);
    put(&mut bytes, v6.len() as u32);
    for (first, last) in v4 {
        bytes.extend((*first as u32).to_be_bytes());
        bytes.extend((*last as u32).to_be_bytes());
    }
    for (first, last) in v6 {
        bytes.extend(first.to_be_bytes());
        bytes.extend(last.to_be_bytes());
    }
    bytes
}

/// Returns the network of a prefix around an address: its first and its last address.
pub fn network(v6: bool, address: u128, length: u32) -> (u128, u128) {
    let host = if v6 { 128 - length.min(128) } else { 32 - length.min(32) };
    let mask = 1_u128.checked_shl(host).map_or(u128::MAX, |bit| bit - 1);
    (address & !mask, address | mask)
}

/// Returns ranges in order, with those joined that meet.
pub fn merged(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
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
