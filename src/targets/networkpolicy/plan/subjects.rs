//! Subjects of rule ends and grants, as a NetworkPolicy selects pods: a namespace by its name, and labels of pods.
//! Selectors that say more are answered by the inventory ([`Inventory::meant`]).
//!
//! ```netpol
//! default deny ingress { shop/*, lab/{app=web} }
//! ```
//!
//! is for two subjects, and there are two objects:
//!
//! ```yaml
//! namespace: lab
//! app: web
//! namespace: shop
//! ```

use std::borrow::Cow;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::inventory::{Indistinct, Inventory, MeantPods, Perhaps, Within};
use crate::model::endpoint::Endpoint;
use crate::model::labels::{NAMESPACE_NAME, PodSelector, Requirement, Test};
use crate::policy::GrantReason;
use crate::targets::networkpolicy::model::Subject;
use crate::targets::networkpolicy::view::View;

/// The pods of one member of a subject.
#[derive(Clone, Debug)]
pub enum MemberPods<'a> {
    /// One subject, as most are.
    One(Subject<'a>),
    /// The pods that the inventory makes of a selector.
    Several(Rc<MeantPods<'a>>),
}

/// The pods of a subject: of each member that is pods.
pub type SubjectPods<'a> = SmallVec<[MemberPods<'a>; 1]>;

/// The pods of all rule ends and grants of a partition.
pub struct Subjects<'a> {
    /// The pods of the rule ends.
    pub ends: Vec<SubjectPods<'a>>,
    /// The pods of the grants.
    pub grants: Vec<SubjectPods<'a>>,
}

impl Subjects<'_> {
    /// Takes all pods away.
    pub fn clear(&mut self) {
        self.ends.iter_mut().chain(&mut self.grants).for_each(SmallVec::clear);
    }
}

impl<'a> MemberPods<'a> {
    /// Returns the subjects that are meant for certain.
    pub fn certain(&self) -> &[Subject<'a>] {
        match self {
            MemberPods::One(subject) => std::slice::from_ref(subject),
            MemberPods::Several(meant) => &meant.certain,
        }
    }

    /// Returns wider sets that contain the perhaps-meant pods.
    pub fn perhaps(&self) -> &[Perhaps<'a>] {
        self.meant().map_or(&[], |meant| &meant.perhaps)
    }

    /// Returns why some pods are only perhaps meant.
    pub fn indistinct(&self) -> Option<&Indistinct> {
        self.meant()?.indistinct.as_ref()
    }

    /// Returns whether the namespaces come from the inventory, since the selector names none.
    pub fn is_from_inventory(&self) -> bool {
        self.meant().is_some_and(|meant| meant.from_inventory)
    }

    fn meant(&self) -> Option<&MeantPods<'a>> {
        match self {
            MemberPods::One(_) => None,
            MemberPods::Several(meant) => Some(meant),
        }
    }
}

/// Finds the pods of all rule ends and grants.
pub fn subjects<'a>(view: View<'a>) -> Subjects<'a> {
    let mut known = MetSelectors { inventory: &view.policy.inventory, meant: FxHashMap::default() };
    let ends = view.partition.ends().map(|(_, direction, rule)| known.subject(rule.subject(direction))).collect();
    let grants = view.partition.grants().map(|(_, grant)| match grant.reason {
        // An inventory tells the pods that have a sidecar.
        GrantReason::Istiod if view.policy.inventory.given => {
            let meshed = meshed(view);
            grant.subject().pods().map(|_| meshed.clone()).collect()
        }
        _ => known.subject(grant.subject()),
    });
    let grants = grants.collect();
    Subjects { ends, grants }
}

/// Returns the pods of a partition that have a sidecar, as far as rules isolate them.
fn meshed<'a>(view: View<'a>) -> MemberPods<'a> {
    let perhaps = view.partition.namespaces().into_iter().flat_map(|namespace| {
        let all = view.policy.inventory.meshed(namespace).into_iter();
        all.map(move |labels| Perhaps { within: Within::Namespace(namespace), labels: Cow::Owned(labels), all: true })
    });
    MemberPods::Several(Rc::new(MeantPods { perhaps: perhaps.collect(), ..MeantPods::default() }))
}

/// The selectors met so far: the same selector is in many rules.
struct MetSelectors<'a> {
    inventory: &'a Inventory,
    meant: FxHashMap<&'a PodSelector, Rc<MeantPods<'a>>>,
}

impl<'a> MetSelectors<'a> {
    fn subject(&mut self, subject: &'a Endpoint) -> SubjectPods<'a> {
        subject.pods().map(|(_, pods)| self.pods(&pods.selector)).collect()
    }

    fn pods(&mut self, selector: &'a PodSelector) -> MemberPods<'a> {
        if let Some(subject) = plain(selector) {
            return MemberPods::One(subject);
        }
        let meant = self.meant.entry(selector).or_insert_with(|| Rc::new(self.inventory.meant(selector)));
        MemberPods::Several(Rc::clone(meant))
    }
}

/// Returns the pods of a selector as the one subject that they are where it names its namespace and no account.
fn plain(selector: &PodSelector) -> Option<Subject<'_>> {
    match selector.namespace.list() {
        [Requirement { key, test: Test::In(names) }] if key == NAMESPACE_NAME && selector.account.is_any() => {
            let [namespace] = names.as_slice() else { return None };
            Some(Subject { namespace, labels: Cow::Borrowed(&selector.labels) })
        }
        _ => None,
    }
}
