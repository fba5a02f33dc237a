//! Decisions of Istio's objects, as sets, about single flows.

use std::net::{IpAddr, Ipv4Addr};

use smol_str::SmolStr;

use super::{Failed, Said, other_pods, own_pods, read, rows, seen};
use crate::flows::{Passing, Set};
use crate::inventory::PolicyObject;
use crate::inventory::outside::Mesh;
use crate::model::rules::Direction;
use crate::policy::meaning::Meaning;
use crate::policy::{Flow, Policy};
use crate::targets::Made;
use crate::targets::istio::read::Ingress;
use crate::targets::istio::read::egress::{Egress, Ends, Index};
use crate::verify::budget;
use crate::verify::decision::Decision;

/// The error for objects that cannot give an answer.
pub(in crate::verify) struct Undecided;

impl From<Failed> for Undecided {
    fn from(_: Failed) -> Undecided {
        Undecided
    }
}

/// Returns the decision of the proxies in a namespace about flows that they see.
pub(in crate::verify) fn decisions(
    policy: &Policy,
    made: &Made<'_>,
    direction: Direction,
    name: &SmolStr,
    flows: &[&Flow],
) -> Result<Vec<Decision>, Undecided> {
    let (mut rows, wide) = rows(policy, made, direction);
    let Some(own) = rows.remove(&Some(name.clone())) else { return Ok(vec![Decision::Passes; flows.len()]) };
    let Some(&(first, _)) = made.ends.first() else { return Ok(vec![Decision::Passes; flows.len()]) };
    let mesh = read(policy.rules[first.index()].origin.span.file, made.texts).map_err(|_| Undecided)?;
    let mut said = wide;
    said.add(&own);
    match direction {
        Direction::Egress => out(policy, &mesh, &said, name, flows),
        Direction::Ingress => into(policy, &mesh, &said, name, flows),
    }
}

fn out(policy: &Policy, mesh: &Mesh, said: &Said, name: &SmolStr, flows: &[&Flow]) -> Result<Vec<Decision>, Undecided> {
    let index = Index::new(policy, mesh);
    let egress = Egress::new(&index, &[Some(name.clone())]).map_err(Failed::from)?;
    let mut meaning =
        Meaning::beside(policy, &said.ends, &said.grants, budget(said.len()), |terms| egress.terms(terms));
    let place = meaning.flows().space.place(name);
    let known = known(policy, &mut meaning, Direction::Egress, place);
    let seen = seen::out(policy, &mut meaning, place);
    let within = meaning.flows().diagrams.and(known, seen);
    let row = egress.row(meaning.flows(), &mut Ends::default(), 0, place, within).map_err(Failed::from)?;
    meaning.flows().checked(()).map_err(|_| Undecided)?;
    let asked = Asked { policy, meaning: &meaning, direction: Direction::Egress };
    Ok(flows
        .iter()
        .map(|flow| match () {
            () if !asked.is_in(flow, seen) => Decision::Passes,
            () if !asked.is_in(flow, known) => Decision::Unknown,
            () if asked.passes(flow, row.must) => Decision::Passes,
            () if asked.passes(flow, row.may) => Decision::May,
            () => Decision::Refuses,
        })
        .collect())
}

fn into(
    policy: &Policy,
    mesh: &Mesh,
    said: &Said,
    name: &SmolStr,
    flows: &[&Flow],
) -> Result<Vec<Decision>, Undecided> {
    let root = policy.settings.root_namespace.as_str();
    let here =
        |object: &&PolicyObject| Ingress::decides(object) && (object.namespace == *name || object.namespace == root);
    let ingress = Ingress::new(policy, mesh.objects.iter().filter(here));
    let mut unread = Ok(());
    let mut meaning = Meaning::beside(policy, &said.ends, &said.grants, budget(said.len()), |terms| {
        unread = ingress.terms(terms);
    });
    unread.map_err(Failed::from)?;
    let mut common = ingress.common(meaning.flows()).map_err(Failed::from)?;
    let place = meaning.flows().space.place(name);
    let known = known(policy, &mut meaning, Direction::Ingress, place);
    let seen = seen::into(meaning.flows());
    let within = meaning.flows().diagrams.and(known, seen);
    let row = ingress.row(meaning.flows(), &mut common, place, within).map_err(Failed::from)?;
    meaning.flows().checked(()).map_err(|_| Undecided)?;
    let asked = Asked { policy, meaning: &meaning, direction: Direction::Ingress };
    Ok(flows
        .iter()
        .map(|flow| match () {
            () if !asked.is_in(flow, known) => Decision::Unknown,
            () if asked.passes(flow, row) => Decision::Passes,
            () => Decision::Refuses,
        })
        .collect())
}

/// Returns the flows between pods of the inventory, if it lists any.
fn known(policy: &Policy, meaning: &mut Meaning<'_>, direction: Direction, place: u32) -> Set {
    let (own, others) = (own_pods(policy, meaning, direction, place), other_pods(policy, meaning, direction));
    meaning.flows().diagrams.and(own, others)
}

/// Sets, to ask about single flows.
struct Asked<'m, 'p> {
    policy: &'p Policy,
    meaning: &'m Meaning<'p>,
    direction: Direction,
}

impl Asked<'_, '_> {
    fn is_in(&self, flow: &Flow, set: Set) -> bool {
        self.meaning.has(flow, self.direction, of_a_pod(self.policy), set)
    }

    fn passes(&self, flow: &Flow, passing: Passing) -> bool {
        let Passing { allowed, closed, denied } = passing;
        !self.is_in(flow, denied) && (self.is_in(flow, allowed) || !self.is_in(flow, closed))
    }
}

/// Returns an address that a pod may have.
fn of_a_pod(policy: &Policy) -> IpAddr {
    let first = policy.pod_addresses.blocks.first().map(|block| block.net.addr());
    first.unwrap_or(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)))
}
