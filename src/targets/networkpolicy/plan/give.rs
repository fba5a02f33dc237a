//! Terms of rules and grants, given to the subjects of each, rule by rule.
//!
//! ```netpol
//! allow egress garden/* -> db/*:5432
//! ```
//!
//! isolates the pods of `garden` on their way out, and gives them the term "pods of `db` on TCP 5432":
//!
//! ```yaml
//! policyTypes: [Egress]
//! kubernetes.io/metadata.name: db
//! - { protocol: TCP, port: 5432 }
//! ```
//!
//! A grant gives terms and isolates no pods, and some pods are only perhaps meant: their terms wait for `spread`.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::drafts::{Drafts, Term, place};
use super::peers::{Reach, Wider};
use super::subjects::{MemberPods, Subjects};
use crate::inventory::{Perhaps, Within};
use crate::model::labels::PodSelector;
use crate::model::rules::{Action, Direction};
use crate::targets::gap::Gap;
use crate::targets::networkpolicy::model::{Cause, Subject};
use crate::targets::networkpolicy::view::View;

/// A term, and the pods that it is meant for.
pub type Waiting<'a> = (Rc<Term<'a>>, &'a PodSelector);

/// The terms that rules and grants give.
pub struct Given<'a> {
    /// The drafts of the subjects.
    pub drafts: Drafts<'a>,
    /// By direction, the terms that wait, by the pods that may get them.
    pub waiting: [FxHashMap<Perhaps<'a>, Vec<Waiting<'a>>>; 2],
    /// The gaps of wider peers, by rule end.
    pub wider: Vec<(usize, Gap)>,
}

/// Gives the terms of a partition's allows and grants; denies are left aside.
pub fn give<'a>(view: View<'a>, subjects: &Subjects<'a>) -> Given<'a> {
    let mut given = Given { drafts: Drafts::default(), waiting: Default::default(), wider: Vec::new() };
    for (end, ((at, direction, rule), pods)) in view.partition.ends().zip(&subjects.ends).enumerate() {
        if rule.action == Action::Deny {
            continue;
        }
        let (reaches, wider) = match rule.action {
            Action::Allow => view.allowed(rule, direction),
            Action::Deny | Action::Isolate => (Vec::new(), Wider::default()),
        };
        given.wider.extend(wider.gaps(rule).map(|gap| (end, gap)));
        for (member, (pods, (_, meant))) in pods.iter().zip(rule.subject(direction).pods()).enumerate() {
            let certain: Vec<usize> = pods.certain().iter().map(|pods| given.drafts.number(pods.clone())).collect();
            for &subject in &certain {
                let draft = given.drafts.draft_mut(subject, direction);
                draft.isolated = true;
                draft.isolated_by.push(at);
            }
            given.add(direction, (pods, &certain), terms(&reaches, member, Cause::Rule(at)), &meant.selector);
        }
    }
    for ((at, grant), pods) in view.partition.grants().zip(&subjects.grants) {
        // A grant that is wider than its rule is a gap of the rule.
        let (reaches, _) = view.granted(grant);
        for (member, (pods, (_, meant))) in pods.iter().zip(grant.subject().pods()).enumerate() {
            let certain: Vec<usize> = pods.certain().iter().map(|pods| given.drafts.number(pods.clone())).collect();
            given.add(grant.direction, (pods, &certain), terms(&reaches, member, Cause::Grant(at)), &meant.selector);
        }
    }
    given
}

impl<'a> Given<'a> {
    /// Gives terms to subjects that rules isolate; for other subjects, and for perhaps-meant pods, the terms wait.
    fn add(
        &mut self,
        direction: Direction,
        (pods, certain): (&MemberPods<'a>, &[usize]),
        terms: impl Iterator<Item = Rc<Term<'a>>>,
        meant: &'a PodSelector,
    ) {
        for term in terms {
            for &subject in certain {
                let draft = self.drafts.draft_mut(subject, direction);
                if draft.isolated {
                    draft.terms.push(Rc::clone(&term));
                    continue;
                }
                let Subject { namespace, labels } = self.drafts.subject(subject).clone();
                self.wait(direction, Perhaps { within: Within::Namespace(namespace), labels, all: true }, &term, meant);
            }
            pods.perhaps().iter().for_each(|pods| self.wait(direction, pods.clone(), &term, meant));
        }
    }

    fn wait(&mut self, direction: Direction, pods: Perhaps<'a>, term: &Rc<Term<'a>>, meant: &'a PodSelector) {
        self.waiting[place(direction)].entry(pods).or_default().push((Rc::clone(term), meant));
    }
}

/// Makes the terms of one member of a subject.
fn terms<'a>(reaches: &[Reach<'a>], member: usize, cause: Cause) -> impl Iterator<Item = Rc<Term<'a>>> {
    let of_member = reaches.iter().filter(move |reach| reach.member.is_none_or(|of| of == member));
    of_member.map(move |reach| {
        let (peers, ports) = (Rc::clone(&reach.peers), reach.ports.clone());
        Rc::new(Term { peers, ports, cause: cause.clone() })
    })
}
