//! What decisions of an evaluator module cost, beside what no module could do without, in rounds within one process.
//!
//! `cargo bench --bench evaluator` prints a line for each goal and fails where one is missed; numbers of rules, and
//! words of lines, measure these alone: `cargo bench --bench evaluator -- 10000 batch`. Absolute goals are those of a
//! machine with two processors and nothing else to do; fuel and bytes are the same everywhere.

#![allow(clippy::expect_used, reason = "a benchmark stops at the first surprise")]

#[path = "evaluator/flows.rs"]
mod flows;
#[allow(dead_code, reason = "manifests are for other benchmarks")]
mod generate;
#[path = "evaluator/host.rs"]
mod host;
#[path = "evaluator/logs.rs"]
mod logs;
mod table;

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flows::World;
use host::Host;
use netpol::replay::Replay;
use netpol::targets::wasm::kernel::layout;
use netpol::targets::wasm::{self, Abi};
use table::{Line, Measured};

/// The lines, each a function of its own.
const LINES: &[Line] = &[
    (&[10_000, 100_000], "a decision, beside an empty call and the twin", decision),
    (&[10_000], "decisions in a batch, beside the twin", batch),
    (&[10_000], "the text of a known party, beside copy, hash and call", known_text),
    (&[10_000], "a party never seen before", new_party),
    (&[100_000], "fuel of a decision, beside 10 rules", fuel),
    (&[100_000], "bytes of data for a rule", data),
    (&[10_000, 100_000], "instance and first decision, beside as much data", first),
    (&[10_000], "building the module, beyond check", build),
    (&[10_000], "replay, Hubble", |size| replay(size, &logs::hubble)),
    (&[10_000], "replay, ztunnel", |size| replay(size, &logs::ztunnel)),
    (&[10_000], "replay, Envoy", |size| replay(size, &logs::envoy)),
    (&[10_000], "replay, lines of eval --flows", |size| replay(size, &logs::questions)),
];

fn main() -> ExitCode {
    table::print(LINES)
}

/// Decisions on flows that come again, as they do in a proxy, and what they cost the first time.
fn decision(size: usize) -> Measured {
    let world = World::new(size);
    let mut host = Host::new(&world.module, false);
    let flows = host.intern_all(&world.flows);
    let tables = world.tables();
    let mut twin = world.twin(&tables);
    let numbers = world.intern_all(&mut twin);
    let anew = each(
        flows.len(),
        once(|| {
            flows.iter().for_each(|flow| {
                black_box(host.decide(*flow));
            })
        }),
    );
    let [mut empty, mut native, mut module, mut load] = [Duration::MAX; 4];
    let mut at = 0;
    for _ in 0..ROUNDS {
        empty = empty.min(once(|| {
            flows.iter().for_each(|flow| {
                black_box(host.empty(*flow));
            })
        }));
        native = native.min(once(|| {
            for flow in &numbers {
                let _ = black_box(twin.decide_words(black_box(*flow)));
            }
        }));
        module = module.min(once(|| {
            flows.iter().for_each(|flow| {
                black_box(host.decide(*flow));
            })
        }));
        load = load.min(once(|| {
            for _ in &flows {
                at = black_box(tables.words[at] as usize ^ at.wrapping_mul(0x9e37_79b1)) % tables.words.len();
            }
        }));
    }
    let count = flows.len();
    let [empty, native, module, load] = [empty, native, module, load].map(|time| each(count, time));
    let goal = if size > 10_000 { 2.0 } else { 1.3 };
    let from =
        format!("{module:.1} ns; call {empty:.1}, twin {native:.1}, a random load {load:.1}; the first time {anew:.0}");
    Measured { unit: "×", figure: module / (empty + native), goal, from }
}

fn batch(size: usize) -> Measured {
    let world = World::new(size);
    let mut host = Host::new(&world.module, false);
    let flows = host.intern_all(&world.flows);
    let count = flows.len();
    let at = host.write_batch(&flows);
    let tables = world.tables();
    let mut twin = world.twin(&tables);
    let mut words: Vec<u32> = world.intern_all(&mut twin).into_flattened();
    words.resize(words.len() + 3 * count, 0);
    let [mut native, mut module] = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        native = native.min(once(|| {
            let _ = black_box(twin.decide_batch(&mut words, 0, count, 4 * count));
        }));
        module = module.min(once(|| assert_eq!(host.decide_batch(at, count), count)));
    }
    let [native, module] = [native, module].map(|time| each(count, time));
    Measured { unit: "×", figure: module / native, goal: 1.25, from: format!("{module:.1} ns; twin {native:.1}") }
}

