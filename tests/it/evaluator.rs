//! The evaluator module: it says of every flow what the evaluator of the source says, and so do its native twin and the
//! sets of the policy.
//! `NETPOL_EVALUATOR=POLICIES,FLOWS[,SEED]` asks for more than a test run.

mod hostile;
mod opa;
mod proxy;

use netpol::policy::meaning::Meaning;
use netpol::policy::{Cause as Why, Flow, Party, Policy, eval};
use netpol::source::Sources;
use netpol::targets::wasm::kernel::layout::NONE;
use netpol::targets::wasm::kernel::{Cause, End, Kernel, Tables, UNKNOWN_REQUEST, Verdict};
use netpol::targets::wasm::run::Running;
use netpol::targets::wasm::{self, Abi, Module, flow};

use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;
use crate::meaning::{self, Drawer};

/// Returns what a module must say of a flow.
fn expected(policy: &Policy, asked: &Flow) -> Verdict {
    let ends = eval(policy, asked).ends.map(|end| {
        let (cause, by) = match end.cause {
            Why::NoPod => (Cause::NoPod, NONE),
            Why::Itself => (Cause::Itself, NONE),
            Why::NotIsolated => (Cause::NotIsolated, NONE),
            Why::Allowed(rule) => (Cause::Allowed, rule.index() as u32),
            Why::Granted(grant) => (Cause::Granted, grant.index() as u32),
            Why::Denied(rule) => (Cause::Denied, rule.index() as u32),
            Why::NoneMatches { isolated_by, .. } => (Cause::NoneMatches, isolated_by.index() as u32),
        };
        End { cause, by }
    });
    Verdict { ends, audit: false }
}

