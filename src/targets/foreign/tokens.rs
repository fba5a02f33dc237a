//! RequestAuthentications of the cluster, and their effect on requests with tokens. All those of a pod are pooled: a
//! request without a token passes, and one with a token that none of their issuers signed is refused.
//!
//! ```text
//! allow ingress lab/* -> shop/web:8080/http
//! RequestAuthentication shop/tokens: issuer: login.example.com    # closes shop/web to a token of another issuer
//! ```

use serde_json::Value;
use smol_str::SmolStr;

use super::access::is_unread;
use super::flows::token;
use super::pods::Governed;
use super::shape::Shape;
use super::{Effect, Judged, Judges, Look, Said, Sure};
use crate::inventory::mesh::Issuer;
use crate::inventory::{PolicyObject, Says};
use crate::model::conditions::{Jwt, Keys};
use crate::model::ports::Protocol;
use crate::model::rules::Direction;
use crate::policy::{Flow, Request};

/// Returns the issuers whose tokens a pod's sidecar looks at: those of the rules and those of the cluster's objects.
pub(super) fn issuers(look: &Look<'_>, governed: &Governed) -> Vec<SmolStr> {
    let own = governed.rules(Direction::Ingress).filter_map(|rule| rule.conditions.jwt.as_ref());
    let own = own.map(|jwt| jwt.issuer.url.clone());
    let theirs = look.theirs_for(&governed.pod).into_iter().filter_map(|object| match &object.says {
        Says::Tokens(issuers) => Some(issuers.iter().map(|issuer| issuer.url.clone())),
        _ => None,
    });
    own.chain(theirs.flatten()).collect()
}

/// A RequestAuthentication, beside the rules that ask a pod's callers for tokens.
pub(super) struct Judge<'a> {
    governed: &'a Governed,
    theirs: &'a [Issuer],
    own: Vec<&'a Jwt>,
    /// The issuers whose tokens the pod's sidecar looks at.
    issuers: Vec<SmolStr>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(look: &Look<'a>, governed: &'a Governed, object: &'a PolicyObject) -> Option<Judge<'a>> {
        let Says::Tokens(theirs) = &object.says else { return None };
        let own = governed.rules(Direction::Ingress).filter_map(|rule| rule.conditions.jwt.as_deref()).collect();
        Some(Judge { governed, theirs, own, issuers: issuers(look, governed) })
    }

    /// Returns by what an issuer that is also one of the rules' takes other tokens than they do.
    fn takes_others(&self, issuer: &Issuer) -> Option<&'static str> {
        let own = &self.own.iter().find(|jwt| jwt.issuer.url == issuer.url)?.issuer;
        let same_keys = match &own.keys {
            Keys::Remote { url, .. } => *url == issuer.keys,
            Keys::Inline(keys) => *keys == issuer.keys,
        };
        if !same_keys {
            return Some("by other keys than");
        }
        let others = issuer.audiences.is_empty() || issuer.audiences.iter().any(|one| !own.audiences.contains(one));
        (!own.audiences.is_empty() && others).then_some("for other audiences than")
    }

    /// Returns whether a proxy may read requests on the port of a flow.
    fn may_have_requests(&self, flow: &Flow) -> bool {
        let read = |port| !is_unread(&self.governed.policy.inventory, &self.governed.pod, port);
        flow.protocol == Protocol::Tcp && flow.port.is_some_and(read)
    }
}

impl Judges for Judge<'_> {
    fn shapes(&self, direction: Direction) -> Vec<Shape> {
        if direction == Direction::Egress || self.theirs.is_empty() {
            return Vec::new();
        }
        // A token of an issuer that the pod does not know; the requests of the rules have the tokens of theirs.
        let jwt = Some(token("https://issuer.example.com", "subject"));
        let requests = vec![Request { jwt, ..Request::default() }, Request::default()];
        vec![Shape { requests, ..Shape::default() }]
    }

    fn judge(&self, flow: &Flow, direction: Direction, said: &Said) -> Option<Judged> {
        let claims = flow.request.jwt.as_ref().filter(|_| said.allows && direction == Direction::Ingress)?;
        let url = claims.get("iss").and_then(Value::as_str)?;
        if !self.may_have_requests(flow) {
            return None;
        }
        let same = self.theirs.iter().filter(|issuer| issuer.url == url);
        if let Some(others) = same.filter_map(|issuer| self.takes_others(issuer)).next() {
            let why = format!("it takes tokens of `{url}` {others} these rules");
            return Judged::if_so(Effect::Opens, Sure::Yes, why);
        }
        // Where rules ask for tokens, tokens of other issuers are refused anyway.
        if !self.own.is_empty() || self.issuers.iter().any(|known| known == url) {
            return None;
        }
        let first = &self.theirs.first()?.url;
        let more = match self.theirs.len() - 1 {
            0 => String::new(),
            more => format!(" or {more} more"),
        };
        let why =
            format!("a request that brings a token must bring one of `{first}`{more}; one without a token passes");
        Judged::if_so(Effect::Closes, Sure::Yes, why)
    }
}
