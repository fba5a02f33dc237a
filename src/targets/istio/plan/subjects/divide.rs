//! Division of a namespace's pods, so that no pod obeys two workload-specific objects.
//!
//! ```text
//! allow egress garden/{app=web}            -> a.example:443/tls
//! allow egress garden/{app=web, tier=edge} -> b.example:443/tls
//! ```
//!
//! A pod with both labels would obey the older of two Sidecars. If an inventory has the workloads, those that both
//! rules govern get their own Sidecar, with both hosts. Without an inventory `app=web` has one Sidecar with both hosts:
//! an allowed flow always passes, and the excess is a gap.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::targets::components::Components;
use crate::targets::istio::facts::MatchLabels;

/// Numbers of statements: most pods have few.
pub type Said = SmallVec<[u32; 4]>;

/// Pods with some labels, and the statements about all of them.
pub type Labelled = (MatchLabels, Said);

/// The workloads of a namespace in an inventory, by their labels.
pub trait Workloads {
    /// Returns the workloads that have all these labels.
    fn having(&self, labels: &MatchLabels) -> Vec<u32>;

    /// Returns the lists of labels that may distinguish a workload's pods from others, the shortest first.
    fn telling(&self, workload: u32) -> Vec<MatchLabels>;
}

/// The division of a namespace's pods.
#[derive(Debug, Default)]
pub struct Divided {
    /// Pods that obey one object each.
    pub parts: Vec<EffectiveDraft>,
    /// Statements whose pods cannot be distinguished from others.
    pub left: Vec<u32>,
}

/// Pods that obey one workload-specific object.
#[derive(Debug)]
pub struct EffectiveDraft {
    /// The labels that select them.
    pub labels: MatchLabels,
    /// The statements about all of them.
    pub own: Said,
    /// The statements about some of them.
    pub joined: Vec<u32>,
}

/// Divides the pods of a namespace. `gives` returns whether other pods may get a statement too; the other statements
/// are for exactly their own pods or for none.
pub fn divide(parts: &[Labelled], gives: impl Fn(u32) -> bool, workloads: Option<&dyn Workloads>) -> Divided {
    match workloads {
        Some(workloads) => by_workloads(parts, &gives, workloads),
        None => by_labels(parts, &gives),
    }
}

fn whole((labels, own): &Labelled) -> EffectiveDraft {
    EffectiveDraft { labels: labels.clone(), own: own.clone(), joined: Vec::new() }
}

/// Divides by labels only: parts that cannot share a pod stay as they are.
fn by_labels(all: &[Labelled], gives: &impl Fn(u32) -> bool) -> Divided {
    let mut divided = Divided { parts: Vec::with_capacity(all.len()), left: Vec::new() };
    for parts in meeting(all).lists() {
        if let [part] = parts.as_slice() {
            divided.parts.push(whole(&all[*part]));
            continue;
        }
        // A part that contains all the others represents them.
        let widest = parts.iter().find(|&&top| {
            let labels = &all[top].0;
            parts.iter().all(|&part| labels.iter().all(|label| all[part].0.contains(label)))
        });
        let Some(&widest) = widest else {
            divided.left.extend(parts.iter().flat_map(|&part| all[part].1.iter().copied()));
            continue;
        };
        let mut part = whole(&all[widest]);
        for &inner in parts.iter().filter(|&&inner| inner != widest) {
            let (given, taken) = all[inner].1.iter().partition::<Vec<u32>, _>(|&&at| gives(at));
            part.joined.extend(given);
            divided.left.extend(taken);
        }
        divided.parts.push(part);
    }
    divided
}

