//! Missing rules: with them the policy denies nothing of the log, and without any one of them it does.
//! `NETPOL_SUGGEST=POLICIES[,SEED]` asks for more than a test run.

use std::collections::{BTreeMap, BTreeSet};

use netpol::compile::{self, Input};
use netpol::diag::{Diagnostics, Severity};
use netpol::model::ports::Protocol;
use netpol::policy::{Flow, Party, Policy};
use netpol::replay::{Found, Replay, Why, suggest};
use netpol::settings::Settings;
use serde_json::{Value, json};

use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;
use crate::meaning::Drawer;

/// A party of a line of Hubble, with its names, if it is a host.
fn end(party: &Party) -> (Value, String, Vec<String>) {
    match party {
        Party::Pod(pod) => {
            let own = pod.labels.iter().map(|(key, value)| format!("k8s:{key}={value}"));
            let of_namespace = pod.namespace_labels.iter();
            let of_namespace =
                of_namespace.map(|(key, value)| format!("k8s:io.cilium.k8s.namespace.labels.{key}={value}"));
            let account = format!("k8s:io.cilium.k8s.policy.serviceaccount={}", pod.account);
            let labels: Vec<String> = own.chain(of_namespace).chain([account]).collect();
            let namespace = &pod.namespace_labels["kubernetes.io/metadata.name"];
            (json!({ "namespace": namespace.as_str(), "labels": labels }), String::new(), Vec::new())
        }
        Party::Address(address) => (json!({ "labels": ["reserved:world"] }), address.to_string(), Vec::new()),
        Party::Host { name, .. } => {
            (json!({ "labels": ["reserved:world"] }), "192.0.2.99".to_owned(), vec![name.to_string()])
        }
    }
}

/// A flow as a line of Hubble: what this log does not tell is not told.
fn line(flow: &Flow) -> String {
    let ((from, source, _), (to, destination, names)) = (end(&flow.source), end(&flow.destination));
    let port = flow.port;
    let l4 = match flow.protocol {
        Protocol::Tcp => json!({ "TCP": { "destination_port": port } }),
        Protocol::Udp => json!({ "UDP": { "destination_port": port } }),
        Protocol::Sctp => json!({ "SCTP": { "destination_port": port } }),
        Protocol::Icmp => json!({ "ICMPv4": { "type": 8 } }),
    };
    let mut value = json!({
        "verdict": "FORWARDED", "is_reply": false, "l4": l4, "IP": { "source": source, "destination": destination },
        "source": from, "destination": to, "destination_names": names, "traffic_direction": "EGRESS",
    });
    if let (Some(method), Some(path)) = (&flow.request.method, &flow.request.path) {
        value["l7"] = json!({ "type": "REQUEST", "http": { "method": method.as_str(), "url": path } });
    }
    json!({ "flow": value }).to_string()
}

fn found(policy: &Policy, log: &[String]) -> Found {
    let mut replay = Replay::new(policy);
    replay.keep_flows();
    for (at, line) in (1..).zip(log) {
        replay.line((0, at), line.as_bytes());
    }
    let found = replay.finish();
    assert_eq!(found.unread, 0, "{:?}", found.unread_lines);
    found
}

/// A policy that can be tried with more rules.
struct Tried {
    source: String,
    manifests: Option<String>,
}

impl Tried {
    fn input(&self) -> Input {
        let day = time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap();
        let mut input = Input::new(Settings::new(day));
        input.policy("policy.netpol", self.source.as_str());
        if let Some(text) = &self.manifests {
            input.manifest("cluster.yaml", text.as_str());
        }
        input
    }

    /// Returns the policy with more rules, if `check` finds no error in it.
    fn with(&self, rules: &str) -> Option<Policy> {
        let mut input = self.input();
        input.policy("missing.netpol", rules);
        let mut diagnostics = Diagnostics::new();
        let policy = compile::policy(&mut input, &mut compile::no_files, &mut diagnostics)?;
        compile::judge(&policy, &input.sources, &mut diagnostics);
        let errors: Vec<_> = diagnostics.iter().filter(|one| one.severity() == Severity::Error).collect();
        if !errors.is_empty() && !rules.is_empty() {
            panic!("{}\n{rules}\n{errors:#?}", self.source);
        }
        errors.is_empty().then_some(policy)
    }
}

#[test]
fn with_the_missing_rules_a_log_passes_and_each_is_needed() {
    let asked = std::env::var("NETPOL_SUGGEST").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(16), seed.parse().unwrap());
    let worlds = [World::new(false), World::new(true)];
    let (mut policies, mut all, mut denied, mut without) = (0, 0, 0, 0);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..count {
        let mut random = Random::of_case(seed ^ 0x51, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let statements = draw.statements.join("\n").replace("@approximate(\"known\") ", "");
        let source = format!("{HEAD}{}{statements}\n", world.declarations());
        let tried = Tried { source, manifests: world.manifests() };
        let Some(policy) = tried.with("") else { continue };
        policies += 1;
        let log: Vec<String> = (0..40).map(|_| line(&Drawer { random: &mut random, policy: &policy }.flow())).collect();
        let before = found(&policy, &log);
        let mut input = tried.input();
        let suggested =
            suggest(&policy, &before.kept, &mut |rules| compile::trial(&mut input, &mut compile::no_files, rules));
        let rules: Vec<&str> = suggested.rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let shown = || format!("case {number}\n{statements}\n\n{rules:#?}\n{:#?}", suggested.without);
        let left: BTreeSet<&str> = suggested.without.iter().map(|one| one.sentence.as_str()).collect();
        let after = found(&tried.with(&rules.join("\n")).unwrap(), &log);
        for group in &after.denied.list {
            assert!(left.contains(group.sentence().as_str()), "{} is denied; {}", group.sentence(), shown());
        }
        for one in &suggested.without {
            let why = match &one.why {
                Why::Denied(_) => "a deny",
                Why::Unsaid => "no words",
                Why::Refused(_, why) => why.split('`').next().unwrap(),
            };
            *reasons.entry(why.to_owned()).or_default() += one.count;
        }
        for at in 0..rules.len() {
            let mut fewer = rules.clone();
            let dropped = fewer.remove(at);
            let less = found(&tried.with(&fewer.join("\n")).unwrap_or_else(|| policy.clone()), &log);
            assert!(less.denied.flows() > after.denied.flows(), "`{dropped}` is not needed; {}", shown());
        }
        let told: u64 = suggested.rules.iter().map(|(_, count)| *count).sum();
        assert!(told >= before.denied.flows() - after.denied.flows(), "{}", shown());
        (all, denied, without) = (all + log.len(), denied + before.denied.flows(), without + after.denied.flows());
    }
    println!("{policies} policies, {all} flows, {denied} denied, {without} denied still\n{reasons:#?}");
    assert!(policies > count / 4 && denied - without > denied / 4);
}
