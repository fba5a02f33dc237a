//! The strings of a policy: sorted, so that each is told by what it has in common with the one before, in blocks that
//! are found by their first one.

use super::bytes::Bytes;
use super::layout::{NONE, header, string};
use super::table::Tables;

/// A string that the policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub number: u32,
    /// The first of the members to which it leads, and the one behind the last.
    pub members: (u32, u32),
}

/// A string: how many bytes it has in common with the one before, those that follow, and the bytes of its members.
struct Entry<'t> {
    shared: usize,
    rest: &'t [u8],
    members: u32,
}

fn take<'t>(bytes: &mut Bytes<'t>) -> Entry<'t> {
    let head = usize::from(bytes.byte());
    let (shared, mut length) = (head >> 4, head & 15);
    if length == string::MOST {
        length = length.saturating_add(bytes.number() as usize);
    }
    let rest = bytes.take(length);
    Entry { shared, rest, members: bytes.number() }
}

/// A walk through a block, with the number of bytes that the last string has in common with a text.
struct Walk<'t, 'w> {
    bytes: Bytes<'t>,
    text: &'w [u8],
    common: usize,
}

impl Walk<'_, '_> {
    /// Goes to the next string, and returns whether it is the text, and the bytes of its members.
    fn next(&mut self) -> (bool, u32) {
        let Entry { shared, rest, members } = take(&mut self.bytes);
        if shared <= self.common {
            let own = self.text.get(shared..).unwrap_or_default();
            self.common = shared + own.iter().zip(rest).take_while(|(one, other)| one == other).count();
        }
        (self.common == self.text.len() && shared + rest.len() == self.text.len(), members)
    }
}

impl<'t> Tables<'t> {
    /// Returns the block of a number: its bytes, and the first member that its strings lead to.
    fn block(&self, number: usize) -> Option<(Bytes<'t>, u32)> {
        let [at, members] = *self.section(header::STRINGS).as_chunks::<2>().0.get(number)?;
        Some((self.bytes(at as usize), members))
    }

    /// Returns a string; `None` if the policy does not have it.
    pub fn find(&self, text: &[u8]) -> Option<Found> {
        let blocks = self.section(header::STRINGS).as_chunks::<2>().0;
        let behind = blocks.partition_point(|[at, _]| take(&mut self.bytes(*at as usize)).rest <= text);
        let block = behind.checked_sub(1)?;
        let (bytes, mut members) = self.block(block)?;
        let mut walk = Walk { bytes, text, common: 0 };
        let first = block * string::BLOCK;
        for number in first..(first + string::BLOCK).min(self.at(header::STRING_COUNT) as usize) {
            let (is_it, length) = walk.next();
            let end = members.saturating_add(length);
            if is_it {
                return Some(Found { number: number as u32, members: (members, end) });
            }
            members = end;
        }
        None
    }

    /// Returns the number of a string; [`NONE`] if the policy does not have it.
    pub fn number(&self, text: &[u8]) -> u32 {
        self.find(text).map_or(NONE, |found| found.number)
    }

    /// Returns a string by its number.
    pub fn found(&self, number: u32) -> Option<Found> {
        let place = number as usize % string::BLOCK;
        let (mut bytes, mut members) = self.block(number as usize / string::BLOCK)?;
        for _ in 0..place {
            members = members.saturating_add(take(&mut bytes).members);
        }
        let end = members.saturating_add(take(&mut bytes).members);
        (number < self.at(header::STRING_COUNT)).then_some(Found { number, members: (members, end) })
    }

    /// Returns whether a string is a text.
    pub fn is(&self, number: u32, text: &[u8]) -> bool {
        let place = number as usize % string::BLOCK;
        let Some((bytes, _)) = self.block(number as usize / string::BLOCK) else { return false };
        let mut walk = Walk { bytes, text, common: 0 };
        for _ in 0..place {
            walk.next();
        }
        walk.next().0 && number < self.at(header::STRING_COUNT)
    }
}
