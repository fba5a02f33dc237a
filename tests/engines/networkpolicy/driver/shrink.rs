//! Cuts a failing case down, until nothing can be taken away without the failure going away too.

use crate::case::{Case, errors, objects};
use crate::cluster::Cluster;
use crate::engines::Program;
use crate::policy::{End, Namespace, Pods, Requirement, Shape, Statement};

/// Returns the smallest case found that still has a disagreement.
pub fn shrink(mut case: Case, programs: &mut [Program]) -> Case {
    while let Some(smaller) = candidates(&case).into_iter().find(|candidate| fails(candidate, programs)) {
        case = smaller;
    }
    case
}

fn fails(case: &Case, programs: &mut [Program]) -> bool {
    let build = case.build();
    errors(&build).is_empty() && !case.compare(&build, &objects(&build), programs).disagreements.is_empty()
}

/// Returns cases that are smaller by one thing, the largest things first.
fn candidates(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    for at in 0..case.policy.statements.len() {
        let mut smaller = case.clone();
        smaller.policy.statements.remove(at);
        all.push(smaller);
    }
    all.extend(clusters(&case.cluster).into_iter().map(|cluster| Case { cluster, ..case.clone() }));
    for (at, statement) in case.policy.statements.iter().enumerate() {
        for shorter in statements(statement) {
            let mut smaller = case.clone();
            smaller.policy.statements[at] = shorter;
            all.push(smaller);
        }
    }
    all
}

fn clusters(cluster: &Cluster) -> Vec<Cluster> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Cluster)| {
        let mut smaller = cluster.clone();
        change(&mut smaller);
        all.push(smaller);
    };
    for name in cluster.namespaces.keys() {
        with(&|smaller| {
            smaller.namespaces.remove(name);
            smaller.pods.retain(|pod| pod.namespace != *name);
            smaller.services.retain(|service| service.namespace != *name);
        });
    }
    for at in 0..cluster.pods.len() {
        with(&|smaller| drop(smaller.pods.remove(at)));
    }
    for at in 0..cluster.outside.len() {
        with(&|smaller| {
            smaller.outside.remove(at);
        });
    }
    if !cluster.services.is_empty() {
        with(&|smaller| smaller.services.clear());
    }
    for (name, labels) in &cluster.namespaces {
        for key in labels.keys() {
            with(&|smaller| {
                smaller.namespaces.get_mut(name).and_then(|labels| labels.remove(key));
            });
        }
    }
    for (at, pod) in cluster.pods.iter().enumerate() {
        for key in pod.labels.keys() {
            with(&|smaller| {
                smaller.pods[at].labels.remove(key);
            });
        }
        for port in 0..pod.ports.len() {
            with(&|smaller| drop(smaller.pods[at].ports.remove(port)));
        }
        if pod.addresses.len() > 1 {
            with(&|smaller| {
                smaller.pods[at].addresses.pop();
            });
        }
    }
    all
}

fn statements(statement: &Statement) -> Vec<Statement> {
    let mut all: Vec<Statement> = Vec::new();
    if statement.shape != Shape::Plain {
        all.push(Statement { shape: Shape::Plain, ..statement.clone() });
    }
    all.extend(ends(&statement.from).into_iter().map(|from| Statement { from, ..statement.clone() }));
    all.extend(ends(&statement.to).into_iter().map(|to| Statement { to, ..statement.clone() }));
    if !statement.clause.is_empty() {
        all.push(Statement { clause: "", ..statement.clone() });
    }
    for at in 0..statement.ports.len() {
        let mut smaller = statement.clone();
        smaller.ports.remove(at);
        all.push(smaller);
    }
    all
}

fn ends(end: &End) -> Vec<End> {
    match end {
        End::Block(_) | End::Named(_) | End::Host(_) => Vec::new(),
        End::Union(members) => {
            let fewer = (0..members.len()).filter(|_| members.len() > 2).map(|at| {
                let mut fewer = members.clone();
                fewer.remove(at);
                End::Union(fewer)
            });
            let smaller = members
                .iter()
                .enumerate()
                .flat_map(|(at, member)| ends(member).into_iter().map(move |smaller| (at, smaller)));
            let smaller = smaller.map(|(at, smaller)| {
                let mut list = members.clone();
                list[at] = smaller;
                End::Union(list)
            });
            members.iter().cloned().chain(fewer).chain(smaller).collect()
        }
        End::Suffixed(end, ports) => {
            let smaller = ends(end).into_iter().map(|end| End::Suffixed(Box::new(end), ports.clone()));
            [(**end).clone()].into_iter().chain(smaller).collect()
        }
        End::Except(whole, taken) => {
            let left = ends(whole).into_iter().map(|whole| End::Except(Box::new(whole), taken.clone()));
            let right = ends(taken).into_iter().map(|taken| End::Except(whole.clone(), Box::new(taken)));
            [(**whole).clone()].into_iter().chain(left).chain(right).collect()
        }
        End::Pods { namespace, pods } => {
            let mut all = Vec::new();
            if let Namespace::Labels(list) = namespace {
                let fewer = without_one(list).into_iter().map(Namespace::Labels);
                let fewer = fewer.chain([Namespace::Any]);
                all.extend(fewer.map(|namespace| End::Pods { namespace, pods: pods.clone() }));
            }
            if let Pods::Labels(list) = pods {
                let fewer = without_one(list).into_iter().map(Pods::Labels).chain([Pods::Any]);
                all.extend(fewer.map(|pods| End::Pods { namespace: namespace.clone(), pods }));
            }
            all
        }
    }
}

/// Returns the lists that lack one item, where one is left.
fn without_one(list: &[Requirement]) -> Vec<Vec<Requirement>> {
    let without =
        |at: usize| list.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, one)| one.clone());
    if list.len() < 2 { Vec::new() } else { (0..list.len()).map(|at| without(at).collect()).collect() }
}
