//! Near misses: one rule for every stage.

use rustc_hash::FxHashMap;

/// Returns the candidate nearest to `word`, when it is near enough that it was probably meant: a Jaro-Winkler
/// similarity above 0.8, or one edit in words of three letters and more. Ties go to the first in order.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    Lexicon::new(candidates).nearest(word).copied()
}

/// A lexicon: words to be searched many times for the one nearest to another word. A search compares only words with
/// similar letters: `web17` with `web71`, and not with a thousand others.
#[derive(Clone, Debug)]
pub struct Lexicon<W> {
    families: Vec<(Letters, ByDigits<W>)>,
}

/// Words with the same letters, by their digits: names are often told apart by a number.
type ByDigits<W> = FxHashMap<Digits, Vec<W>>;

impl<W: AsRef<str> + Ord> Lexicon<W> {
    /// Makes a lexicon of some words.
    pub fn new(words: impl IntoIterator<Item = W>) -> Lexicon<W> {
        let mut families: FxHashMap<Letters, ByDigits<W>> = FxHashMap::default();
        for word in words {
            let (letters, digits) = Letters::of(word.as_ref());
            families.entry(letters).or_default().entry(digits).or_default().push(word);
        }
        Lexicon { families: families.into_iter().collect() }
    }

    /// Returns the word nearest to another one, as [`nearest`] does.
    pub fn nearest(&self, word: &str) -> Option<&W> {
        let (letters, digits) = Letters::of(word);
        let mut best = Best { word, found: None };
        let in_common = |family: &Letters| family.digits.min(letters.digits);
        let bounded = self.families.iter().map(|(family, words)| {
            (letters.most_alike(family, letters.common(family) + in_common(family)), family, words)
        });
        let mut families: Vec<_> = bounded.filter(|(bound, ..)| *bound > LEAST).collect();
        families.sort_unstable_by(|(a, ..), (b, ..)| b.total_cmp(a));
        for (bound, family, by_digits) in families {
            if best.is_better_than(bound) {
                break;
            }
            if let Some(words) = by_digits.get(&digits) {
                best.look(words);
            }
            // Two words with the same number of digits, but different digits, have at least one digit less in common.
            let in_common = in_common(family) - usize::from(family.digits == letters.digits && family.digits > 0);
            let common = letters.common(family);
            if best.is_better_than(letters.most_alike(family, common + in_common)) {
                continue;
            }
            let others = by_digits.iter().filter(|(other, _)| **other != digits);
            let bounded = others.map(|(other, words)| {
                let both = digits.iter().zip(other).map(|(a, b)| usize::from(*a.min(b))).sum::<usize>();
                (letters.most_alike(family, common + both), words)
            });
            let mut groups: Vec<(f64, &Vec<W>)> = bounded.filter(|(bound, _)| *bound > LEAST).collect();
            groups.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
            for (bound, words) in groups {
                if best.is_better_than(bound) {
                    break;
                }
                best.look(words);
            }
        }
        best.found.map(|(_, candidate)| candidate)
    }
}

/// The nearest word that was found so far, with its similarity.
struct Best<'a, 'w, W> {
    word: &'a str,
    found: Option<(f64, &'w W)>,
}

impl<'w, W: AsRef<str> + Ord> Best<'_, 'w, W> {
    fn is_better_than(&self, bound: f64) -> bool {
        self.found.is_some_and(|(score, _)| bound < score)
    }

    fn look(&mut self, words: &'w [W]) {
        for candidate in words.iter().filter(|candidate| candidate.as_ref() != self.word) {
            let score = alike(self.word, candidate.as_ref());
            if score > LEAST && self.found.is_none_or(|(s, c)| score > s || (score == s && candidate < c)) {
                self.found = Some((score, candidate));
            }
        }
    }
}

/// The least similarity of near words.
const LEAST: f64 = 0.8;
/// The similarity of words that differ by one edit.
const ONE_EDIT: f64 = 0.85;

