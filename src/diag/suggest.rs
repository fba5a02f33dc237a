//! Near misses: one rule for every stage.

/// Returns the candidate nearest to `word`, when it is near enough that it was probably meant: a Jaro-Winkler
/// similarity above 0.8, or one edit in words of three letters and more. Ties go to the first in order.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        if candidate == word {
            continue;
        }
        let one_edit = candidate.len() >= 3 && strsim::damerau_levenshtein(word, candidate) == 1;
        let score = strsim::jaro_winkler(word, candidate).max(if one_edit { 0.85 } else { 0.0 });
        if score > 0.8 && best.is_none_or(|(s, c)| score > s || (score == s && candidate < c)) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Returns whether two words differ by one letter that was left out, put in, changed or swapped with the next, or only by
/// upper and lower case.
pub fn one_edit(word: &str, other: &str) -> bool {
    let long = word.len().min(other.len()) >= 2 && word.len().max(other.len()) >= 3;
    word != other && (word.eq_ignore_ascii_case(other) || long && strsim::damerau_levenshtein(word, other) == 1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_near_words_are_proposed() {
        assert_eq!(nearest("fronted", ["frontend", "api"]), Some("frontend"));
        assert_eq!(nearest("std/kymaa", ["std/net", "std/kyma"]), Some("std/kyma"));
        assert_eq!(nearest("aip", ["api", "web"]), Some("api"));
        assert_eq!(nearest("zebra", ["frontend", "api"]), None);
    }
}
