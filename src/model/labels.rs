//! Label selectors with Kubernetes' meaning, and exact operations on the sets of pods that they select.
//!
//! A [`PodSelector`] is a conjunction. Differences are computed as unions of conjunctions, so that "inside for every
//! label set" is decided by emptiness rather than by looking at today's pods.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use smol_str::SmolStr;

/// The label by which the API server marks a namespace with its own name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: SmolStr,
    /// The test that its value must pass.
    pub test: Test,
}

/// The values of a requirement: most have one.
pub type Values = SmallVec<[SmolStr; 1]>;

/// A test of a label. Values are sorted, without repetition, and never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Test {
    /// The label is there and has one of these values.
    In(Values),
    /// The label is not there, or has none of these values.
    NotIn(Values),
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// Returns whether a value is among others, which are sorted.
fn among(values: &[SmolStr], value: &str) -> bool {
    values.binary_search_by(|one| one.as_str().cmp(value)).is_ok()
}

impl Test {
    /// Returns whether a label's value passes the test; `None` is a missing label.
    pub fn matches(&self, value: Option<&str>) -> bool {
        match self {
            Test::In(values) => value.is_some_and(|value| among(values, value)),
            Test::NotIn(values) => value.is_none_or(|value| !among(values, value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

impl Requirement {
    /// Makes `key in (values)`.
    pub fn is_in(key: impl Into<SmolStr>, values: impl IntoIterator<Item = SmolStr>) -> Requirement {
        let mut values: Values = values.into_iter().collect();
        values.sort();
        values.dedup();
        Requirement { key: key.into(), test: Test::In(values) }
    }

    /// Makes `key notin (values)`.
    pub fn not_in(key: impl Into<SmolStr>, values: impl IntoIterator<Item = SmolStr>) -> Requirement {
        Requirement::is_in(key, values).negated()
    }

    /// Returns the requirement that labels meet exactly if they do not meet this one.
    pub fn negated(&self) -> Requirement {
        let test = match &self.test {
            Test::In(values) => Test::NotIn(values.clone()),
            Test::NotIn(values) => Test::In(values.clone()),
            Test::Exists => Test::DoesNotExist,
            Test::DoesNotExist => Test::Exists,
        };
        Requirement { key: self.key.clone(), test }
    }

    /// Returns whether a set of labels meets the requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.test.matches(labels.get(&self.key).map(SmolStr::as_str))
    }
}

/// The labels of an object: keys with values, sorted by key.
pub type Labels = std::collections::BTreeMap<SmolStr, SmolStr>;

/// A conjunction of requirements in normal form: sorted by key, with one requirement for each key, or `Exists` and
/// `NotIn` together, which no single requirement can express. A conjunction that no labels can meet has no value of
/// this type.
///
/// Copies share the list, because many rules have the same selector; an empty list takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirements(Option<Arc<[Requirement]>>);

impl Requirements {
    /// Makes the conjunction that everything meets.
    pub fn any() -> Requirements {
        Requirements(None)
    }

    /// Makes the conjunction of one requirement.
    pub fn one(requirement: Requirement) -> Requirements {
        Requirements(Some(Arc::new([requirement])))
    }

    /// Makes a conjunction; `None` if no labels can meet it.
    pub fn new(list: impl IntoIterator<Item = Requirement>) -> Option<Requirements> {
        list.into_iter().try_fold(Requirements::any(), |all, one| all.and(one))
    }

    /// Returns the requirements, sorted by key.
    pub fn list(&self) -> &[Requirement] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Returns whether everything meets it.
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// Returns whether a set of labels meets all requirements.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.list().iter().all(|requirement| requirement.matches(labels))
    }

    /// Adds a requirement; `None` if no labels can meet both.
    pub fn and(self, requirement: Requirement) -> Option<Requirements> {
        let have = self.list();
        let start = have.partition_point(|have| have.key < requirement.key);
        let end = start + have[start..].iter().take_while(|have| have.key == requirement.key).count();
        if have.is_empty() {
            return Some(Requirements::one(requirement));
        }
        let key = requirement.key.clone();
        let tests = if start == end {
            vec![requirement.test]
        } else {
            let mut merged = OneKey::default();
            for have in &have[start..end] {
                merged.add(&have.test);
            }
            merged.add(&requirement.test);
            merged.tests()?
        };
        let mut all = Vec::with_capacity(have.len() + 1);
        all.extend_from_slice(&have[..start]);
        all.extend(tests.into_iter().map(|test| Requirement { key: key.clone(), test }));
        all.extend_from_slice(&have[end..]);
        Some(Requirements(Some(all.into())))
    }

    /// Returns the conjunction of both; `None` if no labels can meet both.
    pub fn intersect(&self, other: &Requirements) -> Option<Requirements> {
        if self.is_any() || self == other {
            return Some(other.clone());
        }
        other.list().iter().cloned().try_fold(self.clone(), Requirements::and)
    }

    /// Returns whether everything that meets this conjunction meets `other`.
    pub fn implies(&self, other: &Requirements) -> bool {
        other.list().iter().all(|wanted| {
            let mine = self.list().iter().filter(|requirement| requirement.key == wanted.key);
            mine.into_iter().any(|have| match (&have.test, &wanted.test) {
                (Test::In(mine), Test::In(all)) => mine.iter().all(|value| among(all, value)),
                (Test::In(mine), Test::NotIn(none)) => !mine.iter().any(|value| among(none, value)),
                (Test::NotIn(mine), Test::NotIn(none)) => none.iter().all(|value| among(mine, value)),
                (Test::In(_) | Test::Exists, Test::Exists) => true,
                (Test::DoesNotExist, Test::DoesNotExist | Test::NotIn(_)) => true,
                _ => false,
            })
        })
    }

    /// Returns whether something can meet both conjunctions.
    pub fn overlaps(&self, other: &Requirements) -> bool {
        // Both are in normal form, so if they contradict each other, two tests on one key do.
        self.list().iter().all(|have| {
            let same_key = other.list().iter().filter(|requirement| requirement.key == have.key);
            same_key.into_iter().all(|theirs| match (&have.test, &theirs.test) {
                (Test::In(a), Test::In(b)) => a.iter().any(|value| among(b, value)),
                (Test::In(a), Test::NotIn(b)) | (Test::NotIn(b), Test::In(a)) => a.iter().any(|value| !among(b, value)),
                (Test::DoesNotExist, Test::In(_) | Test::Exists) | (Test::In(_) | Test::Exists, Test::DoesNotExist) => {
                    false
                }
                _ => true,
            })
        })
    }

    /// Returns the possible values of `key`, if the requirements list them.
    pub fn values(&self, key: &str) -> Option<&[SmolStr]> {
        self.list().iter().find_map(|requirement| match &requirement.test {
            Test::In(values) if requirement.key == key => Some(values.as_slice()),
            _ => None,
        })
    }

    /// Returns the only possible value of `key`, if there is just one.
    pub fn only(&self, key: &str) -> Option<&SmolStr> {
        match self.values(key)? {
            [one] => Some(one),
            _ => None,
        }
    }
}

/// The requirements on one key while a conjunction is made.
#[derive(Default)]
struct OneKey {
    allowed: Option<Values>,
    forbidden: Values,
    exists: bool,
    absent: bool,
}

impl OneKey {
    fn add(&mut self, test: &Test) {
        match test {
            Test::In(values) => match &mut self.allowed {
                Some(allowed) => allowed.retain(|value| among(values, value)),
                None => self.allowed = Some(values.clone()),
            },
            Test::NotIn(values) => self.forbidden.extend(values.iter().cloned()),
            Test::Exists => self.exists = true,
            Test::DoesNotExist => self.absent = true,
        }
    }

    fn tests(mut self) -> Option<Vec<Test>> {
        if self.absent {
            return (!self.exists && self.allowed.is_none()).then(|| vec![Test::DoesNotExist]);
        }
        self.forbidden.sort();
        self.forbidden.dedup();
        if let Some(mut allowed) = self.allowed {
            allowed.retain(|value| !among(&self.forbidden, value));
            return (!allowed.is_empty()).then(|| vec![Test::In(allowed)]);
        }
        let not_in = (!self.forbidden.is_empty()).then_some(Test::NotIn(self.forbidden));
        Some(not_in.into_iter().chain(self.exists.then_some(Test::Exists)).collect())
    }
}

/// A set of pods: those in namespaces that meet `namespace`, with labels that meet `labels`, that run as `account`.
///
/// A namespace by name is the requirement `kubernetes.io/metadata.name in (name)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodSelector {
    /// The requirements on the labels of the pod's namespace.
    pub namespace: Requirements,
    /// The requirements on the pod's labels.
    pub labels: Requirements,
    /// The requirement on the service account that the pod runs as.
    pub account: Account,
}

/// Returns the requirement on a namespace's name. All of them share one key, which is too long for a `SmolStr` to store
/// inline.
fn namespace_is(name: SmolStr) -> Requirement {
    Requirement { key: SmolStr::new_static(NAMESPACE_NAME), test: Test::In(Values::from_buf([name])) }
}

/// A requirement on the name of a service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// Any but these; none of them is "any".
    Not(Vec<SmolStr>),
    /// This one.
    Is(SmolStr),
}

impl Account {
    /// Returns whether pods may run as any account.
    pub fn is_any(&self) -> bool {
        *self == Account::Not(Vec::new())
    }
}

impl PodSelector {
    /// Makes the set of all pods of a namespace.
    pub fn in_namespace(name: impl Into<SmolStr>) -> PodSelector {
        PodSelector { namespace: Requirements::one(namespace_is(name.into())), ..PodSelector::any() }
    }

