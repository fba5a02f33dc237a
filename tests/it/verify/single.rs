//! What written objects do with single flows: a defect in them is seen by the flow that it concerns.

use std::sync::Mutex;

use netpol::diag::Diagnostics;
use netpol::policy::ask::{Question, ask};
use netpol::policy::{Flow, Policy};
use netpol::settings::Layer;
use netpol::targets::{self, Checked, Made};
use netpol::verify::{self, Decision};

use crate::istio::build::build_with;

const POLICY: &str = "default deny ingress garden/*
allow ingress lab/{app=curl} -> garden/{app=api}:8080
allow egress garden/{app=web} -> zenquotes.io:443
";

fn flow(policy: &Policy, from: &str, to: &str) -> Flow {
    let question = Question { from: from.into(), to: to.into(), ..Question::default() };
    ask(policy, &question).unwrap().all[0].flow.clone()
}

/// Asks the objects of both layers, after some text of them is replaced.
fn told(replaced: &str, by: &str) -> Vec<[Decision; 2]> {
    let build = build_with(POLICY, None, |settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio]);
    let flows = [
        ("lab/{app=curl}", "garden/{app=api}:8080"),
        ("lab/{app=curl}", "garden/{app=api}:9090"),
        ("lab/{app=other}", "garden/{app=api}:8080"),
        ("garden/{app=web}", "zenquotes.io:443"),
        ("garden/{app=web}", "evil.example:443"),
    ]
    .map(|(from, to)| flow(&build.policy, from, to));
    let flows: Vec<&Flow> = flows.iter().collect();
    let all = Mutex::new(vec![[Decision::Passes; 2]; flows.len()]);
    let look = |made: &Made<'_>| {
        let texts: Vec<String> = made.texts.iter().map(|text| text.replace(replaced, by)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let told = verify::decisions(&build.policy, &Made { texts: &texts, ..*made }, &flows);
        let layer = usize::from(made.layer == Layer::Istio);
        all.lock().unwrap().iter_mut().zip(told).for_each(|(all, told)| all[layer] = all[layer].and(told));
        Checked::default()
    };
    targets::lower(&build.policy, &build.sources, &look, &mut Diagnostics::new());
    all.into_inner().unwrap()
}

#[test]
fn objects_are_asked_about_flows_and_defects_are_seen() {
    use Decision::{Passes, Refuses};
    let right = [[Passes, Passes], [Refuses, Refuses], [Refuses, Passes], [Passes, Passes], [Passes, Refuses]];
    let found = told("-", "-");
    // Istio knows the caller by its account alone, so that of its pods it may be told nothing narrower.
    assert_eq!([found[0], found[1], found[3], found[4]], [right[0], right[1], right[3], right[4]]);
    assert_eq!(found[2][0], Refuses);
    let other_port = told("8080", "9090");
    assert_eq!((other_port[0], other_port[1]), ([Refuses, Refuses], [Passes, Passes]));
    let other_host = told("zenquotes.io", "evil.example");
    assert_eq!((other_host[3][1], other_host[4][1]), (Refuses, Passes));
}
