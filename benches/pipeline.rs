//! How long the stages take on policies of growing size, beside the time of reading the same bytes from a file.
//!
//! `cargo bench` prints a table of ratios at the end: absolute times of two machines, or of two moments of one, cannot
//! be compared, those of one run can.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

mod generate;

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use netpol::diag::Diagnostics;
use netpol::source::Sources;
use netpol::syntax;

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

type Stage = (&'static str, fn(&str) -> usize);

/// What is measured. Each stage begins with the text and returns something that depends on its result.
const STAGES: &[Stage] = &[("parse", parse), ("format", format)];

fn parse(text: &str) -> usize {
    let mut sources = Sources::new();
    let file = sources.add("bench.netpol", text);
    let mut diagnostics = Diagnostics::new();
    let tree = syntax::parse(&sources, file, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "the generated policy has syntax errors");
    tree.items.len()
}

fn format(text: &str) -> usize {
    let mut sources = Sources::new();
    let file = sources.add("bench.netpol", text);
    syntax::format(&sources, file, &mut Diagnostics::new()).expect("the generated policy can be formatted").len()
}

fn benchmark(criterion: &mut Criterion) {
    for (name, stage) in STAGES {
        let mut group = criterion.benchmark_group(*name);
        group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for size in SIZES {
            let text = generate::policy(size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(size), &text, |bencher, text| {
                bencher.iter(|| stage(black_box(text)));
            });
        }
        group.finish();
    }
}

/// Returns the shortest of some runs.
fn shortest(mut run: impl FnMut() -> usize) -> Duration {
    (0..7)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// Prints for each size and stage the time, the speed, the time per rule, and the ratio to reading the same bytes.
fn ratios() {
    println!("\n{:>8} {:<8} {:>10} {:>9} {:>9} {:>10}", "rules", "stage", "ms", "MB/s", "ns/rule", "× reading");
    for size in SIZES {
        let text = generate::policy(size);
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("the temporary file can be written");
        let reading = shortest(|| std::fs::read_to_string(file.path()).expect("the temporary file").len());
        for (name, time) in std::iter::once(("reading", reading))
            .chain(STAGES.iter().map(|(name, stage)| (*name, shortest(|| stage(&text)))))
        {
            println!(
                "{size:>8} {name:<8} {:>10.3} {:>9.1} {:>9.0} {:>10.1}",
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