    /// Makes the set of all pods.
    pub fn any() -> PodSelector {
        PodSelector { namespace: Requirements::any(), labels: Requirements::any(), account: Account::Not(Vec::new()) }
    }

    /// Returns whether it is the set of all pods.
    pub fn is_any(&self) -> bool {
        self.namespace.is_any() && self.all_pods()
    }

    /// Returns the name of the namespace, if the selector names exactly one.
    pub fn namespace_name(&self) -> Option<&SmolStr> {
        self.namespace.only(NAMESPACE_NAME)
    }

    /// Returns whether the set contains all pods of its namespaces.
    pub fn all_pods(&self) -> bool {
        self.labels.is_any() && self.account.is_any()
    }

    /// Returns whether the set contains a pod. `namespace_labels` must have the namespace's name under
    /// [`NAMESPACE_NAME`].
    pub fn matches(&self, namespace_labels: &Labels, labels: &Labels, account: &str) -> bool {
        self.namespace.matches(namespace_labels) && self.fits(labels, account)
    }

    /// Returns whether the set contains a pod whose namespace is one of its own.
    pub fn fits(&self, labels: &Labels, account: &str) -> bool {
        self.labels.matches(labels)
            && match &self.account {
                Account::Is(name) => name == account,
                Account::Not(names) => !names.iter().any(|name| name == account),
            }
    }