/// Joins the parts that a pod can share.
fn meeting(all: &[Labelled]) -> Components {
    let mut components = Components::new(all.len());
    let mut by_keys: FxHashMap<Vec<&SmolStr>, Vec<usize>> = FxHashMap::default();
    for (at, (labels, _)) in all.iter().enumerate() {
        by_keys.entry(labels.iter().map(|(key, _)| key).collect()).or_default().push(at);
    }
    let shapes: Vec<(&Vec<&SmolStr>, &Vec<usize>)> = by_keys.iter().collect();
    for (at, (keys, left)) in shapes.iter().enumerate() {
        if components.is_one() {
            break;
        }
        for (others, right) in shapes.iter().skip(at + 1) {
            // If many shapes have one part each, most are joined already.
            if let ([one], [other]) = (left.as_slice(), right.as_slice())
                && components.find(*one) == components.find(*other)
            {
                continue;
            }
            let common: FxHashSet<&SmolStr> = keys.iter().filter(|key| others.contains(key)).copied().collect();
            join_agreeing(all, &common, left, right, &mut components);
        }
    }
    components
}

/// Joins the parts of two lists that agree on their common keys.
fn join_agreeing(
    all: &[Labelled],
    common: &FxHashSet<&SmolStr>,
    left: &[usize],
    right: &[usize],
    components: &mut Components,
) {
    let values = |part: usize| -> Vec<&SmolStr> {
        let labels = all[part].0.iter();
        labels.filter(|(key, _)| common.contains(key)).map(|(_, value)| value).collect()
    };
    let mut agreeing: FxHashMap<Vec<&SmolStr>, Vec<usize>> = FxHashMap::default();
    for &part in left {
        agreeing.entry(values(part)).or_default().push(part);
    }
    for &part in right {
        if let Some(parts) = agreeing.get_mut(&values(part)) {
            parts.iter().for_each(|&other| components.join(other, part));
            // These parts are one set now, and the first represents them.
            parts.truncate(1);
        }
    }
}

/// Divides by the workloads of an inventory: parts with a common workload are divided.
fn by_workloads(all: &[Labelled], gives: &impl Fn(u32) -> bool, workloads: &dyn Workloads) -> Divided {
    let mut divided = Divided::default();
    let mut of_workload: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    let members: Vec<Vec<u32>> = all.iter().map(|(labels, _)| workloads.having(labels)).collect();
    for (part, members) in members.iter().enumerate() {
        members.iter().for_each(|&workload| of_workload.entry(workload).or_default().push(part as u32));
    }
    let mut components = Components::new(all.len());
    for parts in of_workload.values() {
        parts.iter().for_each(|&part| components.join(parts[0] as usize, part as usize));
    }
    let (later, known): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|&part| members[part].is_empty());
    if known.is_empty() {
        return by_labels(all, gives);
    }
    for parts in components.lists() {
        if let [part] = parts.as_slice() {
            if !members[*part].is_empty() {
                divided.parts.push(whole(&all[*part]));
            }
            continue;
        }
        let mut shared: Vec<u32> = parts.iter().flat_map(|&part| members[part].iter().copied()).collect();
        shared.sort_unstable();
        shared.dedup();
        take_apart(all, gives, workloads, &shared, &of_workload, &members, &mut divided);
    }
    add_later(all, gives, &later, &mut divided);
    divided
}

