//! The worker: one thread that does what large policies need, one thing after the other.
//!
//! A check of 100,000 rules takes a second. If several ran at once, or one on all processors, the thread that answers
//! would wait for a processor many times as long as an answer takes. What the worker made it also drops, so that the
//! memory goes back to the thread that took it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::parallel;

/// The stack of threads that check policies.
pub const STACK: usize = 16 << 20;

type Job = Box<dyn FnOnce() + Send>;

/// The thread.
pub struct Worker(Sender<Job>);

impl Worker {
    /// Starts the thread. It ends with the process.
    pub fn start() -> Worker {
        let (jobs, due) = channel::<Job>();
        let work = move || {
            parallel::leave_one_processor();
            for job in due {
                // A job says itself what becomes of a bug in it.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        // Without the thread every job is refused.
        let _ = thread::Builder::new().stack_size(STACK).spawn(work);
        Worker(jobs)
    }

    /// Does something after everything else. Returns whether there is a thread that will.
    pub fn then(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.0.send(Box::new(job)).is_ok()
    }

    /// Drops a value: a large policy takes as long as many edits.
    pub fn drop<T: Send + 'static>(&self, value: T) {
        self.then(move || drop(value));
    }
}
