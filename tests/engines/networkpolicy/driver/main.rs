//! Random policies, judged by their meaning and by engines of NetworkPolicy that are not ours. `run` beside this folder
//! builds the engines and starts it:
//!
//! ```text
//! networkpolicy-engines compare POLICIES SEED PROGRAM…   are all flows judged as they are meant?
//! networkpolicy-engines examples FOLDER PROGRAM…         the same of what is committed there
//! networkpolicy-engines foreign FOLDER PROGRAM…          is all YAML of others below it read as the engines read it?
//! networkpolicy-engines mutate TIMES SEED PROGRAM…       is each defect of the objects found?
//! networkpolicy-engines emit POLICIES SEED               the objects of a run, for other programs
//! networkpolicy-engines case NUMBER SEED PROGRAM…        one policy of a run, with all that belongs to it
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../it/common/build.rs"]
mod build;
mod case;
mod cluster;
mod coverage;
mod engines;
mod examples;
mod foreign;
mod generate;
mod known;
mod mutate;
mod networks;
mod policy;
mod random;
mod reading;
mod report;
mod shrink;

use std::process::ExitCode;

use case::{Case, Outcome};
use cluster::Cluster;
use engines::Program;
use random::Random;
use report::Report;
use serde_json::Value;

/// How many policies show whether a run is fair.
const ENOUGH: u64 = 100;

/// In how many policies for each time that is wanted a defect is looked for.
const LONGEST_SEARCH: u64 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, folder, programs @ ..] = arguments.as_slice()
        && verb == "examples"
    {
        return judge_examples(folder.as_ref(), &mut start(programs));
    }
    if let [verb, folder, programs @ ..] = arguments.as_slice()
        && verb == "foreign"
    {
        return judge_foreign(folder.as_ref(), &mut start(programs));
    }
    let [verb, number, seed, programs @ ..] = arguments.as_slice() else { panic!("see the head of {}", file!()) };
    let (number, seed) = (number.parse().expect("a number"), seed.parse().expect("a seed"));
    let mut programs = start(programs);
    match verb.as_str() {
        "compare" => compare(number, seed, &mut programs),
        "emit" => emit(number, seed),
        "case" => show(number, seed, &mut programs),
        "mutate" => mutate(number, seed, &mut programs),
        other => panic!("{other} is no verb"),
    }
}

fn start(programs: &[String]) -> Vec<Program> {
    programs.iter().map(|path| Program::start(path)).collect()
}

/// Compares the meaning of each example with what the engines say of its committed objects.
fn judge_examples(folder: &std::path::Path, programs: &mut [Program]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for example in examples::examples(folder) {
        let outcome = example.case.compare(&example.build, &example.objects, programs);
        let Outcome { flows, unclear, allowed, denied, wider, disagreements, .. } = &outcome;
        let folder = example.folder.display();
        let objects = example.objects.len();
        println!("{folder}: {objects} objects, {flows} flows, {allowed} allowed, {denied} denied");
        println!("  {wider} denied ones pass where the layer is said to be wider, {unclear} where blocks hold pods");
        for one in disagreements.iter().chain(&outcome.misread) {
            println!("{}", one.shown());
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Compares what is read of the YAML below a folder with what the engines say of it.
fn judge_foreign(folder: &std::path::Path, programs: &mut [Program]) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    let (mut files, mut objects, mut flows) = (0, 0, 0);
    for path in foreign::files(folder) {
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        match foreign::judge(&path, programs) {
            Ok((of_file, outcome)) => {
                (files, objects, flows) = (files + 1, objects + of_file, flows + outcome.flows);
                for one in &outcome.misread {
                    println!("{shown}: {}", one.shown());
                    code = ExitCode::FAILURE;
                }
            }
            Err(why) => println!("{shown}: not read: {why}"),
        }
    }
    println!("{files} files, {objects} objects, {flows} flows are read as the engines read them");
    code
}

fn case(seed: u64, number: u64) -> Case {
    let mut random = Random::of_case(seed, number);
    let mut cluster = Cluster::random(&mut random);
    let policy = generate::policy(&mut random, &cluster);
    // Accounts and sidecars are told by the labels of the pods that are known.
    if !cluster.istio && !policy.has_accounts() {
        cluster.add_strangers(&mut random);
    }
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
        if let Some(first) = outcome.misread.first() {
            println!("case {number} is misread in {} of {} flows:", outcome.misread.len(), outcome.flows);
            println!("{}\n{}", case.policy, first.shown());
            return ExitCode::FAILURE;
        }
        if let Some(first) = outcome.disagreements.first() {
            println!("case {number}, {} of {} flows:", outcome.disagreements.len(), outcome.flows);
            println!("{}\n{}\n\nthe same, cut down:", case.policy, first.shown());
            explain(&shrink::shrink(case, programs), programs);
            return ExitCode::FAILURE;
        }
    }
    report.print();
    // A handful of policies need not have something of everything.
    if policies < ENOUGH { ExitCode::SUCCESS } else { report.verdict() }
}

/// Prints the objects of so many policies.
fn emit(policies: u64, seed: u64) -> ExitCode {
    for number in 0..policies {
        let build = case(seed, number).build();
        if case::errors(&build).is_empty() {
            case::objects(&build).iter().for_each(|object| print!("---\n{object}"));
        }
    }
    ExitCode::SUCCESS
}

/// Shows one case.
fn show(number: u64, seed: u64, programs: &mut [Program]) -> ExitCode {
    explain(&case(seed, number), programs);
    ExitCode::SUCCESS
}

/// Prints a case: its cluster, its policy, its objects, and what disagrees.
fn explain(case: &Case, programs: &mut [Program]) {
    let build = case.build();
    println!("{}---\n{}", case.cluster.manifests(), case.policy);
    case::errors(&build).iter().for_each(|error| println!("{error}"));
    case::objects(&build).iter().for_each(|object| println!("---\n{object}"));
    let outcome = case.compare(&build, &case::objects(&build), programs);
    outcome.disagreements.iter().for_each(|one| println!("{}", one.shown()));
}

/// Puts each defect into one build after the other, until it was found so many times. Not every one can be: where
/// another object says the same, or nobody is meant, nothing changes.
fn mutate(times: u64, seed: u64, programs: &mut [Program]) -> ExitCode {
    println!("seed {seed}");
    let mut code = ExitCode::SUCCESS;
    for (name, put) in mutate::MUTATIONS {
        let (mut tried, mut caught, mut number) = (0, 0, 0);
        while caught < times && number < times * LONGEST_SEARCH {
            let case = case(seed, number);
            let build = case.build();
            let mut objects: Vec<Value> =
                case::objects(&build).iter().map(|object| serde_yaml::from_str(object).unwrap()).collect();
            if case::errors(&build).is_empty() && put(&mut objects, &mut Random::of_case(!seed, number)) {
                let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
                tried += 1;
                let outcome = case.compare(&build, &objects, programs);
                caught += u64::from(!outcome.disagreements.is_empty());
                if let Some(first) = outcome.misread.first() {
                    println!("{name}: misread in case {number}: {}", first.shown());
                    code = ExitCode::FAILURE;
                }
            }
            number += 1;
        }
        println!("{name}: caught {caught} times, put into {tried} policies");
        if caught < times {
            println!("  that is too seldom");
            code = ExitCode::FAILURE;
        }
    }
    code
}
