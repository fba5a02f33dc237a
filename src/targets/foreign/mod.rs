//! Objects of the cluster that others made and that open or close more than the build's.
//!
//! ```text
//! default deny shop/*                              # and a chart has written, beside the build's own:
//! NetworkPolicy shop/chart-open: ingress: [{}]     # 198.51.100.1 -> shop/web:8080 comes in again
//! ```
//!
//! NetworkPolicies of a pod add up, and so do AuthorizationPolicies and RequestAuthentications; of Sidecars and
//! PeerAuthentications a pod obeys one, which may not be the build's. Each such object of the inventory is a warning
//! where it opens or closes governed pods, with a flow that the object decides in another way than the source. The
//! evaluator answers for the source. The build's own objects are read back only for the pods that they select, which
//! tells the Sidecar or PeerAuthentication that counts, and the pods that are closed anyway.
//!
//! `pods` finds the pods, `flows` the flows to ask for; `network`, `authorization`, `peers`, `tokens` and `sidecars`
//! each judge one kind of object. A verdict that depends on facts which the inventory lacks is a *may*.

mod access;
mod authorization;
mod beside;
mod flows;
mod network;
mod peers;
mod pods;
mod shape;
mod sidecars;
mod tokens;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

pub use self::beside::Beside;
pub(super) use self::beside::Reader;
use self::pods::Governed;
use self::shape::Shape;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::inventory::{PolicyKind, PolicyObject};
use crate::model::labels::NAMESPACE_NAME;
use crate::model::rules::{Direction, Rule};
use crate::policy::{Cause, Flow, Party, Pod, Policy, eval, governs_pod};
use crate::settings::Layer;
use crate::source::Span;

/// The most comparisons of a part of an object with a flow of one pod, about.
const MOST_LOOKS: usize = 1 << 20;

/// The most parts of an object for which flows are made.
const MOST_PARTS: usize = 1024;

/// How sure a verdict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// Surely not so.
    No,
    /// Unknown: it depends on facts that nobody states.
    Maybe,
    /// Surely so.
    Yes,
}

impl From<bool> for Sure {
    fn from(is: bool) -> Sure {
        if is { Sure::Yes } else { Sure::No }
    }
}

impl Sure {
    fn any(all: impl IntoIterator<Item = Sure>) -> Sure {
        all.into_iter().max().unwrap_or(Sure::No)
    }

    fn all(all: impl IntoIterator<Item = Sure>) -> Sure {
        all.into_iter().min().unwrap_or(Sure::Yes)
    }

    fn not(self) -> Sure {
        match self {
            Sure::No => Sure::Yes,
            Sure::Maybe => Sure::Maybe,
            Sure::Yes => Sure::No,
        }
    }
}

/// The effect of an object on a pod, against the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// The object lets a flow through that the source denies.
    Opens,
    /// The object refuses a flow that the source allows.
    Closes,
    /// The object closed flows that are open now: the source does not govern them, and the build must not close them.
    Undone,
}

/// The source's verdict about a flow at one end of a pod.
struct Said {
    allows: bool,
    /// Whether a rule denies the flow.
    denied: bool,
    /// Whether no rule closes the pod, so that the flow passes as it did before.
    untouched: bool,
    /// Whether a rule governs the pod: of a gateway, rules may name only the public hosts.
    governed: bool,
    /// The rule that decides the flow; `None` where none governs the pod.
    rule: Option<Span>,
}

/// The effect of an object on a flow.
struct Judged {
    effect: Effect,
    sure: bool,
    why: String,
}

impl Judged {
    fn if_so(effect: Effect, sure: Sure, why: impl Into<String>) -> Option<Judged> {
        (sure > Sure::No).then(|| Judged { effect, sure: sure == Sure::Yes, why: why.into() })
    }
}

/// One object beside the others of a pod.
trait Judges {
    /// Returns the flows that the object names at one end; none where the object does not look at this end.
    fn shapes(&self, direction: Direction) -> Vec<Shape>;

    /// Returns whether the object decides a flow at all; only then the source is asked.
    fn concerns(&self, _flow: &Flow, _direction: Direction) -> bool {
        true
    }

    /// Returns the number of parts of the object.
    fn size(&self) -> usize {
        1
    }

