//! The members of a policy, each once, with the rules and grants of each.
//!
//! ```text
//! allow garden/{app=web} -> shop/{app=cart}:8080
//!     two members, each found by the rarest string that all its pods have: `web`, and `cart`
//! ```

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::words::{Records, Word};
use crate::targets::wasm::kernel::bytes::put;
use crate::targets::wasm::kernel::layout::{kind, member, test};

/// The number of words of a shape of pods before its tests: its kind, the number of values that stand at a member, the
/// place of the one that does not, and the number of tests of namespaces and of pods.
const BEFORE_TESTS: usize = 5;

/// What a member is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// Its shape: the kind, and all but values.
    pub shape: Vec<Word>,
    /// The values of its tests, or the name of a host, as strings.
    pub values: Vec<u32>,
    /// Its addresses.
    pub places: Vec<u8>,
}

/// A network: whether it is IPv6, the length of its prefix, and its first address.
pub type Net = (bool, u32, u128);

struct Member {
    content: Rc<Content>,
    nets: Vec<Net>,
    lists: [Vec<u32>; member::LISTS as usize],
    isolated: [Option<u32>; 2],
}

/// Members, by the order in which they were met.
#[derive(Default)]
pub struct Members {
    list: Vec<Member>,
    numbers: FxHashMap<Rc<Content>, u32>,
}

/// Members as they are written.
pub struct Written {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// The number of each: the offset of its bytes.
    pub numbers: Vec<u32>,
    /// Where those begin to which strings lead.
    pub anchored: u32,
    /// The bytes of the members to which each string leads.
    pub lengths: Vec<u32>,
    /// Their shapes.
    pub shapes: Vec<Word>,
    /// The members that no string leads to.
    pub unanchored: Vec<Word>,
    /// Their networks, sorted.
    pub nets: Vec<(Net, u32)>,
}

/// Where a member stands.
enum Anchor {
    /// By itself, found in another way.
    Apart,
    /// With a string, which may be one of its values: that one, counted from one.
    At(u32, usize),
    /// By itself, with one of several strings leading there.
    Several(std::ops::Range<usize>),
}

impl Members {
    /// Adds a member, and returns its number.
    pub fn add(&mut self, content: Content, nets: impl FnOnce() -> Vec<Net>) -> u32 {
        if let Some(number) = self.numbers.get(&content) {
            return *number;
        }
        let number = self.list.len() as u32;
        let content = Rc::new(content);
        self.numbers.insert(content.clone(), number);
        self.list.push(Member { content, nets: nets(), lists: Default::default(), isolated: [None; 2] });
        number
    }

    /// Returns how many they are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Adds a rule or a grant to one of the lists of a member.
    pub fn list(&mut self, member: u32, list: u32, number: u32) {
        let list = &mut self.list[member as usize].lists[list as usize];
        if list.last() != Some(&number) {
            list.push(number);
        }
    }

    /// Says that a rule isolates a member on its way out (0) or in (1).
    pub fn isolate(&mut self, member: u32, end: usize, rule: u32) {
        self.list[member as usize].isolated[end].get_or_insert(rule);
    }

    /// Writes all members, those first to which no string leads. `texts` are the numbers of strings.
    pub fn write(self, texts: &[u32], records: &mut Records) -> Written {
        let mut often = vec![0_u32; texts.len()];
        for one in &self.list {
            let choices = choices(&one.content).into_iter().flat_map(|choice| &one.content.values[choice]);
            choices.for_each(|value| often[*value as usize] += 1);
        }
        let anchors: Vec<Anchor> = self.list.iter().map(|one| anchor(&one.content, &often)).collect();
        let (shapes, of_members) = shapes(&self.list, &anchors, records);

        let mut out = Written {
            bytes: Vec::new(),
            numbers: vec![0; self.list.len()],
            anchored: 0,
            lengths: vec![0; texts.len()],
            shapes,
            unanchored: Vec::new(),
            nets: Vec::new(),
        };
        let mut led: Vec<(u32, u32, bool)> = Vec::new();
        for (at, (one, anchor)) in self.list.iter().zip(&anchors).enumerate() {
            match anchor {
                Anchor::At(text, _) => {
                    led.push((texts[*text as usize], at as u32, true));
                    continue;
                }
                Anchor::Several(values) => {
                    let values = one.content.values[values.clone()].iter();
                    led.extend(values.map(|text| (texts[*text as usize], at as u32, false)));
                }
                Anchor::Apart if one.nets.is_empty() => out.unanchored.push(Word::Member(at as u32)),
                Anchor::Apart => {}
            }
            out.numbers[at] = out.bytes.len() as u32;
            one.write(of_members[at], None, texts, &mut out.bytes);
        }
        out.anchored = out.bytes.len() as u32;
        led.sort_unstable();
        led.dedup();
        for (text, at, is_here) in led {
            let start = out.bytes.len();
            let one = &self.list[at as usize];
            match &anchors[at as usize] {
                Anchor::At(_, implied) if is_here => {
                    out.numbers[at as usize] = start as u32;
                    one.write(of_members[at as usize], Some(*implied), texts, &mut out.bytes);
                }
                _ => {
                    // The last shape is that of what only leads to a member.
                    put(&mut out.bytes, (out.shapes.len() as u32 - 1) << member::BITS);
                    put(&mut out.bytes, out.numbers[at as usize]);
                }
            }
            out.lengths[text as usize] += (out.bytes.len() - start) as u32;
        }
        for (at, one) in self.list.iter().enumerate() {
            out.nets.extend(one.nets.iter().map(|net| (*net, out.numbers[at])));
        }
        out.nets.sort_unstable();
        out.nets.dedup();
        out
    }
}

