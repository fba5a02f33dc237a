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
    #[inline(always)]
    pub fn find(&self, kind: u32, text: &[u8]) -> Option<&[u32; 4]> {
        let wanted = hash(kind, text);
        for slot in self.slots_of(wanted) {
            let at = self.slots.get(slot)?.checked_sub(1)?;
            let entry = self.entries.get(at as usize)?;
            if entry.hash == wanted && entry.kind == kind && entry.length as usize == text.len() {
                let start = entry.start as usize;
                if self.text.get(start..start + text.len()).is_some_and(|own| same(own, text)) {
                    return Some(&entry.value);
                }
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

/// Returns whether two texts of one length are the same, four words at a time: in a module a comparison takes byte by
/// byte. The last four stand in part in those before.
#[inline(never)]
fn same(one: &[u8], other: &[u8]) -> bool {
    let (Some(last), Some(other_last)) = (one.last_chunk::<32>(), other.last_chunk::<32>()) else {
        return one == other;
    };
    let ((fours, _), (other_fours, _)) = (one.as_chunks::<32>(), other.as_chunks::<32>());
    let differs = fours.iter().zip(other_fours).fold(0, |all, (four, other)| all | difference(four, other));
    differs | difference(last, other_last) == 0
}

/// Returns the bits that differ.
#[inline(always)]
fn difference(one: &[u8; 32], other: &[u8; 32]) -> u64 {
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    words.fold(0, |all, (word, other)| all | (u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_from_all_that_differ_in_one_byte() {
        for length in 0..100_usize {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut texts = Texts::default();
            texts.add(1, &text, [length as u32, 0, 0, 0]).unwrap();
            assert_eq!(texts.find(1, &text), Some(&[length as u32, 0, 0, 0]));
            assert_eq!(texts.find(2, &text), None);
            for at in 0..length {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert!(!same(&text, &other) && texts.find(1, &other).is_none(), "{at} of {length}");
                assert_ne!(hash(1, &text), hash(1, &other), "{at} of {length}");
            }
            assert_eq!(texts.find(1, &[&text[..], b"x"].concat()), None);
        }
    }
}
