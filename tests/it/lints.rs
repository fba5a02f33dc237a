//! Lints from meaning: what is said of a rule is true for every flow, and nothing is said where a rule is needed.

use netpol::compile::{self, Input};
use netpol::diag::{Code, Diagnostics};
use netpol::model::rules::{Action, FlowPattern, Rule};
use netpol::policy::Policy;
use netpol::policy::meaning::{Meaning, Versions};
use netpol::settings::Settings;
use netpol::source::{Sources, Span};

use crate::common::Given;
use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;

fn compiled(source: &str, manifests: Option<&str>) -> Option<(Policy, Sources)> {
    let day = time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap();
    let mut input = Input::new(Settings::new(day));
    input.policy("policy.netpol", source);
    if let Some(text) = manifests {
        input.manifest("cluster.yaml", text);
    }
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut Diagnostics::new())?;
    Some((policy, input.sources))
}

/// Returns the findings of the lints alone.
fn lints(policy: &Policy, sources: &Sources) -> Vec<(Code, Span)> {
    let mut found = Diagnostics::new();
    netpol::analysis::lints(policy, sources, &mut found);
    found.iter().map(|finding| (finding.code, finding.primary.span)).collect()
}

/// Returns a policy without the rules of one sentence, and the grants that they alone need.
fn without(policy: &Policy, span: Span) -> Policy {
    let mut less = policy.clone();
    let gone: Vec<bool> = policy.rules.iter().map(|rule| rule.origin.span == span).collect();
    less.rules.retain(|rule| rule.origin.span != span);
    less.grants.retain(|grant| grant.because.is_empty() || grant.because.iter().any(|id| !gone[id.index()]));
    let id = |id: &netpol::model::rules::RuleId| {
        let before = gone[..id.index()].iter().filter(|gone| **gone).count();
        (!gone[id.index()]).then(|| netpol::model::rules::RuleId::new(id.index() - before))
    };
    for grant in &mut less.grants {
        grant.because = grant.because.iter().filter_map(id).collect();
    }
    less
}

fn allow_the_same(one: &Policy, other: &Policy) -> bool {
    let mut versions = Versions::new(one, other);
    versions.opened().unwrap().is_none() && versions.closed().unwrap().is_none()
}

fn no_flow_passes(policy: &Policy, rule: &Rule) -> bool {
    let (source, destination) = (rule.source.clone(), rule.destination.clone());
    let flows = FlowPattern { source, destination, conditions: rule.conditions.clone() };
    Meaning::new(policy, std::slice::from_ref(&flows)).allowed_of(&flows).unwrap().is_none()
}

