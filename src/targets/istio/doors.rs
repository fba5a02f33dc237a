//! What gateways let through for `via`, in and out.
//!
//! A sentence about one host says nothing of the gateway's others: beside the rules that it needs, the gateway's policy
//! has those that let everything else pass as before, unless rules isolate the gateway itself.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use smol_str::SmolStr;

use super::authorization::Access;
use super::facts::Facts;
use super::judge::{Flaw, Judge};
use super::model::{AccessRule, Comment, Condition, Meta, Operation, Resource, ServicePatch, Source};
use super::operations::{host_patterns, path_patterns};
use super::places::{Kind, Place, Placer};
use super::sources::{From, Position, Senders};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::policy::{Direction, Gateway, GatewayPort, HostName, Protocol, Rule, Via};

/// What comes in and goes out through gateways.
#[derive(Default)]
pub(super) struct Doors {
    /// For each gateway by its pods, what is said of it.
    doors: Vec<Door>,
    /// The Services whose packets must keep the client's address, with the rules that need it.
    patches: BTreeMap<(SmolStr, SmolStr), Vec<u32>>,
    /// The gateways whose Service is not known, with the first rule that needs it.
    unknown: Vec<(SmolStr, u32)>,
    seen: FxHashSet<u32>,
}

struct Door {
    gateway: Arc<Gateway>,
    /// The first rule that speaks of it.
    first: u32,
    sentences: Vec<(u32, AccessRule)>,
    hosts: BTreeSet<HostName>,
    exits: BTreeSet<HostName>,
}

impl Doors {
    /// Returns who calls the workload of an ingress rule through a gateway: the gateway. Notes what the gateway has to
    /// judge.
    pub(super) fn caller(
        &mut self,
        facts: &Facts<'_>,
        at: u32,
        rule: &Rule,
        via: &Via,
        senders: &mut Senders<'_, '_>,
        judge: &mut Judge<'_>,
    ) -> Rc<From> {
        let Some((namespace, account)) = &via.gateway.account else {
            let unable =
                Some(format!("gateway {} names no account by which the workload could know it", via.gateway.name));
            return Rc::new(From { unable, ..From::default() });
        };
        let from = senders.of(&rule.source, Position::Gateway);
        if self.seen.insert(at) {
            match self.sentence(at, rule, via, &from) {
                Ok(()) => {
                    if from.sources.is_some() {
                        self.patch(&via.gateway, at);
                    }
                    if from.identity {
                        judge.narrower(
                            at,
                            Direction::Ingress,
                            "at a gateway clients have no identity: pods are refused".into(),
                        );
                    }
                }
                Err(why) => judge.flaw(at, Direction::Ingress, &Flaw::unable(why)),
            }
        }
        let principal = format!("{}/ns/{namespace}/sa/{account}", facts.policy.settings.trust_domain);
        let sources = vec![Source { principals: vec![principal], ..Source::default() }];
        Rc::new(From { sources: Some(Rc::new(sources)), identity: true, ..From::default() })
    }

    fn sentence(&mut self, at: u32, rule: &Rule, via: &Via, from: &From) -> Result<(), String> {
        let Some(host) = &via.at else { return Err("the public host is not said".into()) };
        if let Some(why) = &from.unable {
            return Err(why.clone());
        }
        // Both the host's rules and the one for all other hosts need its patterns.
        host_patterns(host, true, &[])?;
        let mut operation = Operation { hosts: host_patterns(host, false, &[])?, ..Operation::default() };
        operation.methods.clone_from(&rule.conditions.methods);
        for path in &rule.conditions.paths {
            operation.paths.extend(path_patterns(path)?);
        }
        let nobody = from.sources.as_ref().is_some_and(|sources| sources.is_empty());
        let door = self.door(&via.gateway, at);
        door.hosts.insert(host.clone());
        if !nobody {
            let from = from.sources.clone().unwrap_or_default();
            door.sentences.push((at, AccessRule { from, to: Some(operation), ..AccessRule::default() }));
        }
        Ok(())
    }

    /// Notes who may leave for a host through a gateway.
    pub(super) fn exit(&mut self, gateway: &Arc<Gateway>, host: &HostName, rule: u32, from: Option<Rc<Vec<Source>>>) {
        let door = self.door(gateway, rule);
        door.exits.insert(host.clone());
        if from.as_ref().is_some_and(|sources| sources.is_empty()) {
            return;
        }
        let when = vec![Condition { key: SNI.into(), values: vec![host.to_string()], not_values: Vec::new() }];
        let access = AccessRule { from: from.unwrap_or_default(), when, ..AccessRule::default() };
        door.sentences.push((rule, access));
    }

