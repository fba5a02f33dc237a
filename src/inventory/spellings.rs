//! The spellings of labels in one namespace: an index to find the label nearest to a misspelt one without a look at
//! every pod.
//!
//! ```text
//! garden/{app=fronted}    the values of `app` in garden are `api` and `frontend`, so `frontend` was meant
//! ```

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::Workload;
use crate::diag::Lexicon;

/// The labels of the pods of a namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct Spellings {
    /// The values of each key.
    by_key: FxHashMap<SmolStr, Spelt>,
    /// The keys of each value.
    by_value: FxHashMap<SmolStr, Spelt>,
    /// The index of the first workload that has each label.
    first: FxHashMap<(SmolStr, SmolStr), usize>,
}

#[derive(Clone, Debug)]
struct Spelt {
    /// The words, sorted.
    words: Vec<SmolStr>,
    lexicon: Lexicon<SmolStr>,
    /// The index of the first workload that has one of them.
    first: usize,
}

/// A label that was probably meant: the index of the first workload that has it, and its key.
pub(super) type Meant<'s> = (usize, &'s SmolStr);

impl Spellings {
    /// Gathers the labels of the workloads of a namespace, without those on the host network.
    pub(super) fn of(workloads: &[Workload]) -> Spellings {
        let mut first: FxHashMap<(SmolStr, SmolStr), usize> = FxHashMap::default();
        let mut by_key: FxHashMap<SmolStr, (Vec<SmolStr>, usize)> = FxHashMap::default();
        let mut by_value: FxHashMap<SmolStr, (Vec<SmolStr>, usize)> = FxHashMap::default();
        for (at, workload) in workloads.iter().enumerate().filter(|(_, workload)| !workload.host_network) {
            for (key, value) in &workload.labels {
                if first.contains_key(&(key.clone(), value.clone())) {
                    continue;
                }
                first.insert((key.clone(), value.clone()), at);
                by_key.entry(key.clone()).or_insert((Vec::new(), at)).0.push(value.clone());
                by_value.entry(value.clone()).or_insert((Vec::new(), at)).0.push(key.clone());
            }
        }
        let spelt = |(of, (mut words, first)): (SmolStr, (Vec<SmolStr>, usize))| {
            words.sort_unstable();
            let lexicon = Lexicon::new(words.iter().cloned());
            (of, Spelt { words, lexicon, first })
        };
        let (by_key, by_value) = (by_key.into_iter().map(spelt).collect(), by_value.into_iter().map(spelt).collect());
        Spellings { by_key, by_value, first }
    }

    /// Returns whether some workload has a label.
    pub(super) fn has(&self, key: &SmolStr, value: &SmolStr) -> bool {
        self.first.contains_key(&(key.clone(), value.clone()))
    }

    /// Returns the values of a key, sorted.
    pub(super) fn values(&self, key: &SmolStr) -> &[SmolStr] {
        self.by_key.get(key).map(|spelt| spelt.words.as_slice()).unwrap_or_default()
    }

    /// Returns the label nearest to one that no workload has: another value of the key, or else the value under another
    /// key.
    pub(super) fn nearest(&self, key: &SmolStr, values: &[SmolStr]) -> Option<Meant<'_>> {
        let at = |key: &SmolStr, value: &SmolStr| self.first.get(&(key.clone(), value.clone())).copied();
        let of_key = self.by_key.get_key_value(key).and_then(|(key, spelt)| {
            values.iter().find_map(|value| Some((at(key, spelt.lexicon.nearest(value)?)?, key)))
        });
        of_key.or_else(|| {
            let [value] = values else { return None };
            let near = self.by_value.get(value)?.lexicon.nearest(key)?;
            Some((at(near, value)?, near))
        })
    }

    /// Returns the first workload that has a key.
    pub(super) fn first_of(&self, key: &SmolStr) -> Option<Meant<'_>> {
        self.by_key.get_key_value(key).map(|(key, spelt)| (spelt.first, key))
    }
}
