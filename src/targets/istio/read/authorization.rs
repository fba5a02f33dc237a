//! AuthorizationPolicies and RequestAuthentications as sets.
//!
//! ```text
//! DENY   paths: ["/admin", "/admin/*"], ports: ["8080"]       refused: TCP 8080, the path's first segment is admin
//! ALLOW  requestPrincipals: ["https://login.example/*"]       let in: a token of that issuer, if the pod checks its tokens
//! ```
//!
//! A property that a connection does not show meets no condition. So a rule about requests lets in no connection
//! without requests; Istio too drops such a rule of an `ALLOW` on ports without HTTP.

use super::values::{self, Value};
use super::{Common, Ingress, NotUnderstood};
use crate::flows::{Flows, Name, Passing, Set, Side, Terms};
use crate::inventory::mesh::{AccessAction, AccessRule, Authorization, Condition};
use crate::inventory::{PolicyObject, Says};
use crate::model::ports::{PortMatch, Ports, Protocol};
use crate::policy::Policy;

/// Adds the values of an AuthorizationPolicy to the values in play.
pub(super) fn terms(
    policy: &Policy,
    object: &PolicyObject,
    says: &Authorization,
    terms: &mut Terms,
) -> Result<(), NotUnderstood> {
    let all = says.rules.iter().flat_map(|rule| rule.from.iter().chain(&rule.to).flatten().chain(&rule.when));
    for condition in all {
        for text in condition.values.iter().chain(&condition.not_values) {
            values::value(policy, object, &condition.attribute, text)?.terms(terms);
        }
    }
    Ok(())
}

/// Returns the flows with a token that the receiving pod accepts: of an issuer that the pod's RequestAuthentications
/// name, for one of that issuer's audiences.
fn authenticated(ingress: &Ingress<'_>, flows: &mut Flows, objects: &[&PolicyObject]) -> Result<Set, NotUnderstood> {
    let mut sets = Vec::new();
    for object in objects {
        let Says::Tokens(issuers) = &object.says else { continue };
        let pods = ingress.pods(flows, object)?;
        for issuer in issuers {
            let mut taken = flows.issuer(&issuer.url);
            if !issuer.audiences.is_empty() {
                let audiences = issuer.audiences.iter().map(|one| flows.claim(&["aud".into()], one)).collect();
                let audiences = flows.diagrams.union(audiences);
                taken = flows.diagrams.and(taken, audiences);
            }
            sets.push(flows.diagrams.and(pods, taken));
        }
    }
    Ok(flows.diagrams.union(sets))
}

/// The sets that the conditions of AuthorizationPolicies are made with.
pub(super) struct Reader<'i, 'a> {
    ingress: &'i Ingress<'a>,
    /// The flows with a token that the pod accepts.
    pub authenticated: Set,
    /// The flows to pods of gateways.
    gateways: Set,
    /// The flows whose caller has an identity.
    identified: Set,
}

impl<'i, 'a> Reader<'i, 'a> {
    /// Makes a reader for the pods that some objects are for.
    pub(super) fn new(
        ingress: &'i Ingress<'a>,
        common: &Common<'a>,
        flows: &mut Flows,
        objects: &[&PolicyObject],
    ) -> Result<Reader<'i, 'a>, NotUnderstood> {
        let authenticated = authenticated(ingress, flows, objects)?;
        Ok(Reader { authenticated, gateways: common.gateways, identified: common.identified, ingress })
    }

    /// Returns the flows that the AuthorizationPolicies among some objects let in.
    pub(super) fn said(&self, flows: &mut Flows, objects: &[&PolicyObject]) -> Result<Passing, NotUnderstood> {
        let [mut denied, mut allowed, mut closed] = [const { Vec::new() }; 3];
        for object in objects {
            let Says::Authorization(says) = &object.says else { continue };
            let pods = self.ingress.pods(flows, object)?;
            let mut matched = Vec::new();
            for rule in &says.rules {
                let one = self.rule(flows, object, rule)?;
                matched.push(flows.diagrams.and(pods, one));
            }
            match &says.action {
                AccessAction::Deny => denied.extend(matched),
                AccessAction::Allow => {
                    closed.push(pods);
                    allowed.extend(matched);
                }
                AccessAction::Custom(provider) => {
                    let what = format!("the provider `{provider}` decides");
                    return Err(NotUnderstood { origin: object.origin, what });
                }
            }
        }
        let [denied, allowed, closed] = [denied, allowed, closed].map(|sets| flows.diagrams.union(sets));
        Ok(Passing { allowed, closed, denied })
    }

