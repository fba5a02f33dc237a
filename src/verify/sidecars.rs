//! What sidecars and gateways let in: the objects of Istio, read back as sets, beside the source.
//!
//! ```text
//! allow ingress lab/@curl -> garden/{app=web}:8080     the AuthorizationPolicy that was written lets in this and no more
//! ```
//!
//! The flows that are compared pass the proxies of both ends, on ports that these do not leave out, with requests as the
//! ports carry them; where an inventory lists the workloads, they are flows of these. A judgement that a layer lets more
//! through is about the pods of its rule; one that it lets less through is about callers without an identity.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::row::{Difference, Kind};
use super::{BUDGET, BUDGET_EACH, TOGETHER, known, words};
use crate::diag::Diagnostics;
use crate::flows::{Flows, OTHER, Set, TooLarge};
use crate::inventory::{self, PolicyObject};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::model::rules::{Direction, GrantId, RuleId};
use crate::policy::Policy;
use crate::policy::meaning::Meaning;
use crate::source::{FileId, Sources};
use crate::targets::istio::read::{Ingress, NotUnderstood};
use crate::targets::{Judgement, Level, Made, PAST_SIDECAR, Traffic};

/// The kinds of objects that decide what comes in, as their texts name them.
const DECIDING: [&str; 3] =
    ["\nkind: AuthorizationPolicy\n", "\nkind: PeerAuthentication\n", "\nkind: RequestAuthentication\n"];

/// Checks what was written for the way in.
pub(super) fn check(policy: &Policy, sources: &Sources, made: &Made<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    let Some(&(first, _)) = made.ends.iter().find(|(_, direction)| *direction == Direction::Ingress) else {
        return found;
    };
    let finding = match read(policy.rules[first.index()].origin.span.file, made.texts) {
        None => Some(words::unreadable(made, policy, first, "an object is lost")),
        Some(objects) => match differing(policy, made, &objects) {
            Ok(None) => None,
            Ok(Some(difference)) => Some(words::differing(policy, sources, made, &difference)),
            Err(Failed::NotUnderstood(what)) => Some(words::unreadable(made, policy, first, &what)),
            Err(Failed::TooLarge) => {
                let rules: Vec<RuleId> = made.ends.iter().map(|(at, _)| *at).collect();
                words::too_large(policy, made, Direction::Ingress, None, &rules)
            }
        },
    };
    finding.into_iter().for_each(|finding| found.push(finding));
    found
}

/// The reasons why objects are not compared.
enum Failed {
    NotUnderstood(String),
    TooLarge,
}

impl From<TooLarge> for Failed {
    fn from(_: TooLarge) -> Failed {
        Failed::TooLarge
    }
}

impl From<NotUnderstood> for Failed {
    fn from(unread: NotUnderstood) -> Failed {
        Failed::NotUnderstood(unread.what)
    }
}

/// Reads the objects that decide what comes in; `None` where one of them is not read.
fn read(file: FileId, texts: &[&str]) -> Option<Vec<PolicyObject>> {
    let mut objects = Vec::new();
    let mut written = 0;
    for text in texts {
        written += DECIDING.iter().map(|kind| text.matches(kind).count()).sum::<usize>();
        objects.extend(inventory::written(file, text));
    }
    let objects: Vec<PolicyObject> = objects.into_iter().filter(Ingress::decides).collect();
    (objects.len() == written).then_some(objects)
}

/// The statements about the pods of a namespace on their way in; `None` stands for one that nothing names.
type Rows = BTreeMap<Option<SmolStr>, Said>;

/// Rule ends and grants.
#[derive(Clone, Default)]
struct Said {
    ends: Vec<(RuleId, Direction)>,
    grants: Vec<GrantId>,
}

impl Said {
    fn len(&self) -> usize {
        self.ends.len() + self.grants.len()
    }

    fn add(&mut self, other: &Said) {
        self.ends.extend(&other.ends);
        self.grants.extend(&other.grants);
    }
}

/// Sorts the statements by namespace; those about pods of any namespace come apart.
fn rows(policy: &Policy, made: &Made<'_>) -> (Rows, Said) {
    let (mut rows, mut wide) = (Rows::new(), Said::default());
    let mut sort = |pods: Vec<Option<&SmolStr>>, add: &dyn Fn(&mut Said)| {
        if pods.contains(&None) {
            return add(&mut wide);
        }
        let names: BTreeSet<&SmolStr> = pods.into_iter().flatten().collect();
        names.into_iter().for_each(|name| add(rows.entry(Some(name.clone())).or_default()));
    };
    for &(at, direction) in made.ends.iter().filter(|(_, direction)| *direction == Direction::Ingress) {
        let rule = &policy.rules[at.index()];
        let subject = rule.subject(direction).pods().map(|(_, pods)| pods.selector.namespace_name());
        let gateway = rule.via.iter().flat_map(|via| &via.gateway.pods).map(|pods| pods.namespace_name());
        sort(subject.chain(gateway).collect(), &|said| said.ends.push((at, direction)));
    }
    for &at in made.grants {
        let grant = &policy.grants[at.index()];
        if grant.direction == Direction::Ingress {
            let subject = grant.subject().pods().map(|(_, pods)| pods.selector.namespace_name());
            sort(subject.collect(), &|said| said.grants.push(at));
        }
    }
    if !wide.ends.is_empty() {
        let inventory = &policy.inventory;
        for name in inventory.namespaces.keys() {
            rows.entry(Some(name.clone())).or_default();
        }
        if !inventory.given {
            rows.entry(None).or_default();
        }
    }
    rows.retain(|_, said| !said.ends.is_empty() || !wide.ends.is_empty());
    (rows, wide)
}

