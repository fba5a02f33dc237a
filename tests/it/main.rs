//! The one test binary: a module per subject.

mod cli;
mod diagnostics;
mod docs;
mod fmt;
mod inventory;
mod istio;
mod language;
mod networkpolicy;
mod syntax;
mod tidy;
