//! How the cost of a policy grows with its size, shape by shape: no shape may cost more than in proportion to what is
//! read and written.
//!
//! `cargo bench --bench growth` measures each shape at a size and at four times that, in processes of their own, and
//! compares the processor time that both took with the bytes that they read and wrote. The exponent is 1 where four
//! times as much takes four times as long; above 1.2 the run fails. It fails too where 100 kB take more than 300 MB.
//! Names of shapes, or parts of them, measure these alone: `cargo bench --bench growth -- denies ports`.

#![allow(clippy::expect_used, clippy::panic, reason = "a benchmark stops at the first surprise")]

mod shapes;

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::collections::HashMap;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::diag::render::{Format, render};
use netpol::policy::ask::{Question, ask};
use netpol::settings::Settings;
use shapes::{Case, SHAPES, Shape};

/// The largest exponent that passes.
const MOST: f64 = 1.2;
/// How much larger the second policy is.
const TIMES: usize = 4;
/// How long the smaller one takes at least, so that what every run costs matters little.
const LEAST: Duration = Duration::from_millis(25);
/// How long is measured at least.
const ENOUGH: Duration = Duration::from_millis(250);
/// How often both are measured again, at most, where they grow too fast.
const MOST_AGAIN: usize = 3;
/// How much memory a policy of so many bytes may take.
const SMALL: (usize, usize) = (100_000, 300_000_000);

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Check,
    Build,
}

impl Stage {
    fn word(self) -> &'static str {
        if self == Stage::Check { "check" } else { "build" }
    }
}

