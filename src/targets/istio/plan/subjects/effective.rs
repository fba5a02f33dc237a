//! The one effective Sidecar and the one effective PeerAuthentication of every pod.
//!
//! Istio merges neither: a pod has the one whose labels select it, else its namespace's, else the mesh's, and of two
//! whose labels select it the older one. So the pods are divided into slots that no pod is in two of, and what is said
//! of a pod is gathered in its slot: by statements about just the slot's pods, its namespace or the mesh, and by those
//! that cannot be told from it. Where the labels of two slots may meet on a pod, the inventory's workloads decide.

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::overlaps::Overlaps;
use super::{Place, Placed, Why, label_sets};
use crate::model::labels::PodSelector;
use crate::targets::components::Components;
use crate::targets::istio::facts::{Facts, Known, MatchLabels};

/// Something said of some pods.
pub struct Statement<'a> {
    /// The pods.
    pub selector: &'a PodSelector,
    /// Their places.
    pub placed: Rc<Placed>,
    /// Whether it gives pods something, so that others may get it along with them; else it takes something away, and
    /// holds for just these pods or not at all.
    pub gives: bool,
}

/// Pods that have one object in common.
#[derive(Debug)]
pub struct Slot {
    /// The pods, less those of the slots inside.
    pub place: Place,
    /// The slot around it.
    pub parent: Option<usize>,
    /// The statements about all of its pods, those of the slots around it left out.
    pub own: Said,
    /// The statements about some of its pods, which hold for all of them.
    pub joined: Vec<u32>,
}

/// Statements by their numbers: most pods have few.
pub type Said = SmallVec<[u32; 4]>;

/// The slots of some statements.
#[derive(Default)]
pub struct Slots {
    /// The slots; each stands after the one around it.
    pub list: Vec<Slot>,
    /// For each statement, why it has no slot of its own for some of its pods.
    pub without: Vec<Option<Why>>,
    by_place: FxHashMap<Place, usize>,
}

const MEETING: Why =
    "its pods may be those of another rule too, a pod has one Sidecar, and no inventory tells them apart";

