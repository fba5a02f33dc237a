//! A host of modules that does as little as possible.

use serde_json::Value;
use wasmtime::{Config, Engine, Instance, Memory, Module, Store, TypedFunc};

use crate::flows::Flow;

/// So much fuel never ends.
const FUEL: u64 = u64::MAX / 2;

/// A function of four numbers that does nothing.
const EMPTY: &[u8] = b"\0asm\x01\0\0\0\x01\x09\x01\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x03\x02\x01\0\x07\x09\x01\x05empty\0\0\x0a\x06\x01\x04\0\x20\0\x0b";

type Decide = TypedFunc<(i32, i32, i32, i32), i32>;

/// An instance of a module, with an empty function beside it.
pub struct Host {
    store: Store<()>,
    memory: Memory,
    buffer: TypedFunc<i32, i32>,
    intern: TypedFunc<(i32, i32), i32>,
    decide: Decide,
    batch: TypedFunc<(i32, i32, i32), i32>,
    empty: Decide,
}

impl Host {
    /// Loads a module; with `fuel` its instructions are counted.
    pub fn new(code: &[u8], fuel: bool) -> Host {
        let mut config = Config::new();
        config.consume_fuel(fuel);
        let engine = Engine::new(&config).expect("an engine");
        let module = Module::new(&engine, code).expect("a module");
        let nothing = Module::new(&engine, EMPTY).expect("a module");
        let mut store = Store::new(&engine, ());
        if fuel {
            store.set_fuel(FUEL).expect("fuel is counted");
        }
        let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
        let nothing = Instance::new(&mut store, &nothing, &[]).expect("an instance");
        Host {
            memory: instance.get_memory(&mut store, "memory").expect("a memory"),
            buffer: instance.get_typed_func(&mut store, "buffer").expect("buffer"),
            intern: instance.get_typed_func(&mut store, "intern").expect("intern"),
            decide: instance.get_typed_func(&mut store, "decide").expect("decide"),
            batch: instance.get_typed_func(&mut store, "decide_batch").expect("decide_batch"),
            empty: nothing.get_typed_func(&mut store, "empty").expect("empty"),
            store,
        }
    }

    /// Returns the fuel that is left.
    pub fn fuel(&self) -> u64 {
        self.store.get_fuel().expect("fuel is counted")
    }

    /// Returns where the host may write.
    pub fn buffer(&mut self, length: usize) -> i32 {
        self.buffer.call(&mut self.store, length as i32).expect("a buffer")
    }

    /// Writes a text to a place.
    pub fn copy(&mut self, place: i32, text: &str) {
        self.memory.write(&mut self.store, place as usize, text.as_bytes()).expect("in the buffer");
    }

    /// Interns the text at a place.
    pub fn intern_at(&mut self, place: i32, length: usize) -> i32 {
        self.intern.call(&mut self.store, (place, length as i32)).expect("a number")
    }

    /// Interns a party.
    pub fn intern(&mut self, text: &str) -> i32 {
        let place = self.buffer(text.len());
        self.copy(place, text);
        let number = self.intern_at(place, text.len());
        assert!(number > 0, "{number}: {text}");
        number
    }

    /// Interns the parties of flows.
    pub fn intern_all(&mut self, flows: &[Flow]) -> Vec<[i32; 4]> {
        let mut number = |party: &Value| self.intern(&party.to_string());
        flows.iter().map(|flow| [number(&flow.source), number(&flow.destination), flow.port as i32, 0]).collect()
    }

    /// Decides a flow.
    pub fn decide(&mut self, [source, destination, port, request]: [i32; 4]) -> i32 {
        self.decide.call(&mut self.store, (source, destination, port, request)).expect("a verdict")
    }

    /// Calls a function that does nothing.
    pub fn empty(&mut self, [source, destination, port, request]: [i32; 4]) -> i32 {
        self.empty.call(&mut self.store, (source, destination, port, request)).expect("a number")
    }

    /// Writes flows for a batch, and returns where.
    pub fn write_batch(&mut self, flows: &[[i32; 4]]) -> i32 {
        let place = self.buffer(28 * flows.len());
        let bytes: Vec<u8> = flows.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
        self.memory.write(&mut self.store, place as usize, &bytes).expect("in the buffer");
        place
    }

    /// Decides the flows of a batch.
    pub fn decide_batch(&mut self, place: i32, count: usize) -> usize {
        let to = place + 16 * count as i32;
        self.batch.call(&mut self.store, (place, count as i32, to)).expect("a number") as usize
    }
}

/// A module that is compiled.
pub struct Loaded {
    engine: Engine,
    module: Module,
}

impl Loaded {
    /// Compiles a module.
    pub fn new(code: &[u8]) -> Loaded {
        let engine = Engine::default();
        Loaded { module: Module::new(&engine, code).expect("a module"), engine }
    }

    /// Makes a module that has data and some bytes more, and does nothing.
    pub fn trivial(data: &[u8], more: usize) -> Loaded {
        let length = data.len() + more;
        let (head, rest) = EMPTY.split_at(EMPTY.len() - 8);
        let mut code = Vec::with_capacity(length + 128);
        // The type and the function; the memory stands before the export.
        let (types, export) = head.split_at(head.len() - 11);
        code.extend_from_slice(types);
        let mut memory = vec![1, 0];
        put(&mut memory, 1 + length.div_ceil(1 << 16));
        section(&mut code, 5, &memory);
        code.extend_from_slice(export);
        code.extend_from_slice(rest);
        // An active segment behind the first page.
        let mut segment = vec![1, 0, 0x41, 0x80, 0x80, 0x04, 0x0b];
        put(&mut segment, length);
        segment.extend_from_slice(data);
        segment.resize(segment.len() + more, 1);
        section(&mut code, 11, &segment);
        Loaded::new(&code)
    }

    /// Makes an instance and calls the function that does nothing.
    pub fn call(&self) {
        let mut store = Store::new(&self.engine, ());
        let instance = Instance::new(&mut store, &self.module, &[]).expect("an instance");
        let empty: Decide = instance.get_typed_func(&mut store, "empty").expect("empty");
        assert_eq!(empty.call(&mut store, (7, 0, 0, 0)).expect("a number"), 7);
    }

    /// Makes an instance and decides a flow.
    pub fn first_decision(&self, [source, destination]: &[String; 2], port: u32) {
        let mut store = Store::new(&self.engine, ());
        let instance = Instance::new(&mut store, &self.module, &[]).expect("an instance");
        let memory = instance.get_memory(&mut store, "memory").expect("a memory");
        let buffer: TypedFunc<i32, i32> = instance.get_typed_func(&mut store, "buffer").expect("buffer");
        let intern: TypedFunc<(i32, i32), i32> = instance.get_typed_func(&mut store, "intern").expect("intern");
        let decide: Decide = instance.get_typed_func(&mut store, "decide").expect("decide");
        let mut number = |text: &str| {
            let place = buffer.call(&mut store, text.len() as i32).expect("a buffer");
            memory.write(&mut store, place as usize, text.as_bytes()).expect("in the buffer");
            intern.call(&mut store, (place, text.len() as i32)).expect("a number")
        };
        let (source, destination) = (number(source), number(destination));
        let verdict = decide.call(&mut store, (source, destination, port as i32, 0)).expect("a verdict");
        assert!(verdict >= 0);
    }
}

fn section(out: &mut Vec<u8>, number: u8, body: &[u8]) {
    out.push(number);
    put(out, body.len());
    out.extend_from_slice(body);
}

/// Writes a number in LEB128.
fn put(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
