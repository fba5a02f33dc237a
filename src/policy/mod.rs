//! The normalised rules and what they mean.
//!
//! (The essay on the semantics stands here.)

mod model;

pub use model::*;

pub use crate::inventory::{
    ContainerPort, Inventory, Namespace, Service, ServicePort, TargetPort, Workload, WorkloadKind,
};
pub use crate::vocab::addresses::{AddressSet, Block};
pub use crate::vocab::endpoint::{Endpoint, Member, Pods, What};
pub use crate::vocab::hosts::{Host, HostName, WeightedNet};
pub use crate::vocab::labels::{Account, Labels, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
pub use crate::vocab::ports::{AppProtocol, PortMatch, PortTest, Ports, Protocol};
pub use crate::vocab::settings::{Layer, PathNormalization, Settings};
