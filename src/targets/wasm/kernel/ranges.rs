//! Sets of addresses as ranges, sorted and disjoint, in words: how many of IPv4 and of IPv6, then the first and the
//! last address of each, an IPv6 address as four words.

use std::net::IpAddr;

/// A set of addresses.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'w> {
    v4: &'w [[u32; 2]],
    v6: &'w [[u32; 8]],
}

/// The address families: whether each is IPv6.
const FAMILIES: [bool; 2] = [false, true];

impl<'w> Ranges<'w> {
    /// Returns the empty set.
    pub fn none() -> Ranges<'static> {
        Ranges { v4: &[], v6: &[] }
    }

    /// Takes a set from the beginning of some words.
    pub fn take(words: &mut &'w [u32]) -> Ranges<'w> {
        let Some(([v4, v6], rest)) = words.split_first_chunk::<2>() else { return Ranges::none() };
        let (Some(v4), Some(v6)) = (2_usize.checked_mul(*v4 as usize), 8_usize.checked_mul(*v6 as usize)) else {
            return Ranges::none();
        };
        let Some((first, rest)) = rest.split_at_checked(v4) else { return Ranges::none() };
        let Some((second, rest)) = rest.split_at_checked(v6) else { return Ranges::none() };
        *words = rest;
        Ranges { v4: first.as_chunks().0, v6: second.as_chunks().0 }
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
            false => self.v4.get(at).map(|[first, last]| (u128::from(*first), u128::from(*last))),
            true => {
                self.v6.get(at).map(|[a, b, c, d, e, f, g, h]| (number([*a, *b, *c, *d]), number([*e, *f, *g, *h])))
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

    /// Adds the ranges to those of each family.
    pub fn add_to(&self, families: &mut [Vec<(u128, u128)>; 2]) {
        for (list, v6) in families.iter_mut().zip(FAMILIES) {
            list.extend((0..self.len(v6)).filter_map(|at| self.get(v6, at)));
        }
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

/// Returns the words of ranges, given in order for each family.
pub fn to_words(v4: &[(u128, u128)], v6: &[(u128, u128)]) -> Vec<u32> {
    let mut words = vec![v4.len() as u32, v6.len() as u32];
    words.extend(v4.iter().flat_map(|(first, last)| [*first as u32, *last as u32]));
    let four = |number: u128| [(number >> 96) as u32, (number >> 64) as u32, (number >> 32) as u32, number as u32];
    words.extend(v6.iter().flat_map(|(first, last)| four(*first).into_iter().chain(four(*last))));
    words
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

fn number(words: [u32; 4]) -> u128 {
    words.into_iter().fold(0, |number, word| number << 32 | u128::from(word))
}
