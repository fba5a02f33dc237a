//! A subject: the pods that one object of Istio can select.
//!
//! ```text
//! allow ingress lab/* -> garden/{app=web}:80    the namespace garden, the labels app=web
//! ```

use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::model::labels::{PodSelector, Requirement, Requirements};
use crate::targets::istio::facts::MatchLabels;

/// The mesh, a namespace, or the pods of one namespace with some labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// The namespace; `None` is the whole mesh, whose objects are in the root namespace.
    pub namespace: Option<SmolStr>,
    /// The pods' labels; none are all pods.
    pub labels: MatchLabels,
}

/// The subjects of a selector.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subjects {
    /// The subjects, which together are exactly the selector's pods.
    pub list: SmallVec<[Subject; 1]>,
    /// Why some of the pods are in none of them.
    pub indistinct: Option<Indistinct>,
}

/// The reason why some of a selector's pods cannot be distinguished from others.
pub type Indistinct = &'static str;

impl Subject {
    /// The whole mesh.
    pub fn mesh() -> Subject {
        Subject { namespace: None, labels: MatchLabels::default() }
    }

    /// Makes the subject of a whole namespace.
    pub fn namespace(name: &SmolStr) -> Subject {
        Subject { namespace: Some(name.clone()), labels: MatchLabels::default() }
    }

    /// Returns the selector of the subject's pods.
    pub fn selector(&self) -> PodSelector {
        let base = self.namespace.clone().map_or_else(PodSelector::any, PodSelector::in_namespace);
        let list = self.labels.iter().map(|(key, value)| Requirement::is_in(key.clone(), [value.clone()]));
        PodSelector { labels: Requirements::new(list).unwrap_or_default(), ..base }
    }
}
