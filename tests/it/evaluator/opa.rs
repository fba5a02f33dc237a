//! Modules for hosts of OPA: called as OPA's own hosts call them, they decide what the evaluator decides.

use netpol::policy::{Flow, Policy, eval};
use netpol::targets::wasm::kernel::{Cause, Verdict};
use netpol::targets::wasm::{Abi, flow};
use serde_json::{Value, json};
use wasmtime::{Engine, Extern, Instance, Memory, MemoryType, Module, Store};

use super::{built, expected};
use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;
use crate::meaning::{self, Drawer};

const POLICY: &str = "allow egress garden/* -> zenquotes.io:443\n\
    @owner(\"shop\")\nallow ingress shop/* -> garden/{app=api}:8080/http where method GET\n";

/// A host of OPA's interface 1.3.
struct Host {
    store: Store<()>,
    memory: Memory,
    instance: Instance,
    heap: i32,
    data: i32,
}

impl Host {
    /// Loads a module as OPA's hosts do: with a memory of their size, which comes first.
    fn load(code: &[u8], pages: u32) -> Host {
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let memory = Memory::new(&mut store, MemoryType::new(pages, None)).unwrap();
        // A memory that was used before is not empty.
        memory.data_mut(&mut store).fill(0xa5);
        let module = Module::new(&engine, code).unwrap();
        let instance = Instance::new(&mut store, &module, &[Extern::Memory(memory)]).unwrap();
        let mut host = Host { store, memory, instance, heap: 0, data: 0 };
        host.data = host.parse(b"{}");
        host.heap = host.call("opa_heap_ptr_get", &[]);
        host
    }

    fn call(&mut self, name: &str, arguments: &[i32]) -> i32 {
        super::call(&mut self.store, &self.instance, name, arguments)
    }

    fn global(&mut self, name: &str) -> i32 {
        let global = self.instance.get_global(&mut self.store, name).unwrap();
        global.get(&mut self.store).unwrap_i32()
    }

    fn write(&mut self, at: i32, text: &[u8]) {
        let missing = (at as usize + text.len()).saturating_sub(self.memory.data_size(&self.store));
        self.memory.grow(&mut self.store, missing.div_ceil(1 << 16) as u64).unwrap();
        self.memory.write(&mut self.store, at as usize, text).unwrap();
    }

    fn parse(&mut self, text: &[u8]) -> i32 {
        let at = self.call("opa_malloc", &[text.len() as i32]);
        self.write(at, text);
        self.call("opa_json_parse", &[at, text.len() as i32])
    }

