//! `netpol test --against`: flows of tests' lines, asked of the evaluator, of what is written and of the module.
//! `NETPOL_AGAINST=POLICIES[,SEED]` asks for more than a test run.

use serde_json::{Value, json};

use super::{folder, netpol};
use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;

const POLICY: &str = "@approximate(\"known\") allow egress garden/{app=web} -> zenquotes.io:443
default deny ingress garden/*
allow ingress garden/{app=web} -> garden/{app=api}:8080
test \"the web\" {
  allow garden/{app=web} -> zenquotes.io:443
  deny garden/{app=web} -> evil.example:443
  deny garden/{app=web} -> garden/{app=api}:{8080, 9090}
}
";

#[test]
fn others_are_asked_and_a_gap_explains_a_difference() {
    let here = folder(&[("a.netpol", POLICY)]);
    let target = ["--target", "networkpolicy"];
    let run = netpol(here.path(), &[&["test", "--against", "all"][..], &target].concat());
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(
        lines,
        [
            "ok      a.netpol:4  the web",
            "ok      against source  3 flows",
            "ok      against yaml  3 flows",
            "  known   a.netpol:6  garden/{app=web} -> evil.example (1.0.0.0), tcp 443: denied, and networkpolicy lets it through: \
             any public address :443",
            "ok      against wasm  3 flows",
        ],
        "{}{}",
        run.out,
        run.err
    );
    assert_eq!(run.code, 0, "{}", run.err);
    let run = netpol(here.path(), &[&["test", "--against", "yaml,wasm", "--format", "json"][..], &target].concat());
    let value: Value = serde_json::from_str(&run.out).unwrap();
    let [yaml, wasm] = [&value["against"][0], &value["against"][1]];
    assert_eq!((&yaml["against"], &yaml["passed"], &yaml["flows"]), (&json!("yaml"), &json!(true), &json!(3)));
    assert_eq!(yaml["differing"][0]["explained"], true);
    assert_eq!((&wasm["against"], &wasm["differing"]), (&json!("wasm"), &json!([])));
    let run = netpol(here.path(), &[&["test", "--against", "source", "--format", "junit"][..], &target].concat());
    assert!(run.out.contains("<testsuite name=\"against\" tests=\"1\" failures=\"0\">"), "{}", run.out);
    assert!(run.out.contains("<testcase name=\"against source\" classname=\"netpol\"/>"), "{}", run.out);
    assert_eq!(netpol(here.path(), &["test", "--against", "layers"]).code, 2);
}

/// Without an inventory nothing is known of a gateway's pods but what its declaration says.
#[test]
fn a_gateway_has_the_account_that_its_declaration_says() {
    let policy = "use std/istio (ingress-gateway)
allow ingress internet -> garden/{app=web}:8080/http via ingress-gateway at \"web.example.com\"
test \"from outside\" {
  allow 203.0.113.7 -> garden/{app=web}:8080/http via ingress-gateway at \"web.example.com\"
}
";
    let here = folder(&[("a.netpol", policy)]);
    let run = netpol(here.path(), &["test", "--against", "all"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("ok      against yaml  2 flows\n"), "{}", run.out);
}

const SENDERS: &[&str] = &["garden/*", "garden/{app=web}", "lab/@good", "shop/{tier!=back}", "198.51.100.0/24"];
const RECEIVERS: &[&str] = &["garden/{app=api}", "shop/*:8080", "198.51.100.0/24:443", "zenquotes.io:443", "db:5432"];

/// Random policies: whatever differs is what a level or a gap of a layer says.
#[test]
fn what_differs_is_what_levels_say() {
    let asked = std::env::var("NETPOL_AGAINST").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(20), seed.parse().unwrap());
    let (mut flows, mut unknown, mut explained, mut wrong) = (0, 0, 0, Vec::new());
    for number in 0..count {
        let draw = draw::draw(&mut Random::of_case(seed ^ 0xa9, number));
        let world = World::new(draw.setting.known);
        let pairs = SENDERS.iter().flat_map(|from| RECEIVERS.iter().map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| {
            from.contains('/') && !from.starts_with("198") || to.contains('/') && !to.starts_with("198")
        });
        let lines: String = pairs.map(|(from, to)| format!("  deny {from} -> {to}\n")).collect();
        let statements = draw.statements.join("\n");
        let source = format!("{HEAD}{}{statements}\ntest \"all\" {{\n{lines}}}\n", world.declarations());
        let pods = if draw.setting.pods { "[cluster]\npods = [\"10.244.0.0/16\", \"10.96.0.0/16\"]\n" } else { "" };
        let manifests = world.manifests();
        let here = folder(&[
            ("a.netpol", &source),
            ("netpol.toml", pods),
            ("cluster.yaml", manifests.as_deref().unwrap_or("")),
        ]);
        let targets = if draw.setting.layers == "both" { "networkpolicy,istio" } else { draw.setting.layers };
        let mut arguments = vec!["test", "a.netpol", "--target", targets, "--against", "all", "--format", "json"];
        if manifests.is_some() {
            arguments.extend(["--inventory", "cluster.yaml"]);
        }
        let run = netpol(here.path(), &arguments);
        let Ok(found) = serde_json::from_str::<Value>(&run.out) else { continue };
        for one in found["against"].as_array().unwrap() {
            let number_of = |key: &str| one[key].as_u64().unwrap();
            (flows, unknown) = (flows + number_of("flows"), unknown + number_of("not_told"));
            for differing in one["differing"].as_array().unwrap() {
                match differing["explained"] == true {
                    true => explained += 1,
                    false => {
                        wrong.push(format!("case {number} {targets}, {}: {differing}\n{statements}", one["against"]))
                    }
                }
            }
        }
    }
    println!("{flows} flows, {unknown} not told, {explained} differ as levels say");
    assert!(wrong.is_empty(), "{} differ: {}", wrong.len(), wrong[..wrong.len().min(12)].join("\n\n"));
    assert!(flows > 20 * count && explained > 0 && unknown < flows / 2);
}