fn alike(word: &str, candidate: &str) -> f64 {
    let one_edit = candidate.len() >= 3 && strsim::damerau_levenshtein(word, candidate) == 1;
    strsim::jaro_winkler(word, candidate).max(if one_edit { ONE_EDIT } else { 0.0 })
}

/// How often each digit stands in a word.
type Digits = [u8; 10];

/// The letters of a word, which limit its similarity to others: its length, its first letter, the number of its digits,
/// and the count of each other letter, in 32 classes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Letters {
    length: usize,
    first: Option<char>,
    digits: usize,
    counts: [u8; 32],
}

impl Letters {
    /// Returns the letters and the digits of a word.
    fn of(word: &str) -> (Letters, Digits) {
        let (mut counts, mut digits) = ([0_u8; 32], [0_u8; 10]);
        for letter in word.chars() {
            let count = match letter.to_digit(10) {
                Some(digit) => &mut digits[digit as usize],
                None => &mut counts[(letter as u32 % 32) as usize],
            };
            *count = count.saturating_add(1);
        }
        let sum = digits.iter().map(|count| usize::from(*count)).sum();
        (Letters { length: word.chars().count(), first: word.chars().next(), digits: sum, counts }, digits)
    }

    /// Returns how many letters that are no digits are in both words.
    fn common(&self, other: &Letters) -> usize {
        self.counts.iter().zip(&other.counts).map(|(a, b)| usize::from(*a.min(b))).sum()
    }

    /// Returns an upper bound of the similarity of two words with these letters, so many of them in common.
    fn most_alike(&self, other: &Letters, both: usize) -> f64 {
        let (shorter, longer) = (self.length.min(other.length), self.length.max(other.length));
        if shorter == 0 || longer > usize::from(u8::MAX) {
            return 1.0;
        }
        // Jaro's similarity if all common letters match in order, and Winkler's addition for a common beginning.
        let common = both as f64;
        let jaro = (common / self.length as f64 + common / other.length as f64 + 1.0) / 3.0;
        let prefix = if self.first == other.first { shorter.min(4) as f64 } else { 0.0 };
        let winkler = jaro + 0.1 * prefix * (1.0 - jaro);
        // Rounding: the same number computed in another order may come out a little smaller.
        let one_edit = longer - shorter <= 1 && both + 1 >= longer;
        (winkler + 1e-9).max(if one_edit { ONE_EDIT } else { 0.0 })
    }
}

/// Returns whether two words differ by one letter that was left out, put in, changed or swapped with the next, or only
/// by upper and lower case.
pub fn one_edit(word: &str, other: &str) -> bool {
    let long = word.len().min(other.len()) >= 2 && word.len().max(other.len()) >= 3;
    let differ = || word.len().abs_diff(other.len()) <= 4 && strsim::damerau_levenshtein(word, other) == 1;
    word != other && (word.eq_ignore_ascii_case(other) || long && differ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_words_are_proposed() {
        assert_eq!(nearest("fronted", ["frontend", "api"]), Some("frontend"));
        assert_eq!(nearest("std/kymaa", ["std/net", "std/kyma"]), Some("std/kyma"));
        assert_eq!(nearest("aip", ["api", "web"]), Some("api"));
        assert_eq!(nearest("zebra", ["frontend", "api"]), None);
    }

    #[test]
    fn no_word_is_nearer_than_the_one_that_is_found() {
        let stems = ["web", "api", "frontend", "wbe", "é", "ab", "a", "", "front-end", "nobody", "somebody", "WEB"];
        let words: Vec<String> = (0..40).flat_map(|at| stems.map(|stem| format!("{stem}{}", at * 7 % 90))).collect();
        let lexicon = Lexicon::new(words.iter().map(String::as_str));
        for word in &words {
            let others = words.iter().filter(|other| *other != word);
            let scored = others.map(|other| (alike(word, other), std::cmp::Reverse(other)));
            let best = scored.filter(|(score, _)| *score > LEAST).max_by(|a, b| a.partial_cmp(b).unwrap());
            assert_eq!(lexicon.nearest(word).copied(), best.map(|(_, other)| other.0.as_str()), "{word}");
        }
    }
}