fn text(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// Interns the parties and the request of a flow in the native twin.
fn interned(kernel: &mut Kernel<'_>, asked: &Flow) -> [u32; 4] {
    let request = flow::request(&asked.request);
    let source = kernel.intern(&text(&flow::party(&asked.source))).unwrap();
    let destination = kernel.intern(&text(&flow::party(&asked.destination))).unwrap();
    let request = match request.is_empty() {
        true => UNKNOWN_REQUEST,
        false => kernel.intern_request(&text(&request)).unwrap(),
    };
    [source, destination, flow::port(asked), request]
}

/// Returns a module: of the code that was just compiled, where that is asked for, else of the committed one.
fn built(policy: &Policy, sources: &Sources, abi: Abi, audit: bool) -> Module {
    let code = match std::env::var("NETPOL_KERNEL") {
        Ok(folder) => std::fs::read(std::path::Path::new(&folder).join(abi.word()).with_extension("wasm")).unwrap(),
        Err(_) => abi.code().to_vec(),
    };
    let module = wasm::build_with(&code, policy, sources, abi, audit);
    let again = wasm::build_with(&code, policy, sources, abi, audit);
    assert_eq!(again.code, module.code, "a build is the same bytes every time");
    wasmparser::validate(&module.code).unwrap();
    module
}

/// Calls an export of a module that takes numbers, and returns its result, 0 where it has none.
fn call<T>(store: &mut wasmtime::Store<T>, instance: &wasmtime::Instance, name: &str, arguments: &[i32]) -> i32 {
    let function = instance.get_func(&mut *store, name).unwrap_or_else(|| panic!("{name}"));
    let arguments: Vec<_> = arguments.iter().map(|argument| wasmtime::Val::I32(*argument)).collect();
    let mut results = vec![wasmtime::Val::I32(0); function.ty(&*store).results().len()];
    function.call(&mut *store, &arguments, &mut results).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    results.first().map_or(0, |result| result.unwrap_i32())
}

#[test]
fn modules_and_their_native_twins_say_what_the_evaluator_says() {
    let asked = std::env::var("NETPOL_EVALUATOR").unwrap_or_default();
    let mut numbers = asked.split(',').map(|number| number.parse::<u64>());
    let mut next = |default: u64| numbers.next().and_then(Result::ok).unwrap_or(default);
    let (count, flows, seed) = (next(60), next(300), next(1));
    let worlds = [World::new(false), World::new(true)];
    let (mut policies, mut all, mut allowed) = (0, 0, 0);
    let mut causes = [0; 7];
    for number in 0..count {
        let mut random = Random::of_case(seed ^ 0x3a5, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let source = format!("{HEAD}{}{}\n", world.declarations(), draw.statements.join("\n"));
        let Some((policy, sources)) = meaning::policy(&source, world.manifests().as_deref()) else { continue };
        policies += 1;
        let tables = wasm::tables(&policy, false);
        let mut twin = Kernel::new(Tables::new(&tables.words, &tables.bytes).unwrap());
        let mut module = Running::load(&built(&policy, &sources, Abi::Core, false).code).unwrap();
        let mut meaning = Meaning::new(&policy, &[]);
        let mut drawn = Vec::new();
        for _ in 0..flows {
            let mut one = Drawer { random: &mut random, policy: &policy }.flow();
            // Some pods are one Pod, and some of them send to themselves.
            if let (Party::Pod(pod), true) = (&mut one.source, random.percent(10)) {
                pod.single = true;
                if random.percent(50) {
                    one.destination = one.source.clone();
                }
            }
            let shown = || format!("case {number}\n{}\n{one:#?}\n{}", draw.statements.join("\n"), flow::flow(&one));
            let expected = expected(&policy, &one);
            assert_eq!(meaning.allows(&one), Ok(expected.allowed()), "{}", shown());
            let numbers = interned(&mut twin, &one);
            assert_eq!(twin.decide(numbers[0], numbers[1], numbers[2], numbers[3]), Ok(expected), "{}", shown());
            assert_eq!(twin.decide_text(&text(&flow::flow(&one))), Ok(expected), "{}", shown());
            assert_eq!(module.decide_text(&text(&flow::flow(&one))), Ok(expected), "{}", shown());
            all += 1;
            allowed += usize::from(expected.allowed());
            expected.ends.iter().for_each(|end| causes[end.cause as usize] += 1);
            drawn.push((one, expected));
        }
        // The same flows by numbers, one by one and all at once.
        module.reset().unwrap();
        let mut ids = Vec::new();
        for (one, expected) in &drawn {
            let source = module.intern(&text(&flow::party(&one.source))).unwrap();
            let destination = module.intern(&text(&flow::party(&one.destination))).unwrap();
            let request = module.intern_request(&text(&flow::request(&one.request))).unwrap();
            let id = [source, destination, flow::port(one), request];
            assert_eq!(module.decide(id), Ok(*expected));
            ids.push(id);
        }
        let verdicts = module.decide_batch(&ids).unwrap();
        assert_eq!(verdicts, drawn.iter().map(|(_, expected)| Ok(*expected)).collect::<Vec<_>>());
    }
    println!("{policies} policies, {all} flows, {allowed} allowed, causes {causes:?}");
    assert!(policies > count as usize / 2 && allowed > all / 10 && allowed < all * 9 / 10);
    assert!(causes.iter().all(|count| *count > 0), "each cause is seen: {causes:?}");
}

/// What a component decides is asked by hosts of components, in `.ci/runtime`.
#[test]
fn components_are_valid_and_have_the_rules() {
    let (policy, sources) = meaning::policy("allow egress garden/* -> zenquotes.io:443\n", None).unwrap();
    let module = built(&policy, &sources, Abi::Component, false);
    let has_rules = |text: &[u8]| module.code.windows(text.len()).any(|window| window == text);
    assert!(has_rules(module.rules.as_bytes()), "as a section of its own");
    assert!(module.code.len() > Abi::Component.code().len() + module.rules.len());
}

/// The committed code of modules was compiled from these sources: `tests/wasm/kernel/build` writes their checksum.
#[test]
fn the_code_of_modules_is_that_of_the_kernel() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = |folder: &str| {
        let files = root.join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "rs")).collect();
        files.sort();
        files
    };
    let mut files = sources("src/targets/wasm/kernel");
    files.push(root.join("src/model/paths.rs"));
    files.extend(sources("tests/wasm/kernel"));
    files.extend(sources("tests/wasm/kernel/proxy"));
    files.push(root.join("tests/wasm/kernel/Cargo.toml"));
    let text: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let sum = std::fs::read_to_string(root.join("src/targets/wasm/code/kernel.sum")).unwrap();
    let told = format!("{} {}\n", checksum(&text), text.len());
    assert_eq!(sum, told, "run tests/wasm/kernel/build src/targets/wasm/code");
}

/// The checksum of POSIX's `cksum`.
fn checksum(text: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8)
            .fold(crc ^ u32::from(byte) << 24, |crc, _| if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 })
    };
    let crc = text.iter().fold(0, |crc, byte| step(crc, *byte));
    let mut length = text.len();
    let mut sum = crc;
    while length > 0 {
        sum = step(sum, length as u8);
        length >>= 8;
    }
    !sum
}
