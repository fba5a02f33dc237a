//! What a deny takes away, and what it leaves: `eval` and the layers must agree.

mod hosts;
mod requests;

use netpol::policy::ask::{Question, ask};
use netpol::settings::Layer;

use crate::istio::build::{Build, build_with};

/// Builds a source for both layers.
fn both(source: &str) -> Build {
    build_with(source, None, |settings| settings.targets = vec![Layer::NetworkPolicy, Layer::Istio])
}

/// Returns whether `eval` lets `garden/web` through to a destination.
fn allowed(build: &Build, to: &str) -> bool {
    allowed_from(build, "garden/web", to)
}

fn allowed_from(build: &Build, from: &str, to: &str) -> bool {
    let question = Question { from: from.into(), to: to.into(), ..Question::default() };
    ask(&build.policy, &question).unwrap().allowed()
}
