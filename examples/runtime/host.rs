//! A host of an evaluator module, with the crate wasmtime: docs/wasm-abi.md is all that it knows.

use std::path::PathBuf;

use serde_json::{Value, json};
use wasmtime::{Engine, Error, Instance, Memory, Module, Result, Store};

/// A module, and what its numbers mean.
struct Evaluator {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
    told: Value,
}

impl Evaluator {
    fn load(folder: PathBuf) -> Result<Evaluator> {
        let told = serde_json::from_slice(&std::fs::read(folder.join("policy.rules.json"))?)?;
        let engine = Engine::default();
        let module = Module::new(&engine, std::fs::read(folder.join("policy.wasm"))?)?;
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| Error::msg("no memory"))?;
        Ok(Evaluator { store, instance, memory, told })
    }

    fn call<P: wasmtime::WasmParams>(&mut self, name: &str, numbers: P) -> Result<i32> {
        let function = self.instance.get_typed_func::<P, i32>(&mut self.store, name)?;
        match function.call(&mut self.store, numbers)? {
            error @ ..0 => Err(Error::msg(format!("error {error}"))),
            number => Ok(number),
        }
    }

    /// Hands a value over as JSON: to `intern`, `intern_request` or `decide_text`.
    fn hand(&mut self, name: &str, value: &Value) -> Result<i32> {
        let text = value.to_string();
        let length = text.len() as i32;
        let at = self.call("buffer", length)?;
        self.memory.write(&mut self.store, at as usize, text.as_bytes())?;
        self.call(name, (at, length))
    }

    /// Says what decided the last flow at each end.
    fn why(&mut self) -> Result<String> {
        let at = self.call("verdict", ())? as usize;
        let mut bytes = [0; 12];
        self.memory.read(&self.store, at, &mut bytes)?;
        let word = |place: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[4 * place + byte]));
        let end = |cause: u32, by: u32| {
            let rule = &self.told["rules"][by as usize];
            let rule = format!("{}:{}", rule["path"].as_str().unwrap_or_default(), rule["line"]);
            match cause & 0xff {
                0 => "no pod".to_owned(),
                1 => "a pod reaches itself".to_owned(),
                2 => "not isolated".to_owned(),
                3 => format!("allowed by {rule}"),
                4 => format!("granted: {}", self.told["grants"][by as usize]["reason"]),
                5 => format!("denied by {rule}"),
                _ => format!("isolated by {rule}"),
            }
        };
        Ok(format!("egress {}, ingress {}", end(word(0) >> 8, word(1)), end(word(0) >> 16, word(2))))
    }
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| Error::msg("usage: host FOLDER"))?;
    let mut policy = Evaluator::load(folder.into())?;
    if policy.call("abi_version", ())? != 1 {
        return Err(Error::msg("this host knows version 1 of the interface"));
    }
    let words = ["denied", "allowed", "told"];
    let garden = json!({"namespace": "garden", "labels": {"app": "web"}});

    // One flow as text.
    let verdict = policy.hand("decide_text", &json!({"from": garden, "to": "zenquotes.io", "port": 443}))?;
    println!("{}: garden -> zenquotes.io:443, {}", words[verdict as usize], policy.why()?);

    // The same parties by numbers, which are found once.
    let source = policy.hand("intern", &garden)?;
    let destination = policy.hand("intern", &json!("evil.example"))?;
    let tcp = 6 << 16;
    let verdict = policy.call("decide", (source, destination, tcp | 443, 0))?;
    println!("{}: garden -> evil.example:443, {}", words[verdict as usize], policy.why()?);

    // What nobody interned is an error, and no verdict.
    match policy.call("decide", (source, 12345, tcp | 443, 0)) {
        Ok(_) => println!("a number that is none was taken"),
        Err(error) => println!("a number that is none: {error}"),
    }
    Ok(())
}
