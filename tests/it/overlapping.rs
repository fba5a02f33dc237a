//! Labels that overlap in all combinations: how large sets become, and how few steps a search takes instead. Steps and
//! nodes are counted, so that nothing here hangs on the machine.

use netpol::compile::{self, Input};
use netpol::diag::{Code, Diagnostics};
use netpol::flows::{Flows, Set, Side, Space, Terms, TooLarge, search};
use netpol::model::rules::{Action, Direction};
use netpol::policy::Policy;
use netpol::settings::Settings;

use crate::layers::random::Random;

fn policy(source: &str) -> (Policy, Input) {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("policy.netpol", source);
    let mut found = Diagnostics::new();
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut found);
    (policy.unwrap_or_else(|| panic!("{found:?}")), input)
}

/// Returns the sets of the rules of an action, as the pods of either side, in a space with a budget.
fn sets(policy: &Policy, action: Action, budget: u64) -> (Flows, Vec<Set>) {
    let mut terms = Terms::new([], false);
    for rule in &policy.rules {
        terms.between(&rule.source, &rule.destination, &rule.conditions);
    }
    let mut flows = Flows::new(Space::new(terms), budget);
    let mut all = Vec::new();
    for rule in policy.rules.iter().filter(|rule| rule.action == action) {
        let mut set = flows.ports(&rule.destination.members[0].ports);
        for (side, direction) in [(Side::Source, Direction::Egress), (Side::Destination, Direction::Ingress)] {
            for (_, pods) in rule.subject(direction).pods() {
                let own = flows.pods(side, side == Side::Source, &pods.selector);
                set = flows.diagrams.and(set, own);
            }
        }
        all.push(set);
    }
    (flows, all)
}

/// `{k_i=a} -> {l_i=b}`, where the order of the keys' names tells nothing of the pairs.
fn pairs(count: usize) -> String {
    let pair = |at: usize| format!("allow egress lab/{{k{at}=a}} -> lab/{{m{}=b}}\n", (at * 7 + 3) % count);
    (0..count).map(pair).collect()
}

/// Selectors over some of `keys` labels, of one side or of both.
fn random(keys: usize, rules: usize, [from, to]: [usize; 2], ports: usize, seed: u64) -> String {
    let mut random = Random::of_case(seed, 0);
    let mut selector = |side: char, count: usize| {
        let mut list: Vec<String> = Vec::new();
        while list.len() < count {
            let key = format!("{side}{}", random.below(keys));
            if list.iter().all(|test| !test.trim_start_matches('!').starts_with(&format!("{key}="))) {
                list.push(format!("{key}={}", random.pick(&["a", "b"])));
            }
        }
        format!("lab/{{{}}}", list.join(", "))
    };
    let rule = |at: usize| {
        let (source, destination) = (selector('k', from), if to > 0 { selector('m', to) } else { "lab/*".into() });
        let port = if ports > 0 { format!(":{}", 8000 + at % ports) } else { String::new() };
        format!("allow egress {source} -> {destination}{port}\n")
    };
    (0..rules).map(rule).collect()
}

/// Labels that stand in one rule lie together, and a set over twenty pairs of them is small.
#[test]
fn the_order_of_labels_keeps_pairs_small() {
    for (count, most) in [(12, 60), (16, 80), (20, 100), (40, 200)] {
        let (policy, _) = policy(&pairs(count));
        let (mut flows, all) = sets(&policy, Action::Allow, 1_000_000);
        let union = flows.diagrams.union(all);
        let union = flows.checked(union).unwrap();
        let size = flows.diagrams.size_of(union);
        println!("{count} pairs: {size} nodes, {} steps", flows.diagrams.steps());
        assert!(size <= most, "{count} pairs: {size}");
    }
}

/// What is too large for a diagram is searched in few steps: a flow that no rule allows, of every shape that explodes.
#[test]
fn a_search_needs_few_steps_where_sets_explode() {
    for (name, source, explodes) in [
        ("12 keys of one side", random(12, 50, [3, 0], 0, 1), false),
        ("24 keys of one side", random(24, 100, [3, 0], 0, 2), true),
        ("32 keys of one side", random(32, 100, [3, 0], 0, 3), true),
        ("6 keys of both sides", random(6, 50, [2, 2], 0, 4), false),
        ("24 keys of both sides", random(24, 100, [2, 2], 0, 5), true),
        ("6 keys and 8 ports", random(6, 90, [2, 2], 8, 6), false),
    ] {
        let (policy, _) = policy(&source);
        let (mut flows, all) = sets(&policy, Action::Allow, 1_000_000);
        let before = flows.diagrams.steps();
        let found = search::outside(&mut flows.diagrams, Set::ALL, &all).unwrap();
        let steps = flows.diagrams.steps() - before;
        assert_ne!(found, Set::NONE, "{name}");
        let union = flows.diagrams.union(all.clone());
        let union = flows.checked(union);
        println!("{name}: {steps} steps; the union {:?}", union.map(|set| flows.diagrams.size_of(set)));
        assert!(steps < 20_000, "{name}: {steps}");
        assert_eq!(union == Err(TooLarge), explodes, "{name}");
        if let Ok(union) = union {
            let meet = flows.diagrams.and(found, union);
            assert_eq!(meet, Set::NONE, "{name}");
        }
    }
}

/// Returns the codes that the assertions of a policy give.
fn codes(source: &str) -> Vec<Code> {
    let (policy, input) = policy(source);
    let mut found = Diagnostics::new();
    netpol::analysis::assertions(&policy, &input.sources, &mut found);
    found.iter().map(|finding| finding.code).collect()
}

/// Assertions about such pods are proven or refuted all the same, and one about other pods beside them too.
#[test]
fn assertions_over_overlapping_labels_are_judged() {
    let claims =
        "assert never lab/* -> shop/*\nassert always lab/{k0=a, k1=a} -> lab/*:9\nassert never shop/* -> lab/*:1\n";
    let rules = random(24, 100, [2, 2], 0, 5);
    // The rules let no pod out to shop, leave some with these labels alone, and nothing isolates shop.
    assert_eq!(
        codes(&format!("default deny egress lab/*\n{rules}{claims}")),
        [Code::AssertionFails, Code::AssertionFails]
    );
    // Every pod with or without each label is let through by some rule of these.
    let all = format!(
        "{}allow egress lab/{{k0!=a}} -> lab/*\nallow egress lab/{{k0=a}} -> lab/*\n",
        random(24, 100, [2, 2], 0, 5)
    );
    assert_eq!(codes(&format!("{all}assert always lab/* -> lab/*\n")), []);
}
