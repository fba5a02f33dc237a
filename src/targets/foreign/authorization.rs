//! AuthorizationPolicies of the cluster, and the flows that they open or close beside the build's.
//!
//! ```text
//! allow ingress farm/* -> farm/barn:8080/http where method POST
//! AuthorizationPolicy farm/no-admin: DENY, paths: ["/admin*"]      # closes farm/barn to POST /admin
//! ```
//!
//! The AuthorizationPolicies of a pod add up: `DENY` refuses the flows that it matches, whatever others allow; `CUSTOM`
//! leaves the decision to an external authorizer; any `ALLOW` closes its pods to all flows that no `ALLOW` matches (the
//! order stands at the head of Istio's `security/v1beta1/authorization_policy.proto`).

use smol_str::SmolStr;

use super::access::{Seen, anything, shape};
use super::peers::modes;
use super::pods::{Governed, has_identity, selects};
use super::shape::Shape;
use super::tokens::issuers;
use super::{Effect, Judged, Judges, Look, MOST_PARTS, Said, Sure};
use crate::inventory::mesh::{AccessAction, Authorization, Condition, Mtls};
use crate::inventory::{PolicyKind, PolicyObject, Says};
use crate::model::rules::Direction;
use crate::policy::{Flow, Party};

/// An AuthorizationPolicy, beside the others of a pod.
pub(super) struct Judge<'a> {
    governed: &'a Governed,
    object: &'a PolicyObject,
    says: &'a Authorization,
    /// Whether the policy selects the pod.
    selected: Sure,
    /// Whether the build writes an `ALLOW` for the pod, so that the pod is closed anyway.
    closed: bool,
    /// The PeerAuthentications that are for the pod, those of the build and those of others.
    peers: Vec<&'a PolicyObject>,
    /// The AuthorizationPolicies of others that are for the pod.
    theirs: Vec<&'a PolicyObject>,
    /// The issuers whose tokens the pod's sidecar looks at.
    issuers: Vec<SmolStr>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(look: &Look<'a>, governed: &'a Governed, object: &'a PolicyObject) -> Option<Judge<'a>> {
        let Says::Authorization(says) = &object.says else { return None };
        let (own, theirs) = (look.own_for(&governed.pod), look.theirs_for(&governed.pod));
        let selected = selects(look.policy, object, &governed.pod);
        let closed = own.iter().any(|object| allowing(object).is_some());
        let all = own.into_iter().chain(theirs.iter().copied());
        let peers = all.filter(|object| object.kind == PolicyKind::PeerAuthentication).collect();
        Some(Judge { governed, object, says, selected, closed, peers, theirs, issuers: issuers(look, governed) })
    }

    /// Returns whether the policy refuses the flows that it matches.
    pub(super) fn denies(&self) -> bool {
        self.says.action == AccessAction::Deny
    }

    fn matches(&self, object: &PolicyObject, says: &Authorization, flow: &Flow) -> Sure {
        let identities = self.modes(flow).iter().any(|mode| *mode != Mtls::Disable);
        let seen = Seen::new(self.governed, &object.namespace, flow, identities, &self.issuers);
        seen.matches(&says.rules, says.action != AccessAction::Allow)
    }

    /// Returns whether all the `ALLOW` policies of others that close the pod refuse a flow.
    fn stopped_by_all(&self, flow: &Flow) -> Sure {
        let allowing = self.theirs.iter().filter_map(|other| Some((other, allowing(other)?)));
        Sure::any(allowing.map(|(other, says)| self.matches(other, says, flow))).not()
    }

    /// Returns whether a flow gets as far as an AuthorizationPolicy: strict mutual TLS refuses callers without an
    /// identity.
    fn arrives(&self, flow: &Flow) -> Sure {
        let identity = match &flow.source {
            Party::Pod(pod) => has_identity(self.governed, pod),
            Party::Address(_) | Party::Host { .. } => false,
        };
        let modes = self.modes(flow);
        let strict = modes.iter().filter(|mode| **mode == Mtls::Strict).count();
        match strict {
            _ if identity || self.governed.gateway => Sure::Yes,
            0 => Sure::Yes,
            all if all == modes.len() => Sure::No,
            _ => Sure::Maybe,
        }
    }

    fn modes(&self, flow: &Flow) -> Vec<Mtls> {
        let root = &self.governed.policy.settings.root_namespace;
        modes(&self.peers, root, flow.port.unwrap_or_default()).into_iter().map(|(mode, _)| mode).collect()
    }
}

