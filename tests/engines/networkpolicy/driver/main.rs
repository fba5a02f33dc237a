//! Random policies, judged by their meaning and by engines of NetworkPolicy that are not ours. `run` beside this folder
//! builds the engines and starts it:
//!
//! ```text
//! networkpolicy-engines compare POLICIES SEED PROGRAM…
//! networkpolicy-engines case NUMBER SEED PROGRAM…
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../it/networkpolicy/build.rs"]
mod build;
mod case;
mod cluster;
mod coverage;
mod engines;
mod generate;
mod policy;
mod random;
mod report;

use std::process::ExitCode;

use case::Case;
use cluster::Cluster;
use engines::Program;
use random::Random;
use report::Report;

/// How many policies show whether a run is fair.
const ENOUGH: u64 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, number, seed, programs @ ..] = arguments.as_slice() else { panic!("see the head of {}", file!()) };
    let (number, seed) = (number.parse().expect("a number"), seed.parse().expect("a seed"));
    let mut programs: Vec<Program> = programs.iter().map(|path| Program::start(path)).collect();
    match verb.as_str() {
        "compare" => compare(number, seed, &mut programs),
        "case" => show(number, seed, &mut programs),
        other => panic!("{other} is no verb"),
    }
}

fn case(seed: u64, number: u64) -> Case {
    let mut random = Random::of_case(seed, number);
    let cluster = Cluster::random(&mut random);
    let policy = generate::policy(&mut random, &cluster);
    Case { cluster, policy }
}

/// Compares so many policies, and fails on the first that is judged otherwise than it is meant.
fn compare(policies: u64, seed: u64, programs: &mut [Program]) -> ExitCode {
    println!("seed {seed}");
    let mut report = Report::default();
    for number in 0..policies {
        let case = case(seed, number);
        let build = case.build();
        report.start(&case.policy, &build);
        if !case::errors(&build).is_empty() {
            continue;
        }
        let outcome = case.compare(&build, &case::objects(&build), programs);
        report.add(&outcome);
        if let Some(first) = outcome.disagreements.first() {
            println!("case {number}, {} of {} flows:", outcome.disagreements.len(), outcome.flows);
            println!("{}\n{}", case.policy, first.shown());
            return ExitCode::FAILURE;
        }
    }
    report.print();
    // A handful of policies need not have something of everything.
    if policies < ENOUGH { ExitCode::SUCCESS } else { report.verdict() }
}

/// Shows one case: its cluster, its policy, its objects, and what disagrees.
fn show(number: u64, seed: u64, programs: &mut [Program]) -> ExitCode {
    let case = case(seed, number);
    let build = case.build();
    println!("{}\n{}", case.cluster.manifests(), case.policy);
    case::errors(&build).iter().for_each(|error| println!("{error}"));
    case::objects(&build).iter().for_each(|object| println!("---\n{object}"));
    let outcome = case.compare(&build, &case::objects(&build), programs);
    outcome.disagreements.iter().for_each(|one| println!("{}", one.shown()));
    ExitCode::SUCCESS
}
