//! Any calls of an evaluator module's kernel: texts, numbers and configurations of proxies that no host would hand over. No call
//! panics, a text is the same party each time, and what is an error stays one.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use netpol::targets::wasm::kernel::peers::{Connection, Peers};
use netpol::targets::wasm::kernel::{Kernel, Seen, Tables};
use netpol::targets::wasm::{self, Written};

mod shared;

static TABLES: LazyLock<Written> = LazyLock::new(|| wasm::tables(&shared::policy(), false));

fn kernel() -> Kernel<'static> {
    Kernel::new(Tables::new(&TABLES.words, &TABLES.bytes).unwrap())
}

/// Takes a number of four bytes from the beginning of some bytes.
fn number(data: &mut &[u8]) -> u32 {
    let (head, rest) = data.split_at(data.len().min(4));
    *data = rest;
    head.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fuzz_target!(|data: &[u8]| {
    let mut kernel = kernel();
    let mut ids = vec![0, 1, 1 << 24];
    let mut peers = None;
    for mut call in data.split(|byte| *byte == 0xff).take(32) {
        let Some((&what, rest)) = call.split_first() else { continue };
        call = rest;
        let text = String::from_utf8_lossy(call);
        match what % 9 {
            0 => {
                let first = kernel.intern(call);
                assert_eq!(kernel.intern(call), first);
                ids.extend(first);
            }
            1 => {
                let first = kernel.intern_request(call);
                assert_eq!(kernel.intern_request(call), first);
                ids.extend(first);
            }
            2 | 3 => {
                let mut pick = || ids[number(&mut call) as usize % ids.len()];
                let (source, destination, request) = (pick(), pick(), pick());
                let port = number(&mut call);
                assert_eq!(
                    kernel.decide(source, destination, port, request),
                    kernel.decide(source, destination, port, request)
                );
            }
            4 => {
                let first = kernel.decide_text(call);
                assert_eq!(kernel.decide_text(call), first);
            }
            5 => drop(kernel.decide_document(call)),
            6 => {
                let mut words: Vec<u32> = call.chunks(4).map(|mut word| number(&mut word)).collect();
                let at = |index: usize| *call.get(index).unwrap_or(&0) as usize;
                let _ = kernel.decide_batch(&mut words, at(0), at(1), at(2));
            }
            7 => peers = Peers::read(&mut kernel, call).ok(),
            _ => {
                let Some(peers) = &mut peers else { continue };
                let address = |last: u32| IpAddr::from((0x0a00_0000 | last & 3).to_be_bytes());
                let (source, destination) = (address(number(&mut call)), address(number(&mut call)));
                let seen = Connection { source, destination, identity: Some(&*text).filter(|text| !text.is_empty()) };
                let Ok((from, to)) = peers.ends(&mut kernel, seen) else { continue };
                let headers = [("x-team", &*text)];
                let asked = Seen {
                    method: Some(&text),
                    path: Some(&text),
                    host: Some(&text),
                    client: peers.client(&text),
                    headers: &headers,
                    ..Seen::default()
                };
                let _ = kernel.decide_seen(from, to, 6 << 16 | 8080, &asked);
            }
        }
    }
    kernel.reset();
    for id in ids {
        assert!(kernel.decide(id, id, 6 << 16 | 80, 0).is_err(), "what was interned before a reset is an error");
    }
});