fn differing(policy: &Policy, made: &Made<'_>, objects: &[PolicyObject]) -> Result<Option<Difference>, Failed> {
    let (rows, wide) = rows(policy, made);
    let mut of_namespace: FxHashMap<&SmolStr, Vec<&PolicyObject>> = FxHashMap::default();
    for object in objects {
        of_namespace.entry(&object.namespace).or_default().push(object);
    }
    let claims = Claims::new(policy, made);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let (mut names, mut said) = (Vec::new(), wide.clone());
        let root = SmolStr::from(policy.settings.root_namespace.as_str());
        let mut near: BTreeSet<SmolStr> = BTreeSet::from([root]);
        while let Some((name, own)) = rows.next_if(|_| names.is_empty() || said.len() - wide.len() < TOGETHER) {
            near.extend(name.clone());
            said.add(&own);
            names.push(name);
        }
        said.ends.sort_unstable_by_key(|(at, _)| *at);
        said.ends.dedup();
        said.grants.sort_unstable();
        said.grants.dedup();
        let here = near.iter().filter_map(|name| of_namespace.get(name)).flatten().copied();
        if let Some(difference) = differing_among(policy, &claims, &names, &said, here.collect())? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// What judgements say of the ends of rules.
struct Claims<'a> {
    policy: &'a Policy,
    of: FxHashMap<(RuleId, Direction), &'a Judgement>,
}

impl<'a> Claims<'a> {
    fn new(policy: &'a Policy, made: &Made<'a>) -> Claims<'a> {
        Claims { policy, of: made.judgements.iter().map(|one| ((one.rule, one.direction), one)).collect() }
    }

    /// Returns whether more may pass than a rule says, also from pods that keep their sidecars.
    fn wider(&self, at: RuleId, direction: Direction) -> bool {
        let best = if direction == Direction::Egress { Level::Bypassable } else { Level::Exact };
        let accepted = self.policy.rules[at.index()].origin.approximate().is_some();
        accepted || self.of.get(&(at, direction)).is_none_or(|one| one.levels.of(Traffic::Tcp) > best)
    }

    /// Returns whether callers may be refused whom a rule lets in.
    fn narrower(&self, at: RuleId) -> bool {
        self.of.get(&(at, Direction::Ingress)).is_some_and(|one| !one.narrower.is_empty())
    }

    /// Returns whether the layer cannot say a rule at all.
    fn unable(&self, at: RuleId, direction: Direction) -> bool {
        self.of.get(&(at, direction)).is_none_or(|one| one.levels.of(Traffic::Tcp) == Level::Unable)
    }
}

/// Compares the pods of some namespaces, with the only statements and objects that are about them.
fn differing_among(
    policy: &Policy,
    claims: &Claims<'_>,
    names: &[Option<SmolStr>],
    said: &Said,
    objects: Vec<&PolicyObject>,
) -> Result<Option<Difference>, Failed> {
    let direction = Direction::Ingress;
    let budget = BUDGET + BUDGET_EACH * (said.len() + objects.len()) as u64;
    let ingress = Ingress::new(policy, objects);
    let mut unread = Ok(());
    let mut meaning = Meaning::beside(policy, &said.ends, &said.grants, budget, |terms| unread = ingress.terms(terms));
    unread?;
    let other_pods = match policy.inventory.workloads.is_empty() {
        true => Set::ALL,
        false => known::others(policy, &mut meaning, direction),
    };
    for name in names {
        let place = name.as_ref().map_or(OTHER, |name| meaning.flows().space.place(name));
        let mut within = seen(meaning.flows());
        for part in [meaning.read_by_proxies(direction, place), own_pods(policy, &mut meaning, place), other_pods] {
            within = meaning.flows().diagrams.and(within, part);
        }
        let layer = ingress.row(meaning.flows(), place, within)?;
        let (kind, example) = match meaning.excess(direction, place, layer, within, &|at, end| claims.wider(at, end))? {
            Some(example) => (Kind::Wider, Some(example)),
            None => {
                let identified = ingress.identified(meaning.flows());
                let outside = meaning.flows().outside(false, Set::ALL);
                let d = &mut meaning.flows().diagrams;
                let known = d.or(identified, outside);
                let (within, unknown) = (d.and(within, known), d.complement(identified));
                (
                    Kind::Narrower,
                    meaning.lost(
                        direction,
                        place,
                        layer,
                        within,
                        (unknown, &|at| claims.narrower(at)),
                        &|at, end| claims.unable(at, end),
                    )?,
                )
            }
        };
        if let Some(example) = example {
            let rules = said.ends.iter().map(|(at, _)| *at).collect();
            return Ok(Some(Difference { kind, direction, flow: meaning.flow(&example), rules }));
        }
    }
    Ok(None)
}

/// Returns the flows to known pods, where the inventory lists any.
fn own_pods(policy: &Policy, meaning: &mut Meaning<'_>, place: u32) -> Set {
    match policy.inventory.workloads.is_empty() {
        true => Set::ALL,
        false => known::own(policy, meaning, Direction::Ingress, place),
    }
}

/// Returns the flows that sidecars look at: TCP, except on ports that they leave out.
fn seen(flows: &mut Flows) -> Set {
    let mut first = 1;
    let mut ports = Vec::new();
    for past in PAST_SIDECAR {
        ports.push(PortMatch::range(first, past - 1, Protocol::Tcp));
        first = past + 1;
    }
    ports.push(PortMatch::range(first, u16::MAX, Protocol::Tcp));
    flows.ports(&Ports::Some(ports))
}
