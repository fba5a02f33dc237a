//! What meaning costs: the check of a build beside the rest of it, and one assertion beside the sets of its policy.
//!
//! `cargo bench --bench meaning` prints ratios of one run, which can be compared with those of another, and the goal of each;
//! it fails where one is missed.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

mod generate;

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::policy::Policy;
use netpol::policy::meaning::Meaning;
use netpol::settings::Settings;
use netpol::source::Sources;
use netpol::targets::{self, Made};
use netpol::verify;

fn policy(text: &str) -> (Sources, Policy) {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("bench.netpol", text);
    let mut diagnostics = Diagnostics::new();
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut diagnostics);
    assert_eq!(diagnostics.iter().next(), None, "the generated policy checks");
    (input.sources, policy.expect("a policy without errors"))
}

/// Returns the shortest of at most so many runs, which together take about three seconds.
fn shortest_of<T>(most: usize, mut run: impl FnMut() -> T) -> Duration {
    let begin = Instant::now();
    let mut shortest = Duration::MAX;
    for _ in 0..most {
        let start = Instant::now();
        black_box(run());
        shortest = shortest.min(start.elapsed());
        if begin.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    shortest
}

/// Returns the shortest times of a build from its text on, without the check and with it, taken by turns.
fn built(text: &str) -> [Duration; 2] {
    let begin = Instant::now();
    let mut shortest = [Duration::MAX; 2];
    for turn in 0..9 {
        for (checked, shortest) in [false, true].into_iter().zip(&mut shortest) {
            *shortest = (*shortest).min(built_once(text, checked));
        }
        if turn > 0 && begin.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    shortest
}

fn built_once(text: &str, checked: bool) -> Duration {
    shortest_of(1, || {
        let (sources, policy) = policy(text);
        let mut diagnostics = Diagnostics::new();
        let check = |made: &Made<'_>| match checked {
            true => verify::check(&policy, &sources, made),
            false => Diagnostics::new(),
        };
        let mut bytes = 0;
        targets::build(&policy, &sources, &check, &mut diagnostics, &mut |files| {
            bytes += files.iter().map(|file| file.text.len()).sum::<usize>();
            true
        });
        assert!(!diagnostics.has_errors(), "the layers hold the generated policy");
        bytes
    })
}

/// Prints a ratio beside its goal, and returns whether the goal is met.
fn shown(what: &str, rules: usize, (one, other): (Duration, Duration), goal: f64) -> bool {
    let ratio = one.as_secs_f64() / other.as_secs_f64();
    let (one, other) = (one.as_secs_f64() * 1e3, other.as_secs_f64() * 1e3);
    println!("{rules:>8} {what:<40} {one:>9.2} ms {other:>9.2} ms {ratio:>7.3} goal {goal}");
    ratio <= goal
}

fn main() -> ExitCode {
    let mut met = true;
    println!("{:>8} {:<40} {:>12} {:>12} {:>7}", "rules", "what", "this", "beside", "ratio");
    for rules in [1_000, 10_000, 100_000] {
        let text = generate::policy(rules);
        let [without, with] = built(&text);
        met &= shown("the check beside the rest of the build", rules, (with.saturating_sub(without), without), 1.0);
    }
    let text = generate::policy(10_000);
    let claim = "assert never team-1/* -> team-2/*:5432\n";
    let (_, all) = policy(&format!("{text}{}", "assert never team-*/* -> team-2/*\n".replace("team-*", "*")));
    let sets = shortest_of(9, || Meaning::new(&all, &[]).allowed_of(&all.assertions[0].flows).is_ok());
    let (_, with_claim) = policy(&format!("{text}{claim}"));
    let mut meaning = Meaning::new(&with_claim, &[]);
    let flows = &with_claim.assertions[0].flows;
    let _ = meaning.allowed_of(flows);
    let one = shortest_of(9, || meaning.allowed_of(flows).is_ok());
    met &= shown("one assertion more beside the sets", 10_000, (one, sets), 0.01);
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
