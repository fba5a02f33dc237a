//! The evaluator module: a policy as WebAssembly that decides flows at run time.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443
//!     policy.wasm         decides garden/web -> zenquotes.io:443: allowed, by rule 0 at the sending end
//!     policy.rules.json   says what rule 0 is: policy.netpol, line 1, and how it reads
//! ```
//!
//! A module is no layer: it enforces nothing by itself, and decides exactly as the source says. It consists of the code
//! of its interface (`code/`), the same for every policy, and the policy's tables behind it. `tests/wasm/kernel`
//! compiles that code from [`kernel`], so a build needs no compiler for WebAssembly, and the module's code can be read
//! and run here too. `docs/wasm-abi.md` describes its interface.

mod assemble;
pub mod flow;
pub mod kernel;
mod plugin;
mod rules;
#[cfg(feature = "wasm-run")]
pub mod run;
mod tables;

// The kernel uses this of the crate, under the same path that `tests/wasm/kernel` gives it.
use crate::model::paths;
use crate::policy::Policy;
use crate::source::Sources;

pub use tables::Written;

/// The interface of a module: how hosts call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// Numbers, and JSON in a buffer (docs/wasm-abi.md).
    Core,
    /// Typed functions of the component model (`policy.wit`).
    Component,
    /// Documents, as hosts of OPA's modules hand them over.
    Opa,
    /// Connections and requests as a proxy sees them, by proxy-wasm 0.2.1.
    ProxyWasm,
}

impl Abi {
    /// All interfaces.
    pub const ALL: [Abi; 4] = [Abi::Core, Abi::Component, Abi::Opa, Abi::ProxyWasm];

    /// Returns its name.
    pub fn word(self) -> &'static str {
        match self {
            Abi::Core => "core",
            Abi::Component => "component",
            Abi::Opa => "opa",
            Abi::ProxyWasm => "proxy-wasm",
        }
    }

    /// Returns the code of its modules.
    pub fn code(self) -> &'static [u8] {
        match self {
            Abi::Core => include_bytes!("code/core.wasm"),
            Abi::Component => include_bytes!("code/component.wasm"),
            Abi::Opa => include_bytes!("code/opa.wasm"),
            Abi::ProxyWasm => include_bytes!("code/proxy-wasm.wasm"),
        }
    }
}

/// The files of a module.
pub struct Module {
    /// `policy.wasm`.
    pub code: Vec<u8>,
    /// `policy.rules.json`: the rules and grants by their numbers. The module has the same text as the custom section
    /// `netpol.rules`.
    pub rules: String,
    /// `policy.wasmplugin.yaml`: the objects that make Istio's proxies load a module for them.
    pub plugin: Option<String>,
}

/// Makes the module of a policy. With `audit` it denies nothing, and reports what it would deny.
pub fn build(policy: &Policy, sources: &Sources, abi: Abi, audit: bool) -> Module {
    build_with(abi.code(), policy, sources, abi, audit)
}

/// Makes the module of a policy with other code, such as some that was just compiled.
pub fn build_with(code: &[u8], policy: &Policy, sources: &Sources, abi: Abi, audit: bool) -> Module {
    let described = rules::describe(policy, sources);
    let rules = described.file(audit);
    let tables = tables::write(policy, audit);
    let code = match abi {
        Abi::Core => assemble::module(code, &tables, None, rules.as_bytes()),
        Abi::ProxyWasm => assemble::module(code, &tables, Some(&described.reasons()), rules.as_bytes()),
        Abi::Component => assemble::component(code, &tables, &described.reasons(), rules.as_bytes()),
        Abi::Opa => assemble::opa(code, &tables, &described.reasons(), rules.as_bytes()),
    };
    Module { code, rules, plugin: (abi == Abi::ProxyWasm).then(|| plugin::write(policy)).flatten() }
}

/// Writes the tables of a policy, for the native twin of a module: `kernel::Tables::new` takes them.
pub fn tables(policy: &Policy, audit: bool) -> Written {
    tables::write(policy, audit)
}
