//! What an object of the cluster or a rule names, from which flows are made.

use crate::model::ports::PortMatch;
use crate::policy::{Party, Request};

/// The parties, ports and requests that an object or a rule names.
#[derive(Default)]
pub(super) struct Shape {
    pub(super) parties: Vec<Party>,
    pub(super) ports: Vec<PortMatch>,
    pub(super) requests: Vec<Request>,
}
