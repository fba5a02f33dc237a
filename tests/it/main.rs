//! The one test binary: a module per subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod advice;
mod ambient;
mod checks;
mod cli;
mod common;
mod deny;
mod diagnostics;
mod docs;
mod editors;
mod enforcement;
mod evaluator;
mod field;
mod fmt;
mod foreign;
mod hints;
mod ide;
mod inventory;
mod istio;
mod language;
mod lasting;
mod layers;
mod lints;
mod lookups;
mod lsp;
mod meaning;
mod mistakes;
mod networkpolicy;
mod outputs;
mod overlapping;
mod parts;
mod passes;
mod quiet;
mod reports;
mod settings;
mod suggest;
mod syntax;
mod targets;
mod tidy;
mod traps;
mod verify;
mod waypoints;
mod ways;
