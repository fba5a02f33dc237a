//! An index of subjects, which finds those that may have pods of a selector.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web}    may have pods of `garden/{tier=edge}`, and none of `garden/{app=db}`
//! ```

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::subject::Subject;
use crate::model::labels::{PodSelector, Test};
use crate::targets::istio::facts::{Facts, MatchLabels};

/// An index of subjects.
pub struct Overlaps {
    groups: Vec<Group>,
    by_namespace: FxHashMap<Option<SmolStr>, usize>,
}

/// The subjects of one namespace, or those of the mesh.
struct Group {
    namespace: Option<SmolStr>,
    members: Vec<(usize, MatchLabels)>,
    having: FxHashMap<(SmolStr, SmolStr), Vec<usize>>,
    /// For keys that were looked up, the members without the key.
    lacking: FxHashMap<SmolStr, Vec<usize>>,
}

impl Overlaps {
    /// Indexes subjects by their numbers.
    pub fn new<'p>(subjects: impl Iterator<Item = &'p Subject>) -> Overlaps {
        let mut overlaps = Overlaps { groups: Vec::new(), by_namespace: FxHashMap::default() };
        for (number, subject) in subjects.enumerate() {
            let groups = &mut overlaps.groups;
            let group = *overlaps.by_namespace.entry(subject.namespace.clone()).or_insert_with_key(|namespace| {
                let (members, having, lacking) = (Vec::new(), FxHashMap::default(), FxHashMap::default());
                groups.push(Group { namespace: namespace.clone(), members, having, lacking });
                groups.len() - 1
            });
            let group = &mut groups[group];
            let at = group.members.len();
            for label in subject.labels.iter() {
                group.having.entry(label.clone()).or_default().push(at);
            }
            group.members.push((number, subject.labels.clone()));
        }
        overlaps
    }

    /// Returns the subjects that may have pods of a selector: those of the mesh, and those of its namespaces.
    pub fn of(&mut self, facts: &Facts<'_>, selector: &PodSelector) -> Vec<usize> {
        let groups: Vec<usize> = match selector.namespace_name() {
            Some(name) => {
                let own = self.by_namespace.get(&Some(name.clone()));
                own.into_iter().chain(self.by_namespace.get(&None)).copied().collect()
            }
            None => (0..self.groups.len()).collect(),
        };
        let mut found = Vec::new();
        for group in groups {
            self.groups[group].of(facts, selector, &mut found);
        }
        found
    }
}

impl Group {
    fn of(&mut self, facts: &Facts<'_>, selector: &PodSelector, found: &mut Vec<usize>) {
        let namespace = self.namespace.as_ref();
        if namespace.is_some_and(|name| facts.meets(name, &selector.namespace) == Some(false)) {
            return;
        }
        let known = namespace.and_then(|name| facts.workloads(name));
        // Pods that the inventory does not have yet may have any other labels.
        let known = known.filter(|known| !known.numbers(selector).is_empty());
        for at in self.candidates(selector) {
            let (number, labels) = &self.members[at];
            let subject = Subject { namespace: self.namespace.clone(), labels: labels.clone() };
            let Some(both) = subject.selector().intersect(selector) else { continue };
            if known.is_none_or(|known| !known.numbers(&both).is_empty()) {
                found.push(*number);
            }
        }
    }

    /// Returns the members whose labels do not contradict one of the selector's requirements.
    fn candidates(&mut self, selector: &PodSelector) -> Vec<usize> {
        let listed = selector.labels.list().iter().find_map(|requirement| match &requirement.test {
            Test::In(values) => Some((&requirement.key, values)),
            _ => None,
        });
        let Some((key, values)) = listed else { return (0..self.members.len()).collect() };
        let members = &self.members;
        let lacking = self.lacking.entry(key.clone()).or_insert_with(|| {
            let lacks = |labels: &MatchLabels| labels.iter().all(|(have, _)| have != key);
            (0..members.len()).filter(|&at| lacks(&members[at].1)).collect()
        });
        let mut candidates = lacking.clone();
        for value in values {
            candidates.extend(self.having.get(&(key.clone(), value.clone())).into_iter().flatten());
        }
        candidates
    }
}