fn known_text(size: usize) -> Measured {
    let world = World::new(size);
    let mut host = Host::new(&world.module, false);
    let text = flows::pod_of_length(256);
    let place = host.buffer(text.len());
    let known = host.intern(&text);
    let [mut floor, mut module] = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        floor = floor.min(once(|| {
            for _ in 0..1000 {
                host.copy(place, &text);
                black_box(layout::hash(1, black_box(text.as_bytes())));
                black_box(host.empty([0; 4]));
            }
        }));
        module = module.min(once(|| {
            for _ in 0..1000 {
                host.copy(place, &text);
                assert_eq!(host.intern_at(place, text.len()), known);
            }
        }));
    }
    let [floor, module] = [floor, module].map(|time| each(1000, time));
    Measured {
        unit: "×",
        figure: module / floor,
        goal: 1.5,
        from: format!("{module:.1} ns; copy, hash and call {floor:.1}"),
    }
}

fn new_party(size: usize) -> Measured {
    const PARTIES: usize = 2000;
    let world = World::new(size);
    let mut shortest = f64::MAX;
    for round in 0..10 {
        let mut host = Host::new(&world.module, false);
        let texts: Vec<String> = (0..PARTIES).map(|number| world.stranger(round * PARTIES + number)).collect();
        let time = once(|| {
            texts.iter().for_each(|text| {
                black_box(host.intern(text));
            })
        });
        shortest = shortest.min(each(PARTIES, time) / 1e3);
    }
    Measured { unit: "µs", figure: shortest, goal: 20.0, from: "pods, addresses and hosts".to_owned() }
}

fn fuel(size: usize) -> Measured {
    let [few, many] = [10, size].map(|size| {
        let world = World::new(size);
        let mut host = Host::new(&world.module, true);
        let flows = host.intern_all(&world.flows);
        [0, 1].map(|_| {
            let before = host.fuel();
            flows.iter().for_each(|flow| {
                black_box(host.decide(*flow));
            });
            (before - host.fuel()) as f64 / flows.len() as f64
        })
    });
    let from = format!("{:.1} beside {:.1}; the first time {:.0} beside {:.0}", many[1], few[1], many[0], few[0]);
    Measured { unit: "×", figure: many[1] / few[1], goal: 1.1, from }
}

fn data(size: usize) -> Measured {
    let world = World::new(size);
    let tables = world.tables();
    let bytes = 4 * tables.words.len() + tables.bytes.len();
    let (code, module) = (Abi::Core.code().len(), world.module.len());
    let from =
        format!("{bytes} bytes; the module has {module}, of which {code} are code, and the others what its rules are");
    Measured { unit: "B", figure: bytes as f64 / size as f64, goal: 40.0, from }
}

fn first(size: usize) -> Measured {
    let world = World::new(size);
    let ours = host::Loaded::new(&world.module);
    let flow = &world.flows[0];
    let texts = [flow.source.to_string(), flow.destination.to_string()];
    let trivial = host::Loaded::trivial(&world.tables().bytes, 4 * world.tables().words.len());
    let [mut floor, mut module] = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        floor = floor.min(once(|| trivial.call()));
        module = module.min(once(|| ours.first_decision(&texts, flow.port)));
    }
    let [floor, module] = [floor, module].map(|time| each(1, time) / 1e3);
    let from = format!("{module:.1} µs beside {floor:.1} µs");
    Measured { unit: "×", figure: module / floor, goal: 1.2, from }
}

fn build(size: usize) -> Measured {
    let world = World::new(size);
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        shortest = shortest.min(once(|| {
            black_box(wasm::build(&world.policy, &world.sources, Abi::Core, false));
        }));
    }
    Measured { unit: "ms", figure: shortest.as_secs_f64() * 1e3, goal: 100.0, from: "wasm::build".to_owned() }
}

fn replay(size: usize, log: &dyn Fn(&World, usize) -> Vec<Vec<u8>>) -> Measured {
    // So many lines, taken over and over as a log of days has them.
    const LINES: usize = 50_000;
    const TIMES: usize = 20;
    let world = World::new(size);
    let lines = log(&world, LINES);
    let bytes: usize = lines.iter().map(Vec::len).sum();
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let mut replay = Replay::new(&world.policy);
        shortest = shortest.min(once(|| {
            for _ in 0..TIMES {
                for (number, line) in (1..).zip(&lines) {
                    replay.line((0, number), line);
                }
            }
        }));
        let found = replay.finish();
        assert!(found.unread == 0 && found.flows() >= (TIMES * LINES) as u64, "{:?}", found.unread_lines);
    }
    let each = each(TIMES * LINES, shortest) / 1e3;
    let from = format!("{:.2} million flows a second, of {} bytes each", 1.0 / each, bytes / LINES);
    Measured { unit: "µs", figure: each, goal: 1.0, from }
}

/// So many rounds, of which the shortest counts.
const ROUNDS: usize = 200;

fn once(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Returns the nanoseconds of one among many.
fn each(count: usize, time: Duration) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}
