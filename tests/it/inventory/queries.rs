//! What is asked of the inventory.

use netpol::inventory::{Inventory, Matched, Near, Within, WorkloadKind};
use netpol::model::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use proptest::prelude::*;

use super::read_text;

/// A cluster of a few namespaces: `kind namespace/name labels`, of Pods with owner or host network too.
fn cluster() -> Inventory {
    let mut text = String::from(
        "apiVersion: v1\nkind: Namespace\nmetadata: { name: garden, labels: { env: prod } }\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: { name: orchard, labels: { env: dev } }\n",
    );
    for (namespace, name, labels, spec) in [
        ("garden", "frontend", "app: frontend, tier: front", "serviceAccountName: frontend"),
        ("garden", "api", "app: api, tier: back", "serviceAccountName: api"),
        ("garden", "agent", "app: agent", "hostNetwork: true"),
        ("orchard", "frontend", "app: frontend, tier: front", ""),
        ("orchard", "press", "app: press", ""),
    ] {
        text.push_str(&format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  \
             selector: {{ matchLabels: {{ {labels} }} }}\n  template: {{ metadata: {{ labels: {{ {labels} }} }}, spec: {{ {spec} }} }}\n"
        ));
    }
    text.push_str(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: frontend-1\n  namespace: garden\n  labels: { app: frontend, tier: front, hash: x }\n  \
         ownerReferences: [{ kind: ReplicaSet, name: frontend-1, controller: true }]\nspec: { serviceAccountName: frontend }\n\
         ---\napiVersion: v1\nkind: Pod\nmetadata: { name: shell, namespace: garden, labels: { run: shell } }\nspec: {}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: { name: api, namespace: garden }\nspec: { selector: { app: api } }\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: { name: back, namespace: garden }\nspec: { selector: { tier: back } }\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: { name: none, namespace: garden }\nspec: {}\n",
    );
    read_text(&text)
}

fn is(key: &str, value: &str) -> Requirement {
    Requirement::is_in(key, [value.into()])
}

fn pods(namespace: &[Requirement], labels: &[Requirement]) -> PodSelector {
    PodSelector {
        namespace: Requirements::new(namespace.to_vec()).expect("namespaces that can be"),
        labels: Requirements::new(labels.to_vec()).expect("labels that can be"),
        ..PodSelector::any()
    }
}

fn garden(labels: &[Requirement]) -> PodSelector {
    pods(&[is(NAMESPACE_NAME, "garden")], labels)
}

fn selected(inventory: &Inventory, selector: &PodSelector) -> Vec<String> {
    inventory.select(selector).iter().map(|w| format!("{}/{}", w.namespace, w.name)).collect()
}

#[test]
fn names_mean_workloads_but_not_the_pods_that_they_made() {
    let inventory = cluster();
    let named = |namespace: &str, name: &str| {
        let all = inventory.named(namespace, name);
        all.into_iter().map(|one| format!("{} {}", one.kind.word(), one.name)).collect::<Vec<_>>()
    };
    assert_eq!(named("garden", "frontend"), ["Deployment frontend"]);
    assert_eq!(named("garden", "shell"), ["Pod shell"]);
    for (namespace, name) in [("garden", "frontend-1"), ("garden", "press"), ("nowhere", "frontend")] {
        assert_eq!(named(namespace, name), Vec::<String>::new());
    }
    assert!(inventory.pod("garden", "frontend-1").is_some_and(|pod| pod.owned));
    assert!(inventory.pod("garden", "frontend").is_none());
    assert_eq!(inventory.workloads_in("orchard").len(), 2);
}

#[test]
fn a_name_may_be_of_several_kinds() {
    let inventory = read_text(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: web, labels: { app: web } }\nspec: {}\n---\n\
         apiVersion: apps/v1\nkind: StatefulSet\nmetadata: { name: web }\nspec:\n  \
         selector: { matchLabels: { app: web } }\n  template: { metadata: { labels: { app: web } }, spec: {} }\n",
    );
    let kinds: Vec<_> = inventory.named("default", "web").iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [WorkloadKind::StatefulSet, WorkloadKind::Pod]);
    assert_eq!(inventory.pod("default", "web").map(|pod| pod.kind), Some(WorkloadKind::Pod));
}

#[test]
fn selectors_select_across_namespaces_and_leave_out_the_host_network() {
    let inventory = cluster();
    assert_eq!(selected(&inventory, &garden(&[is("app", "api")])), ["garden/api"]);
    assert_eq!(selected(&inventory, &garden(&[is("app", "agent")])), Vec::<String>::new());
    assert_eq!(
        selected(&inventory, &pods(&[], &[is("app", "frontend")])),
        ["garden/frontend", "garden/frontend-1", "orchard/frontend"]
    );
    assert_eq!(selected(&inventory, &pods(&[is("env", "dev")], &[])), ["orchard/frontend", "orchard/press"]);
    let account = PodSelector { account: Account::Is("frontend".into()), ..PodSelector::any() };
    assert_eq!(selected(&inventory, &account), ["garden/frontend", "garden/frontend-1"]);
}

