//! The tables as the kernel reads them. A word that is not there reads as 0, and a list that is not there as empty, so
//! that damaged tables stop nothing.

use super::layout::{self, NONE, header, member, rule};
use super::ranges::Ranges;

/// The tables of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'t> {
    words: &'t [u32],
    text: &'t [u8],
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its flags.
    pub flags: u32,
    /// The offset of its source.
    pub source: u32,
    /// The offset of its destination.
    pub destination: u32,
    /// The offset of its conditions; 0 for none.
    pub conditions: u32,
    /// The offset of its `via`; 0 for none.
    pub via: u32,
}

impl Rule {
    /// Returns whether it is a deny.
    pub fn denies(&self) -> bool {
        self.flags & rule::DENY != 0
    }

    /// Returns whether it leads clients in through a gateway.
    pub fn is_way_in(&self) -> bool {
        self.via != 0 && self.flags & rule::INGRESS != 0
    }
}

impl<'t> Tables<'t> {
    /// Takes tables from words and their text; `None` if they are no tables of this version.
    pub fn new(words: &'t [u32], text: &'t [u8]) -> Option<Tables<'t>> {
        let tables = Tables { words, text };
        let whole = tables.at(header::WORDS) as usize == words.len() && tables.at(header::TEXT) as usize == text.len();
        (tables.at(header::MAGIC) == layout::MAGIC && tables.at(header::ABI) == layout::ABI && whole).then_some(tables)
    }

    /// Returns a word.
    pub fn at(&self, at: usize) -> u32 {
        self.words.get(at).copied().unwrap_or(0)
    }

    /// Returns some words.
    pub fn list(&self, at: usize, count: usize) -> &'t [u32] {
        self.words.get(at..at.saturating_add(count)).unwrap_or(&[])
    }

    /// Returns the words of a section whose offset and length stand in the header.
    pub fn section(&self, section: usize) -> &'t [u32] {
        self.list(self.at(section) as usize, self.at(section + 1) as usize)
    }

    /// Begins to read a record.
    pub fn record(&self, at: u32) -> Record<'t> {
        Record { words: self.words.get(at as usize..).unwrap_or(&[]) }
    }

    /// Returns the text of a string.
    pub fn string(&self, number: u32) -> &'t [u8] {
        let ends = self.at(header::STRINGS) as usize + number as usize;
        self.text.get(self.at(ends) as usize..self.at(ends + 1) as usize).unwrap_or(&[])
    }

    /// Returns the number of a string; [`NONE`] if the policy does not have it.
    pub fn number(&self, text: &[u8]) -> u32 {
        let slots = self.section(header::STRING_SLOTS);
        let start = layout::hash(0, text) as usize;
        for step in 0..slots.len() {
            match slots.get((start.wrapping_add(step)) & (slots.len() - 1)) {
                Some(&number) if number != NONE => {
                    if self.string(number) == text {
                        return number;
                    }
                }
                _ => return NONE,
            }
        }
        NONE
    }

    /// Returns the members of an anchor, and perhaps others.
    pub fn anchored(&self, hash: u64) -> &'t [u32] {
        let (at, slots) = (self.at(header::ANCHORS) as usize, self.at(header::ANCHORS + 1) as usize);
        for step in 0..slots {
            let slot = (hash as usize).wrapping_add(step) & (slots - 1);
            let [low, high, start, count] = *self.list(at + 4 * slot, 4) else { return &[] };
            if count == 0 {
                return &[];
            }
            if low == hash as u32 && high == (hash >> 32) as u32 {
                return self.list(start as usize, count as usize);
            }
        }
        &[]
    }

    /// Returns the record of a member.
    pub fn member(&self, number: u32) -> Record<'t> {
        self.record(self.of_member(number, member::RECORD))
    }

    /// Returns a word of a member.
    pub fn of_member(&self, number: u32, word: usize) -> u32 {
        self.at(self.at(header::MEMBERS) as usize + number as usize * member::LENGTH + word)
    }

    /// Returns a list of a member.
    pub fn list_of_member(&self, number: u32, word: usize) -> &'t [u32] {
        let (start, end) = (self.of_member(number, word) as usize, self.of_member(number + 1, word) as usize);
        self.words.get(start..end).unwrap_or(&[])
    }

    /// Returns the addresses that a member has, of any kind.
    pub fn places(&self, number: u32) -> Ranges<'t> {
        let mut record = self.member(number);
        match record.word() {
            layout::kind::ADDRESSES => record.ranges(),
            layout::kind::HOST => {
                record.list(2);
                let except = record.word() as usize;
                record.list(2 * except);
                record.ranges()
            }
            _ => Ranges::none(),
        }
    }

    /// Returns the addresses where a host may be that the policy gives none.
    pub fn internet(&self) -> Ranges<'t> {
        self.record(self.at(header::INTERNET)).ranges()
    }

    /// Returns a rule.
    pub fn rule(&self, number: u32) -> Rule {
        let at = self.at(header::RULES) as usize + number as usize * rule::LENGTH;
        let [flags, source, destination, more] = *self.list(at, rule::LENGTH) else {
            return Rule { flags: 0, source: 0, destination: 0, conditions: 0, via: 0 };
        };
        let (conditions, via) = if more == 0 { (0, 0) } else { (self.at(more as usize), self.at(more as usize + 1)) };
        Rule { flags, source, destination, conditions, via }
    }

    /// Returns the members of an endpoint, each with the offset of its ports.
    pub fn endpoint(&self, at: u32) -> impl Iterator<Item = (u32, u32)> + Clone + use<'t> {
        let count = self.at(at as usize) as usize;
        self.list(at as usize + 1, 2 * count).chunks_exact(2).map(|pair| (pair[0], pair[1]))
    }

    /// Returns the labels of a namespace that the policy knows.
    pub fn namespace(&self, name: u32) -> Option<&'t [u32]> {
        let all = self.section(header::NAMESPACES);
        let (names, _) = all.as_chunks::<2>();
        let at = names.binary_search_by_key(&name, |[name, _]| *name).ok()?;
        let mut record = self.record(names.get(at)?[1]);
        Some(record.counted(2))
    }
}

/// A record that is read word by word.
#[derive(Clone, Copy, Debug)]
pub struct Record<'t> {
    words: &'t [u32],
}

impl<'t> Record<'t> {
    /// Returns the next word.
    pub fn word(&mut self) -> u32 {
        let Some((first, rest)) = self.words.split_first() else { return 0 };
        self.words = rest;
        *first
    }

    /// Returns the next words.
    pub fn list(&mut self, count: usize) -> &'t [u32] {
        let (list, rest) = self.words.split_at_checked(count).unwrap_or((&[], &[]));
        self.words = rest;
        list
    }

    /// Returns a list of entries of a size, before which their number stands.
    pub fn counted(&mut self, size: usize) -> &'t [u32] {
        let count = self.word() as usize;
        self.list(count.saturating_mul(size))
    }

    /// Returns the ranges that stand next.
    pub fn ranges(&mut self) -> Ranges<'t> {
        Ranges::take(&mut self.words)
    }
}
