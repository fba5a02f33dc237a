//! A host of evaluator modules, with wasmtime: `netpol eval --module`, and the tests.

use wasmtime::{Engine, Instance, Memory, Module, Store, TypedFunc};

use super::kernel::Verdict;
use super::kernel::layout;
use super::{assemble, flow};
use crate::policy::{self, Party};

/// A module that runs.
pub struct Running {
    store: Store<()>,
    memory: Memory,
    buffer: TypedFunc<i32, i32>,
    intern: TypedFunc<(i32, i32), i32>,
    intern_request: TypedFunc<(i32, i32), i32>,
    decide: TypedFunc<(i32, i32, i32, i32), i32>,
    decide_text: TypedFunc<(i32, i32), i32>,
    decide_batch: TypedFunc<(i32, i32, i32), i32>,
    verdict: i32,
    reset: TypedFunc<(), ()>,
    /// The module's rules and grants, as in `policy.rules.json`.
    pub rules: serde_json::Value,
}

/// The error number of a module's answer.
pub type Number = i32;

impl Running {
    /// Loads a module. The error says why it is not one of ours.
    pub fn load(code: &[u8]) -> Result<Running, String> {
        if !code.starts_with(b"\0asm") {
            return Err("it is no WebAssembly module".to_owned());
        }
        // The version of the binary format, and whether it is a module (0) or a component (1).
        if code.get(6..8) == Some(&[1, 0]) {
            return Err("it is a component; build one with `--abi core`".to_owned());
        }
        let engine = Engine::default();
        let module = Module::new(&engine, code).map_err(|_| "it is damaged, or not whole".to_owned())?;
        if module.get_export_index("opa_eval").is_some() {
            return Err("it is one for hosts of OPA; build one with `--abi core`".to_owned());
        }
        if module.get_export_index("proxy_on_configure").is_some() {
            return Err("it is a filter for proxies; build one with `--abi core`".to_owned());
        }
        if module.imports().next().is_some() {
            return Err("it asks its host for functions, and an evaluator module asks for none".to_owned());
        }
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).map_err(|_| "it does not start".to_owned())?;
        let version = function::<(), i32>(&instance, &mut store, "abi_version")?;
        let version = version.call(&mut store, ()).map_err(trapped)?;
        if version != layout::ABI as i32 {
            let own = layout::ABI;
            return Err(format!("its interface has version {version}, and this netpol knows version {own}"));
        }
        let verdict = function::<(), i32>(&instance, &mut store, "verdict")?.call(&mut store, ()).map_err(trapped)?;
        if verdict < 0 {
            return Err("it has no tables".to_owned());
        }
        let rules = assemble::custom(code, assemble::RULES).unwrap_or_default();
        Ok(Running {
            memory: instance.get_memory(&mut store, "memory").ok_or("it shows no memory")?,
            buffer: function(&instance, &mut store, "buffer")?,
            intern: function(&instance, &mut store, "intern")?,
            intern_request: function(&instance, &mut store, "intern_request")?,
            decide: function(&instance, &mut store, "decide")?,
            decide_text: function(&instance, &mut store, "decide_text")?,
            decide_batch: function(&instance, &mut store, "decide_batch")?,
            reset: function(&instance, &mut store, "reset")?,
            verdict,
            rules: serde_json::from_slice(rules).map_err(|_| "it does not say what its rules are".to_owned())?,
            store,
        })
    }

    /// Writes bytes into the module's buffer, and returns where they are.
    fn hand_over(&mut self, bytes: &[u8]) -> Result<i32, Number> {
        let at = answer(self.buffer.call(&mut self.store, bytes.len() as i32))?;
        self.memory.write(&mut self.store, at as usize, bytes).map_err(|_| TRAP)?;
        Ok(at)
    }

    /// Interns a party.
    pub fn intern(&mut self, text: &[u8]) -> Result<u32, Number> {
        let at = self.hand_over(text)?;
        Ok(answer(self.intern.call(&mut self.store, (at, text.len() as i32)))? as u32)
    }

    /// Interns a request.
    pub fn intern_request(&mut self, text: &[u8]) -> Result<u32, Number> {
        let at = self.hand_over(text)?;
        Ok(answer(self.intern_request.call(&mut self.store, (at, text.len() as i32)))? as u32)
    }

    /// Decides a flow between interned parties.
    pub fn decide(&mut self, flow: [u32; 4]) -> Result<Verdict, Number> {
        let [source, destination, port, request] = flow.map(|word| word as i32);
        answer(self.decide.call(&mut self.store, (source, destination, port, request)))?;
        self.told()
    }

    /// Decides a flow by its text.
    pub fn decide_text(&mut self, text: &[u8]) -> Result<Verdict, Number> {
        let at = self.hand_over(text)?;
        answer(self.decide_text.call(&mut self.store, (at, text.len() as i32)))?;
        self.told()
    }

    /// Decides a flow, with the evaluator's kind of verdict.
    pub fn judge(&mut self, flow: &policy::Flow) -> Result<policy::Verdict, String> {
        self.judge_text(&flow::flow(flow))
    }

    /// Decides a flow whose hosts are where the module knows them to be.
    pub fn judge_unplaced(&mut self, flow: &policy::Flow) -> Result<policy::Verdict, String> {
        self.judge_text(&flow::unplaced(flow))
    }

    /// Decides a flow of a question in words, as [`Running::judge_unplaced`] does. A public host stands for pods of a
    /// gateway, and no module says which: then nothing was asked that it could answer.
    pub fn judge_asked(&mut self, flow: &policy::Flow) -> Result<policy::Verdict, String> {
        if let (Party::Address(_), Party::Host { name, .. }) = (&flow.source, &flow.destination)
            && let Some(rule) = self.rules["rules"].as_array().into_iter().flatten().find(|rule| !rule["at"].is_null())
        {
            return Err(format!(
                "`{name}`: the policy publishes hosts at a gateway ({}:{}), and a module does not say which pods these are; \
                 ask about the gateway's pods with `--host {name}`, and about their way on with `--client`",
                rule["path"].as_str().unwrap_or_default(),
                rule["line"]
            ));
        }
        self.judge_unplaced(flow)
    }

    fn judge_text(&mut self, asked: &serde_json::Value) -> Result<policy::Verdict, String> {
        let told = self.decide_text(asked.to_string().as_bytes());
        told.map(|told| flow::verdict(&told)).map_err(|error| format!("the module answers with the error {error}"))
    }

    /// Decides many flows at once; of one that is an error there is its number.
    pub fn decide_batch(&mut self, flows: &[[u32; 4]]) -> Result<Vec<Result<Verdict, Number>>, Number> {
        let mut bytes: Vec<u8> = flows.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
        let verdicts = bytes.len();
        bytes.resize(verdicts + 12 * flows.len(), 0);
        let at = self.hand_over(&bytes)?;
        let to = at + verdicts as i32;
        answer(self.decide_batch.call(&mut self.store, (at, flows.len() as i32, to)))?;
        (0..flows.len()).map(|one| Ok(verdict(self.words(to as usize + 12 * one)?))).collect()
    }

    /// Forgets all that was interned.
    pub fn reset(&mut self) -> Result<(), Number> {
        self.reset.call(&mut self.store, ()).map_err(|_| TRAP)
    }

    fn told(&mut self) -> Result<Verdict, Number> {
        verdict(self.words(self.verdict as usize)?)
    }

    fn words(&self, at: usize) -> Result<[u32; 3], Number> {
        let mut bytes = [0; 12];
        self.memory.read(&self.store, at, &mut bytes).map_err(|_| TRAP)?;
        let (words, _) = bytes.as_chunks::<4>();
        let [first, out, way_in] = words else { return Err(TRAP) };
        Ok([*first, *out, *way_in].map(u32::from_le_bytes))
    }
}

/// The result of a module that trapped, which its interface excludes.
const TRAP: Number = Number::MIN;

fn function<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
    instance: &Instance,
    store: &mut Store<()>,
    name: &str,
) -> Result<TypedFunc<P, R>, String> {
    instance.get_typed_func(store, name).map_err(|_| format!("it has no function `{name}` as evaluator modules have"))
}

fn trapped(_: wasmtime::Error) -> String {
    "it stopped".to_owned()
}

fn answer(called: wasmtime::Result<i32>) -> Result<i32, Number> {
    match called {
        Ok(number) if number >= 0 => Ok(number),
        Ok(error) => Err(error),
        Err(_) => Err(TRAP),
    }
}

/// Reads the three words of a verdict.
fn verdict([first, out, way_in]: [u32; 3]) -> Result<Verdict, Number> {
    if (first as i32) < 0 {
        return Err(first as i32);
    }
    Verdict::of([first, out, way_in]).ok_or(TRAP)
}
