//! The effective policy of NetworkPolicies: the drafts of a plan as rules.
//!
//! ```netpol
//! allow egress garden/{app=web} -> zenquotes.io:443
//! ```
//!
//! isolates the pods with `app=web`, and lets them reach every public address, since a NetworkPolicy knows no names:
//!
//! ```yaml
//! app: web
//! cidr: 0.0.0.0/0
//! - { protocol: TCP, port: 443 }
//! ```

use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::model::{Cause, Peer, Peers, Subject};
use super::plan::{Draft, Plan, Term};
use super::view::View;
use crate::model::addresses::AddressSet;
use crate::model::conditions::Conditions;
use crate::model::endpoint::{Endpoint, Member, Pods, What};
use crate::model::labels::{Account, PodSelector};
use crate::model::port_list::PortList;
use crate::model::ports::{PortMatch, Ports};
use crate::model::rules::{Action, Direction, Notes, Origin, Rule};
use crate::source::Span;
use crate::targets::effective::{Effective, Excess, ExcessOf, Instead, Stated};
use crate::targets::{Judgement, Level, Traffic, Traffics, Why};

/// Returns the rules of a plan's objects, and the excess that its judgements admit.
pub(super) fn effective(view: View<'_>, plan: &Plan<'_>, judgements: &[Judgement]) -> Effective {
    let Some((.., first)) = view.partition.ends().next() else { return Effective::default() };
    let mut rules = Vec::new();
    let mut written =
        Written { view, span: first.origin.span, conditions: Arc::default(), peers: FxHashMap::default() };
    for direction in Direction::BOTH {
        for (_, subject, draft) in plan.drafts.isolated(direction) {
            written.draft(direction, subject, draft, &mut rules);
        }
    }
    let ends = view.partition.ends().zip(judgements).enumerate();
    let excess = ends.filter_map(|(end, ((.., rule), judgement))| {
        let wider = |kind: &Traffic| judgement.levels.of(*kind) != Level::Exact;
        let on: Traffics = Traffic::ALL.into_iter().filter(wider).collect();
        let of = match rule.action {
            // The flow to the gateway is not one that the deny forbids.
            Action::Deny if matches!(judgement.reason, Why::LedOutBy(_)) => return None,
            Action::Deny => ExcessOf::Deny,
            _ if plan.found.uncovered.contains(&end) || plan.found.shared.contains_key(&end) => ExcessOf::Pods,
            _ => ExcessOf::Rule,
        };
        let Judgement { rule, direction, .. } = *judgement;
        (!on.is_empty()).then_some(Excess { rule, direction, on, of })
    });
    Effective { excess: excess.collect(), rules }
}

/// The peers of a term that were made, which many terms share.
type Known = FxHashMap<(*const Peers<'static>, PortList), Arc<Endpoint>>;

struct Written<'v> {
    view: View<'v>,
    /// The span of rules that come from no rule of the source.
    span: Span,
    conditions: Arc<Conditions>,
    peers: Known,
}

impl Written<'_> {
    fn draft(&mut self, direction: Direction, subject: &Subject<'_>, draft: &Draft<'_>, rules: &mut Vec<Stated>) {
        let at = |id| self.view.policy.rule(id).map(|rule| rule.origin.span);
        let span = draft.isolated_by.first().and_then(|id| at(*id)).unwrap_or(self.span);
        let pods = PodSelector {
            labels: subject.labels.clone().into_owned(),
            ..PodSelector::in_namespace(subject.namespace.clone())
        };
        let all = Arc::new(pod_endpoint(span, pods.clone(), Ports::All));
        let isolation = self.rule(Action::Isolate, direction, span, [Arc::clone(&all), Arc::clone(&all)]);
        rules.push(Stated { rule: isolation, instead_of: Instead::Isolation });
        for term in &draft.terms {
            let instead_of = match &term.cause {
                Cause::Rule(id) => Instead::Rule(*id),
                Cause::Grant(id) => Instead::Grant(*id),
                Cause::Rest(ids) => Instead::Rest(ids.to_vec()),
            };
            let ends = match direction {
                Direction::Egress => [Arc::clone(&all), self.peers(span, term, &term.ports)],
                Direction::Ingress => {
                    let own = pod_endpoint(span, pods.clone(), ports(&term.ports));
                    [self.peers(span, term, &PortList::All), Arc::new(own)]
                }
            };
            let rule = self.rule(Action::Allow, direction, span, ends);
            rules.push(Stated { rule, instead_of });
        }
    }

    fn rule(&self, action: Action, direction: Direction, span: Span, ends: [Arc<Endpoint>; 2]) -> Rule {
        let [source, destination] = ends;
        Rule {
            action,
            egress: direction == Direction::Egress,
            ingress: direction == Direction::Ingress,
            source,
            destination,
            conditions: Arc::clone(&self.conditions),
            via: None,
            origin: Origin::new(span, Notes::default()),
        }
    }

    fn peers(&mut self, span: Span, term: &Term<'_>, list: &PortList) -> Arc<Endpoint> {
        let key = (Rc::as_ptr(&term.peers).cast::<Peers<'static>>(), list.clone());
        let made = || {
            let ports = ports(list);
            let member = |what| Member { span, what, ports: ports.clone() };
            let pods = |selector| member(What::Pods(Pods { selector, named: None }));
            let members = match &*term.peers {
                Peers::Everything => {
                    let addresses = member(What::Addresses(AddressSet::everything()));
                    [pods(PodSelector::any()), addresses].into_iter().collect()
                }
                Peers::Some(list) => {
                    let peer = |peer: &Peer<'_>| match peer {
                        Peer::Pods { namespace, labels } => pods(PodSelector {
                            namespace: namespace.clone().into_owned(),
                            labels: labels.clone().into_owned(),
                            account: Account::Not(Vec::new()),
                        }),
                        Peer::Block(block) => {
                            member(What::Addresses(AddressSet { blocks: vec![block.clone().into_owned()] }))
                        }
                    };
                    list.as_slice().iter().map(peer).collect()
                }
            };
            Arc::new(Endpoint { members })
        };
        Arc::clone(self.peers.entry(key).or_insert_with(made))
    }
}

fn pod_endpoint(span: Span, selector: PodSelector, ports: Ports) -> Endpoint {
    let pods = What::Pods(Pods { selector, named: None });
    Endpoint { members: [Member { span, what: pods, ports }].into_iter().collect() }
}

/// Returns a list of ports as rules have it.
fn ports(list: &PortList) -> Ports {
    match list {
        PortList::All => Ports::All,
        PortList::Some(list) => {
            let entry = |entry: &crate::model::port_list::PortEntry| PortMatch {
                port: entry.port.clone(),
                protocol: entry.transport.protocol(),
                app: None,
                service_port: None,
            };
            Ports::Some(list.as_slice().iter().map(entry).collect())
        }
    }
}