    fn rule(&self, flows: &mut Flows, object: &PolicyObject, rule: &AccessRule) -> Result<Set, NotUnderstood> {
        let from = self.one_of(flows, object, &rule.from)?;
        let to = self.one_of(flows, object, &rule.to)?;
        let when = self.all(flows, object, &rule.when)?;
        let d = &mut flows.diagrams;
        let both = d.and(from, to);
        let mut matched = d.and(both, when);
        let mut conditions = rule.from.iter().chain(&rule.to).flatten().chain(&rule.when);
        if conditions.any(|condition| condition.attribute.is_of_requests()) {
            let requests = flows.with_request();
            matched = flows.diagrams.and(matched, requests);
        }
        Ok(matched)
    }

    /// Returns the flows of one of several sources or operations; all flows if none is listed.
    fn one_of(&self, flows: &mut Flows, object: &PolicyObject, list: &[Vec<Condition>]) -> Result<Set, NotUnderstood> {
        if list.is_empty() {
            return Ok(Set::ALL);
        }
        let sets: Result<Vec<Set>, NotUnderstood> = list.iter().map(|all| self.all(flows, object, all)).collect();
        Ok(flows.diagrams.union(sets?))
    }

    fn all(&self, flows: &mut Flows, object: &PolicyObject, all: &[Condition]) -> Result<Set, NotUnderstood> {
        let mut set = Set::ALL;
        for condition in all {
            let mut having = |texts: &[smol_str::SmolStr]| {
                let mut sets = Vec::new();
                for text in texts {
                    let value = values::value(self.ingress.policy, object, &condition.attribute, text)?;
                    sets.push(self.having(flows, &value));
                }
                Ok(flows.diagrams.union(sets))
            };
            let (wanted, unwanted) = (having(&condition.values)?, having(&condition.not_values)?);
            let d = &mut flows.diagrams;
            if !condition.values.is_empty() {
                set = d.and(set, wanted);
            }
            set = d.minus(set, unwanted);
        }
        Ok(set)
    }

    /// Returns the flows that have a value.
    fn having(&self, flows: &mut Flows, value: &Value) -> Set {
        match value {
            Value::Nothing => Set::NONE,
            Value::Caller(pods) => {
                let callers = flows.pods(Side::Source, false, pods);
                flows.diagrams.and(callers, self.identified)
            }
            Value::Sender(set) => flows.at(Side::Source, set),
            // A gateway sees its clients itself; a workload behind it sees the client's address that the gateway
            // forwards.
            Value::Client(set) => {
                let (sent, passed_on) = (flows.at(Side::Source, set), flows.client(set));
                let d = &mut flows.diagrams;
                let at_gateway = d.and(self.gateways, sent);
                let behind = d.minus(passed_on, self.gateways);
                d.or(at_gateway, behind)
            }
            Value::Token { issuer, subject } => {
                let issuer = issuer.as_ref().map_or(Set::ALL, |url| flows.issuer(url));
                let subject = subject.as_ref().map_or(Set::ALL, |one| flows.subjects(std::slice::from_ref(one)));
                let both = flows.diagrams.and(issuer, subject);
                flows.diagrams.and(self.authenticated, both)
            }
            Value::Claim(names, value) => {
                let claim = flows.claim(names, value);
                flows.diagrams.and(self.authenticated, claim)
            }
            Value::Header(name, value) => flows.header(name, std::slice::from_ref(value)),
            Value::Host(host) => flows.asks_for_names(Name::Host, std::slice::from_ref(host)),
            Value::Sni(host) => flows.asks_for_names(Name::Tls, std::slice::from_ref(host)),
            Value::Method(method) => flows.methods(std::slice::from_ref(method)),
            Value::Path(path) => flows.path(path, false),
            Value::Below(path) => {
                let whole = flows.path(path, false);
                let itself = flows.path(&values::itself(path), false);
                flows.diagrams.minus(whole, itself)
            }
            Value::Port(port) => flows.ports(&Ports::Some(vec![PortMatch::range(*port, *port, Protocol::Tcp)])),
        }
    }
}
