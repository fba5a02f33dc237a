//! What a deny takes away, and what it leaves: `eval` and the layers must agree.

mod hosts;
mod requests;

use netpol::policy::Request;

use crate::common::build::Build;

/// Builds a source for both layers.
fn both(source: &str) -> Build {
    Build::text_for_both(source, None)
}

/// Returns whether `eval` lets `garden/web` through to a destination.
fn allowed(build: &Build, to: &str) -> bool {
    build.allows("garden/web", to, Request::default())
}

/// Returns whether `eval` lets a pod labelled `app: web` in `garden` through to a destination.
fn labelled_allowed(build: &Build, to: &str) -> bool {
    build.allows("garden/{app=web}", to, Request::default())
}