    /// Returns the effects that the object can have at one end.
    fn effects(&self, _direction: Direction) -> &'static [Effect] {
        &[Effect::Opens, Effect::Closes]
    }

    /// Returns the effect of the object on a flow, against the source.
    fn judge(&self, flow: &Flow, direction: Direction, said: &Said) -> Option<Judged>;
}

fn judge_of<'a>(look: &Look<'a>, governed: &'a Governed, object: &'a PolicyObject) -> Option<Box<dyn Judges + 'a>> {
    Some(match object.kind {
        PolicyKind::NetworkPolicy => Box::new(network::Judge::new(look, governed, object)),
        PolicyKind::AuthorizationPolicy => Box::new(authorization::Judge::new(look, governed, object)?),
        PolicyKind::PeerAuthentication => Box::new(peers::Judge::new(look, governed, object)),
        PolicyKind::RequestAuthentication => Box::new(tokens::Judge::new(look, governed, object)?),
        PolicyKind::Sidecar => Box::new(sidecars::Judge::new(look, governed, object)?),
    })
}

/// An effect of an object on a pod, with a flow that shows the effect.
struct Finding {
    direction: Direction,
    judged: Judged,
    /// The rule that decides the flow otherwise.
    rule: Span,
    flow: Flow,
}

impl Finding {
    fn is_like(&self, other: &Finding) -> bool {
        self.judged.effect == other.judged.effect && self.direction == other.direction
    }
}

/// Returns the objects of the inventory that belong to layers of the build and that the build does not own.
fn others(policy: &Policy) -> impl Iterator<Item = &PolicyObject> {
    let own = policy.settings.name.as_deref().unwrap_or_default();
    let is_of_layers = |kind| policy.settings.targets.contains(&layer_of(kind));
    policy
        .inventory
        .objects
        .iter()
        .filter(move |object| object.build.as_deref() != Some(own) && is_of_layers(object.kind))
}

fn layer_of(kind: PolicyKind) -> Layer {
    match kind {
        PolicyKind::NetworkPolicy => Layer::NetworkPolicy,
        PolicyKind::AuthorizationPolicy
        | PolicyKind::Sidecar
        | PolicyKind::PeerAuthentication
        | PolicyKind::RequestAuthentication => Layer::Istio,
    }
}

/// The data that an object is judged with.
struct Look<'a> {
    policy: &'a Policy,
    own: ByPlace<'a>,
    theirs: ByPlace<'a>,
}

/// Objects by the namespace of their pods; `None` where that may be any namespace.
type ByPlace<'a> = FxHashMap<Option<&'a SmolStr>, Vec<&'a PolicyObject>>;

