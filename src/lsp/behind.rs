//! The threads beside the one that answers: they check large policies again, ask the layers, and review what was
//! checked.
//!
//! A thread sends an event when it is done, and the thread that answers takes in the result. Large policies are the
//! work of the one [`Worker`](super::worker::Worker).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use lsp_server::ErrorCode;
use serde_json::Value;

use super::client::Failure;
use super::server::{Event, Server};
use super::worker::STACK;
use super::workspace::{Read, Sent};
use super::{Opened, Root};

impl Server {
    /// Uses a pause: checks all large policies again that were edited, and reviews the others.
    pub(super) fn use_pause(&mut self) {
        let waiting = self.workspace.projects.iter().filter(|(_, project)| project.waits_for_pause());
        let roots: Vec<(Root, bool)> = waiting.map(|(root, project)| (root.clone(), project.is_drafted())).collect();
        for (root, is_drafted) in roots {
            match is_drafted {
                true => self.start_reading(&root),
                false => self.start_review(&root),
            }
        }
    }

    /// Reviews a policy in a thread of its own.
    fn start_review(&mut self, root: &Root) {
        let Some(reviewing) = self.workspace.reviewing(root) else { return };
        let (events, of) = (self.events.clone(), root.clone());
        let work = move || {
            // Of a review that fails by a bug nothing is known, and no other one is begun until the policy changes.
            let _ = catch_unwind(AssertUnwindSafe(|| reviewing.run()));
            let _ = events.send(Event::Reviewed(of));
        };
        if thread::Builder::new().stack_size(STACK).spawn(work).is_err()
            && let Some(project) = self.workspace.projects.get_mut(root)
        {
            project.reviewing = false;
        }
    }

    /// Handles a policy that was reviewed: its lenses may say more.
    pub(super) fn reviewed(&mut self, root: &Root) {
        let Some(project) = self.workspace.projects.get_mut(root) else { return };
        project.reviewing = false;
        if !project.stale && self.abilities.refreshes_lenses {
            self.client.ask("workspace/codeLens/refresh", Value::Null);
        }
    }

    /// Checks a policy again in a thread of its own, unless one is still busy with it.
    pub(super) fn start_reading(&mut self, root: &Root) {
        let Some(reading) = self.workspace.reading(root) else { return };
        let (events, of) = (self.events.clone(), root.clone());
        let work = move || {
            let read = catch_unwind(AssertUnwindSafe(|| reading.run())).ok();
            let _ = events.send(Event::Read(of, read.map(Box::new)));
        };
        if !self.workspace.worker.then(work) {
            self.workspace.forget_draft(root);
        }
    }

    /// Handles a large policy that was checked again: answers the requests that waited for it.
    pub(super) fn read(&mut self, root: &Root, read: Option<Box<Read>>) {
        match read {
            Some(read) => self.workspace.take(*read),
            None => self.workspace.forget_draft(root),
        }
        let (ready, others) = std::mem::take(&mut self.waiting).into_iter().partition(|(of, _)| of == root);
        self.waiting = others;
        for (_, request) in ready {
            self.requested(request);
        }
    }

    /// Asks the layers of a policy in a thread of its own, unless one is still busy with it.
    pub(super) fn judge(&mut self, root: &Root, opened: Arc<Opened>) {
        let Some(project) = self.workspace.projects.get_mut(root) else { return };
        if project.judging {
            return;
        }
        let (events, root, is_large) = (self.events.clone(), root.clone(), opened.analysis.is_large());
        let work = move || {
            if is_large {
                // The first edit needs it, the policy that was opened has it not yet.
                opened.analysis.prepare();
            }
            let done = catch_unwind(AssertUnwindSafe(|| opened.analysis.findings().iter().len())).is_ok();
            drop(opened);
            let _ = events.send(Event::Judged(root, done));
        };
        let is_begun = match is_large {
            true => self.workspace.worker.then(work),
            false => thread::Builder::new().stack_size(STACK).spawn(work).is_ok(),
        };
        project.judging = is_begun;
    }

    /// Handles a policy whose layers were judged: sends their findings, unless the policy changed since.
    pub(super) fn judged(&mut self, root: &Root, is_done: bool) {
        let Some(project) = self.workspace.projects.get_mut(root) else { return };
        project.judging = false;
        if project.is_drafted() {
            // The findings of the layers are kept for statements that are unchanged.
            project.sent = Sent::Nothing;
            return;
        }
        let is_stale = project.stale;
        let Ok(opened) = self.workspace.fresh(root) else { return };
        if !is_done && !is_stale {
            // Another try would fail in the same way, so the known findings are final.
            self.send(root, &opened, Sent::All);
            for (id, _) in std::mem::take(&mut self.pulls) {
                self.client.answer(id, Err(Failure::of(ErrorCode::InternalError, "a bug of netpol")));
            }
            return;
        }
        if !opened.analysis.is_judged() {
            return self.judge(root, opened);
        }
        self.send(root, &opened, Sent::All);
        let waiting = std::mem::take(&mut self.pulls);
        for (id, uri) in waiting {
            self.pull(id, uri);
        }
        if opened.analysis.is_large() && self.abilities.pulls && self.abilities.refreshes_diagnostics {
            self.client.ask("workspace/diagnostic/refresh", Value::Null);
        }
        if self.abilities.refreshes_lenses {
            self.client.ask("workspace/codeLens/refresh", Value::Null);
        }
        if self.abilities.refreshes_hints {
            self.client.ask("workspace/inlayHint/refresh", Value::Null);
        }
    }
}
