//! Records of words that refer to strings, members and other records, whose places are known when all are.

use rustc_hash::FxHashMap;

/// A word of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// This number.
    Plain(u32),
    /// A string, by the order in which they were met.
    Text(u32),
    /// A member, by the order in which they were met.
    Member(u32),
    /// A record, by its number.
    Record(u32),
}

/// Returns the number of entries of a list, as a word.
pub fn count<T>(list: &[T]) -> Word {
    Word::Plain(list.len() as u32)
}

/// Records, each once.
#[derive(Default)]
pub struct Records {
    list: Vec<Vec<Word>>,
    numbers: FxHashMap<Vec<Word>, u32>,
}

impl Records {
    /// Adds a record.
    pub fn add(&mut self, record: Vec<Word>) -> Word {
        if let Some(number) = self.numbers.get(&record) {
            return Word::Record(*number);
        }
        let number = self.list.len() as u32;
        self.list.push(record.clone());
        self.numbers.insert(record, number);
        Word::Record(number)
    }

    /// Returns where each begins, the first at a place, and where all end.
    pub fn places(&self, mut at: u32) -> (Vec<u32>, u32) {
        let places = self.list.iter().map(|record| {
            let start = at;
            at += record.len() as u32;
            start
        });
        (places.collect(), at)
    }

    /// Returns all words in their order.
    pub fn words(&self) -> impl Iterator<Item = Word> + '_ {
        self.list.iter().flatten().copied()
    }
}

/// Where all is that words refer to.
pub struct Places {
    /// The number of each string.
    pub texts: Vec<u32>,
    /// The number of each member.
    pub members: Vec<u32>,
    /// The offset of each record.
    pub records: Vec<u32>,
}

impl Places {
    /// Returns the number of a word.
    pub fn of(&self, word: Word) -> u32 {
        let (list, at) = match word {
            Word::Plain(number) => return number,
            Word::Text(at) => (&self.texts, at),
            Word::Member(at) => (&self.members, at),
            Word::Record(at) => (&self.records, at),
        };
        list.get(at as usize).copied().unwrap_or_default()
    }
}
