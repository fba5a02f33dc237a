//! Istio's objects, read back as sets and compared with the source: the ingress of sidecars and gateways, and the
//! egress of sidecars.
//!
//! ```text
//! allow ingress lab/@curl -> garden/{app=web}:8080     the AuthorizationPolicy that was written lets in this and no more
//! allow egress garden/* -> zenquotes.io:443            the Sidecar that was written lets out this and no more
//! ```
//!
//! The compared flows pass the proxies of both ends, on ports that the proxies do not leave out, with requests that the
//! ports can carry. If an inventory lists the workloads, only their flows are compared. A judgement that admits excess
//! is about the pods of its rule.

mod beside;
mod egress;
mod entries;
mod ingress;
mod seen;
mod single;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use self::beside::Beside;
pub(super) use self::single::{Undecided, decisions};
use super::row::{Difference, Kind};
use super::{TOGETHER, budget, known, words};
use crate::flows::{Passing, Set, Terms, TooLarge};
use crate::inventory::{self, outside::Mesh};
use crate::model::rules::{Action, Direction, GrantId, Rule, RuleId};
use crate::policy::meaning::{Example, Meaning};
use crate::policy::{Flow, GrantReason, Policy};
use crate::source::{FileId, Sources};
use crate::targets::istio::read::NotUnderstood;
use crate::targets::{Checked, Judgement, Level, Made, Traffic};

/// Checks the objects of Istio.
pub(super) fn check(many: usize, policy: &Policy, sources: &Sources, made: &Made<'_>) -> Checked {
    let mut found = Checked::default();
    let Some(&(first, _)) = made.ends.first() else { return found };
    let finding = match read(policy.rules[first.index()].origin.span.file, made.texts) {
        Err(why) => Some(words::unreadable(made, policy, first, &why)),
        Ok(mesh) => {
            let claims = Claims { many, ..Claims::new(policy, made) };
            let differing = [ingress::differing, egress::differing];
            differing.into_iter().map(|each| each(policy, made, &mesh, &claims)).find_map(|differing| match differing {
                Ok(None) => None,
                Ok(Some(difference)) if difference.kind == Kind::Together => {
                    found.together.push(words::differing(policy, sources, made, &difference));
                    None
                }
                Ok(Some(difference)) => Some(words::differing(policy, sources, made, &difference)),
                Err(Failed::NotUnderstood(what)) => Some(words::unreadable(made, policy, first, &what)),
                Err(Failed::TooLarge(direction)) => {
                    let ends = made.ends.iter().filter(|(_, end)| *end == direction);
                    let rules: Vec<RuleId> = ends.map(|(at, _)| *at).collect();
                    words::too_large(policy, made, direction, None, &rules)
                }
            })
        }
    };
    finding.into_iter().for_each(|finding| found.alone.push(finding));
    found
}

/// The reasons why objects are not compared.
enum Failed {
    NotUnderstood(String),
    TooLarge(Direction),
}

impl From<NotUnderstood> for Failed {
    fn from(unread: NotUnderstood) -> Failed {
        Failed::NotUnderstood(unread.what)
    }
}

/// Returns the sets of a direction, unless they became too large.
fn small<T>(direction: Direction, result: Result<T, TooLarge>) -> Result<T, Failed> {
    result.map_err(|TooLarge| Failed::TooLarge(direction))
}

/// Reads the objects from some texts; the error says what cannot be read.
fn read(file: FileId, texts: &[&str]) -> Result<Mesh, String> {
    let mut all = Mesh::default();
    for text in texts {
        let Mesh { objects, entries, routes, openings, gateways } =
            inventory::written_mesh(file, text).map_err(|finding| finding.message)?;
        all.objects.extend(objects);
        all.entries.extend(entries);
        all.routes.extend(routes);
        all.openings.extend(openings);
        all.gateways.extend(gateways);
    }
    Ok(all)
}

/// The statements about the pods of each namespace in one direction; `None` is a namespace that no rule names.
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

