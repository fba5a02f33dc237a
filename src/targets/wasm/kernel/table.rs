//! The tables as the kernel reads them. What is not there reads as 0, and a list that is not there as empty, so that
//! damaged tables stop nothing.

use super::bytes::Bytes;
use super::layout::{self, NONE, header, kind, member, ports, rule};
use super::ranges::Ranges;

/// The tables of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'t> {
    words: &'t [u32],
    bytes: &'t [u8],
}

/// A union of members, as a rule or a grant names it.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'t> {
    /// The only member, with its ports.
    one: Option<(u32, u32)>,
    /// Several, each with its ports.
    list: &'t [[u32; 2]],
}

impl<'t> Endpoint<'t> {
    /// Returns the members, each with its ports.
    pub fn members(self) -> impl Iterator<Item = (u32, u32)> + Clone + use<'t> {
        self.one.into_iter().chain(self.list.iter().map(|[member, ports]| (*member, *ports)))
    }
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'t> {
    /// Its flags.
    pub flags: u32,
    /// Its source.
    pub source: Endpoint<'t>,
    /// Its destination.
    pub destination: Endpoint<'t>,
    /// The offset of its conditions; 0 for none.
    pub conditions: u32,
    /// The offset of its `via`; 0 for none.
    pub via: u32,
}

impl Rule<'_> {
    /// Returns whether it is a deny.
    pub fn denies(&self) -> bool {
        self.flags & rule::DENY != 0
    }

    /// Returns whether it leads clients in through a gateway.
    pub fn is_way_in(&self) -> bool {
        self.via != 0 && self.flags & rule::INGRESS != 0
    }
}

/// A grant.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'t> {
    /// Its flags.
    pub flags: u32,
    /// Its source.
    pub source: Endpoint<'t>,
    /// Its destination.
    pub destination: Endpoint<'t>,
    /// The rules that are its cause, of a gateway's.
    pub because: &'t [u32],
}

/// A member, read up to its values.
#[derive(Clone, Copy, Debug)]
pub struct Member<'t> {
    /// Its number.
    pub number: u32,
    /// Which lists it has.
    pub has: u32,
    /// What it is.
    pub kind: u32,
    /// The rest of its shape.
    pub shape: Record<'t>,
    /// Its values or addresses, and its lists.
    pub rest: Bytes<'t>,
}

impl<'t> Member<'t> {
    /// Returns its lists.
    pub fn lists(mut self) -> Lists<'t> {
        match self.kind {
            kind::PODS => {
                for _ in 0..self.shape.word().min(self.rest.0.len() as u32) {
                    self.rest.number();
                }
            }
            kind::OTHER => drop(self.rest.number()),
            _ => drop(self.places()),
        }
        Lists { has: self.has, bytes: self.rest }
    }

    /// Takes the addresses that it has.
    pub fn places(&mut self) -> Ranges<'t> {
        match self.kind {
            kind::ADDRESSES => Ranges::take(&mut self.rest),
            kind::HOST => {
                self.rest.number();
                Ranges::take(&mut self.rest)
            }
            _ => Ranges::none(),
        }
    }
}

/// The lists of a member.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'t> {
    has: u32,
    bytes: Bytes<'t>,
}

impl<'t> Lists<'t> {
    /// Returns one of the lists.
    pub fn list(mut self, wanted: u32) -> List<'t> {
        for list in 0..member::LISTS {
            if self.has & 1 << list != 0 {
                let stands_before = self.isolated(list);
                let found = List::take(&mut self.bytes, stands_before);
                if list == wanted {
                    return found;
                }
            }
        }
        List::default()
    }

    fn isolated(&self, list: u32) -> bool {
        let bit = match list {
            member::SOURCES => member::ISOLATED_OUT,
            member::DESTINATIONS => member::ISOLATED_IN,
            _ => return false,
        };
        self.has & 1 << bit != 0
    }

    /// Returns the first rule that isolates the member in the direction of a list; [`NONE`] for none.
    pub fn isolates(&self, list: u32) -> u32 {
        if self.isolated(list) { self.list(list).next().unwrap_or(NONE) } else { NONE }
    }
}

