//! Objects that are divided because they would be too large, and objects that would be too many.

use netpol::diag::{Code, Severity};

use super::build::{build, build_in};
use crate::layers::random::Random;

#[test]
fn an_object_that_is_too_large_is_several_that_add_up() {
    let block = |at: u32| format!("52.{}.{}.7", at / 256, at % 256);
    let many: Vec<String> = (0..9000).map(block).collect();
    for source in [
        format!("allow egress garden/* -> {{ {} }}:443", many.join(", ")),
        format!("allow ingress {{ {} }} -> garden/*:8080", many.join(", ")),
        many.iter()
            .take(3000)
            .enumerate()
            .map(|(at, block)| format!("allow egress garden/* -> {block}:{}\n", at + 1))
            .collect(),
    ] {
        let build = build(&source).ok();
        let objects: Vec<_> = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects).collect();
        assert!(objects.len() > 1);
        assert!(
            objects.iter().all(|object| object.yaml.len() < 250 * 1024),
            "{:?}",
            objects.iter().map(|o| o.yaml.len()).collect::<Vec<_>>()
        );
        let text = build.text();
        let wanted = if source.lines().count() == 1 { 9000 } else { 3000 };
        assert_eq!(text.matches("cidr:").count(), wanted);
        assert_eq!(text.matches("policyTypes:").count(), objects.len());
    }
}

/// A block cannot be divided among objects, but its halves can.
#[test]
fn a_block_with_thousands_of_holes_is_the_blocks_of_its_parts() {
    let holes: Vec<String> = (0..9000_u32).map(|at| format!("10.{}.{}.7", at / 256, at % 256)).collect();
    let build = build(&format!("allow egress garden/* -> {{ 10.0.0.0/8 except {{ {} }} }}:443", holes.join(", "))).ok();
    let objects: Vec<_> = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects).collect();
    assert!(objects.len() > 1 && objects.iter().all(|object| object.yaml.len() < 250 * 1024));
    let objects = build.objects();
    let blocks = || objects.iter().flat_map(|object| object["spec"]["egress"].as_array().unwrap());
    let blocks: Vec<_> =
        blocks().flat_map(|entry| entry["to"].as_array().unwrap()).map(|peer| &peer["ipBlock"]).collect();
    let net = |text: &serde_json::Value| text.as_str().unwrap().parse::<ipnet::IpNet>().unwrap();
    let holes =
        |block: &serde_json::Value| block["except"].as_array().into_iter().flatten().map(net).collect::<Vec<_>>();
    assert_eq!(blocks.iter().map(|block| holes(block).len()).sum::<usize>(), 9000);
    let passes = |address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        let here = |block: &&&serde_json::Value| net(&block["cidr"]).contains(&address);
        blocks.iter().filter(here).any(|block| !holes(block).iter().any(|hole| hole.contains(&address)))
    };
    for (address, passing) in [
        ("10.0.0.6", true),
        ("10.0.0.7", false),
        ("10.35.39.7", false),
        ("10.35.40.7", true),
        ("10.200.0.7", true),
        ("11.0.0.1", false),
    ] {
        assert_eq!(passes(address), passing, "{address}");
    }
}

#[test]
fn rules_for_pods_of_every_namespace_are_not_written_into_too_many() {
    let inventory: String =
        (0..650).map(|at| format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: ns{at} }}\n")).collect();
    let rules = |count: u32| -> String {
        (0..count).map(|at| format!("allow ingress ns0/* -> */{{app=web{at}}}:8080\n")).collect()
    };
    let many = build_in(&inventory, &rules(650));
    assert_eq!(many.codes().iter().filter(|code| code.starts_with('E')).collect::<Vec<_>>(), [&"E0753"]);
    assert!(many.said("E0753").contains("this is written 650 times, and so are 649 more rules"));
    assert!(!build_in(&inventory, &rules(20)).codes().contains(&"E0753"));
}

/// Peers by labels that overlap in every combination, each of which an allow would be divided along.
#[test]
fn denies_of_overlapping_labels_are_refused_and_not_multiplied() {
    let random = &mut Random::of_case(2, 1);
    let mut labels = || -> String {
        let mut keys: Vec<usize> = Vec::new();
        while keys.len() < 4 {
            let key = random.below(40);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.iter().map(|key| format!("k{key}={}", random.pick(&["a", "b"]))).collect::<Vec<_>>().join(", ")
    };
    let denies: String = (0..200).map(|_| format!("deny ingress lab/{{{}}} -> shop/*:8080\n", labels())).collect();
    let build = build(&format!("allow ingress lab/* -> shop/*:8080\n{denies}"));
    let errors = build.diagnostics.iter().filter(|one| one.severity() == Severity::Error);
    let codes: Vec<Code> = errors.map(|one| one.code).collect();
    assert_eq!(codes, [Code::DeniesMultiply]);
}