/// Gives the workloads that the same parts select their own labels. If no labels distinguish a workload's pods from
/// others, all of these workloads share the statements of each.
fn take_apart(
    all: &[Labelled],
    gives: &impl Fn(u32) -> bool,
    world: &dyn Workloads,
    workloads: &[u32],
    of_workload: &FxHashMap<u32, Vec<u32>>,
    members: &[Vec<u32>],
    divided: &mut Divided,
) {
    let nobody = Vec::new();
    let signature = |workload: u32| of_workload.get(&workload).unwrap_or(&nobody);
    let statements_of =
        |parts: &[u32]| -> Vec<u32> { parts.iter().flat_map(|&part| all[part as usize].1.iter().copied()).collect() };
    let number: FxHashMap<u32, usize> = workloads.iter().enumerate().map(|(at, &workload)| (workload, at)).collect();
    let mut chosen: Vec<Option<MatchLabels>> = Vec::with_capacity(workloads.len());
    let mut shares = vec![false; workloads.len()];
    let mut groups = Components::new(workloads.len());
    for (at, &workload) in workloads.iter().enumerate() {
        let mine = signature(workload);
        let alike = |other: &u32| signature(*other) == mine;
        // The labels as written, if they tell the workloads; else the workload's own labels.
        let written = mine.iter().find(|&&part| members[part as usize].iter().all(alike));
        let written = written.map(|&part| all[part as usize].0.clone());
        let own = || world.telling(workload).into_iter();
        let told = written.into_iter().chain(own()).find(|labels| world.having(labels).iter().all(alike));
        let labels = told.or_else(|| {
            // If pods outside every statement have the labels too, an object for them would close pods that must stay
            // open.
            let labels = own().last()?;
            let others: Option<Vec<usize>> =
                world.having(&labels).iter().map(|other| number.get(other).copied()).collect();
            shares[at] = true;
            others?.into_iter().for_each(|other| groups.join(at, other));
            Some(labels)
        });
        if labels.is_none() {
            divided.left.extend(statements_of(mine));
        }
        chosen.push(labels);
    }
    let mut used: FxHashSet<MatchLabels> = FxHashSet::default();
    for group in groups.lists() {
        let lists: Vec<Vec<u32>> = group.iter().map(|&at| statements_of(signature(workloads[at]))).collect();
        let shared = |at: &u32| lists.iter().all(|list| list.contains(at));
        let (own, mut joined): (Vec<u32>, Vec<u32>) = lists.iter().flatten().copied().partition(shared);
        let own: Said = sorted(own).into();
        joined.retain(|&at| {
            divided.left.extend((!gives(at)).then_some(at));
            gives(at)
        });
        let sharing = group.iter().any(|&at| shares[at]);
        for &at in group.iter().filter(|&&at| !sharing || shares[at]) {
            if let Some(labels) = chosen[at].take()
                && used.insert(labels.clone())
            {
                divided.parts.push(EffectiveDraft { labels, own: own.clone(), joined: sorted(joined.clone()) });
            }
        }
    }
}

/// Adds the parts without a known workload: `{app=db, statefulset.kubernetes.io/pod-name=db-0}` beside `{app=db}`. A
/// later pod may be in two such parts, and would then have two objects. So the part has its own object only if this is
/// impossible; otherwise its pods share the access of the others.
fn add_later(all: &[Labelled], gives: &impl Fn(u32) -> bool, later: &[usize], divided: &mut Divided) {
    for (at, &part) in later.iter().enumerate() {
        let (labels, statements) = &all[part];
        let beside = later.iter().enumerate().any(|(other, &one)| other != at && may_meet(labels, &all[one].0));
        let mut meets = false;
        for other in divided.parts.iter_mut().filter(|other| may_meet(labels, &other.labels)) {
            meets = true;
            other.joined.extend(statements.iter().filter(|&&at| gives(at)));
        }
        if meets || beside {
            divided.left.extend(statements.iter().copied());
        } else {
            divided.parts.push(whole(&all[part]));
        }
    }
}

/// Returns whether a pod can have both lists of labels: they agree on their common keys.
fn may_meet(labels: &MatchLabels, others: &MatchLabels) -> bool {
    labels.iter().all(|(key, value)| others.iter().all(|(other, is)| other != key || is == value))
}

