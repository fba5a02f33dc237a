//! Port names. Each pod gives a name its own number, and an AuthorizationPolicy has only numbers. So if the pods of a
//! rule have different numbers, each number is for the workloads that have it. A pod that does not declare the name has
//! no such port, as in a NetworkPolicy, even if it listens on one. Without an inventory a `workload` declaration gives
//! the numbers of its own pods, and of no others.
//!
//! ```text
//! allow ingress lab/* -> garden/*:metrics    9090 at `app=web`, 9100 at `app=db`: two policies
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::inventory::Workload;
use crate::model::labels::PodSelector;
use crate::model::ports::{PortMatch, PortTest, Ports, Protocol};
use crate::targets::istio::facts::{Facts, exactly, means};
use crate::targets::istio::plan::ports::numbers_of;

/// The numbers that the port names of a rule have on its pods.
pub enum Named<'p> {
    /// The same numbers on all of them, or there are no names.
    Same(Cow<'p, Ports>),
    /// Different numbers, or none, on some.
    Apart(Vec<Share>),
}

/// Workloads of one namespace on which the names have the same numbers.
pub struct Share {
    /// The namespace.
    pub namespace: SmolStr,
    /// The workloads, by their numbers in it.
    pub workloads: Vec<u32>,
    /// The ports by number; at least one.
    pub ports: Ports,
}

/// Returns the numbers of the names, or why they are not known.
pub fn resolve<'p>(facts: &Facts<'_>, selector: &PodSelector, ports: &'p Ports) -> Result<Named<'p>, String> {
    let names: Vec<&SmolStr> = ports.entries().iter().filter_map(name_of).collect();
    let Some(first) = names.first() else { return Ok(Named::Same(Cow::Borrowed(ports))) };
    let unknown = || format!("no inventory says which port is called {first}");
    if !facts.closed() {
        let list = declared(facts, selector, ports).filter(|list| list.len() >= ports.entries().len());
        return list.map(|list| Named::Same(Cow::Owned(Ports::Some(list)))).ok_or_else(unknown);
    }
    let mut shares: BTreeMap<(&SmolStr, Vec<PortMatch>), Vec<u32>> = BTreeMap::new();
    for (namespace, _) in facts.namespaces(selector).ok_or_else(unknown)? {
        let Some(known) = facts.workloads(namespace) else { continue };
        for at in known.numbers(selector) {
            let on_pod = numbered(ports, known.workloads[at as usize]);
            shares.entry((namespace, on_pod)).or_default().push(at);
        }
    }
    let has_names = |(_, list): &(&SmolStr, Vec<PortMatch>)| list.len() >= ports.entries().len();
    if !shares.keys().any(|(_, list)| list.len() > ports.entries().len() - names.len()) {
        return Err(unknown());
    }
    let mut lists = shares.keys().map(|(_, list)| list);
    if let Some(list) = lists.next()
        && lists.all(|other| other == list)
        && shares.keys().all(has_names)
    {
        return Ok(Named::Same(Cow::Owned(Ports::Some(list.clone()))));
    }
    let share = |((namespace, list), workloads): ((&SmolStr, Vec<PortMatch>), Vec<u32>)| {
        (!list.is_empty()).then(|| Share { namespace: namespace.clone(), workloads, ports: Ports::Some(list) })
    };
    Ok(Named::Apart(shares.into_iter().filter_map(share).collect()))
}

/// Returns the ports with the numbers that a `workload` declaration gives the pods of a selector; `None` if no
/// declaration is for all these pods, or if two declarations disagree.
fn declared(facts: &Facts<'_>, selector: &PodSelector, ports: &Ports) -> Option<Vec<PortMatch>> {
    let known = facts.known(selector.namespace_name()?)?;
    let (mut told, mut list) = (false, None);
    for workload in &known.workloads {
        let whole = selector.is_inside(&[exactly(workload)]);
        if whole || means(selector, workload) {
            told |= whole;
            let own = numbered(ports, workload);
            if list.get_or_insert_with(|| own.clone()) != &own {
                return None;
            }
        }
    }
    list.filter(|_| told)
}

fn name_of(port: &PortMatch) -> Option<&SmolStr> {
    match &port.port {
        PortTest::Named(name) if port.protocol == Protocol::Tcp => Some(name),
        _ => None,
    }
}

/// Returns the ports with the numbers of a workload for the names; names that it lacks are left out.
fn numbered(ports: &Ports, workload: &Workload) -> Vec<PortMatch> {
    let mut list = Vec::with_capacity(ports.entries().len());
    for port in ports.entries() {
        match name_of(port) {
            None => list.push(port.clone()),
            Some(name) => list.extend(
                numbers_of(&workload.ports, name)
                    .map(|number| PortMatch { port: PortTest::Range(number, number), ..port.clone() }),
            ),
        }
    }
    list
}
