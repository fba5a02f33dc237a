//! The evaluator module: a policy as WebAssembly that decides flows at run time.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     policy.wasm         decides garden/web -> zenquotes.io:443: allowed, by rule 0 at the sending end
//!     policy.rules.json   says what rule 0 is: policy.netpol, line 1, and how it reads
//! ```
//!
//! A module is no layer: it enforces nothing by itself, and says exactly what the source means. It is the code of
//! `kernel.wasm`, the same for every policy, with the policy's tables behind it. `tests/wasm/kernel` compiles that code from
//! [`kernel`], so a build needs no compiler for WebAssembly, and what the module runs can be read and runs here too. Its
//! interface is written down in `docs/wasm-abi.md`.

mod assemble;
pub mod flow;
pub mod kernel;
mod rules;
#[cfg(feature = "wasm-run")]
pub mod run;
mod tables;

// What the kernel takes from the crate, by the path that `tests/wasm/kernel` has it under too.
use crate::model::paths;
use crate::policy::Policy;
use crate::source::Sources;

pub use tables::Written;

/// The code of every module.
const KERNEL: &[u8] = include_bytes!("kernel.wasm");

/// The files of a module.
pub struct Module {
    /// `policy.wasm`.
    pub code: Vec<u8>,
    /// `policy.rules.json`: what each rule and grant is, by its number. The module has it too, as the custom section
    /// `netpol.rules`.
    pub rules: String,
}

/// Makes the module of a policy. With `audit` it tells what it would deny, and denies nothing.
pub fn build(policy: &Policy, sources: &Sources, audit: bool) -> Module {
    build_with(KERNEL, policy, sources, audit)
}

/// Makes the module of a policy with the code of another kernel, such as one that was just compiled.
pub fn build_with(kernel: &[u8], policy: &Policy, sources: &Sources, audit: bool) -> Module {
    let rules = rules::describe(policy, sources, audit);
    let code = assemble::module(kernel, &tables::write(policy, audit), rules.as_bytes());
    Module { code, rules }
}

/// Writes the tables of a policy, for the native twin of a module: `kernel::Tables::new` takes them.
pub fn tables(policy: &Policy, audit: bool) -> Written {
    tables::write(policy, audit)
}
