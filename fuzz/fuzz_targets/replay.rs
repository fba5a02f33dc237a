//! Any bytes as the lines of a log: none panics, and each is counted once.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use netpol::policy::Policy;
use netpol::replay::Replay;

mod shared;

static POLICY: LazyLock<Policy> = LazyLock::new(shared::policy);

fuzz_target!(|data: &[u8]| {
    let mut replay = Replay::new(&POLICY);
    replay.keep_flows();
    for (number, line) in (1..).zip(data.split(|byte| *byte == b'\n')) {
        replay.line((0, number), line);
    }
    let found = replay.finish();
    let passed: u64 = found.passed.iter().sum();
    assert_eq!(found.flows() + passed + found.unread, found.lines);
});