/// Returns the contents of an object whose action is `ALLOW`.
fn allowing(object: &PolicyObject) -> Option<&Authorization> {
    match &object.says {
        Says::Authorization(says) if says.action == AccessAction::Allow => Some(says),
        _ => None,
    }
}

impl Judges for Judge<'_> {
    fn shapes(&self, direction: Direction) -> Vec<Shape> {
        if direction == Direction::Egress {
            return Vec::new();
        }
        let anything = (self.says.action == AccessAction::Allow).then(|| anything(&self.says.rules));
        let rules = self.says.rules.iter().take(MOST_PARTS);
        let spoken = rules.map(|rule| shape(self.governed, &self.object.namespace, rule, &self.issuers));
        spoken.chain(anything).collect()
    }

    fn size(&self) -> usize {
        let values = |condition: &Condition| condition.values.len() + condition.not_values.len();
        let all = self.says.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to).flatten().chain(&rule.when));
        self.says.rules.len() + all.map(values).sum::<usize>()
    }

    fn concerns(&self, flow: &Flow, _direction: Direction) -> bool {
        let by_silence = self.effects(Direction::Ingress) != [Effect::Opens] && self.says.action == AccessAction::Allow;
        by_silence || self.matches(self.object, self.says, flow) > Sure::No
    }

    fn effects(&self, _direction: Direction) -> &'static [Effect] {
        match self.says.action {
            AccessAction::Deny | AccessAction::Custom(_) => &[Effect::Closes],
            AccessAction::Allow if !self.closed => &[Effect::Opens, Effect::Closes],
            AccessAction::Allow if self.governed.gateway => &[Effect::Opens, Effect::Undone],
            AccessAction::Allow => &[Effect::Opens],
        }
    }

    fn judge(&self, flow: &Flow, direction: Direction, said: &Said) -> Option<Judged> {
        if direction == Direction::Egress {
            return None;
        }
        let matched = || self.matches(self.object, self.says, flow).min(self.selected);
        // Mutual TLS refuses these callers before any AuthorizationPolicy could open or close the pod.
        if self.arrives(flow) == Sure::No {
            return None;
        }
        match (&self.says.action, said.allows) {
            (AccessAction::Deny, true) => Judged::if_so(
                Effect::Closes,
                matched(),
                "an AuthorizationPolicy with DENY beats what this build allows",
            ),
            (AccessAction::Custom(provider), true) => {
                let why = format!("its action is CUSTOM: the provider `{provider}` decides about them");
                Judged::if_so(Effect::Closes, matched().min(Sure::Maybe), why)
            }
            // A deny of the source beats every `ALLOW`.
            (AccessAction::Allow, false) if !said.denied => {
                let why = "objects of AuthorizationPolicy add up: delete it, or write a rule for what it lets through";
                Judged::if_so(Effect::Opens, matched().min(self.arrives(flow)), why)
            }
            (AccessAction::Allow, true) if !self.closed => {
                let why = "with ALLOW it closes its pods to all that no such object lets in, and the build writes none for \
                           them";
                Judged::if_so(Effect::Closes, self.stopped_by_all(flow).min(self.selected), why)
            }
            // The build's `ALLOW` at a gateway lets in its own clients for its own hosts, and all others as before; the
            // objects of others did not let in all.
            (AccessAction::Allow, true) if said.untouched && self.governed.gateway => {
                let why = "for hosts that no rule names the build lets everybody pass, as where nothing closes a gateway; \
                           isolate the gateway by a rule, or write rules for these hosts too";
                Judged::if_so(Effect::Undone, self.stopped_by_all(flow).min(self.selected), why)
            }
            _ => None,
        }
    }
}