impl<'a> Look<'a> {
    fn new(policy: &'a Policy, beside: &'a Beside) -> Look<'a> {
        let place = |objects: &mut dyn Iterator<Item = &'a PolicyObject>| {
            let mut places = ByPlace::default();
            for object in objects {
                places.entry(pods::namespace(policy, object)).or_default().push(object);
            }
            places
        };
        let own = place(&mut beside.own.iter());
        let theirs = place(&mut others(policy).filter(|object| !beside.overwritten.contains(&object.origin)));
        Look { policy, own, theirs }
    }

    /// Returns the build's own objects for a pod.
    fn own_for(&self, pod: &Pod) -> Vec<&'a PolicyObject> {
        self.of(&self.own, pod)
    }

    /// Returns the objects of others for a pod.
    fn theirs_for(&self, pod: &Pod) -> Vec<&'a PolicyObject> {
        self.of(&self.theirs, pod)
    }

    fn of(&self, places: &ByPlace<'a>, pod: &Pod) -> Vec<&'a PolicyObject> {
        let home = pod.namespace_labels.get(NAMESPACE_NAME);
        let here = [home, None].into_iter().filter_map(|place| places.get(&place)).flatten().copied();
        here.filter(|object| pods::selects(self.policy, object, pod) > Sure::No).collect()
    }

    /// Returns the source's verdict about a flow at one end; `None` where the source does not judge the flow.
    fn said(&self, governed: &Governed, flow: &Flow, direction: Direction) -> Option<Said> {
        let end = eval(&governed.policy, flow).ends.into_iter().find(|end| end.direction == direction)?;
        let rule = match end.cause {
            Cause::NoPod | Cause::Itself => return None,
            Cause::Denied(id) | Cause::Allowed(id) | Cause::NoneMatches { isolated_by: id, .. } => {
                governed.policy.rule(id)
            }
            Cause::NotIsolated | Cause::Granted(_) => governed.rules(direction).next(),
        };
        let (denied, untouched) = (matches!(end.cause, Cause::Denied(_)), end.cause == Cause::NotIsolated);
        let governs = |rule: &Rule| governs_pod(rule, direction, &governed.pod);
        Some(Said {
            allows: end.allows(),
            denied,
            untouched,
            governed: governed.rules(direction).any(governs),
            rule: rule.map(|rule| rule.origin.span),
        })
    }

    /// Returns whether a `DENY` of others refuses a flow, whatever else opens.
    fn is_refused(&self, governed: &Governed, flow: &Flow, direction: Direction) -> Sure {
        let said = Said { allows: true, denied: false, untouched: false, governed: true, rule: None };
        let theirs = self.theirs_for(&governed.pod).into_iter();
        let denying = theirs.filter(|object| object.kind == PolicyKind::AuthorizationPolicy);
        Sure::any(denying.filter_map(|object| {
            let judge = authorization::Judge::new(self, governed, object).filter(authorization::Judge::denies)?;
            let judged = judge.judge(flow, direction, &said)?;
            Some(if judged.sure { Sure::Yes } else { Sure::Maybe })
        }))
    }

    /// Returns the effect of an object on a flow, given all other objects of the pod.
    fn judged(
        &self,
        governed: &Governed,
        judge: &dyn Judges,
        flow: &Flow,
        direction: Direction,
        said: &Said,
    ) -> Option<Judged> {
        let judged = judge.judge(flow, direction, said)?;
        if judged.effect != Effect::Opens {
            return Some(judged);
        }
        match self.is_refused(governed, flow, direction) {
            Sure::No => Some(judged),
            Sure::Maybe => Some(Judged { sure: false, ..judged }),
            Sure::Yes => None,
        }
    }

    /// Finds the effects of an object on a pod: for each effect the first flow that surely has it, else the first that
    /// may.
    fn find(&self, governed: &Governed, object: &PolicyObject) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let Some(judge) = judge_of(self, governed, object) else { return found };
        for direction in Direction::BOTH.into_iter().filter(|direction| governed.is_governed(*direction)) {
            let shapes = judge.shapes(direction);
            let effects = judge.effects(direction);
            // Each flow is compared with each part of the object.
            let most = (MOST_LOOKS / judge.size().max(1)).clamp(64, 16_384);
            let flows = shapes.iter().flat_map(|shape| flows::flows(governed, direction, shape));
            for flow in flows.take(most) {
                if !judge.concerns(&flow, direction) {
                    continue;
                }
                let Some(said) = self.said(governed, &flow, direction) else { continue };
                let judged = self.judged(governed, &*judge, &flow, direction, &said);
                let (Some(rule), Some(judged)) = (said.rule, judged) else { continue };
                // No rule names the gateway's other hosts.
                if said.untouched && !said.governed && judged.effect != Effect::Undone {
                    continue;
                }
                let finding = Finding { direction, judged, rule, flow };
                match found.iter_mut().find(|old| old.is_like(&finding)) {
                    Some(old) if old.judged.sure || !finding.judged.sure => {}
                    Some(old) => *old = finding,
                    None => found.push(finding),
                }
                let sure = |effect: &Effect| {
                    let mut here = found.iter().filter(|one| one.direction == direction && one.judged.sure);
                    here.any(|one| one.judged.effect == *effect)
                };
                if effects.iter().all(sure) {
                    break;
                }
            }
        }
        found
    }
}

/// Warns of each object of others that decides about governed pods.
pub(super) fn judge(policy: &Policy, beside: &Beside, diagnostics: &mut Diagnostics) {
    let look = Look::new(policy, beside);
    let mut pods = pods::Pods::new(policy);
    for object in others(policy).filter(|object| !beside.overwritten.contains(&object.origin)) {
        let mut told: Vec<Told> = Vec::new();
        let (all, more) = pods.of(object);
        for governed in all {
            let found = look.find(&governed, object);
            found.into_iter().for_each(|finding| tell(&mut told, finding, &governed.pod.shown));
        }
        told.sort_by_key(|told| (told.first.direction, told.first.judged.effect));
        told.iter().for_each(|told| diagnostics.push(warning(object, told, more)));
    }
}