#[test]
fn services_are_found_by_the_labels_of_their_pods() {
    let inventory = cluster();
    let services = |name: &str| {
        inventory
            .services_of("garden", &inventory.named("garden", name)[0].labels)
            .into_iter()
            .map(|(name, _)| name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(services("api"), ["api", "back"]);
    assert_eq!(services("frontend"), Vec::<String>::new());
    assert!(inventory.services[&("garden".into(), "none".into())].selector.is_none());
}

#[test]
fn pods_stand_for_their_workload_where_they_are_known() {
    let inventory = cluster();
    let running: Vec<_> = inventory
        .running()
        .map(|one| format!("{} {}/{}", one.workload.kind.word(), one.workload.namespace, one.workload.name))
        .collect();
    assert_eq!(
        running,
        [
            "Deployment garden/agent",
            "Deployment garden/api",
            "Pod garden/frontend-1",
            "Pod garden/shell",
            "Deployment orchard/frontend",
            "Deployment orchard/press"
        ]
    );
    let labels: Vec<_> = inventory.running().map(|one| one.namespace_labels.get("env").cloned()).collect();
    assert_eq!(labels[0].as_deref(), Some("prod"));
    assert_eq!(labels[5].as_deref(), Some("dev"));
}

/// Says what is known of the pods that a selector means, in one line.
fn near(selector: &PodSelector) -> String {
    let inventory = cluster();
    match inventory.matched(selector) {
        Matched::Known => "known".into(),
        Matched::NoNamespace(None) => "no namespace".into(),
        Matched::NoNamespace(Some(near)) => {
            format!("{}: {} has {}={}", near.wanted.key, near.namespace, near.found.0, near.found.1)
        }
        Matched::HostNetwork(one) => format!("{} is on the host network", one.name),
        Matched::Near(Near::Label { wanted, found, workload, .. }) => {
            format!("{}: {}/{} has {}={}", wanted.key, workload.namespace, workload.name, found.0, found.1)
        }
        Matched::Near(Near::AllButOne { wanted, workload }) => format!("{} fails {}", workload.name, wanted.key),
        Matched::Near(Near::Account(one)) => format!("{} runs as {}", one.name, one.account),
        Matched::Unknown { elsewhere: Some(one), .. } => format!("{}/{} fits", one.namespace, one.name),
        Matched::Unknown { .. } => "nothing".into(),
    }
}

#[test]
fn what_selects_nothing_has_a_near_miss() {
    assert_eq!(near(&garden(&[is("app", "fronted")])), "app: garden/frontend has app=frontend");
    assert_eq!(near(&garden(&[is("ap", "frontend")])), "ap: garden/frontend has app=frontend");
    assert_eq!(near(&garden(&[is("app", "api"), is("tier", "bakc")])), "tier: garden/api has tier=back");
    assert_eq!(near(&garden(&[is("app", "api"), is("tier", "elsewhere")])), "tier: garden/api has tier=back");
    assert_eq!(near(&garden(&[is("app", "agent")])), "agent is on the host network");
    assert_eq!(near(&garden(&[is("app", "press")])), "app: garden/api has app=api");
    assert_eq!(near(&garden(&[is("app", "zebra")])), "app: garden/api has app=api");
    assert_eq!(near(&garden(&[is("role", "zebra")])), "nothing");
    assert_eq!(near(&garden(&[is("tier", "back")])), "known");
    let canary = Requirement { key: "canary".into(), test: Test::Exists };
    assert_eq!(near(&garden(&[is("app", "api"), canary.clone()])), "api fails canary");
    assert_eq!(near(&garden(&[canary])), "nothing");
    assert_eq!(near(&pods(&[is("env", "prd")], &[])), "env: garden has env=prod");
    assert_eq!(
        near(&pods(&[is(NAMESPACE_NAME, "gardn")], &[])),
        format!("{NAMESPACE_NAME}: garden has {NAMESPACE_NAME}=garden")
    );
    let exists = Requirement { key: "teir".into(), test: Test::Exists };
    assert_eq!(near(&garden(&[exists])), "teir: garden/api has tier=back");
    let account = PodSelector { account: Account::Is("fronted".into()), ..garden(&[]) };
    assert_eq!(near(&account), "frontend runs as frontend");
    assert_eq!(near(&PodSelector { account: Account::Is("robot".into()), ..garden(&[]) }), "nothing");
    assert_eq!(near(&pods(&[is("team", "x")], &[])), "no namespace");
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let key = || proptest::sample::select(vec!["app", "tier", "hash", "run"]);
    let values = || proptest::sample::subsequence(vec!["frontend", "api", "front", "x", "zebra"], 1..3);
    prop_oneof![
        (key(), values()).prop_map(|(key, values)| Requirement::is_in(key, values.into_iter().map(Into::into))),
        (key(), values()).prop_map(|(key, values)| Requirement::not_in(key, values.into_iter().map(Into::into))),
        key().prop_map(|key| Requirement { key: key.into(), test: Test::Exists }),
        key().prop_map(|key| Requirement { key: key.into(), test: Test::DoesNotExist }),
    ]
}

proptest! {
    /// The index selects just what looking at every workload selects.
    #[test]
    fn the_index_agrees_with_membership(
        namespace in proptest::option::of(proptest::sample::select(vec![(NAMESPACE_NAME, "garden"), ("env", "dev"), ("env", "x")])),
        labels in proptest::collection::vec(requirement(), 0..3),
        account in proptest::option::of(proptest::sample::select(vec!["frontend", "default", "x"])),
    ) {
        let inventory = cluster();
        let Some(labels) = Requirements::new(labels) else { return Ok(()) };
        let namespace = Requirements::new(namespace.map(|(key, value)| is(key, value))).expect("one requirement");
        let account = account.map_or(Account::Not(Vec::new()), |name| Account::Is(name.into()));
        let selector = PodSelector { namespace, labels, account };
        let none = Labels::new();
        let expected: Vec<_> = inventory.workloads.iter().filter(|w| {
            let namespace = inventory.namespaces.get(&w.namespace).map_or(&none, |namespace| &namespace.labels);
            !w.host_network && selector.matches(namespace, &w.labels, &w.account)
        }).map(|w| format!("{}/{}", w.namespace, w.name)).collect();
        prop_assert_eq!(selected(&inventory, &selector), expected);
    }
}

/// Which pods a selector means, for certain and perhaps, and why not for certain.
#[test]
fn a_selector_means_pods_for_certain_or_perhaps() {
    let pod = |name: &str, namespace: &str, account: &str, labels: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, namespace: {namespace}, labels: {{ {labels} }} }}\n\
             spec: {{ serviceAccountName: {account}, containers: [{{ name: c }}] }}\n"
        )
    };
    let namespace = |name: &str, labels: &str| {
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}, labels: {{ {labels} }} }}\n")
    };
    let facts = [
        namespace("lab", "env: prod"),
        namespace("shop", "env: prod"),
        namespace("play", ""),
        pod("a", "lab", "good", "app: a"),
        pod("b", "lab", "bad", "app: b"),
        pod("c", "shop", "good", "app: c"),
        pod("d", "shop", "bad", "app: c"),
    ];
    let shown = read_text(&facts.concat());
    let nothing = Inventory::default();
    let prod = PodSelector { namespace: Requirements::one(is("env", "prod")), ..PodSelector::any() };
    let good = |selector: &PodSelector| PodSelector { account: Account::Is("good".into()), ..selector.clone() };
    let lab = PodSelector::in_namespace("lab");
    let shop = PodSelector::in_namespace("shop");
    let play = PodSelector::in_namespace("play");
    let no_labels = "the labels of the namespace lab are not known";
    let in_lab = PodSelector { namespace: lab.namespace.intersect(&prod.namespace).unwrap(), ..PodSelector::any() };
    for (inventory, selector, certain, perhaps, indistinct) in [
        (&nothing, &lab, vec!["lab"], vec![], ""),
        (&nothing, &prod, vec![], vec!["*"], "no namespace is named and no inventory lists them"),
        (&nothing, &in_lab, vec![], vec!["lab"], no_labels),
        (&nothing, &good(&lab), vec![], vec!["lab"], "no labels tell the pods of lab/@good from others"),
        (&shown, &lab, vec!["lab"], vec![], ""),
        (&shown, &prod, vec!["lab", "shop"], vec![], ""),
        (&shown, &in_lab, vec!["lab"], vec![], ""),
        (&shown, &good(&lab), vec!["lab/app=a"], vec![], ""),
        (&shown, &good(&shop), vec![], vec!["shop"], "no labels tell the pods of shop/@good from others"),
        (&shown, &good(&prod), vec!["lab/app=a"], vec!["shop"], "no labels tell the pods of shop/@good from others"),
        (&shown, &good(&play), vec![], vec!["*"], "no labels tell the pods of play/@good from others"),
    ] {
        let meant = inventory.meant(selector);
        let labels = |labels: &Requirements| match labels.only("app") {
            Some(app) => format!("/app={app}"),
            None => String::new(),
        };
        let found: Vec<String> =
            meant.certain.iter().map(|pods| format!("{}{}", pods.namespace, labels(&pods.labels))).collect();
        let wider = meant.perhaps.iter().map(|pods| match pods.within {
            Within::Namespace(name) => format!("{name}{}", labels(&pods.labels)),
            Within::Meeting(_) => "*".to_owned(),
        });
        assert_eq!(found, certain, "{selector:?}");
        assert_eq!(wider.collect::<Vec<_>>(), perhaps, "{selector:?}");
        assert_eq!(meant.indistinct.as_ref().map(ToString::to_string).unwrap_or_default(), indistinct, "{selector:?}");
        assert_eq!(meant.from_inventory, inventory.given && selector.namespace_name().is_none(), "{selector:?}");
        // As peers the same pods are meant, or more, and no other account's where labels tell.
        let peers = inventory.without_accounts(selector);
        assert!(peers.selectors.iter().all(|pods| pods.account.is_any()));
        assert_eq!(
            peers.shared_account.is_some(),
            !selector.account.is_any() && !meant.perhaps.is_empty(),
            "{selector:?}"
        );
    }
}