/// What one process measured: the time of a run, what it read and wrote, and the most memory that it had.
#[derive(Clone, Copy)]
struct Measured {
    time: Duration,
    read: usize,
    written: usize,
    memory: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [mark, shape, stage, size] = args.as_slice()
        && mark == "measure"
    {
        let shape = SHAPES.iter().find(|(name, ..)| name == shape).expect("a shape");
        let stage = if stage == "check" { Stage::Check } else { Stage::Build };
        measure(&shape.2(size.parse().expect("a size")), stage);
        return ExitCode::SUCCESS;
    }
    let wanted = |(name, ..): &&Shape| args.is_empty() || args.iter().any(|arg| name.contains(arg.as_str()));
    let mut failed = Vec::new();
    println!("{:<36} {:<6} {:>8} {:>9} {:>9} {:>7} {:>5}", "shape", "stage", "size", "ms", "ms × 4", "MB", "exp.");
    for shape in SHAPES.iter().filter(wanted) {
        for stage in [Stage::Check, Stage::Build] {
            if let Some(why) = grow(shape, stage) {
                failed.push(format!("{} ({}): {why}", shape.0, stage.word()));
            }
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\ngrows too fast:\n  {}", failed.join("\n  "));
    ExitCode::FAILURE
}

/// Measures a shape, and returns what is wrong with it.
fn grow(shape: &Shape, stage: Stage) -> Option<String> {
    let mut size = shape.1;
    let mut small = in_own_process(shape, stage, size);
    while small.time < LEAST && small.read < 4 * SMALL.0 {
        size *= 2;
        small = in_own_process(shape, stage, size);
    }
    let mut large = in_own_process(shape, stage, TIMES * size);
    let exponent = |small: Measured, large: Measured| {
        let bytes = (large.read + large.written) as f64 / (small.read + small.written) as f64;
        (large.time.as_secs_f64() / small.time.as_secs_f64()).ln() / bytes.ln()
    };
    // Other processes disturb, and never help.
    for _ in 0..MOST_AGAIN {
        if exponent(small, large) <= MOST {
            break;
        }
        let again = [in_own_process(shape, stage, size), in_own_process(shape, stage, TIMES * size)];
        small.time = small.time.min(again[0].time);
        large.time = large.time.min(again[1].time);
    }
    let exponent = exponent(small, large);
    println!(
        "{:<36} {:<6} {size:>8} {:>9.1} {:>9.1} {:>7.0} {exponent:>5.2}",
        shape.0,
        stage.word(),
        small.time.as_secs_f64() * 1e3,
        large.time.as_secs_f64() * 1e3,
        large.memory as f64 / 1e6,
    );
    let heavy = [small, large].iter().any(|one| one.read <= SMALL.0 && one.memory > SMALL.1);
    match (exponent > MOST, heavy) {
        (true, _) => Some(format!("the exponent is {exponent:.2}")),
        (false, true) => Some("a small policy takes too much memory".into()),
        (false, false) => None,
    }
}

fn in_own_process(shape: &Shape, stage: Stage, size: usize) -> Measured {
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).args(["measure", shape.0, stage.word(), &size.to_string()]).output();
    let output = output.expect("this program runs");
    assert!(output.status.success(), "{}: {}", shape.0, String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let numbers: Vec<usize> = text.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    let [time, read, written, memory] = numbers[..] else { panic!("four numbers, not {text}") };
    Measured { time: Duration::from_nanos(time as u64), read, written, memory }
}

/// Runs a case often enough to be measured, and prints what it took.
fn measure(case: &Case, stage: Stage) {
    let read = case.policy.len()
        + case.used.iter().map(|(_, text)| text.len()).sum::<usize>()
        + case.manifests.as_ref().map_or(0, String::len)
        + case.flows.iter().map(|(from, to)| from.len() + to.len()).sum::<usize>();
    let (start, mut runs, mut written) = (processor_time(), 0, 0);
    let time = loop {
        written = run(case, stage).max(written);
        runs += 1;
        let time = processor_time() - start;
        if time >= ENOUGH {
            break time / runs;
        }
    };
    println!("{} {read} {written} {}", time.as_nanos(), most_memory());
}

/// Compiles a case once, and returns how many bytes that wrote.
fn run(case: &Case, stage: Stage) -> usize {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("policy.netpol", case.policy.as_str());
    if let Some(manifests) = &case.manifests {
        input.manifest("cluster.yaml", manifests.as_str());
    }
    let used: HashMap<&str, &str> = case.used.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let mut loader = |_: &str, path: &str| {
        let path = path.trim_start_matches("./");
        used.get(path).map(|text| (path.to_owned(), text.to_string())).ok_or_else(|| "no such file".to_owned())
    };
    let mut diagnostics = Diagnostics::new();
    let mut written = 0;
    if let Some(policy) = compile::policy(&mut input, &mut loader, &mut diagnostics) {
        for (from, to) in &case.flows {
            let question = Question { from: from.clone(), to: to.clone(), ..Question::default() };
            written += usize::from(ask(&policy, &question).expect("a flow").allowed());
        }
        match stage {
            Stage::Check => drop(compile::judge(&policy, &input.sources, &mut diagnostics)),
            Stage::Build => {
                compile::build(&policy, &input.sources, &mut diagnostics, &mut |files| {
                    written += files.iter().map(|file| file.text.len()).sum::<usize>();
                    true
                });
            }
        }
    }
    let mut messages = Vec::new();
    render(&diagnostics, &input.sources, Format::Human, false, &mut messages).expect("memory can be written");
    written + messages.len()
}

/// Returns the processor time that this process has taken, all its threads together; where the system does not tell,
/// the time that has passed.
fn processor_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // proc(5): utime and stime are the 12th and 13th field after the name, in hundredths of a second.
    let told = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| {
        let fields: Vec<u64> = text.rsplit_once(')')?.1.split(' ').skip(12).take(2).flat_map(str::parse).collect();
        Some(Duration::from_millis(10 * fields.iter().sum::<u64>()))
    });
    told.unwrap_or_else(|| start.elapsed())
}

/// Returns the most memory that this process has had, in bytes; 0 where the system does not tell.
fn most_memory() -> usize {
    let told = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()
    });
    told.unwrap_or(0) * 1024
}