/// Sorts the statements by namespace; those about pods of any namespace are returned apart.
fn rows(policy: &Policy, made: &Made<'_>, direction: Direction) -> (Rows, Said) {
    let (mut rows, mut wide) = (Rows::new(), Said::default());
    let mut sort = |pods: Vec<Option<&SmolStr>>, add: &dyn Fn(&mut Said)| {
        if pods.contains(&None) {
            return add(&mut wide);
        }
        let names: BTreeSet<&SmolStr> = pods.into_iter().flatten().collect();
        names.into_iter().for_each(|name| add(rows.entry(Some(name.clone())).or_default()));
    };
    for &(at, _) in made.ends.iter().filter(|(_, end)| *end == direction) {
        let rule = &policy.rules[at.index()];
        let subject = rule.subject(direction).pods().map(|(_, pods)| pods.selector.namespace_name());
        // A rule with `via` on ingress is judged at the gateway, too.
        let via = rule.via.iter().filter(|_| direction == Direction::Ingress);
        let gateway = via.flat_map(|via| &via.gateway.pods).map(|pods| pods.namespace_name());
        sort(subject.chain(gateway).collect(), &|said| said.ends.push((at, direction)));
    }
    // A rule with `via` on egress is also judged at the gateway, as ingress of its pods.
    for &(at, end) in made.ends.iter().filter(|(_, end)| direction == Direction::Ingress && *end == Direction::Egress) {
        if let Some(via) = &policy.rules[at.index()].via {
            let gateway = via.gateway.pods.iter().map(|pods| pods.namespace_name());
            sort(gateway.collect(), &|said| said.ends.push((at, end)));
        }
    }
    if direction == Direction::Ingress {
        for (at, homes) in denied_at_gateways(policy, made) {
            sort(homes.into_iter().map(Some).collect(), &|said| said.ends.push((at, Direction::Egress)));
        }
    }
    for &at in made.grants {
        let grant = &policy.grants[at.index()];
        if grant.direction == direction && is_seen(direction, grant.reason) {
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

/// Returns the egress denies whose pods may be led out through gateways, each with the namespaces of these gateways.
fn denied_at_gateways<'p>(policy: &'p Policy, made: &Made<'_>) -> Vec<(RuleId, BTreeSet<&'p SmolStr>)> {
    let out = || made.ends.iter().filter(|(_, end)| *end == Direction::Egress);
    let names = |rule: &'p Rule| rule.source.pods().map(|(_, pods)| pods.selector.namespace_name());
    let mut leading: FxHashMap<Option<&SmolStr>, BTreeSet<&SmolStr>> = FxHashMap::default();
    for rule in out().map(|(at, _)| &policy.rules[at.index()]) {
        let Some(via) = &rule.via else { continue };
        for name in names(rule) {
            let homes = via.gateway.pods.iter().filter_map(|pods| pods.namespace_name());
            leading.entry(name).or_default().extend(homes);
        }
    }
    if leading.is_empty() {
        return Vec::new();
    }
    let denies = out().map(|(at, _)| (*at, &policy.rules[at.index()])).filter(|(_, rule)| rule.action == Action::Deny);
    let all = denies.map(|(at, rule)| {
        let everywhere = names(rule).any(|name| name.is_none());
        let near =
            leading.iter().filter(|(one, _)| everywhere || one.is_none() || names(rule).any(|name| name == **one));
        (at, near.flat_map(|(_, homes)| homes).copied().collect())
    });
    all.filter(|(_, homes): &(RuleId, BTreeSet<&SmolStr>)| !homes.is_empty()).collect()
}

/// Returns whether sidecars see the flows of a grant in a direction. Egress to istiod passes no sidecar, and istiod
/// itself has none.
fn is_seen(direction: Direction, reason: GrantReason) -> bool {
    match reason {
        GrantReason::Dns | GrantReason::Gateway => true,
        GrantReason::Istiod | GrantReason::Keys => direction == Direction::Ingress,
    }
}

/// The comparison of the pods of some namespaces, with only the statements about them.
type Compare<'c> = dyn FnMut(&[Option<SmolStr>], &Said, u64) -> Result<Option<Difference>, Failed> + 'c;

/// Compares all rows of a direction, in groups that share a collection of sets, and returns the first difference.
fn compared(
    policy: &Policy,
    made: &Made<'_>,
    (direction, many): (Direction, usize),
    compare: &mut Compare<'_>,
) -> Result<Option<Difference>, Failed> {
    let (rows, wide) = rows(policy, made, direction);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let (mut names, mut said) = (Vec::new(), wide.clone());
        while let Some((name, own)) = rows.next_if(|_| names.is_empty() || said.len() - wide.len() < many) {
            said.add(&own);
            names.push(name);
        }
        said.ends.sort_unstable_by_key(|(at, _)| *at);
        said.ends.dedup();
        said.grants.sort_unstable();
        said.grants.dedup();
        let budget = budget(said.len());
        if let Some(difference) = compare(&names, &said, budget)? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

/// Returns a flow that a rule end forbids and the objects let through, even if a judgement admits it.
pub(super) fn passing(policy: &Policy, made: &Made<'_>, (at, direction): (RuleId, Direction)) -> Option<Flow> {
    let rule = &policy.rules[at.index()];
    let mesh = read(rule.origin.span.file, made.texts).ok()?;
    let claims = Claims { shown: Some(at), ..Claims::new(policy, made) };
    let at_gateway = || ingress::differing(policy, made, &mesh, &claims);
    let found = match direction {
        Direction::Ingress => at_gateway(),
        // What leads out through a gateway is judged there as well.
        Direction::Egress => match egress::differing(policy, made, &mesh, &claims) {
            Ok(None) if rule.via.is_some() || rule.action == Action::Deny && !rule.ingress => at_gateway(),
            found => found,
        },
    };
    found.ok()?.filter(|difference| difference.kind == Kind::Wider).map(|difference| difference.flow)
}

/// The judgements about the ends of rules.
struct Claims<'a> {
    policy: &'a Policy,
    of: FxHashMap<(RuleId, Direction), &'a Judgement>,
    /// A rule of which an excess flow is wanted, and of no other rule.
    shown: Option<RuleId>,
    /// The layer of rules beside Istio.
    beside: Option<Beside<'a>>,
    /// About how many statements share a collection of sets.
    many: usize,
}

impl<'a> Claims<'a> {
    fn new(policy: &'a Policy, made: &Made<'a>) -> Claims<'a> {
        let of = made.judgements.iter().map(|one| ((one.rule, one.direction), one)).collect();
        let beside = made.beside.map(|ruling| Beside::new(policy, ruling));
        Claims { policy, of, shown: None, beside, many: TOGETHER }
    }

    /// Returns the flows of a set that are compared: those of one rule alone, if its excess is wanted.
    fn compared(&self, meaning: &mut Meaning<'_>, direction: Direction, place: u32, within: Set) -> Set {
        let Some(at) = self.shown else { return within };
        let of_rule = meaning.forbidden(at, direction, place);
        meaning.flows().diagrams.and(within, of_rule)
    }

    fn is_accepted(&self, at: RuleId) -> bool {
        self.policy.rules[at.index()].origin.approximate().is_some()
    }

    /// Returns whether a judgement admits more ingress than a rule allows; at a gateway also more than an egress deny
    /// allows.
    fn lets_in(&self, at: RuleId, end: Direction) -> bool {
        match end == Direction::Egress && self.policy.rules[at.index()].action == Action::Deny {
            true => self.shown.is_none() && (self.is_accepted(at) || !self.refused_at_gateway(at)),
            false => self.wider(at, end),
        }
    }

    fn refused_at_gateway(&self, at: RuleId) -> bool {
        self.of.get(&(at, Direction::Egress)).is_some_and(|one| one.at_gateway.refuses)
    }

    /// Returns whether a judgement admits more than a rule allows, even from pods that keep their sidecars.
    fn wider(&self, at: RuleId, direction: Direction) -> bool {
        if self.shown.is_some() {
            return false;
        }
        let best = if direction == Direction::Egress { Level::Bypassable } else { Level::Exact };
        self.is_accepted(at) || self.of.get(&(at, direction)).is_none_or(|one| one.levels.of(Traffic::Tcp) > best)
    }

    /// Adds the values of the layer of rules for some namespaces to the values in play.
    fn terms(&self, direction: Direction, names: &[Option<SmolStr>], terms: &mut Terms) {
        if let Some(beside) = &self.beside {
            beside.terms(direction, names, terms);
        }
    }

    /// Returns a flow that passes both layers at the pods of a namespace although the source does not allow it, and
    /// that no unenforced rule concerns.
    fn together<'p>(
        &self,
        meaning: &mut Meaning<'p>,
        (direction, name, place): (Direction, Option<&SmolStr>, u32),
        layer: Passing,
        within: Set,
    ) -> Result<Option<Example<'p>>, Failed> {
        let Some(beside) = &self.beside else { return Ok(None) };
        let wider = |at, end| match direction {
            Direction::Egress => self.wider(at, end),
            Direction::Ingress => self.lets_in(at, end),
        };
        let open = |at, end| self.is_accepted(at) || wider(at, end) && beside.is_wider(at, end);
        let mut ruled = |meaning: &mut Meaning<'p>| beside.passing(meaning, direction, name, place);
        small(direction, meaning.excess_beside(direction, place, layer, &mut ruled, within, &open))
    }

    /// Returns whether the layer is judged to refuse some kind of the flows that a rule end allows.
    fn narrower(&self, at: RuleId, direction: Direction, kind: impl Fn(&Judgement) -> bool) -> bool {
        self.of.get(&(at, direction)).is_some_and(|one| kind(one))
    }

    /// Returns whether the layer is judged unable to express a rule.
    fn unable(&self, at: RuleId, direction: Direction) -> bool {
        self.of.get(&(at, direction)).is_none_or(|one| one.levels.of(Traffic::Tcp) == Level::Unable)
    }
}

/// Returns the flows whose judged pod is a known one, if the inventory lists any.
fn own_pods(policy: &Policy, meaning: &mut Meaning<'_>, direction: Direction, place: u32) -> Set {
    match policy.inventory.workloads.is_empty() {
        true => Set::ALL,
        false => known::own(policy, meaning, direction, place),
    }
}

/// Returns the flows whose other end is a known pod or no pod, if the inventory lists any pods.
fn other_pods(policy: &Policy, meaning: &mut Meaning<'_>, direction: Direction) -> Set {
    match policy.inventory.workloads.is_empty() {
        true => Set::ALL,
        false => known::others(policy, meaning, direction),
    }
}