impl Member {
    fn write(&self, shape: u32, implied: Option<usize>, texts: &[u32], out: &mut Vec<u8>) {
        let lists: Vec<Vec<u8>> = (0..member::LISTS as usize).map(|list| self.list(list)).collect();
        let mut head = shape << member::BITS;
        for (bit, list) in lists.iter().enumerate() {
            head |= u32::from(!list.is_empty()) << bit;
        }
        for (bit, rule) in [member::ISOLATED_OUT, member::ISOLATED_IN].into_iter().zip(self.isolated) {
            head |= u32::from(rule.is_some()) << bit;
        }
        put(out, head);
        for (at, value) in self.content.values.iter().enumerate() {
            if implied != Some(at + 1) {
                put(out, texts[*value as usize]);
            }
        }
        out.extend_from_slice(&self.content.places);
        lists.iter().for_each(|list| out.extend_from_slice(list));
    }

    /// Returns a list in bytes; none for an empty one.
    fn list(&self, list: usize) -> Vec<u8> {
        let first = self.isolated.get(list).copied().flatten();
        let rest = || self.lists[list].iter().copied().filter(|number| Some(*number) != first);
        let all: Vec<u32> = first.into_iter().chain(rest()).collect();
        let mut out = Vec::new();
        match all.as_slice() {
            [] => {}
            [only] => put(&mut out, only << 1),
            several => {
                let (mut entries, mut last) = (Vec::new(), 0);
                for (at, number) in several.iter().enumerate() {
                    put(&mut entries, number - last);
                    last = if at == 0 && first.is_some() { 0 } else { *number };
                }
                put(&mut out, (entries.len() as u32) << 1 | 1);
                out.extend_from_slice(&entries);
            }
        }
        out
    }
}

/// Returns the values among which a pod of a member has one, as ranges of its values: one range for each test that
/// names such values.
fn choices(content: &Content) -> Vec<std::ops::Range<usize>> {
    let mut all = Vec::new();
    if content.shape.first() != Some(&Word::Plain(kind::PODS)) {
        return all;
    }
    let (tests, accounts) = content.shape[BEFORE_TESTS..].split_at(content.shape.len() - BEFORE_TESTS - 2);
    let mut start = 0;
    for test in tests.iter().skip(1).step_by(2) {
        let Word::Plain(word) = test else { continue };
        let end = start + (word >> 2) as usize;
        if word & 3 == test::IN {
            all.push(start..end);
        }
        start = end;
    }
    if accounts.first() == Some(&Word::Plain(1)) {
        all.push(start..start + 1);
    }
    all
}

/// Returns where a member stands: with its rarest string.
fn anchor(content: &Content, often: &[u32]) -> Anchor {
    if content.shape.first() == Some(&Word::Plain(kind::HOST)) {
        return Anchor::At(content.values[0], 0);
    }
    let number = |choice: &std::ops::Range<usize>| -> u32 {
        content.values[choice.clone()].iter().map(|value| often[*value as usize]).sum()
    };
    match choices(content).into_iter().min_by_key(number) {
        None => Anchor::Apart,
        Some(choice) if choice.len() == 1 => Anchor::At(content.values[choice.start], choice.start + 1),
        Some(choice) => Anchor::Several(choice),
    }
}

/// Returns the shapes, and the number of each member's. Those of many members have small numbers.
fn shapes(members: &[Member], anchors: &[Anchor], records: &mut Records) -> (Vec<Word>, Vec<u32>) {
    let mut counts: FxHashMap<Word, u32> = FxHashMap::default();
    let mut order = Vec::new();
    let of_members: Vec<Word> = members
        .iter()
        .zip(anchors)
        .map(|(one, anchor)| {
            let mut shape = one.content.shape.clone();
            if shape.first() == Some(&Word::Plain(kind::PODS)) {
                let implied = match anchor {
                    Anchor::At(_, implied) => *implied,
                    _ => 0,
                };
                shape[1] = Word::Plain((one.content.values.len() - usize::from(implied > 0)) as u32);
                shape[2] = Word::Plain(implied as u32);
            }
            let shape = records.add(shape);
            let count = counts.entry(shape).or_insert_with(|| {
                order.push(shape);
                0
            });
            *count += 1;
            shape
        })
        .collect();
    order.sort_by_key(|shape| std::cmp::Reverse(counts.get(shape).copied()));
    let numbers: FxHashMap<Word, u32> = order.iter().copied().zip(0..).collect();
    order.push(records.add(vec![Word::Plain(kind::OTHER)]));
    (order, of_members.iter().map(|shape| numbers.get(shape).copied().unwrap_or_default()).collect())
}

impl Written {
    /// Writes the networks, and returns the list of the lengths of their prefixes.
    pub fn write_nets(&self, width: usize, out: &mut Vec<u8>) -> Vec<u32> {
        let mut lengths = Vec::new();
        for group in self.nets.chunk_by(|((a, b, _), _), ((c, d, _), _)| (a, b) == (c, d)) {
            let Some(((v6, length, _), _)) = group.first() else { continue };
            lengths.extend([u32::from(*v6), *length, out.len() as u32, group.len() as u32]);
            for ((_, _, first), member) in group {
                out.extend_from_slice(&first.to_be_bytes()[if *v6 { 0 } else { 12 }..]);
                out.extend_from_slice(&member.to_le_bytes()[..width]);
            }
        }
        lengths
    }
}
