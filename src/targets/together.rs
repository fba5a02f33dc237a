//! Layers of a partition, compared together: they are made side by side, and the one that is ready last starts the
//! comparison.
//!
//! ```text
//! networkpolicy   its objects are rules: they are left for the others
//! istio           its objects are compared with the source by themselves, and as far as networkpolicy lets flows through
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use super::effective::Effective;
use super::{Check, Checked, Judgement, Made};
use crate::model::rules::{Direction, GrantId, RuleId};
use crate::settings::Layer;

/// The rules of a layer for a partition, if the layer's objects can be read as rules.
#[derive(Clone, Debug, Default)]
pub struct Ruling {
    /// The rules.
    pub effective: Effective,
    /// The judgement of each rule end.
    pub judgements: Vec<Judgement>,
}

/// The place where the layers of a partition leave their results for each other.
#[derive(Default)]
pub(super) struct Meeting(Mutex<State>);

#[derive(Default)]
struct State {
    ruling: Option<Arc<Ruling>>,
    waiting: Option<Waiting>,
    checked: Option<Checked>,
}

/// A layer that is ready before the one that it is compared with.
struct Waiting {
    layer: Layer,
    judgements: Vec<Judgement>,
    texts: Vec<String>,
}

/// The partition of a policy that the layers are made for.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub ends: &'a [(RuleId, Direction)],
    pub grants: &'a [GrantId],
}

impl Meeting {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the rules of a layer, and checks the layer that waits for them.
    pub(super) fn rule(&self, part: Part<'_>, ruling: &Arc<Ruling>, check: Check<'_>) {
        let waiting = {
            let mut state = self.state();
            state.ruling = Some(Arc::clone(ruling));
            state.waiting.take()
        };
        if let Some(Waiting { layer, judgements, texts }) = waiting {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            self.look(part, layer, &judgements, &texts, Some(ruling), check);
        }
    }

    /// Checks a layer beside the rules of the other layer, if the build has one: now, or when that layer is ready.
    pub(super) fn meet(
        &self,
        part: Part<'_>,
        layer: Layer,
        judgements: &[Judgement],
        texts: &[&str],
        (has_rules, check): (bool, Check<'_>),
    ) {
        let ruling = {
            let mut state = self.state();
            let ruling = state.ruling.take();
            if ruling.is_none() && has_rules {
                let texts = texts.iter().map(|text| (*text).to_owned()).collect();
                state.waiting = Some(Waiting { layer, judgements: judgements.to_vec(), texts });
                return;
            }
            ruling
        };
        self.look(part, layer, judgements, texts, ruling.as_deref(), check);
    }

    fn look(
        &self,
        Part { ends, grants }: Part<'_>,
        layer: Layer,
        judgements: &[Judgement],
        texts: &[&str],
        beside: Option<&Ruling>,
        check: Check<'_>,
    ) {
        let effective = &Effective::default();
        let checked = check(&Made { layer, ends, grants, judgements, effective, texts, beside });
        self.state().checked = Some(checked);
    }

    /// Returns the mistakes of the layer that was compared with others.
    pub(super) fn take(&self) -> Option<Checked> {
        self.state().checked.take()
    }
}
