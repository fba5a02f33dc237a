//! Bad input: numbers, places and texts that no host should hand over give an error's number, never an allow, and never
//! stop the module.

use netpol::targets::wasm::kernel::layout::header;
use netpol::targets::wasm::kernel::{Error, Kernel, Tables, UNKNOWN_REQUEST, port_word};
use netpol::targets::wasm::run::Running;
use netpol::targets::wasm::{self, Abi};
use wasmtime::{Engine, Instance, Module, Store};

use crate::layers::random::Random;
use crate::meaning;

const POLICY: &str = "allow egress garden/* -> zenquotes.io:443\n\
    allow ingress shop/{app=cart} -> garden/{app=api}:8080/http where method GET where path \"/api/**\"\n\
    deny egress garden/* -> 203.0.113.0/24\n";
const HTTPS: u32 = 6 << 16 | 443;
const GARDEN: &[u8] = br#"{"namespace":"garden","labels":{"app":"web"}}"#;
const QUOTES: &[u8] = br#"{"host":"zenquotes.io"}"#;

fn code() -> Vec<u8> {
    let (policy, sources) = meaning::policy(POLICY, None).unwrap();
    wasm::build(&policy, &sources, Abi::Core, false).code
}

fn with_kernel(then: impl FnOnce(&mut Kernel<'_>)) {
    let (policy, _) = meaning::policy(POLICY, None).unwrap();
    let tables = wasm::tables(&policy, false);
    then(&mut Kernel::new(Tables::new(&tables.words, &tables.bytes).unwrap()));
}

#[test]
fn numbers_that_nobody_gave_out_are_errors() {
    with_kernel(|kernel| {
        let garden = kernel.intern(GARDEN).unwrap();
        let quotes = kernel.intern(QUOTES).unwrap();
        let get = kernel.intern_request(br#"{"method":"GET"}"#).unwrap();
        assert!(kernel.decide(garden, quotes, HTTPS, UNKNOWN_REQUEST).unwrap().allowed());
        assert_eq!(kernel.intern(GARDEN), Ok(garden), "the same text gives the same number");
        assert_eq!(kernel.intern(br#"{ "labels": {"app":"web"}, "namespace":"garden"}"#), Ok(garden));
        for id in [0, 1, garden + 2, quotes + 1, get, u32::MAX, i32::MIN as u32, garden ^ 1 << 24, garden | 1 << 31] {
            assert_eq!(kernel.decide(id, quotes, HTTPS, UNKNOWN_REQUEST), Err(Error::Party), "{id:x}");
            assert_eq!(kernel.decide(garden, id, HTTPS, UNKNOWN_REQUEST), Err(Error::Party), "{id:x}");
        }
        for id in [1, garden, quotes, get + 1, u32::MAX, get ^ 1 << 24] {
            assert_eq!(kernel.decide(garden, quotes, HTTPS, id), Err(Error::Request), "{id:x}");
        }
        for port in [0, 443, port_word(6, 0), port_word(1, 8), port_word(0, 443), port_word(255, 443), u32::MAX] {
            assert_eq!(kernel.decide(garden, quotes, port, UNKNOWN_REQUEST), Err(Error::Port), "{port:x}");
        }
        kernel.reset();
        assert_eq!(kernel.decide(garden, quotes, HTTPS, UNKNOWN_REQUEST), Err(Error::Party), "of before the reset");
        let mut words = [0; 16];
        for (from, count, to) in [(0, 5, 0), (16, 1, 0), (0, 1, 14), (usize::MAX, 1, 0), (0, usize::MAX, 0)] {
            assert_eq!(kernel.decide_batch(&mut words, from, count, to), Err(Error::Range), "{from} {count} {to}");
        }
    });
}

/// More flows than are remembered, each asked for twice.
#[test]
fn what_is_remembered_is_what_was_decided() {
    with_kernel(|kernel| {
        let (garden, quotes) = (kernel.intern(GARDEN).unwrap(), kernel.intern(QUOTES).unwrap());
        for port in (1..=65535).flat_map(|port| [port, port / 2 + 1]) {
            let verdict = kernel.decide(garden, quotes, port_word(6, port), UNKNOWN_REQUEST).unwrap();
            assert_eq!(verdict.allowed(), port == 443, "{port}");
            let back = kernel.decide(quotes, garden, port_word(6, port), UNKNOWN_REQUEST).unwrap();
            assert!(back.allowed(), "no rule isolates the web on its way in: {port}");
        }
    });
}

#[test]
fn texts_that_say_nothing_are_errors() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let parties: &[(&str, Error)] = &[
        ("", Error::Json),
        ("{", Error::Json),
        ("{}}", Error::Json),
        ("{\"namespace\":\"garden\",}", Error::Json),
        ("{\"a\":01}", Error::Json),
        ("\"\\ud800\"", Error::Json),
        ("\"\u{1}\"", Error::Json),
        (&deep, Error::Json),
        ("{}", Error::Meaning),
        ("[]", Error::Meaning),
        ("1", Error::Meaning),
        ("\"\"", Error::Meaning),
        ("\"garden/web\"", Error::Meaning),
        ("{\"namespace\":1}", Error::Meaning),
        ("{\"namespace\":\"garden\",\"label\":{}}", Error::Meaning),
        ("{\"namespace\":\"garden\",\"labels\":{\"app\":1}}", Error::Meaning),
        ("{\"namespace\":\"garden\",\"ports\":[{\"name\":\"http\"}]}", Error::Meaning),
        ("{\"namespace\":\"garden\",\"ports\":[{\"name\":\"http\",\"port\":65536}]}", Error::Meaning),
        ("{\"namespace\":\"garden\",\"address\":\"203.0.113.1\"}", Error::Meaning),
        ("{\"address\":\"203.0.113\"}", Error::Meaning),
        ("{\"host\":\"203.0.113.7\"}", Error::Meaning),
        ("\"203.0.113.07\"", Error::Meaning),
        ("\"3405803783\"", Error::Meaning),
        ("\"0xcb007107\"", Error::Meaning),
        ("\"zenquotes.io..\"", Error::Meaning),
        ("\"*.example.com\"", Error::Meaning),
        ("{\"host\":\"zenquotes.io\",\"at\":[\"203.0.113.0/33\"]}", Error::Meaning),
    ];
    let flows: &[(&str, Error)] = &[
        (r#"{"from":"10.0.0.1","to":"zenquotes.io"}"#, Error::Port),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":0}"#, Error::Port),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":-1}"#, Error::Port),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":443,"protocol":"http"}"#, Error::Port),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":443,"protocol":"icmp"}"#, Error::Port),
        (r#"{"from":"10.0.0.1","port":443}"#, Error::Meaning),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":443,"verdict":"allow"}"#, Error::Meaning),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":443,"method":1}"#, Error::Meaning),
        (r#"{"from":"10.0.0.1","to":"zenquotes.io","port":443,"client":"x"}"#, Error::Meaning),
    ];
    with_kernel(|kernel| {
        assert_eq!(kernel.intern(b"\"\xff\""), Err(Error::Json), "not UTF-8");
        for (text, error) in parties {
            assert_eq!(kernel.intern(text.as_bytes()), Err(*error), "{text:.80}");
        }
        for (text, error) in flows {
            assert_eq!(kernel.decide_text(text.as_bytes()), Err(*error), "{text}");
        }
        assert_eq!(kernel.intern_request(br#"{"verb":"GET"}"#), Err(Error::Meaning));
    });
}

/// Bytes changed at random in good texts give an error or a decision; nothing panics.
#[test]
fn broken_texts_stop_nothing() {
    let good: &[&[u8]] = &[
        br#"{"from":{"namespace":"garden","labels":{"app":"web"},"ports":[{"name":"a","port":1}]},"to":{"host":"zenquotes.io","at":["2001:db8::/32"]},"port":443}"#,
        br#"{"from":{"address":"203.0.113.7"},"to":{"namespace":"garden","namespaceLabels":{"env":"prod"},"name":"x"},"port":8080,"protocol":"tcp","method":"GET","path":"/a/%2e%2E/b","headers":{"a":"b"},"jwt":{"iss":"x","n":[1.5e3,null,true]}}"#,
    ];
    let mut random = Random::of_case(7, 1);
    with_kernel(|kernel| {
        for _ in 0..20_000 {
            let mut text = random.pick(good).to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(text.len());
                match random.below(3) {
                    0 => text[at] = random.below(256) as u8,
                    1 => drop(text.remove(at)),
                    _ => text.insert(at, random.pick(b"{}[]\",:\\/u0-.e")),
                }
            }
            let _ = kernel.decide_text(&text);
        }
    });
}

/// Damaged tables are refused, or read as far as they go.
#[test]
fn damaged_tables_stop_nothing() {
    let (policy, _) = meaning::policy(POLICY, None).unwrap();
    let whole = wasm::tables(&policy, false);
    for section in [header::MAGIC, header::ABI, header::WORDS, header::BYTES] {
        let mut words = whole.words.clone();
        words[section] ^= 1;
        assert!(Tables::new(&words, &whole.bytes).is_none());
    }
    let mut random = Random::of_case(7, 2);
    for _ in 0..3_000 {
        let mut words = whole.words.clone();
        for _ in 0..3 {
            let at = 4 + random.below(words.len() - 4);
            words[at] = if random.percent(50) { random.below(1 << 32) as u32 } else { random.below(64) as u32 };
        }
        let mut bytes = whole.bytes.clone();
        for _ in 0..random.below(6) {
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
        }
        let Some(tables) = Tables::new(&words, &bytes) else { continue };
        let mut kernel = Kernel::new(tables);
        let parties = [kernel.intern(GARDEN), kernel.intern(QUOTES), kernel.intern(b"\"203.0.113.7\"")];
        for source in parties.iter().flatten() {
            for destination in parties.iter().flatten() {
                let _ = kernel.decide(*source, *destination, HTTPS, UNKNOWN_REQUEST);
            }
        }
    }
}

/// The exports are called as any host may call them.
#[test]
fn places_outside_the_buffer_are_errors() {
    let engine = Engine::default();
    let module = Module::new(&engine, code()).unwrap();
    assert_eq!(module.imports().count(), 0);
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let buffer = instance.get_typed_func::<i32, i32>(&mut store, "buffer").unwrap();
    let range = Error::Range as i32;
    let texts = ["intern", "intern_request", "decide_text"];
    for name in texts {
        let function = instance.get_typed_func::<(i32, i32), i32>(&mut store, name).unwrap();
        assert_eq!(function.call(&mut store, (0, 4)).unwrap(), range, "{name} without a buffer");
    }
    assert_eq!(buffer.call(&mut store, -1).unwrap(), Error::Full as i32);
    let at = buffer.call(&mut store, 64).unwrap();
    assert!(at > 0);
    for name in texts {
        let function = instance.get_typed_func::<(i32, i32), i32>(&mut store, name).unwrap();
        for place in [(0, 4), (at - 1, 4), (at, 65), (at + 64, 1), (at, -1), (-4, 8), (i32::MAX, 1), (at + 65, 0)] {
            assert_eq!(function.call(&mut store, place).unwrap(), range, "{name} {place:?}");
        }
    }
    let batch = instance.get_typed_func::<(i32, i32, i32), i32>(&mut store, "decide_batch").unwrap();
    for place in [(0, 1, at), (at, 1, 0), (at, 5, at), (at + 1, 1, at), (at, -1, at), (at, 1, at + 60), (-8, 1, at)] {
        assert_eq!(batch.call(&mut store, place).unwrap(), range, "{place:?}");
    }
    assert_eq!(batch.call(&mut store, (at, 2, at + 32)).unwrap(), 0, "flows of zeros are errors each");
}

#[test]
fn files_that_are_no_module_of_ours_are_refused_in_words() {
    let whole = code();
    let head = b"\0asm\x01\0\0\0";
    // One function `abi_version` that returns 7; and an import of a function.
    let foreign =
        b"\x01\x05\x01\x60\0\x01\x7f\x03\x02\x01\0\x07\x0f\x01\x0babi_version\0\0\x0a\x06\x01\x04\0\x41\x07\x0b";
    let asks = b"\x01\x04\x01\x60\0\0\x02\x0b\x01\x03env\x03log\0\0";
    let (foreign, asks) = ([head, &foreign[..]].concat(), [head, &asks[..]].concat());
    let cases: &[(&[u8], &str)] = &[
        (b"apiVersion: v1", "it is no WebAssembly module"),
        (b"", "it is no WebAssembly module"),
        (&whole[..whole.len() / 2], "it is damaged, or not whole"),
        (&foreign, "its interface has version 7, and this netpol knows version 1"),
        (&asks, "it asks its host for functions"),
        (Abi::Opa.code(), "it is one for hosts of OPA"),
        (Abi::Component.code(), "it is a component"),
        (Abi::ProxyWasm.code(), "it is a filter for proxies"),
        (head, "it has no function `abi_version`"),
        (Abi::Core.code(), "it has no tables"),
    ];
    for (code, why) in cases {
        let refused = Running::load(code).err().unwrap_or_default();
        assert!(refused.contains(why), "{refused:?}, not {why:?}");
    }
}