    /// Reads a text that ends with a zero byte.
    fn text(&self, at: i32) -> String {
        let after = &self.memory.data(&self.store)[at as usize..];
        String::from_utf8(after.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap()
    }

    fn raw(&mut self, entrypoint: i32, input: &[u8], format: i32) -> String {
        self.write(self.heap, input);
        let length = input.len() as i32;
        let at = self.call("opa_eval", &[0, entrypoint, self.data, self.heap, length, self.heap + length, format]);
        self.text(at)
    }

    /// Evaluates as hosts do since version 1.2.
    fn evaluate(&mut self, entrypoint: i32, input: &[u8]) -> Value {
        let text = self.raw(entrypoint, input, 0);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    /// Evaluates as hosts do since version 1.0.
    fn evaluate_in_context(&mut self, entrypoint: i32, input: &[u8]) -> Value {
        self.call("opa_heap_ptr_set", &[self.heap]);
        let input = self.parse(input);
        let context = self.call("opa_eval_ctx_new", &[]);
        self.call("opa_eval_ctx_set_input", &[context, input]);
        self.call("opa_eval_ctx_set_data", &[context, self.data]);
        self.call("opa_eval_ctx_set_entrypoint", &[context, entrypoint]);
        assert_eq!(self.call("eval", &[context]), 0);
        let result = self.call("opa_eval_ctx_get_result", &[context]);
        let text = self.call("opa_json_dump", &[result]);
        serde_json::from_str(&self.text(text)).unwrap()
    }

    fn decide(&mut self, input: &Value) -> Value {
        self.evaluate(0, input.to_string().as_bytes())[0]["result"].take()
    }
}

fn small(audit: bool) -> Host {
    let (policy, sources) = meaning::policy(POLICY, None).unwrap();
    Host::load(&built(&policy, &sources, Abi::Opa, audit).code, 2)
}

fn input(flow: &Flow) -> Value {
    json!({
        "source": flow::party(&flow.source),
        "destination": flow::party(&flow.destination),
        "port": flow.port,
        "protocol": flow.protocol.word(),
        "request": flow::request(&flow.request),
    })
}

/// Returns the document of a verdict, with the numbers of rules and grants alone.
pub(super) fn document(verdict: Verdict) -> Value {
    let [egress, ingress] = verdict.ends.map(|end| match end.cause {
        Cause::NoPod => json!(["no pod", null, null]),
        Cause::Itself => json!(["itself", null, null]),
        Cause::NotIsolated => json!(["not isolated", null, null]),
        Cause::Allowed => json!(["allowed", end.by, null]),
        Cause::Granted => json!(["granted", null, end.by]),
        Cause::Denied => json!(["denied", end.by, null]),
        Cause::NoneMatches => json!(["isolated", end.by, null]),
    });
    let word = if verdict.allowed() { "allowed" } else { "denied" };
    json!([verdict.allowed(), word, egress, ingress])
}

pub(super) fn shown(decision: &Value) -> Value {
    let end = |end: &Value| json!([end["cause"], end["rule"]["id"], end["grant"]["id"]]);
    json!([decision["allow"], decision["verdict"], end(&decision["egress"]), end(&decision["ingress"])])
}

#[test]
fn modules_for_opa_say_what_the_evaluator_says() {
    let worlds = [World::new(false), World::new(true)];
    let (mut all, mut allowed) = (0, 0);
    for number in 0..25 {
        let mut random = Random::of_case(0x0da, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let source = format!("{HEAD}{}{}\n", world.declarations(), draw.statements.join("\n"));
        let Some((policy, sources)) = meaning::policy(&source, world.manifests().as_deref()) else { continue };
        let mut host = Host::load(&built(&policy, &sources, Abi::Opa, false).code, 2);
        for _ in 0..100 {
            let one = Drawer { random: &mut random, policy: &policy }.flow();
            let wanted = document(expected(&policy, &one));
            let mut input = input(&one);
            if one.port.is_none() {
                input.as_object_mut().unwrap().remove("port");
            }
            assert_eq!(shown(&host.decide(&input)), wanted, "case {number}\n{input}");
            all += 1;
            allowed += usize::from(wanted[0] == true);
            if all % 10 == 0 {
                let text = input.to_string();
                let result = host.evaluate_in_context(1, text.as_bytes());
                assert_eq!(result, json!([{ "result": eval(&policy, &one).allowed() }]));
                assert_eq!(host.evaluate(1, text.as_bytes()), result);
                host.call("opa_heap_ptr_set", &[host.heap]);
            }
        }
    }
    assert!(all > 1000 && allowed > all / 10 && allowed < all * 9 / 10, "{allowed} of {all}");
}

#[test]
fn a_decision_names_the_rules_in_words() {
    let mut host = small(false);
    assert_eq!((host.global("opa_wasm_abi_version"), host.global("opa_wasm_abi_minor_version")), (1, 3));
    let at = host.call("entrypoints", &[]);
    let at = host.call("opa_json_dump", &[at]);
    assert_eq!(host.text(at), "{\"netpol/decision\":0,\"netpol/allow\":1}");
    let at = host.call("builtins", &[]);
    let at = host.call("opa_value_dump", &[at]);
    assert_eq!(host.text(at), "{}");
    let ask = json!({
        "source": { "namespace": "shop" }, "destination": { "namespace": "garden", "labels": { "app": "api" } },
        "port": 8080, "request": { "method": "GET" },
    });
    let decision = host.decide(&ask);
    let rule = json!({
        "id": 1, "action": "allow", "path": decision["ingress"]["rule"]["path"], "line": 3, "owner": "shop",
        "rule": "allow ingress shop/* -> garden/{app=api}:8080/http where method GET",
    });
    let wanted = json!({
        "allow": true, "verdict": "allowed",
        "egress": { "cause": "not isolated" }, "ingress": { "cause": "allowed", "rule": rule },
    });
    assert_eq!(decision, wanted);
    // The result is a set of Rego in the format of values.
    let text = ask.to_string();
    assert_eq!(host.raw(1, text.as_bytes(), 1), "{{\"result\":true}}");
    let told =
        small(true).decide(&json!({ "source": { "namespace": "garden" }, "destination": "evil.example", "port": 1 }));
    assert_eq!((&told["allow"], &told["verdict"]), (&json!(true), &json!("told")));
}

#[test]
fn bad_input_is_never_allowed_and_stops_nothing() {
    let mut host = small(false);
    let nested = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let deeper = "[".repeat(100_000);
    let long = format!("{{\"source\": \"{}\"}}", "x".repeat(1 << 20));
    for (text, error) in [
        ("", "the input is no JSON"),
        ("{", "the input is no JSON"),
        ("null", "the input is no flow"),
        ("{}", "the input has no port of a protocol"),
        (r#"{"port":443}"#, "the input is no flow"),
        (r#"{"port":443,"source":"a.io","destination":"b.io","form":1}"#, "the input is no flow"),
        (r#"{"port":443,"source":"a.io","destination":"b.io","request":{"verb":"GET"}}"#, "the input is no flow"),
        (r#"{"port":443,"source":"a.io","destination":"b.io","request":[]}"#, "the input is no flow"),
        (r#"{"port":70000,"source":"a.io","destination":"b.io"}"#, "the input has no port of a protocol"),
        (
            r#"{"port":443,"protocol":"ipx","source":"a.io","destination":"b.io"}"#,
            "the input has no port of a protocol",
        ),
        (&nested, "the input is no flow"),
        (&deeper, "the input is no JSON"),
        (&long, "the input has no port of a protocol"),
    ] {
        let decision = host.evaluate(0, text.as_bytes());
        let wanted = json!([{ "result": { "allow": false, "verdict": "error", "error": error } }]);
        assert_eq!(decision, wanted, "{text:.80}");
        assert_eq!(host.evaluate(1, text.as_bytes()), json!([{ "result": false }]), "{text:.80}");
    }
    assert_eq!(host.evaluate(7, b"{}"), json!([]), "an entrypoint that is none has no result");
    // Numbers that are no addresses.
    let heap = host.heap;
    for odd in [-1, i32::MIN, i32::MAX, 0, 1, heap - 1, heap + (1 << 20)] {
        for function in ["opa_json_dump", "opa_value_dump", "opa_eval_ctx_get_result", "opa_free", "opa_value_free"] {
            host.call(function, &[odd]);
        }
        for (function, other) in
            [("opa_eval_ctx_set_input", 5), ("opa_eval_ctx_set_entrypoint", 1), ("opa_json_parse", 9)]
        {
            host.call(function, &[odd, other]);
            host.call(function, &[odd, odd]);
        }
        host.call("eval", &[odd]);
        let at = host.call("opa_eval", &[0, 1, odd, odd, odd, heap, 0]);
        assert_eq!(host.text(at), "[{\"result\":false}]", "{odd}");
        host.call("opa_heap_ptr_set", &[0]);
    }
    let ask = json!({ "source": { "namespace": "garden" }, "destination": "zenquotes.io", "port": 443 });
    assert_eq!(host.decide(&ask)["allow"], true, "and the module is as it was");
    assert!(host.memory.data_size(&host.store) < 128 << 20, "no call keeps memory");
}

/// A policy that is larger than the memory of any host.
#[test]
fn the_memory_of_a_host_grows_at_the_start_and_never_for_a_decision() {
    let source: String =
        (0..4000).map(|at| format!("allow egress garden/{{app=a{at}}} -> db{at}.example:443\n")).collect();
    let (policy, sources): (Policy, _) = meaning::policy(&source, None).unwrap();
    let mut host = Host::load(&built(&policy, &sources, Abi::Opa, false).code, 5);
    let ask = |at: usize| {
        let garden = json!({ "namespace": "garden", "labels": { "app": format!("a{at}") } });
        json!({ "source": garden, "destination": format!("db{at}.example"), "port": 443 })
    };
    assert_eq!(host.decide(&ask(3999))["egress"]["rule"]["id"], 3999);
    let before = host.memory.data_size(&host.store);
    for at in 0..2000 {
        assert_eq!(host.decide(&ask(at))["allow"], true);
    }
    assert_eq!(host.memory.data_size(&host.store), before);
}
