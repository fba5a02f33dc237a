//! How long the stages take on policies of growing size, beside the time of reading the same bytes from a file.
//!
//! `cargo bench` prints a table of ratios at the end: absolute times of two machines, or of two moments of one, cannot
//! be compared, those of one run can.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

mod generate;

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::policy::Policy;
use netpol::policy::ask::{Question, ask};
use netpol::settings::Settings;
use netpol::source::Sources;
use netpol::syntax;
use netpol::targets::yaml::Writer;

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// A stage: its name, and what makes of a text the run that is measured. A run returns something that depends on its
/// result.
type Stage = (&'static str, fn(&str) -> Box<dyn Fn() -> usize + '_>);

/// What is measured: the text to its tree, the text to its one layout, the text to the policy, to all that `check`
/// finds and to the files of both layers; manifests to the inventory, and `check` with them, where every pod of the
/// policy has a workload; the writer of YAML by itself; and one flow decided by the policy.
const STAGES: &[Stage] = &[
    ("parse", |text| Box::new(|| parse(text))),
    ("format", |text| Box::new(|| format(text))),
    ("policy", |text| Box::new(|| policy(text, None).1.rules.len())),
    ("check", |text| Box::new(|| checked(text, None))),
    ("build", |text| Box::new(|| build(text))),
    ("manifests", |text| {
        let manifests = generate::inventory(text);
        Box::new(move || manifests_read(&manifests))
    }),
    ("known", |text| {
        let manifests = generate::inventory(text);
        Box::new(move || checked(text, Some(&manifests)))
    }),
    ("yaml", |text| Box::new(|| yaml(text.len()))),
    ("eval", |text| {
        let policy = policy(text, None).1;
        Box::new(move || eval(&policy))
    }),
];

fn parse(text: &str) -> usize {
    let mut sources = Sources::new();
    let file = sources.add("bench.netpol", text);
    let mut diagnostics = Diagnostics::new();
    let tree = syntax::parse(&sources, file, &mut diagnostics);
    assert_eq!(diagnostics.iter().next(), None, "the generated policy parses");
    tree.items.len()
}

fn format(text: &str) -> usize {
    let mut sources = Sources::new();
    let file = sources.add("bench.netpol", text);
    syntax::format(&sources, file, &mut Diagnostics::new()).expect("the generated policy can be formatted").len()
}

/// Returns a policy's text as an input, and manifests with it where there are any.
fn input(text: &str, manifests: Option<&str>) -> Input {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("bench.netpol", text);
    if let Some(text) = manifests {
        input.manifest("bench.yaml", text);
    }
    input
}

fn policy(text: &str, manifests: Option<&str>) -> (Sources, Policy) {
    let mut input = input(text, manifests);
    let mut diagnostics = Diagnostics::new();
    let policy = compile::policy(&mut input, &mut compile::no_files, &mut diagnostics);
    assert_eq!(diagnostics.iter().next(), None, "the generated policy checks");
    (input.sources, policy.expect("a policy without errors"))
}

fn checked(text: &str, manifests: Option<&str>) -> usize {
    let (sources, policy) = policy(text, manifests);
    let mut diagnostics = Diagnostics::new();
    let lowering = compile::judge(&policy, &sources, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "the layers hold the generated policy");
    lowering.layers.len()
}

fn build(text: &str) -> usize {
    let (sources, policy) = policy(text, None);
    let mut diagnostics = Diagnostics::new();
    let mut bytes = 0;
    let mut files = Vec::new();
    compile::build(&policy, &sources, &mut diagnostics, &mut |part| {
        bytes += part.iter().map(|file| file.text.len()).sum::<usize>();
        files.extend(part);
        true
    });
    assert!(!diagnostics.has_errors(), "the layers hold the generated policy");
    bytes
}

fn manifests_read(text: &str) -> usize {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.manifest("bench.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let inventory = compile::inventory(&input, &mut diagnostics);
    assert_eq!(diagnostics.iter().next(), None, "the generated manifests are read");
    inventory.workloads.len()
}

/// Writes at least so many bytes of YAML as an object has it, and returns how many.
fn yaml(least: usize) -> usize {
    let mut written = 0;
    while written < least {
        let mut yaml = Writer::new();
        for object in 0..16 {
            yaml.key("metadata").map(|yaml| {
                yaml.field("name", black_box("app-frontend-egress"));
                yaml.field("namespace", black_box("team-garden"));
                yaml.key("labels").map(|yaml| {
                    yaml.any_key("app.kubernetes.io/managed-by").str(black_box("netpol"));
                });
            });
            yaml.comment(black_box("shop.netpol:17: allow egress team-garden/{app=frontend} -> 203.0.113.0/24:443"));
            yaml.key("to").list(|yaml| {
                yaml.item().map(|yaml| {
                    yaml.key("ipBlock").map(|yaml| {
                        yaml.field("cidr", black_box("203.0.113.0/24"));
                    });
                });
            });
            yaml.key("ports").list(|yaml| {
                yaml.item().flow_map(|yaml| {
                    yaml.key("protocol").word("TCP");
                    yaml.key("port").int(black_box(443 + object));
                });
            });
        }
        written += yaml.finish().len();
    }
    written
}

fn eval(policy: &Policy) -> usize {
    let question =
        Question { from: "team-0/{app=a0}".into(), to: "team-1/{app=b1}:8080".into(), ..Question::default() };
    usize::from(ask(policy, &question).expect("the question can be judged").allowed())
}

fn benchmark(criterion: &mut Criterion) {
    for (name, stage) in STAGES {
        let mut group = criterion.benchmark_group(*name);
        group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for size in SIZES {
            let text = generate::policy(size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &text, |bencher, text| {
                let run = stage(black_box(text));
                bencher.iter(run);
            });
        }
        group.finish();
    }
}

/// Returns the shortest of at most nine runs, which together take about a second.
fn shortest(run: impl Fn() -> usize) -> Duration {
    let begin = Instant::now();
    let mut shortest = Duration::MAX;
    for _ in 0..9 {
        let start = Instant::now();
        black_box(run());
        shortest = shortest.min(start.elapsed());
        if begin.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    shortest
}

/// Prints for each size and stage the time, the speed (by the bytes of the policy), the time per rule, and the ratio to
/// reading the same bytes.
fn ratios() {
    println!("\n{:>8} {:<9} {:>10} {:>9} {:>9} {:>10}", "rules", "stage", "ms", "MB/s", "ns/rule", "× reading");
    for size in SIZES {
        let text = generate::policy(size);
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("the temporary file can be written");
        let reading = shortest(|| std::fs::read_to_string(file.path()).expect("the temporary file").len());
        for (name, time) in std::iter::once(("reading", reading))
            .chain(STAGES.iter().map(|(name, stage)| (*name, shortest(stage(&text)))))
        {
            println!(
                "{size:>8} {name:<9} {:>10.3} {:>9.1} {:>9.0} {:>10.1}",
                time.as_secs_f64() * 1e3,
                text.len() as f64 / time.as_secs_f64() / 1e6,
                time.as_secs_f64() * 1e9 / size as f64,
                time.as_secs_f64() / reading.as_secs_f64(),
            );
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benchmark(&mut criterion);
    criterion.final_summary();
    ratios();
}
