//! Texts that were seen before, with what they were interned as: found by a hash, and compared byte by byte.

use super::layout::hash;

/// The most bytes that are kept.
const MOST: usize = 1 << 30;

/// A hash table of texts.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The places of entries, each one more than it is; 0 is none. Their number is a power of two.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    text: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    start: u32,
    length: u32,
    value: [u32; 4],
    kind: u32,
}

impl Texts {
    /// Returns the value of a text of a kind.
    pub fn find(&self, kind: u32, text: &[u8]) -> Option<[u32; 4]> {
        let wanted = hash(kind, text);
        for slot in self.slots_of(wanted) {
            let at = self.slots.get(slot)?.checked_sub(1)?;
            let entry = self.entries.get(at as usize)?;
            let own = || self.text.get(entry.start as usize..(entry.start + entry.length) as usize);
            if entry.hash == wanted && entry.kind == kind && own().is_some_and(|own| same(own, text)) {
                return Some(entry.value);
            }
        }
        None
    }

    /// Adds a text that is not there yet; `None` if there is no room for it.
    pub fn add(&mut self, kind: u32, text: &[u8], value: [u32; 4]) -> Option<()> {
        if self.text.len() + text.len() > MOST {
            return None;
        }
        self.text.try_reserve(text.len()).ok()?;
        self.entries.try_reserve(1).ok()?;
        if self.slots.len() < 2 * (self.entries.len() + 1) {
            self.grow()?;
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        let hash = hash(kind, text);
        self.entries.push(Entry { hash, start, length: text.len() as u32, value, kind });
        self.place(hash, self.entries.len() as u32)
    }

    fn grow(&mut self) -> Option<()> {
        let size = (4 * (self.entries.len() + 1)).next_power_of_two().max(64);
        let mut slots = Vec::new();
        slots.try_reserve_exact(size).ok()?;
        slots.resize(size, 0);
        self.slots = slots;
        (0..self.entries.len()).try_for_each(|at| self.place(self.entries.get(at)?.hash, at as u32 + 1))
    }

    fn place(&mut self, hash: u64, number: u32) -> Option<()> {
        let free = self.slots_of(hash).find(|slot| self.slots.get(*slot) == Some(&0))?;
        *self.slots.get_mut(free)? = number;
        Some(())
    }

    fn slots_of(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let count = self.slots.len();
        (0..count).map(move |step| (hash as usize).wrapping_add(step) & (count - 1))
    }
}

/// Returns whether two texts are the same, in words of eight bytes: in a module a comparison takes byte by byte.
fn same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let mut differs = u64::from(one.len() != other.len());
    for (word, other) in words.iter().zip(other_words) {
        differs |= u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
    }
    differs == 0 && rest == other_rest
}
