//! Reader of egress: the flows that the sidecars of pods let out, as sets, read from the text of objects.
//!
//! ```text
//! Sidecar garden/web: app: web, REGISTRY_ONLY, egress: [{ port: 443/TLS, hosts: ["./zenquotes.io"] }]
//! ServiceEntry garden/zenquotes-io: hosts: [zenquotes.io], resolution: DNS, ports: [443/TLS]
//!     from garden/{app=web}: to zenquotes.io, wherever it is, on TCP 443, and nowhere else
//! ```
//!
//! A pod obeys one Sidecar: one that selects it, else its namespace's, else the mesh's; without any it may call
//! everything (`networking/v1alpha3/sidecar.proto` and `service_entry.proto` of Istio's API). A set has the flows that
//! *some* way of dialling leads to, at their final destination: the pods behind a Service, the addresses of an entry, a
//! host at any of its addresses. The sets are about flows through the sender's sidecar, which sees only TCP.

mod imports;
mod index;
mod land;
mod services;
mod sets;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

pub use self::index::Index;
use self::land::{Landing, To};
use super::{NotUnderstood, apart};
use crate::flows::{Flows, Passing, Set, Side, Terms};
use crate::inventory::{Pods, PolicyObject};
use crate::model::labels::{PodSelector, Requirements};
use crate::policy::Policy;

/// The Sidecars of some namespaces.
pub struct Egress<'i, 'a> {
    policy: &'a Policy,
    rows: Vec<Row<'i>>,
}

/// The Sidecars of one namespace.
struct Row<'i> {
    /// Those that select pods.
    selected: Vec<One<'i>>,
    /// The Sidecar of all other pods: the namespace's, else the mesh's.
    others: Option<One<'i>>,
}

/// A Sidecar, and the destinations that it lets its pods reach.
struct One<'i> {
    object: &'i PolicyObject,
    pods: PodSelector,
    landings: Vec<Landing<'i>>,
}

/// The destinations of connections as sets of one space: many Sidecars let their pods reach the same host.
#[derive(Default)]
pub struct Ends<'e, 'i>(FxHashMap<&'e To<'i>, LetOut>);

/// The flows that sidecars let out.
#[derive(Clone, Copy, Debug)]
pub struct LetOut<S = Set> {
    /// All flows that may pass.
    pub may: S,
    /// The flows that certainly pass.
    pub must: S,
}

impl<'i, 'a> Egress<'i, 'a> {
    /// Reads the objects for the pods of some namespaces; `None` is a namespace that no rule names.
    pub fn new(index: &'i Index<'a>, namespaces: &[Option<SmolStr>]) -> Result<Egress<'i, 'a>, NotUnderstood> {
        let rows: Result<Vec<Row<'i>>, NotUnderstood> =
            namespaces.iter().map(|name| Row::new(index, name.as_ref())).collect();
        Ok(Egress { policy: index.policy, rows: rows? })
    }

    /// Adds the values of the objects to the values in play.
    pub fn terms(&self, terms: &mut Terms) {
        terms.addresses(&self.policy.pod_addresses);
        for one in self.rows.iter().flat_map(|row| row.selected.iter().chain(&row.others)) {
            terms.pods(&one.pods);
            one.landings.iter().for_each(|landing| landing.terms(terms));
        }
        self.service_terms(terms);
    }

    /// Returns the flows among those `asked` for that the sidecars let out of a namespace's pods (TCP). `at` is the
    /// index of the namespace in the list. The space must be made from [`Egress::terms`].
    pub fn row<'e>(
        &'e self,
        flows: &mut Flows,
        ends: &mut Ends<'e, 'i>,
        at: usize,
        place: u32,
        asked: Set,
    ) -> Result<LetOut<Passing>, NotUnderstood> {
        let Some(row) = self.rows.get(at) else { return Ok(LetOut { may: Passing::ALL, must: Passing::ALL }) };
        let mut each = Vec::with_capacity(row.selected.len());
        for one in &row.selected {
            let pods = flows.pods(Side::Source, true, &one.pods);
            each.push(flows.with_place(pods, true, place));
        }
        let selected = apart(flows, &each, asked).map_err(|at| NotUnderstood {
            origin: row.selected[at].object.origin,
            what: "of two Sidecars for one pod the older one counts".to_owned(),
        })?;
        let (mut may, mut must) = (Vec::new(), Vec::new());
        for (one, pods) in row.selected.iter().zip(each) {
            let out = self.lets_out(flows, ends, one, place);
            may.push(flows.diagrams.and(pods, out.may));
            must.push(flows.diagrams.and(pods, out.must));
        }
        let mut closed = selected;
        if let Some(one) = &row.others {
            let others = self.lets_out(flows, ends, one, place);
            may.push(flows.diagrams.minus(others.may, selected));
            must.push(flows.diagrams.minus(others.must, selected));
            closed = Set::ALL;
        }
        let [may, must] = [may, must].map(|sets| {
            let allowed = flows.diagrams.union(sets);
            Passing { allowed, closed, denied: Set::NONE }
        });
        Ok(LetOut { may, must })
    }

    fn lets_out<'e>(&self, flows: &mut Flows, ends: &mut Ends<'e, 'i>, one: &'e One<'i>, place: u32) -> LetOut {
        let (mut may, mut must) = (Vec::new(), Vec::new());
        for landing in &one.landings {
            let to = *ends.0.entry(&landing.to).or_insert_with(|| landing.to.set(self.policy, flows));
            let out = landing.set(to, flows, place);
            may.push(out.may);
            must.push(out.must);
        }
        let [may, must] = [may, must].map(|sets| flows.diagrams.union(sets));
        LetOut { may, must }
    }
}

impl<'i> Row<'i> {
    fn new(index: &'i Index<'_>, namespace: Option<&SmolStr>) -> Result<Row<'i>, NotUnderstood> {
        let (mut selected, mut others) = (Vec::new(), None);
        let own = namespace.map(|name| index.sidecars(name)).unwrap_or_default();
        for &object in own {
            let labels = labels(object)?;
            let pods = PodSelector { labels: labels.clone(), ..PodSelector::in_namespace(object.namespace.clone()) };
            let one = One { object, pods, landings: index.landings(object, namespace) };
            match labels.is_any() {
                false => selected.push(one),
                true if others.is_some() => {
                    let what = "of two Sidecars for one namespace the older one counts".to_owned();
                    return Err(NotUnderstood { origin: object.origin, what });
                }
                true => others = Some(one),
            }
        }
        if others.is_none() {
            let root = index.sidecars(&SmolStr::from(index.policy.settings.root_namespace.as_str()));
            for &object in root {
                if labels(object)?.is_any() {
                    let landings = index.landings(object, namespace);
                    others = Some(One { object, pods: PodSelector::any(), landings });
                }
            }
        }
        Ok(Row { selected, others })
    }
}

fn labels(object: &PolicyObject) -> Result<&Requirements, NotUnderstood> {
    match &object.pods {
        Pods::Labels(labels) => Ok(labels),
        Pods::Gateways { .. } => {
            let what = "a Sidecar for gateways, which have none".to_owned();
            Err(NotUnderstood { origin: object.origin, what })
        }
    }
}