/// A list of numbers: rising ones, before which another one may stand.
#[derive(Clone, Copy, Debug)]
pub struct List<'t> {
    only: Option<u32>,
    last: u32,
    stands_before: bool,
    bytes: Bytes<'t>,
}

impl Default for List<'_> {
    fn default() -> Self {
        List { only: None, last: 0, stands_before: false, bytes: Bytes(&[]) }
    }
}

impl<'t> List<'t> {
    /// Takes a list: an even number is twice the only entry, and an odd one says how many bytes the entries are.
    fn take(bytes: &mut Bytes<'t>, stands_before: bool) -> List<'t> {
        let head = bytes.number();
        match head & 1 {
            0 => List { only: Some(head >> 1), ..List::default() },
            _ => List { stands_before, bytes: Bytes(bytes.take((head >> 1) as usize)), ..List::default() },
        }
    }

    /// Returns how long it is, nearly.
    pub fn length(&self) -> usize {
        self.bytes.0.len() + usize::from(self.only.is_some())
    }
}

impl Iterator for List<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if let Some(only) = self.only.take() {
            return Some(only);
        }
        if self.bytes.0.is_empty() {
            return None;
        }
        let number = self.last.wrapping_add(self.bytes.number());
        if !core::mem::take(&mut self.stands_before) {
            self.last = number;
        }
        Some(number)
    }
}

impl<'t> Tables<'t> {
    /// Takes tables from words and the bytes behind them; `None` if they are no tables of this version.
    pub fn new(words: &'t [u32], bytes: &'t [u8]) -> Option<Tables<'t>> {
        let tables = Tables { words, bytes };
        let whole =
            tables.at(header::WORDS) as usize == words.len() && tables.at(header::BYTES) as usize == bytes.len();
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

