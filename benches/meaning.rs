//! What questions about the meaning of a policy cost, as ratios within one run.
//!
//! `cargo bench --bench meaning` prints a line for each goal and fails where one is missed; numbers of rules, and words
//! of lines, measure these alone: `cargo bench --bench meaning -- 1000 assertion`. Absolute goals are those of a
//! machine with two processors and nothing else to do.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

#[allow(dead_code, reason = "manifests are for the other benchmark")]
mod generate;
mod table;

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::fmt::Write;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netpol::analysis;
use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::policy::Policy;
use netpol::policy::meaning::{Meaning, Versions};
use netpol::settings::Settings;
use netpol::source::Sources;
use netpol::targets::{self, Checked, Made};
use netpol::verify;
use table::{Line, Measured};

/// The lines, each a function of its own.
const LINES: &[Line] = &[
    (&[10_000, 100_000], "all redundant and shadowed rules", redundant),
    (&[10_000, 100_000], "the same, where selectors overlap", redundant_among_overlapping),
    (&[10_000], "one assertion more, beside the set", one_assertion_more),
    (&[10_000], "difference of two versions, beside two sets", difference),
    (&[1_000, 10_000, 100_000], "the check of a build, beside the rest of it", check),
];

fn main() -> ExitCode {
    table::print(LINES)
}

/// The lints about rules that change nothing, for the whole policy; the goal grows with it.
fn redundant(size: usize) -> Measured {
    lints(size, &generate::policy(size))
}

fn redundant_among_overlapping(size: usize) -> Measured {
    lints(size, &overlapping(size))
}

fn lints(size: usize, text: &str) -> Measured {
    let (sources, policy) = policy(text);
    let mut found = 0;
    let time = shortest(|| {
        let mut diagnostics = Diagnostics::new();
        analysis::lints(&policy, &sources, &mut diagnostics);
        found = diagnostics.iter().count();
    });
    let compiled = shortest(|| drop(black_box(self::policy(text))));
    let from = format!("{found} found; the policy takes {:.1} ms", ms(compiled));
    Measured { unit: "ms", figure: ms(time), goal: size as f64 / 100.0, from }
}

/// Returns a policy of `count` rules whose selectors overlap: four labels, all ways to test one, rules for a whole
/// namespace, and some rules for all of them.
fn overlapping(count: usize) -> String {
    let mut out = String::from("deny egress */* -> 169.254.169.254\n");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let namespaces = 1 + count / 20;
    for number in 0..count {
        let (team, other, value, port) = (random(namespaces), random(namespaces), random(6), 8000 + random(40));
        let test = match random(8) {
            0 => String::new(),
            1 => format!("app in (a{value}, a{})", value + 1),
            2 => format!("app!=a{value}"),
            3 => format!("tier=t{}, app=a{value}", value % 3),
            4 => format!("tier!=t{}", value % 3),
            5 => "canary".to_owned(),
            6 => format!("!canary, app=a{value}"),
            _ => format!("app=a{value}"),
        };
        let pods = if test.is_empty() { format!("team-{team}/*") } else { format!("team-{team}/{{{test}}}") };
        let _ = match number % 10 {
            0 => writeln!(out, "default deny {pods}"),
            1 => writeln!(out, "deny egress {pods} -> 10.{value}.0.0/16"),
            2 => writeln!(out, "allow egress {pods} -> 10.{value}.{port}.0/24:{port}", port = port % 256),
            3 | 4 => writeln!(out, "allow {pods} -> team-{other}/*:{port}"),
            5 if number % 500 == 5 => writeln!(out, "allow ingress team-{other}/* -> */{{app=a{value}}}:{port}"),
            _ => writeln!(out, "allow ingress 10.{value}.0.0/16 -> {pods}:{port}"),
        };
    }
    out
}

/// An assertion between two namespaces, where the rows that it asks for are made, beside the rows of all.
fn one_assertion_more(size: usize) -> Measured {
    const MORE: usize = 50;
    let claims: String =
        (0..=MORE).map(|n| format!("assert never team-{n}/{{zone=z}} -> team-{}/*:1\n", n + 1)).collect();
    let one = "assert never team-0/{zone=z} -> team-1/*:1\n";
    let judged = |claims: &str| {
        let (sources, policy) = policy(&format!("{}{claims}", generate::policy(size)));
        shortest(|| analysis::assertions(&policy, &sources, &mut Diagnostics::new()))
    };
    let (_, policy) = policy(&generate::policy(size));
    let mut steps = 0;
    let set = shortest(|| steps = Meaning::new(&policy, &[]).make_rows().expect("the set can be made"));
    let each = (ms(judged(&claims)) - ms(judged(one))) / MORE as f64;
    let from = format!("{:.3} ms beside {:.1} ms and {steps} steps", each, ms(set));
    Measured { unit: "%", figure: 100.0 * each / ms(set), goal: 1.0, from }
}

/// The difference of two versions of which one lacks a rule, beside making both sets.
fn difference(size: usize) -> Measured {
    let (_, old) = policy(&generate::policy(size));
    let mut new = old.clone();
    new.rules.remove(size / 2);
    for grant in &mut new.grants {
        grant.because.clear();
    }
    let sets = shortest(|| {
        for policy in [&old, &new] {
            black_box(Meaning::new(policy, &[]).make_rows().expect("the set can be made"));
        }
    });
    let both = shortest(|| {
        let mut versions = Versions::new(&old, &new);
        let changed =
            versions.opened().expect("small enough").is_some() || versions.closed().expect("small enough").is_some();
        assert!(changed, "the rule changes something");
    });
    let from = format!("{:.1} ms beside {:.1} ms", ms(both), ms(sets));
    Measured { unit: "×", figure: ms(both) / ms(sets), goal: 1.2, from }
}

/// The check of what a build writes, beside the build from its text on.
fn check(size: usize) -> Measured {
    let text = generate::policy(size);
    let (without, with) = (shortest(|| built(&text, false)), shortest(|| built(&text, true)));
    let check = with.saturating_sub(without);
    let from = format!("{:.1} ms beside {:.1} ms", ms(check), ms(without));
    Measured { unit: "×", figure: ms(check) / ms(without), goal: 1.0, from }
}

fn built(text: &str, checked: bool) {
    let (sources, policy) = policy(text);
    let mut diagnostics = Diagnostics::new();
    let check = |made: &Made<'_>| match checked {
        true => verify::check(&policy, &sources, made),
        false => Checked::default(),
    };
    targets::build(&policy, &sources, &check, &mut diagnostics, &mut |files| {
        black_box(files);
        true
    });
    assert!(!diagnostics.has_errors(), "the layers enforce the generated policy");
}

fn policy(text: &str) -> (Sources, Policy) {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("bench.netpol", text);
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut Diagnostics::new());
    (input.sources, policy.expect("a policy without errors"))
}

/// Returns the shortest of at most five runs, which together take about two seconds.
fn shortest(mut run: impl FnMut()) -> Duration {
    let begin = Instant::now();
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        run();
        shortest = shortest.min(start.elapsed());
        if begin.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    shortest
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
