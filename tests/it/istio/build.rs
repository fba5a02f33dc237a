//! Builds for `istio`, and the cluster of its tests.

use netpol::settings::{Layer, Settings};

pub use crate::common::build::Build;

/// The cluster of the tests.
pub const MESH: &str = include_str!("../../targets/mesh.yaml");

/// Builds a source for `istio` alone, without facts about the cluster.
pub fn build(source: &str) -> Build {
    build_with(source, None, |_| ())
}

/// Builds a source for `istio` alone in the cluster of the tests.
pub fn build_in_mesh(source: &str) -> Build {
    build_with(source, Some(MESH), |_| ())
}

/// Builds a source with manifests and settings of its own; without changes they are for `istio` alone.
pub fn build_with(source: &str, manifests: Option<&str>, change: impl FnOnce(&mut Settings)) -> Build {
    Build::text_for(&[Layer::Istio], source, manifests, change)
}
