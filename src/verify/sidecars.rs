//! What sidecars and gateways let in: the objects of Istio, read back as sets, beside the source.
//!
//! ```text
//! allow ingress lab/@curl -> garden/{app=web}:8080     the AuthorizationPolicy that was written lets in this and no more
//! ```
//!
//! The flows that are compared pass the proxies of both ends, on ports that these do not leave out, with requests as the
//! ports carry them; where an inventory lists the workloads, they are flows of these. A judgement that a layer lets more
//! through is about the pods of its rule; one that it lets less through is about callers without an identity.

use rustc_hash::FxHashMap;

use super::row::{Difference, Kind};
use super::{BUDGET, BUDGET_EACH, known, words};
use crate::diag::Diagnostics;
use crate::flows::{Flows, Set, TooLarge};
use crate::inventory::{self, PolicyObject};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::model::rules::{Direction, RuleId};
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

fn differing(policy: &Policy, made: &Made<'_>, objects: &[PolicyObject]) -> Result<Option<Difference>, Failed> {
    let direction = Direction::Ingress;
    let ends: Vec<(RuleId, Direction)> = made.ends.iter().copied().filter(|(_, end)| *end == direction).collect();
    let grants: Vec<_> =
        made.grants.iter().copied().filter(|at| policy.grants[at.index()].direction == direction).collect();
    let ingress = Ingress::new(policy, objects);
    let mut unread = Ok(());
    let budget = BUDGET + BUDGET_EACH * (ends.len() + objects.len()) as u64;
    let mut meaning = Meaning::beside(policy, &ends, &grants, budget, |terms| unread = ingress.terms(terms));
    unread?;
    let judgements: FxHashMap<RuleId, &Judgement> =
        made.judgements.iter().filter(|one| one.direction == direction).map(|one| (one.rule, one)).collect();
    let wider = |at: RuleId| {
        let accepted = policy.rules[at.index()].origin.approximate().is_some();
        accepted || judgements.get(&at).is_none_or(|one| one.levels.of(Traffic::Tcp) != Level::Exact)
    };
    let narrower = |at: RuleId| judgements.get(&at).is_some_and(|one| !one.narrower.is_empty());
    let unable = |at: RuleId| judgements.get(&at).is_none_or(|one| one.levels.of(Traffic::Tcp) == Level::Unable);
    for place in meaning.judged_places(direction) {
        let mut within = seen(meaning.flows());
        for part in [meaning.read_by_proxies(direction, place), known_pods(policy, &mut meaning, place)] {
            within = meaning.flows().diagrams.and(within, part);
        }
        let layer = ingress.row(meaning.flows(), place, within)?;
        let (kind, example) = match meaning.excess(direction, place, layer, within, &wider)? {
            Some(example) => (Kind::Wider, Some(example)),
            None => {
                let identified = ingress.identified(meaning.flows());
                let outside = meaning.flows().outside(false, Set::ALL);
                let d = &mut meaning.flows().diagrams;
                let known = d.or(identified, outside);
                let (within, unknown) = (d.and(within, known), d.complement(identified));
                (Kind::Narrower, meaning.lost(direction, place, layer, within, (unknown, &narrower), &unable)?)
            }
        };
        if let Some(example) = example {
            let rules = ends.iter().map(|(at, _)| *at).collect();
            return Ok(Some(Difference { kind, direction, flow: meaning.flow(&example), rules }));
        }
    }
    Ok(None)
}

fn known_pods(policy: &Policy, meaning: &mut Meaning<'_>, place: u32) -> Set {
    if policy.inventory.workloads.is_empty() {
        Set::ALL
    } else {
        known::flows(policy, meaning, Direction::Ingress, place)
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