/// Policies of every shape: whatever a lint says of a rule is what two versions of the policy, or a proof, say too.
#[test]
fn what_is_said_of_a_rule_is_true_of_every_flow() {
    let worlds = [World::new(false), World::new(true)];
    let mut said = [0; 4];
    for number in 0..400 {
        let mut random = Random::of_case(11, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let mut statements = draw.statements.clone();
        if number % 3 == 0 {
            // One sentence twice, or narrowed, is what lints are for.
            let again = statements[random.below(statements.len())].clone();
            statements.push(again.replace("/* ->", "/{app=web} ->"));
        }
        let source = format!("{HEAD}{}{}\n", world.declarations(), statements.join("\n"));
        let Some((policy, sources)) = compiled(&source, world.manifests().as_deref()) else { continue };
        let found = lints(&policy, &sources);
        let mut all = policy.clone();
        for (code, span) in found {
            let shown = || format!("case {number}: {} of\n{}\nin\n{source}", code.as_str(), sources.slice(span));
            let of: Vec<&Rule> = policy.rules.iter().filter(|rule| rule.origin.span == span).collect();
            match code {
                Code::RedundantAllow | Code::RedundantDeny => {
                    all = without(&all, span);
                    said[0] += 1;
                }
                Code::UnusableAllow => {
                    assert!(of.iter().all(|rule| no_flow_passes(&policy, rule)), "{}", shown());
                    said[1] += 1;
                }
                Code::IdleDeny => {
                    assert!(
                        of[0].action == Action::Deny && allow_the_same(&policy, &without(&policy, span)),
                        "{}",
                        shown()
                    );
                    said[2] += 1;
                }
                _ => said[3] += 1,
            }
        }
        assert!(allow_the_same(&policy, &all), "case {number}: rules that are redundant together\n{source}");
    }
    println!("{said:?}");
    assert!(said[0] > 50 && said[1] > 20 && said[2] > 5, "{said:?}");
}

/// Returns the findings of a policy as `line code`.
fn of(text: &str) -> Vec<String> {
    let outcome = Given::policy(text).run();
    let line = |span: Span| outcome.sources.line(span);
    outcome
        .diagnostics
        .iter()
        .map(|finding| format!("{} {}", line(finding.primary.span), finding.code.as_str()))
        .collect()
}

#[test]
fn several_rules_together_contain_one() {
    let halves = "allow egress a/{tier=x} -> b/*:80\nallow egress a/{tier!=x} -> b/*:80\n";
    assert_eq!(of(&format!("{halves}allow egress a/{{app=web}} -> b/*:80")), ["3 W0521"]);
    assert_eq!(of(&format!("{halves}allow egress a/* -> b/*:80")), ["1 W0521", "2 W0521"]);
    let ports = "allow egress a/* -> b/*:1-100\nallow egress a/* -> b/*:101-200\n";
    assert_eq!(of(&format!("{ports}allow egress a/* -> b/*:50-150")), ["3 W0521"]);
    // What lies between two others is contained in these, and they are not.
    assert_eq!(of(&format!("{ports}allow egress a/* -> b/*:50-201")), ["2 W0521"]);
    let names = "allow ingress {env=prod}/* -> b/*\nallow ingress {env!=prod}/* -> b/*\n";
    assert_eq!(of(&format!("{names}allow ingress c/* -> b/*:80")), ["3 W0521"]);
    assert_eq!(of("deny egress a/* -> b/*:1-9\ndeny egress a/* -> b/*:9-20\ndeny egress a/* -> b/*:5-15"), ["3 W0527"]);
    assert_eq!(of("default deny a/{x}\ndefault deny a/{!x}\ndefault deny a/{app=web}"), ["3 W0527"]);
}

/// A rule whose flows others let through may still isolate, open the way to DNS, or lead through a gateway.
#[test]
fn a_rule_that_does_something_else_is_needed() {
    // The deny forbids all of it, and it isolates its pods.
    assert_eq!(of("allow egress a/{x} -> b/*\ndeny egress a/* -> b/*"), ["1 W0528"]);
    assert_eq!(of("allow ingress a/* -> b/{x}\nallow a/* -> b/*"), ["1 W0521"]);
    assert_eq!(of("allow ingress a/* -> b/*\nallow a/* -> b/*"), ["1 W0521"]);
    // A rule on addresses opens no way to DNS.
    let internet = "allow egress a/* -> internet:443\nallow egress a/* -> zenquotes.io:443";
    assert_eq!(of(internet), [""; 0]);
    assert_eq!(of(&format!("{internet}\nallow egress a/* -> b/*")), ["2 W0521"]);
    // A `default deny` says what is meant.
    assert_eq!(of("default deny egress a/*\nallow egress a/* -> 203.0.113.0/24"), [""; 0]);
    // Of both directions one is covered.
    assert_eq!(of("allow a/* <-> b/*:80\nallow a/* -> b/*:80"), ["1 W0307", "2 W0521"]);
    assert_eq!(of("allow a/*:80 <-> b/*:80\nallow a/* -> b/*:80"), ["2 W0521"]);
}

#[test]
fn an_allow_that_no_flow_can_use_is_told() {
    assert_eq!(of("allow egress a/* -> b/*:{80, 81}\ndeny egress a/* -> b/*:80\ndeny a/* -> b/*:81"), ["1 W0528"]);
    assert_eq!(of("allow egress a/* -> b/*:{80, 82}\ndeny egress a/* -> b/*:80-81"), [""; 0]);
    assert_eq!(of("allow a/* -> b/*:80\ndeny ingress */* -> b/*"), ["1 W0528"]);
    assert_eq!(of("allow egress a/* -> zenquotes.io:443\ndeny egress a/* -> internet"), ["1 W0528"]);
    assert_eq!(of("default deny b/*\nallow egress a/* -> b/*"), ["2 W0528"]);
    assert_eq!(of("default deny b/{app=db}\nallow egress a/* -> b/*"), [""; 0]);
    assert_eq!(of("default deny b/*\nallow egress a/* -> { b/*, c/* }"), [""; 0]);
    assert_eq!(of("default deny b/*\nallow ingress { a/*, c/* } -> b/*\nallow egress a/{x} -> b/*"), [""; 0]);
    assert_eq!(of("default deny ingress */{app=db}\nallow egress a/* -> b/{app=db}"), ["2 W0528"]);
    assert_eq!(of("default deny egress a/*\nallow ingress a/{app=web} -> b/*"), ["2 W0528"]);
    assert_eq!(of("default deny egress a/*\nallow egress a/{app=web} -> c/*\nallow ingress a/* -> b/*"), ["3 W0528"]);
}

/// A deny beside a `default deny` is a second lock; beside allows that isolate the same pods it is mostly a slip.
#[test]
fn a_deny_that_denies_nothing_is_noted() {
    assert_eq!(of("allow egress a/* -> b/{app=web}\ndeny egress a/* -> b/{app=db}"), ["2 N0529"]);
    assert_eq!(of("default deny egress a/*\ndeny egress a/* -> b/{app=db}"), [""; 0]);
    assert_eq!(of("allow egress a/{x} -> b/{app=web}\ndeny egress a/* -> b/{app=db}"), [""; 0]);
    assert_eq!(of("allow egress a/* -> b/*\ndeny egress a/* -> b/{app=db}"), [""; 0]);
    // What is granted would pass.
    assert_eq!(of("allow egress a/* -> b/*\ndeny egress a/* -> kube-system/*"), ["2 W0523"]);
    // A host without addresses is in the internet, and one with addresses at these.
    let hosts = "let db = host db.example at 10.1.0.5\nallow egress a/* -> { zenquotes.io, db }:443\n";
    assert_eq!(of(&format!("{hosts}deny egress a/* -> 10.2.0.0/16")), ["3 N0529"]);
    assert_eq!(of(&format!("{hosts}deny egress a/* -> 10.0.0.0/8")), [""; 0]);
    assert_eq!(of(&format!("{hosts}deny egress a/* -> 198.51.100.0/24")), [""; 0]);
}

#[test]
fn the_metadata_address_behind_a_default_deny_is_told() {
    assert_eq!(of("default deny a/*\nallow egress a/* -> 0.0.0.0/0"), ["2 W0530"]);
    for quiet in [
        "allow egress a/* -> 0.0.0.0/0",
        "default deny a/*\nallow egress a/* -> 0.0.0.0/0:443",
        "default deny a/*\nallow egress a/* -> 169.254.169.254:80",
        "default deny a/*\nallow egress a/* -> internet",
        "default deny b/*\nallow egress a/* -> 0.0.0.0/0",
        "default deny a/*\nallow egress a/* -> 0.0.0.0/0\ndeny egress */* -> 169.254.0.0/16",
    ] {
        assert_eq!(of(quiet), [""; 0], "{quiet}");
    }
}