fn sorted(mut list: Vec<u32>) -> Vec<u32> {
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A namespace with these workloads, each told by the first of its labels or by all of them.
    struct World(Vec<MatchLabels>);

    impl Workloads for World {
        fn having(&self, labels: &MatchLabels) -> Vec<u32> {
            let has = |at: &u32| labels.iter().all(|label| self.0[*at as usize].contains(label));
            (0..self.0.len() as u32).filter(has).collect()
        }

        fn telling(&self, workload: u32) -> Vec<MatchLabels> {
            let all = &self.0[workload as usize];
            vec![all.iter().take(1).cloned().collect(), all.clone()]
        }
    }

    fn labels(a: &str, b: &str) -> MatchLabels {
        let pair = |key: &str, value: &str| (!value.is_empty()).then(|| (SmolStr::new(key), SmolStr::new(value)));
        pair("a", a).into_iter().chain(pair("b", b)).collect()
    }

    /// Every list of labels with the keys `a` and `b`, each with one of two values or none.
    fn all_labels() -> Vec<MatchLabels> {
        ["", "x", "y"].into_iter().flat_map(|a| ["", "x", "y"].map(|b| labels(a, b))).collect()
    }

    /// Every choice of up to `most` of `count` things.
    fn choices(count: usize, most: u32) -> impl Iterator<Item = Vec<usize>> {
        let chosen = move |bits: u32| (0..count).filter(move |at| bits >> at & 1 == 1).collect();
        (0..1u32 << count).filter(move |bits| (1..=most).contains(&bits.count_ones())).map(chosen)
    }

    fn has(pod: &MatchLabels, labels: &MatchLabels) -> bool {
        labels.iter().all(|label| pod.contains(label))
    }

    /// A pod obeys at most one object. It gets everything that its statements give. A statement that closes is applied
    /// to exactly its own pods, or left out, which is a gap.
    fn check(parts: &[Labelled], gives: u32, divided: &Divided, pods: &[MatchLabels], world: &[MatchLabels]) {
        let context = || format!("{parts:?} giving {gives:b} in {world:?}: {divided:?}");
        for pod in pods {
            let own: Vec<&EffectiveDraft> = divided.parts.iter().filter(|part| has(pod, &part.labels)).collect();
            assert!(own.len() <= 1, "{pod:?} obeys two: {}", context());
            for (labels, said) in parts {
                let at = said[0];
                let (meant, given) = (has(pod, labels), gives >> at & 1 == 1);
                let left = divided.left.contains(&at);
                let (all, some) =
                    own.first().map_or((false, false), |part| (part.own.contains(&at), part.joined.contains(&at)));
                assert!(meant || !all, "{pod:?} has {at} as its own: {}", context());
                assert!(given || !some, "{at} takes from {pod:?} along with others: {}", context());
                let reached = all || some || left && (own.is_empty() || !given);
                assert!(!meant || reached, "{pod:?} loses {at}: {}", context());
            }
        }
    }

    fn each_division(mut try_one: impl FnMut(&[Labelled], u32)) {
        let all = all_labels();
        for chosen in choices(8, 4) {
            // The first list has no label, and is no part.
            let part = |(at, &chosen): (usize, &usize)| (all[chosen + 1].clone(), Said::from_slice(&[at as u32]));
            let parts: Vec<Labelled> = chosen.iter().enumerate().map(part).collect();
            (0..1 << parts.len()).for_each(|gives| try_one(&parts, gives));
        }
    }

    #[test]
    fn by_labels_every_pod_obeys_one_object() {
        each_division(|parts, gives| {
            let divided = divide(parts, |at| gives >> at & 1 == 1, None);
            check(parts, gives, &divided, &all_labels(), &[]);
        });
    }

    #[test]
    fn by_workloads_every_known_pod_obeys_one_object() {
        // Labels with `a` tell every workload; two workloads may have the same labels.
        let kinds: Vec<MatchLabels> = all_labels().into_iter().filter(|labels| !labels.is_empty()).collect();
        let worlds: Vec<Vec<MatchLabels>> = choices(kinds.len(), 2)
            .flat_map(|chosen| {
                let world: Vec<MatchLabels> = chosen.iter().map(|&at| kinds[at].clone()).collect();
                let twice = world.iter().chain(&world[..1]).cloned().collect();
                [world, twice]
            })
            .collect();
        each_division(|parts, gives| {
            for world in &worlds {
                let divided = divide(parts, |at| gives >> at & 1 == 1, Some(&World(world.clone())));
                check(parts, gives, &divided, world, world);
            }
        });
    }
}