/// Returns the object that lets a flow through at one end against the source, in words, and whether it surely does.
pub fn passes(
    policy: &Policy,
    beside: &Beside,
    layer: Layer,
    flow: &Flow,
    direction: Direction,
) -> Option<(String, bool)> {
    asked(policy, beside, layer, flow, direction, Effect::Opens)
}

/// Returns the object that refuses a flow at one end against the source, in words, and whether it surely does.
pub fn refuses(
    policy: &Policy,
    beside: &Beside,
    layer: Layer,
    flow: &Flow,
    direction: Direction,
) -> Option<(String, bool)> {
    asked(policy, beside, layer, flow, direction, Effect::Closes)
}

fn asked(
    policy: &Policy,
    beside: &Beside,
    layer: Layer,
    flow: &Flow,
    direction: Direction,
    effect: Effect,
) -> Option<(String, bool)> {
    let party = if direction == Direction::Egress { &flow.source } else { &flow.destination };
    let Party::Pod(pod) = party else { return None };
    let look = Look::new(policy, beside);
    let governed = pods::of_flow(policy, pod);
    let said = look.said(&governed, flow, direction)?;
    let objects = look.theirs_for(pod).into_iter().filter(|object| layer_of(object.kind) == layer);
    let found = objects.filter_map(|object| {
        let judge = judge_of(&look, &governed, object)?;
        let judged = look.judged(&governed, &*judge, flow, direction, &said)?;
        let name = format!("{} `{}/{}` of the cluster", object.kind.word(), object.namespace, object.name);
        let words = if judged.sure { format!("{name} does") } else { format!("{name} may: {}", judged.why) };
        (judged.effect == effect).then_some((words, judged.sure))
    });
    // The first of the surest.
    found.fold(None, |best: Option<(String, bool)>, one| match best {
        Some(best) if best.1 || !one.1 => Some(best),
        _ => Some(one),
    })
}

/// An effect of an object on some pods.
struct Told {
    first: Finding,
    pods: Vec<String>,
}

/// Adds a finding about a pod to those of its kind; where some are sure, those that only may be are left out.
fn tell(told: &mut Vec<Told>, finding: Finding, pod: &str) {
    match told.iter_mut().find(|told| told.first.is_like(&finding)) {
        Some(old) if old.first.judged.sure == finding.judged.sure => old.pods.push(pod.to_owned()),
        Some(old) if old.first.judged.sure => {}
        Some(old) => *old = Told { first: finding, pods: vec![pod.to_owned()] },
        None => told.push(Told { first: finding, pods: vec![pod.to_owned()] }),
    }
}

/// Makes the warning; `more` says whether the object selects more pods than were looked at.
fn warning(object: &PolicyObject, told: &Told, more: bool) -> Diagnostic {
    let Finding { direction, judged, rule, flow } = &told.first;
    let way = if *direction == Direction::Ingress { "into" } else { "out of" };
    let name = format!("{} `{}/{}` of the cluster", object.kind.word(), object.namespace, object.name);
    let pods = names(&told.pods, more);
    let message = match (judged.effect, judged.sure) {
        (Effect::Opens, true) => format!("{name} lets more {way} {pods} than these rules"),
        (Effect::Opens, false) => format!("{name} may let more {way} {pods} than these rules"),
        (Effect::Closes, true) => format!("{name} refuses what these rules let {way} {pods}"),
        (Effect::Closes, false) => format!("{name} may refuse what these rules let {way} {pods}"),
        (Effect::Undone, _) => format!("{name} no longer closes {pods}"),
    };
    Diagnostic::new(Code::ForeignObject, *rule, message)
        .at(format!("for example {}", flows::shown(flow)))
        .label(object.origin, "it is stated here")
        .note(judged.why.clone())
}

fn names(pods: &[String], more: bool) -> String {
    let shown = pods.len().min(3);
    let quoted: Vec<String> = pods[..shown].iter().map(|pod| format!("`{pod}`")).collect();
    match pods.len() - shown {
        _ if more => format!("{} and others", quoted.join(", ")),
        0 => quoted.join(", "),
        rest => format!("{} and {rest} more", quoted.join(", ")),
    }
}