    /// Returns whether some pod can be in both sets.
    pub fn overlaps(&self, other: &PodSelector) -> bool {
        let account = match (&self.account, &other.account) {
            (Account::Is(a), Account::Is(b)) => a == b,
            (Account::Is(a), Account::Not(not)) | (Account::Not(not), Account::Is(a)) => !not.contains(a),
            (Account::Not(_), Account::Not(_)) => true,
        };
        account && self.namespace.overlaps(&other.namespace) && self.labels.overlaps(&other.labels)
    }

    /// Returns the pods that are in both sets; `None` where no pod can be.
    pub fn intersect(&self, other: &PodSelector) -> Option<PodSelector> {
        let account = match (&self.account, &other.account) {
            (Account::Is(a), Account::Is(b)) if a == b => Account::Is(a.clone()),
            (Account::Is(_), Account::Is(_)) => return None,
            (Account::Is(a), Account::Not(not)) | (Account::Not(not), Account::Is(a)) => {
                if not.contains(a) {
                    return None;
                }
                Account::Is(a.clone())
            }
            (Account::Not(a), Account::Not(b)) => {
                let mut all: Vec<SmolStr> = a.iter().chain(b).cloned().collect();
                all.sort();
                all.dedup();
                Account::Not(all)
            }
        };
        Some(PodSelector {
            namespace: self.namespace.intersect(&other.namespace)?,
            labels: self.labels.intersect(&other.labels)?,
            account,
        })
    }