    /// Begins to read bytes.
    pub fn bytes(&self, at: usize) -> Bytes<'t> {
        Bytes(self.bytes.get(at..).unwrap_or(&[]))
    }

    /// Returns a number of the header's width.
    fn number_at(&self, at: usize, width: usize) -> u32 {
        // Four bytes stand behind the last number.
        let word = self.bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word));
        if width >= 4 { word } else { word & ((1 << (8 * width)) - 1) }
    }

    fn width(&self) -> usize {
        self.at(header::WIDTH).min(4) as usize
    }

    /// Returns a member.
    pub fn member(&self, number: u32) -> Member<'t> {
        let mut rest = self.bytes((self.at(header::MEMBERS) as usize).saturating_add(number as usize));
        let head = rest.number();
        let shape = self.at((self.at(header::SHAPES) as usize).saturating_add((head >> member::BITS) as usize));
        let mut shape = self.record(shape);
        let kind = shape.word();
        Member { number, has: head & ((1 << member::BITS) - 1), kind, shape, rest }
    }

    /// Hands on some members in a row: the first, and the one behind the last.
    pub fn anchored(&self, (first, behind): (u32, u32), mut each: impl FnMut(Member<'t>)) {
        let end = self.at(header::MEMBERS) as usize + behind as usize;
        let mut number = first;
        while number < behind {
            let mut one = self.member(number);
            // The next member begins where the last list ends.
            let mut rest = one.lists();
            (0..member::LISTS).filter(|list| one.has & 1 << list != 0).for_each(|_| rest.skip());
            let length = self.bytes.len() - rest.bytes.0.len();
            if one.kind == kind::OTHER {
                one = self.member(one.rest.number());
            }
            each(one);
            if length > end || length <= self.at(header::MEMBERS) as usize + number as usize {
                return;
            }
            number = (length - self.at(header::MEMBERS) as usize) as u32;
        }
    }

    /// Returns the addresses that a member has, of any kind.
    pub fn places(&self, number: u32) -> Ranges<'t> {
        self.member(number).places()
    }

    /// Hands on the members of networks around an address, and perhaps others.
    pub fn around(&self, v6: bool, address: u128, mut each: impl FnMut(u32)) {
        let (size, width) = (if v6 { 16 } else { 4 }, self.width());
        for [of, length, at, count] in self.section(header::NETS).as_chunks::<4>().0 {
            if (*of != 0) != v6 {
                continue;
            }
            let (first, _) = super::ranges::network(v6, address, *length);
            let bytes = first.to_be_bytes();
            let wanted = bytes.get(16 - size..).unwrap_or_default();
            let entry = |which: usize| (*at as usize).saturating_add(which.saturating_mul(size + width));
            let net = |which: usize| self.bytes(entry(which)).take(size);
            let (mut from, mut to) = (0, *count as usize);
            while from < to {
                let middle = from + (to - from) / 2;
                if net(middle) < wanted { from = middle + 1 } else { to = middle }
            }
            while from < *count as usize && net(from) == wanted {
                each(self.number_at(entry(from) + size, width));
                from += 1;
            }
        }
    }

    /// Returns the addresses where a host may be that the policy gives none.
    pub fn internet(&self) -> Ranges<'t> {
        Ranges::take(&mut self.bytes(self.at(header::INTERNET) as usize))
    }

    /// Returns the members of a record, each with its ports.
    pub fn union(&self, at: u32) -> Endpoint<'t> {
        let mut record = self.record(at);
        Endpoint { one: None, list: record.counted(2).as_chunks().0 }
    }

    fn endpoint(&self, number: u32, is_union: bool, ports: u32) -> Endpoint<'t> {
        if is_union { self.union(number) } else { Endpoint { one: Some((number, ports)), list: &[] } }
    }

    /// Returns a rule.
    pub fn rule(&self, number: u32) -> Rule<'t> {
        let width = self.width();
        let at = (self.at(header::RULES) as usize).saturating_add((number as usize).saturating_mul(1 + 3 * width));
        let flags = self.number_at(at, 1);
        let [source, destination, port] = [1, 1 + width, 1 + 2 * width].map(|off| self.number_at(at + off, width));
        let (ports, conditions, via) = match flags >> rule::PORTS {
            rule::ALL => (ports::ALL, 0, 0),
            rule::ONE => (port | ports::ONE, 0, 0),
            rule::LIST => (port, 0, 0),
            _ => {
                let mut more = self.record(port);
                (more.word(), more.word(), more.word())
            }
        };
        Rule {
            flags,
            source: self.endpoint(source, flags & rule::SOURCES != 0, ports::ALL),
            destination: self.endpoint(destination, flags & rule::DESTINATIONS != 0, ports),
            conditions,
            via,
        }
    }

    /// Returns a grant.
    pub fn grant(&self, number: u32) -> Grant<'t> {
        use layout::grant;
        let width = self.width();
        let at = (self.at(header::GRANTS) as usize).saturating_add((number as usize).saturating_mul(1 + 2 * width));
        let flags = self.number_at(at, 1);
        let source = self.number_at(at + 1, width);
        let mut destination = self.number_at(at + 1 + width, width);
        let mut because: &[u32] = &[];
        if flags & grant::REASON == grant::GATEWAY {
            let mut record = self.record(destination);
            destination = record.word();
            because = record.counted(1);
        }
        let source = self.endpoint(source, flags & grant::SOURCES != 0, ports::ALL);
        Grant { flags, source, destination: self.union(destination), because }
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

impl Lists<'_> {
    /// Passes over the list that stands next.
    fn skip(&mut self) {
        List::take(&mut self.bytes, false);
    }
}

/// A record that is read word by word.
#[derive(Clone, Copy, Debug)]
pub struct Record<'t> {
    words: &'t [u32],
}

impl<'t> Record<'t> {
    /// Returns whether no word follows.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

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
}