impl Slots {
    /// Divides the pods that some statements speak of.
    pub fn new(facts: &Facts<'_>, statements: &[Statement<'_>]) -> Slots {
        let mut slots = Slots { without: vec![None; statements.len()], ..Slots::default() };
        let mut mesh = Said::new();
        let mut namespaces: Vec<(SmolStr, Vec<(MatchLabels, u32)>)> = Vec::new();
        let mut index: FxHashMap<SmolStr, usize> = FxHashMap::default();
        let mut loose = Vec::new();
        let mut in_namespace = |name: &SmolStr| match index.get(name) {
            Some(&at) => at,
            None => {
                index.insert(name.clone(), namespaces.len());
                namespaces.push((name.clone(), Vec::new()));
                namespaces.len() - 1
            }
        };
        let mut placed = Vec::new();
        for (at, statement) in statements.iter().enumerate() {
            for place in &statement.placed.places {
                match &place.namespace {
                    None => mesh.push(at as u32),
                    Some(name) => placed.push((in_namespace(name), place.labels.clone(), at as u32)),
                }
            }
            if let Some(why) = statement.placed.loose {
                slots.without[at] = Some(why);
                loose.push(at as u32);
                // Its pods may be those of a namespace that only the mesh's slot has so far.
                if let Some(name) = statement.selector.namespace_name() {
                    in_namespace(name);
                }
            }
        }
        for (namespace, labels, at) in placed {
            namespaces[namespace].1.push((labels, at));
        }
        slots.add(Place::mesh(), None, mesh);
        for (name, list) in namespaces {
            slots.add_namespace(facts, statements, name, list);
        }
        slots.join_loose(facts, statements, &loose);
        slots
    }

    /// Returns the slot of a place.
    pub fn at(&self, place: &Place) -> Option<usize> {
        self.by_place.get(place).copied()
    }

    /// Returns a slot and those around it, the innermost first.
    pub fn chain(&self, slot: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(slot), |&slot| self.list[slot].parent)
    }

    fn add(&mut self, place: Place, parent: Option<usize>, own: Said) -> usize {
        self.by_place.insert(place.clone(), self.list.len());
        self.list.push(Slot { place, parent, own, joined: Vec::new() });
        self.list.len() - 1
    }

    fn add_namespace(
        &mut self,
        facts: &Facts<'_>,
        statements: &[Statement<'_>],
        name: SmolStr,
        list: Vec<(MatchLabels, u32)>,
    ) {
        let mut whole = Said::new();
        let mut parts: Vec<(MatchLabels, Said)> = Vec::with_capacity(list.len());
        let mut index: FxHashMap<MatchLabels, usize> = FxHashMap::default();
        for (labels, at) in list {
            if labels.is_empty() {
                whole.push(at);
                continue;
            }
            let place = *index.entry(labels).or_insert_with_key(|labels| {
                parts.push((labels.clone(), Said::new()));
                parts.len() - 1
            });
            parts[place].1.push(at);
        }
        // In the root namespace an object without labels is the mesh's.
        let base = if name == facts.policy.settings.root_namespace {
            0
        } else {
            self.add(Place::namespace(&name), Some(0), whole)
        };
        let mut division = Division { facts, name: &name, parts: &parts, statements };
        let divided = match facts.workloads(&name) {
            Some(_) => division.by_workloads(),
            None => division.by_labels(),
        };
        for part in divided.parts {
            let place = Place { namespace: Some(name.clone()), labels: part.labels };
            let slot = self.add(place, Some(base), part.own);
            self.list[slot].joined = part.joined;
        }
        for at in divided.left {
            self.without[at as usize] = Some(MEETING);
            if statements[at as usize].gives {
                self.list[base].joined.push(at);
            }
        }
    }

    /// Gives what has no place to every slot that may have its pods.
    fn join_loose(&mut self, facts: &Facts<'_>, statements: &[Statement<'_>], loose: &[u32]) {
        if loose.is_empty() {
            return;
        }
        let mut overlaps = Overlaps::new(self.list.iter().map(|slot| &slot.place));
        let root = &facts.policy.settings.root_namespace;
        for &at in loose {
            let statement = &statements[at as usize];
            if !statement.gives {
                continue;
            }
            // A namespace that is spoken of has a slot, so that the mesh's need not have what only its pods are given; but
            // the root namespace, whose slot is the mesh's.
            let named = statement.selector.namespace_name().is_some_and(|name| name != root);
            let own = !statement.placed.places.is_empty();
            for slot in overlaps.of(facts, statement.selector) {
                let slot = &mut self.list[slot];
                let apart = (named && slot.place.namespace.is_none()) || (own && slot.own.contains(&at));
                if !apart && slot.joined.last() != Some(&at) {
                    slot.joined.push(at);
                }
            }
        }
    }
}

/// Where no pod is left open, so that each imports just what it is let through.
pub struct Closed {
    open: FxHashSet<Option<SmolStr>>,
}

impl Closed {
    /// Gathers where all pods are closed; `of` says of a slot whether its own object closes its pods, or leaves them open.
    pub fn new(slots: &Slots, of: impl Fn(usize) -> (bool, bool)) -> Closed {
        let mut closed: Vec<bool> = Vec::with_capacity(slots.list.len());
        let mut open = FxHashSet::default();
        for (at, slot) in slots.list.iter().enumerate() {
            let around = slot.parent.is_some_and(|parent| closed[parent]);
            let (closes, opens) = of(at);
            closed.push(closes || (!opens && around));
            if !closed[at] {
                open.insert(slot.place.namespace.clone());
            }
        }
        Closed { open }
    }

    /// Returns whether all pods are closed that see what stands in a namespace; what stands in the root namespace, every
    /// pod may see.
    pub fn all_of(&self, namespace: &SmolStr, root: &SmolStr) -> bool {
        match namespace == root {
            true => self.open.is_empty(),
            false => !self.open.contains(&Some(namespace.clone())),
        }
    }
}

/// The division of one namespace's pods.
struct Division<'d, 'f, 'a> {
    facts: &'d Facts<'f>,
    name: &'d SmolStr,
    parts: &'d [(MatchLabels, Said)],
    statements: &'d [Statement<'a>],
}

#[derive(Default)]
struct Divided {
    parts: Vec<DivisionPart>,
    /// Statements whose pods cannot be told from others.
    left: Vec<u32>,
}

struct DivisionPart {
    labels: MatchLabels,
    own: Said,
    joined: Vec<u32>,
}

