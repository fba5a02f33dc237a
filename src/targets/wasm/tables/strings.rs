//! The strings of a policy: met in any order, and written sorted.

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::words::Word;
use crate::targets::wasm::kernel::bytes::put;
use crate::targets::wasm::kernel::layout::string;

/// Strings, each once.
#[derive(Default)]
pub struct Strings {
    numbers: FxHashMap<SmolStr, u32>,
}

/// Strings as they are written.
pub struct Sorted {
    texts: Vec<SmolStr>,
    /// The number of each, by the order in which they were met.
    pub numbers: Vec<u32>,
}

impl Strings {
    /// Adds a string.
    pub fn add(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(text.into(), number);
        number
    }

    /// Adds a string, as a word.
    pub fn word(&mut self, text: &str) -> Word {
        Word::Text(self.add(text))
    }

    /// Sorts them.
    pub fn sorted(self) -> Sorted {
        let mut all: Vec<(SmolStr, u32)> = self.numbers.into_iter().collect();
        all.sort_unstable();
        let mut numbers = vec![0; all.len()];
        for (number, (_, met)) in (0..).zip(&all) {
            numbers[*met as usize] = number;
        }
        Sorted { texts: all.into_iter().map(|(text, _)| text).collect(), numbers }
    }
}

impl Sorted {
    /// Returns how many they are.
    pub fn count(&self) -> usize {
        self.texts.len()
    }

    /// Writes them in blocks, each with the bytes of the members to which it leads, and returns the list of blocks.
    /// The first of these members is at `first`.
    pub fn write(&self, lengths: &[u32], first: u32, out: &mut Vec<u8>) -> Vec<u32> {
        let mut blocks = Vec::with_capacity(2 * self.texts.len() / string::BLOCK + 2);
        let (mut member, mut before) = (first, "");
        for (at, (text, length)) in self.texts.iter().zip(lengths).enumerate() {
            if at.is_multiple_of(string::BLOCK) {
                blocks.extend([out.len() as u32, member]);
                before = "";
            }
            let common = text.bytes().zip(before.bytes()).take_while(|(one, other)| one == other).count();
            let shared = common.min(string::MOST);
            let rest = &text.as_bytes()[shared..];
            out.push((shared << 4 | rest.len().min(string::MOST)) as u8);
            if let Some(more) = rest.len().checked_sub(string::MOST) {
                put(out, more as u32);
            }
            out.extend_from_slice(rest);
            put(out, *length);
            member += length;
            before = text;
        }
        blocks
    }
}