    /// Returns the pods that are in this set and not in `other`, as disjoint sets without an empty one.
    pub fn subtract(&self, other: &PodSelector) -> Vec<PodSelector> {
        let mut left = Vec::new();
        let mut rest = self.clone();
        // Each step splits off the pods that fail one requirement of `other` and goes on with those that meet it.
        for requirement in other.namespace.list() {
            left.extend(rest.and_namespace(requirement.negated()));
            match rest.and_namespace(requirement.clone()) {
                Some(met) => rest = met,
                None => return left,
            }
        }
        for requirement in other.labels.list() {
            left.extend(rest.and_label(requirement.negated()));
            match rest.and_label(requirement.clone()) {
                Some(met) => rest = met,
                None => return left,
            }
        }
        let failing: Vec<Account> = match &other.account {
            Account::Is(name) => vec![Account::Not(vec![name.clone()])],
            Account::Not(names) => names.iter().cloned().map(Account::Is).collect(),
        };
        let with = |account| PodSelector { account, ..PodSelector::any() };
        left.extend(failing.into_iter().filter_map(|account| rest.intersect(&with(account))));
        left
    }

    fn and_namespace(&self, requirement: Requirement) -> Option<PodSelector> {
        Some(PodSelector { namespace: self.namespace.clone().and(requirement)?, ..self.clone() })
    }

    fn and_label(&self, requirement: Requirement) -> Option<PodSelector> {
        Some(PodSelector { labels: self.labels.clone().and(requirement)?, ..self.clone() })
    }

    /// Returns whether every pod of this set, with whatever labels, is in one of `others`.
    pub fn is_inside(&self, others: &[PodSelector]) -> bool {
        // Mostly one set contains it all; several that contain it together need the difference.
        others.iter().any(|other| self.is_inside_one(other))
            || (others.len() > 1 && subtract_all(std::slice::from_ref(self), others).is_empty())
    }

