//! Random policies for both layers and for each alone: what the source denies must not pass everything that was
//! written, unless the build says so, and what it allows must pass. `NETPOL_LAYERS=POLICIES[,SEED]` asks for more than
//! a test run.

pub mod authorization;
pub mod draw;
mod exits;
mod gateway;
pub mod judge;
mod known;
#[path = "../engines/networkpolicy/driver/random.rs"]
pub mod random;
mod shown;
mod sidecar;
pub mod world;

use std::collections::BTreeMap;

use draw::Draw;
use judge::{Case, Finding};
use random::Random;
use world::World;

const FLOWS: usize = 400;

/// Builds the policy of a number and asks for its flows.
fn findings(worlds: &[World; 2], draw: &Draw, seed: u64, number: u64) -> Option<Vec<Finding>> {
    let world = &worlds[usize::from(draw.setting.known)];
    let case = Case::build(world, draw)?;
    let mut found = case.check(&mut Random::of_case(!seed, number), FLOWS);
    found.retain(|one| !known::listed(&case, one));
    Some(found)
}

/// Takes statements away while a disagreement of the same kind remains.
fn shrunk(worlds: &[World; 2], mut draw: Draw, finding: Finding, seed: u64, number: u64) -> (Draw, Finding) {
    let mut finding = finding;
    let mut at = 0;
    while at < draw.statements.len() && draw.statements.len() > 1 {
        let mut less = draw.clone();
        less.statements.remove(at);
        let still = findings(worlds, &less, seed, number).unwrap_or_default();
        match still.into_iter().find(|one| one.kind == finding.kind) {
            Some(one) => (draw, finding, at) = (less, one, 0),
            None => at += 1,
        }
    }
    (draw, finding)
}

#[test]
fn what_is_denied_does_not_pass_all_layers_and_what_is_allowed_does() {
    let asked = std::env::var("NETPOL_LAYERS").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(300), seed.parse().unwrap());
    let worlds = [World::new(false), World::new(true)];
    let mut built = 0;
    let mut kinds: BTreeMap<String, (usize, u64, Draw, Finding)> = BTreeMap::new();
    for number in 0..count {
        let draw = draw::draw(&mut Random::of_case(seed, number));
        let Some(found) = findings(&worlds, &draw, seed, number) else { continue };
        built += 1;
        for finding in found {
            let entry = kinds.entry(finding.kind.clone()).or_insert_with(|| (0, number, draw.clone(), finding));
            entry.0 += 1;
        }
    }
    println!("{built} of {count} policies built");
    for (kind, (count, number, draw, finding)) in &kinds {
        let (draw, finding) = shrunk(&worlds, draw.clone(), finding.clone(), seed, *number);
        println!(
            "\n# {kind}: {count} flows; case {number}, {:?}\n{}\n  {}",
            draw.setting,
            draw.statements.join("\n"),
            finding.flow
        );
    }
    assert!(kinds.is_empty(), "{} kinds of flows are not as they are meant", kinds.len());
}

#[test]
fn policies_that_once_were_wrong_are_right() {
    let worlds = [World::new(false), World::new(true)];
    let mut wrong = Vec::new();
    for shown in shown::SHOWN {
        let setting = draw::Setting { known: shown.known, layers: shown.layers, pods: shown.pods, exact: false };
        let draw = Draw { setting, statements: shown.text.lines().map(str::to_owned).collect() };
        let case = Case::build(&worlds[usize::from(shown.known)], &draw);
        let found = case.as_ref().map(|case| case.check(&mut Random::of_case(1, 1), 5 * FLOWS)).unwrap_or_default();
        let kinds: BTreeMap<&String, &Finding> = found.iter().map(|one| (&one.kind, one)).collect();
        let how = match (&case, kinds.is_empty()) {
            (None, _) => "refused",
            (_, true) => "right",
            _ => "WRONG",
        };
        println!("{how}: {}", shown.name);
        for (kind, finding) in &kinds {
            println!("  {kind}: {}", finding.flow);
        }
        if !kinds.is_empty() {
            wrong.push(shown.name);
        }
    }
    assert!(wrong.is_empty(), "not as they are meant: {wrong:#?}");
}