impl Division<'_, '_, '_> {
    fn whole(&self, part: usize) -> DivisionPart {
        let (labels, own) = &self.parts[part];
        DivisionPart { labels: labels.clone(), own: own.clone(), joined: Vec::new() }
    }

    /// Divides by the workloads that the inventory shows: parts that share one are taken apart.
    fn by_workloads(&mut self) -> Divided {
        let mut divided = Divided::default();
        let Some(known) = self.facts.known(self.name) else { return divided };
        let mut of_workload: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        let members: Vec<Vec<u32>> = self.parts.iter().map(|(labels, _)| known.having(labels)).collect();
        for (part, members) in members.iter().enumerate() {
            members.iter().for_each(|&workload| of_workload.entry(workload).or_default().push(part as u32));
        }
        let mut components = Components::new(self.parts.len());
        for parts in of_workload.values() {
            parts.iter().for_each(|&part| components.join(parts[0] as usize, part as usize));
        }
        let (later, known_parts): (Vec<usize>, Vec<usize>) =
            (0..self.parts.len()).partition(|&part| members[part].is_empty());
        if known_parts.is_empty() {
            return self.by_labels();
        }
        for parts in components.lists() {
            if let [part] = parts.as_slice() {
                if !members[*part].is_empty() {
                    divided.parts.push(self.whole(*part));
                }
                continue;
            }
            let mut workloads: Vec<u32> = parts.iter().flat_map(|&part| members[part].iter().copied()).collect();
            workloads.sort_unstable();
            workloads.dedup();
            self.take_apart(known, &workloads, &of_workload, &members, &mut divided);
        }
        self.add_later(&later, &mut divided);
        divided
    }

    /// Adds the parts of which the inventory knows no workload: `{app=db, statefulset.kubernetes.io/pod-name=db-0}` beside
    /// `{app=db}`. A pod of such a part may come to be one of another part too, and would then have two objects; so the part
    /// has its own where that cannot be, and else its pods get along with the others what rules give them.
    fn add_later(&self, later: &[usize], divided: &mut Divided) {
        for (at, &part) in later.iter().enumerate() {
            let labels = &self.parts[part].0;
            let beside =
                later.iter().enumerate().any(|(other, &one)| other != at && may_meet(labels, &self.parts[one].0));
            let met = divided.parts.iter_mut().filter(|other| may_meet(labels, &other.labels));
            let statements = &self.parts[part].1;
            let mut meets = false;
            for other in met {
                meets = true;
                other.joined.extend(statements.iter().filter(|&&at| self.statements[at as usize].gives));
            }
            if meets || beside {
                divided.left.extend(statements.iter().copied());
            } else {
                divided.parts.push(self.whole(part));
            }
        }
    }

    /// Gives the workloads that the same parts select labels of their own. Where no labels tell a workload's pods from
    /// others, all of them share what each is given.
    fn take_apart(
        &self,
        known: &Known<'_>,
        workloads: &[u32],
        of_workload: &FxHashMap<u32, Vec<u32>>,
        members: &[Vec<u32>],
        divided: &mut Divided,
    ) {
        let nobody = Vec::new();
        let signature = |workload: u32| of_workload.get(&workload).unwrap_or(&nobody);
        let number: FxHashMap<u32, usize> =
            workloads.iter().enumerate().map(|(at, &workload)| (workload, at)).collect();
        let mut chosen: Vec<Option<MatchLabels>> = Vec::with_capacity(workloads.len());
        let mut shares = vec![false; workloads.len()];
        let mut groups = Components::new(workloads.len());
        for (at, &workload) in workloads.iter().enumerate() {
            let mine = signature(workload);
            let alike = |other: &u32| signature(*other) == mine;
            // As written where that tells them, else by the workload's own labels.
            let written = mine.iter().find(|&&part| members[part as usize].iter().all(alike));
            let written = written.map(|&part| self.parts[part as usize].0.clone());
            let own = || label_sets(self.facts, known.workloads[workload as usize]).into_iter();
            let told = written.into_iter().chain(own()).find(|labels| known.having(labels).iter().all(alike));
            let labels = told.or_else(|| {
                // Where somebody nobody speaks of has the labels too, an object for them would close what is open.
                let labels = own().last()?;
                let others: Option<Vec<usize>> =
                    known.having(&labels).iter().map(|other| number.get(other).copied()).collect();
                shares[at] = true;
                others?.into_iter().for_each(|other| groups.join(at, other));
                Some(labels)
            });
            if labels.is_none() {
                divided.left.extend(self.statements_of(mine));
            }
            chosen.push(labels);
        }
        let mut used: FxHashSet<MatchLabels> = FxHashSet::default();
        for group in groups.lists() {
            let all: Vec<Vec<u32>> = group.iter().map(|&at| self.statements_of(signature(workloads[at]))).collect();
            let shared = |at: &u32| all.iter().all(|list| list.contains(at));
            let (own, mut joined): (Vec<u32>, Vec<u32>) = all.iter().flatten().copied().partition(shared);
            let own: Said = sorted(own).into();
            joined.retain(|&at| {
                let gives = self.statements[at as usize].gives;
                divided.left.extend((!gives).then_some(at));
                gives
            });
            let sharing = group.iter().any(|&at| shares[at]);
            for &at in group.iter().filter(|&&at| !sharing || shares[at]) {
                if let Some(labels) = chosen[at].take()
                    && used.insert(labels.clone())
                {
                    divided.parts.push(DivisionPart { labels, own: own.clone(), joined: sorted(joined.clone()) });
                }
            }
        }
    }

    fn statements_of(&self, parts: &[u32]) -> Vec<u32> {
        parts.iter().flat_map(|&part| self.parts[part as usize].1.iter().copied()).collect()
    }

    /// Divides by the labels alone: parts that no pod can be in two of stand as they are.
    fn by_labels(&mut self) -> Divided {
        let mut components = Components::new(self.parts.len());
        let mut by_keys: FxHashMap<Vec<&SmolStr>, Vec<usize>> = FxHashMap::default();
        for (at, (labels, _)) in self.parts.iter().enumerate() {
            by_keys.entry(labels.iter().map(|(key, _)| key).collect()).or_default().push(at);
        }
        let shapes: Vec<(&Vec<&SmolStr>, &Vec<usize>)> = by_keys.iter().collect();
        for (at, (keys, left)) in shapes.iter().enumerate() {
            for (others, right) in shapes.iter().skip(at + 1) {
                self.join_shapes(keys, left, others, right, &mut components);
            }
        }
        let mut divided = Divided { parts: Vec::with_capacity(self.parts.len()), left: Vec::new() };
        for parts in components.lists() {
            if let [part] = parts.as_slice() {
                divided.parts.push(self.whole(*part));
                continue;
            }
            // The one that holds all the others stands for them all.
            let widest = parts.iter().find(|&&top| {
                let labels = &self.parts[top].0;
                parts.iter().all(|&part| labels.iter().all(|label| self.parts[part].0.contains(label)))
            });
            let Some(&widest) = widest else {
                divided.left.extend(parts.iter().flat_map(|&part| self.parts[part].1.iter().copied()));
                continue;
            };
            let mut part = self.whole(widest);
            for &inner in parts.iter().filter(|&&inner| inner != widest) {
                let (gives, takes) =
                    self.parts[inner].1.iter().partition::<Vec<u32>, _>(|&&at| self.statements[at as usize].gives);
                part.joined.extend(gives);
                divided.left.extend(takes);
            }
            divided.parts.push(part);
        }
        divided
    }

    /// Joins the parts of two shapes that a pod can be in both of: those that agree on the keys in common.
    fn join_shapes(
        &self,
        keys: &[&SmolStr],
        left: &[usize],
        others: &[&SmolStr],
        right: &[usize],
        components: &mut Components,
    ) {
        let common: FxHashSet<&SmolStr> = keys.iter().filter(|key| others.contains(key)).copied().collect();
        let values = |part: usize| -> Vec<&SmolStr> {
            let labels = self.parts[part].0.iter();
            labels.filter(|(key, _)| common.contains(key)).map(|(_, value)| value).collect()
        };
        let mut agreeing: FxHashMap<Vec<&SmolStr>, Vec<usize>> = FxHashMap::default();
        for &part in left {
            agreeing.entry(values(part)).or_default().push(part);
        }
        for &part in right {
            if let Some(parts) = agreeing.get_mut(&values(part)) {
                parts.iter().for_each(|&other| components.join(other, part));
                // They are one set now, and the first stands for them all.
                parts.truncate(1);
            }
        }
    }
}

/// Returns whether a pod can have both: they agree on the keys in common.
fn may_meet(labels: &MatchLabels, others: &MatchLabels) -> bool {
    labels.iter().all(|(key, value)| others.iter().all(|(other, is)| other != key || is == value))
}

fn sorted(mut list: Vec<u32>) -> Vec<u32> {
    list.sort_unstable();
    list.dedup();
    list
}