    fn is_inside_one(&self, other: &PodSelector) -> bool {
        let account = match (&self.account, &other.account) {
            (_, Account::Not(not)) if not.is_empty() => true,
            (Account::Is(a), Account::Is(b)) => a == b,
            (Account::Is(a), Account::Not(not)) => !not.contains(a),
            (Account::Not(mine), Account::Not(not)) => not.iter().all(|name| mine.contains(name)),
            (Account::Not(_), Account::Is(_)) => false,
        };
        account && self.namespace.implies(&other.namespace) && self.labels.implies(&other.labels)
    }
}

/// Returns the pods that are in one of `sets` and in none of `taken`.
pub fn subtract_all(sets: &[PodSelector], taken: &[PodSelector]) -> Vec<PodSelector> {
    let less = |left: Vec<PodSelector>, take| left.iter().flat_map(|set| set.subtract(take)).collect();
    joined(taken).iter().fold(sets.to_vec(), less)
}

/// Joins selectors that differ only in the values of one key: `*/{app=a}` and `*/{app=b}` are `*/{app in (a, b)}`. The
/// union stays the same, in the order of the first selector of each.
pub fn joined(sets: &[PodSelector]) -> Vec<PodSelector> {
    let mut all: Vec<PodSelector> = Vec::with_capacity(sets.len());
    let mut keys: FxHashMap<(bool, &SmolStr), (usize, Vec<&Values>)> = FxHashMap::default();
    for set in sets {
        let one = match (set.namespace.list(), set.labels.list()) {
            ([one], []) => Some((true, one)),
            ([], [one]) => Some((false, one)),
            _ => None,
        };
        match one {
            Some((of_namespace, Requirement { key, test: Test::In(values) })) if set.account.is_any() => {
                match keys.entry((of_namespace, key)) {
                    Entry::Occupied(mut known) => known.get_mut().1.push(values),
                    Entry::Vacant(new) => {
                        new.insert((all.len(), vec![values]));
                        all.push(set.clone());
                    }
                }
            }
            _ => all.push(set.clone()),
        }
    }
    for ((of_namespace, key), (at, lists)) in keys {
        if lists.len() > 1 {
            let requirement = Requirement::is_in(key.clone(), lists.into_iter().flatten().cloned());
            let of = if of_namespace { &mut all[at].namespace } else { &mut all[at].labels };
            *of = Requirements::one(requirement);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(list: &[(&str, &str)]) -> Labels {
        list.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn tests() -> Vec<Requirement> {
        let mut all = Vec::new();
        for key in ["a", "b"] {
            for values in [vec!["1"], vec!["1", "2"], vec!["3"]] {
                let one = Requirement::is_in(key, values.into_iter().map(SmolStr::from));
                all.extend([one.negated(), one]);
            }
            all.push(Requirement { key: key.into(), test: Test::Exists });
            all.push(Requirement { key: key.into(), test: Test::DoesNotExist });
        }
        all
    }

    fn worlds() -> Vec<Labels> {
        let values = [None, Some("1"), Some("2"), Some("3"), Some("4")];
        let mut all = Vec::new();
        for a in values {
            for b in values {
                let pairs: Vec<(&str, &str)> = a.map(|v| ("a", v)).into_iter().chain(b.map(|v| ("b", v))).collect();
                all.push(labels(&pairs));
            }
        }
        all
    }

    /// Conjunctions and differences mean what the definition says, on every labelling that can tell them apart.
    #[test]
    fn operations_agree_with_membership() {
        let all = tests();
        for x in &all {
            for y in &all {
                for z in &all {
                    let (left, right) = (Requirements::new([x.clone(), y.clone()]), Requirements::new([z.clone()]));
                    let Some(left) = left else {
                        assert!(worlds().iter().all(|w| !(x.matches(w) && y.matches(w))));
                        continue;
                    };
                    let set = |labels: &Requirements| PodSelector { labels: labels.clone(), ..PodSelector::any() };
                    let (left, right) = (set(&left), set(&right.unwrap()));
                    let difference = left.subtract(&right);
                    assert_eq!(left.overlaps(&right), left.intersect(&right).is_some());
                    assert_eq!(left.is_inside(std::slice::from_ref(&right)), difference.is_empty());
                    for world in worlds() {
                        let inside = |set: &PodSelector| set.matches(&Labels::new(), &world, "default");
                        assert_eq!(inside(&left), x.matches(&world) && y.matches(&world));
                        let expected = inside(&left) && !z.matches(&world);
                        assert_eq!(difference.iter().filter(|set| inside(set)).count(), usize::from(expected));
                    }
                }
            }
        }
    }

    #[test]
    fn inside_holds_for_every_label_set() {
        let garden = PodSelector::in_namespace("garden");
        let web = PodSelector {
            labels: Requirements::new([Requirement::is_in("app", ["web".into()])]).unwrap(),
            ..garden.clone()
        };
        assert!(web.is_inside(std::slice::from_ref(&garden)) && !garden.is_inside(std::slice::from_ref(&web)));
        let rest = garden.subtract(&web);
        assert!(garden.is_inside(&[vec![web], rest].concat()));
        assert!(!PodSelector::any().is_inside(&[garden]));
    }

    /// Sets taken out at once leave the same as sets taken out one after the other.
    #[test]
    fn sets_that_differ_in_values_are_taken_out_together() {
        let of =
            |list: Vec<Requirement>| PodSelector { labels: Requirements::new(list).unwrap(), ..PodSelector::any() };
        let one = |key: &str, value: &str| Requirement::is_in(key, [SmolStr::from(value)]);
        let taken = [
            of(vec![one("a", "1")]),
            of(vec![one("b", "1"), one("a", "3")]),
            of(vec![one("a", "2")]),
            PodSelector { account: Account::Is("web".into()), ..of(vec![one("a", "4")]) },
            PodSelector::in_namespace("x"),
            PodSelector::in_namespace("y"),
        ];
        assert_eq!(joined(&taken).len(), 4);
        let left = subtract_all(&[PodSelector::any()], &taken);
        for pod in worlds() {
            for (namespace, account) in [("x", "web"), ("z", "web"), ("z", "api")] {
                let place = labels(&[(NAMESPACE_NAME, namespace)]);
                let is_in = |sets: &[PodSelector]| sets.iter().any(|set| set.matches(&place, &pod, account));
                assert_eq!(is_in(&left), !is_in(&taken), "{pod:?} in {namespace} as {account}");
            }
        }
    }
}
