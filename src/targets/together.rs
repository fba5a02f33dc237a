//! The layers of a partition, which are made side by side, compared together by the last that is made.
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

/// What a layer whose objects are rules says of a part of a policy.
#[derive(Clone, Debug, Default)]
pub struct Ruling {
    /// The rules.
    pub effective: Effective,
    /// The judgement of each rule end.
    pub judgements: Vec<Judgement>,
}

/// What the layers of a partition leave for each other.
#[derive(Default)]
pub(super) struct Meeting(Mutex<State>);

#[derive(Default)]
struct State {
    ruling: Option<Arc<Ruling>>,
    waiting: Option<Waiting>,
    checked: Option<Checked>,
}

/// A layer that was made before the one that it is compared with.
struct Waiting {
    layer: Layer,
    judgements: Vec<Judgement>,
    texts: Vec<String>,
}

/// The part of a policy that its layers are made for.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub ends: &'a [(RuleId, Direction)],
    pub grants: &'a [GrantId],
}

impl Meeting {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves what a layer of rules says, and looks at the layer that waits for it.
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

    /// Looks at a layer beside the one of rules, if a build has one: now, or when that is made.
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

    /// Returns what was found of the layer that was compared with others.
    pub(super) fn take(&self) -> Option<Checked> {
        self.state().checked.take()
    }
}
