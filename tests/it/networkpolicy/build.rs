//! Builds for `networkpolicy`.

use netpol::settings::{Layer, Settings};

pub use crate::common::build::{Build, written};

/// Builds a source for `networkpolicy` alone.
pub fn build(source: &str) -> Build {
    build_with(source, "", |_| ())
}

/// Builds a source for `networkpolicy` alone, with an inventory.
pub fn build_in(inventory: &str, source: &str) -> Build {
    build_with(source, inventory, |_| ())
}

/// Builds a source with settings of its own (without changes they are for `networkpolicy` alone) and an inventory,
/// where its text is not empty.
pub fn build_with(source: &str, inventory: &str, change: impl FnOnce(&mut Settings)) -> Build {
    let manifests = Some(inventory).filter(|text| !text.is_empty());
    Build::text_for(&[Layer::NetworkPolicy], source, manifests, change)
}