    /// Notes that a gateway's Service must keep the client's address.
    pub(super) fn patch(&mut self, gateway: &Gateway, rule: u32) {
        match &gateway.service {
            Some(service) => self.patches.entry(service.clone()).or_default().push(rule),
            None if self.unknown.iter().any(|(name, _)| *name == gateway.name) => {}
            None => self.unknown.push((gateway.name.clone(), rule)),
        }
    }

    fn door(&mut self, gateway: &Arc<Gateway>, first: u32) -> &mut Door {
        let at = self.doors.iter().position(|door| door.gateway.pods == gateway.pods);
        let at = at.unwrap_or_else(|| {
            let (sentences, hosts, exits) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
            self.doors.push(Door { gateway: Arc::clone(gateway), first, sentences, hosts, exits });
            self.doors.len() - 1
        });
        &mut self.doors[at]
    }

    /// Adds the gateways' rules to their policies and returns the patches of their Services.
    pub(super) fn finish(self, facts: &Facts<'_>, access: &mut Access, diagnostics: &mut Diagnostics) -> Vec<Resource> {
        let mut placer = Placer::new(facts, Kind::Authorization);
        for door in &self.doors {
            let places: Vec<Place> =
                door.gateway.pods.iter().flat_map(|pods| placer.place(pods).places.clone()).collect();
            for place in places {
                let isolated = access.closes(&place);
                for (rule, sentence) in &door.sentences {
                    let sentence = AccessRule { comment: Comment::Rule(*rule), ..sentence.clone() };
                    access.add(&place, false, Some(sentence), *rule);
                }
                for rule in door.others().into_iter().filter(|_| !isolated) {
                    access.add(&place, false, Some(rule), door.first);
                }
            }
        }
        for (name, rule) in self.unknown {
            let Some(rule) = facts.policy.rules.get(rule as usize) else { continue };
            let message = format!("the Service of the gateway `{name}` is not known");
            diagnostics.push(
                Diagnostic::new(Code::GatewayService, rule.origin.span, message)
                    .at("the client's address is judged at the gateway, whose Service must keep it")
                    .note("name it in the gateway's block: `service NAMESPACE/NAME`"),
            );
        }
        let aws_nlb = facts.policy.settings.aws_nlb;
        let patch = |((namespace, name), rules): ((SmolStr, SmolStr), Vec<u32>)| {
            let meta = Meta { namespace, name: name.to_string(), rules, comment: None };
            Resource::ServicePatch(ServicePatch { meta, aws_nlb })
        };
        self.patches.into_iter().map(patch).collect()
    }
}

/// The condition on the name that TLS asks for.
const SNI: &str = "connection.sni";

impl Door {
    /// Returns the rules that let pass what no sentence speaks of.
    fn others(&self) -> Vec<AccessRule> {
        let not_sni = |names: Vec<String>| -> Vec<Condition> {
            let condition = Condition { key: SNI.into(), values: Vec::new(), not_values: names };
            Some(condition).filter(|condition| !condition.not_values.is_empty()).into_iter().collect()
        };
        let exits: Vec<String> = self.exits.iter().map(HostName::to_string).collect();
        if self.hosts.is_empty() {
            let comment = Comment::Words("What leaves for other hosts passes as before.");
            return vec![AccessRule { comment, when: not_sni(exits), ..AccessRule::default() }];
        }
        let patterns = self.hosts.iter().flat_map(|host| host_patterns(host, true, &[]).unwrap_or_default());
        let other_hosts = Operation { not_hosts: patterns.collect(), ..Operation::default() };
        let mut rules = vec![AccessRule {
            comment: Comment::Words("Requests for other hosts pass as before."),
            to: Some(other_hosts),
            when: not_sni(exits.clone()),
            ..AccessRule::default()
        }];
        let unread = |port: &&GatewayPort| {
            port.protocol == Protocol::Tcp && !port.app.is_some_and(crate::policy::AppProtocol::has_requests)
        };
        let mut ports: Vec<u16> = self.gateway.ports.iter().filter(unread).map(|port| port.target).collect();
        ports.sort_unstable();
        ports.dedup();
        if !ports.is_empty() {
            // Where the gateway does not look into TLS, only its SNI tells the hosts apart.
            let names = self.hosts.iter().map(HostName::to_string).chain(exits).collect();
            rules.push(AccessRule {
                comment: Comment::Words("So do connections that ask for other names."),
                to: Some(Operation { ports, ..Operation::default() }),
                when: not_sni(names),
                ..AccessRule::default()
            });
        }
        rules
    }
}
