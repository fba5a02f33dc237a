//! Threads: work on many items at once, on all processors.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Hands the result of `work` on each item to `then`, in the order of the items, until `then` returns `false`. All
/// processors work on the items, a few items ahead; `then` runs only on this thread. A panic in either one is passed
/// on.
pub fn ahead<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, mut then: impl FnMut(R) -> bool) {
    let queue = Queue { state: Mutex::default(), changed: Condvar::new(), items: items.len() };
    let leaves_one = LEAVES_ONE.get();
    let threads = processors().saturating_sub(usize::from(leaves_one)).min(items.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| {
                LEAVES_ONE.set(leaves_one);
                let _stop = StopOnPanic(&queue);
                while let Some(at) = queue.claim() {
                    queue.put(at, work(&items[at]));
                }
            });
        }
        let _stop = StopOnPanic(&queue);
        for at in 0..items.len() {
            let result = loop {
                match queue.take(at) {
                    Next::Done(result) => break Some(result),
                    Next::Work(other) => queue.put(other, work(&items[other])),
                    Next::Stopped => break None,
                }
            };
            if !result.is_some_and(&mut then) {
                break;
            }
        }
        queue.stop();
    });
}

/// From now on this thread, with the threads that it starts here, leaves one processor to others if there are several.
pub fn leave_one_processor() {
    LEAVES_ONE.set(true);
}

thread_local! {
    static LEAVES_ONE: Cell<bool> = const { Cell::new(false) };
}

/// The most results that wait for earlier ones.
const AHEAD: usize = 4;

/// Items in order, and the results that wait.
struct Queue<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
    items: usize,
}

struct State<R> {
    /// The first item that no thread has begun.
    next: usize,
    /// The number of results that were taken.
    taken: usize,
    done: BTreeMap<usize, R>,
    stopped: bool,
}

impl<R> Default for State<R> {
    fn default() -> State<R> {
        State { next: 0, taken: 0, done: BTreeMap::new(), stopped: false }
    }
}

/// The next task of the thread that runs `then`: take a result, or work on an item meanwhile.
enum Next<R> {
    Done(R),
    Work(usize),
    Stopped,
}

impl<R> Queue<R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'q>(&'q self, state: MutexGuard<'q, State<R>>) -> MutexGuard<'q, State<R>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an item to work on, once there is one that is not too far ahead; `None` at the end.
    fn claim(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            if state.stopped || state.next >= self.items {
                return None;
            }
            if state.next < state.taken + AHEAD {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.wait(state);
        }
    }

    fn put(&self, at: usize, result: R) {
        self.state().done.insert(at, result);
        self.changed.notify_all();
    }

    /// Returns the result of an item, or another item to work on meanwhile.
    fn take(&self, at: usize) -> Next<R> {
        let mut state = self.state();
        loop {
            if let Some(result) = state.done.remove(&at) {
                state.taken = at + 1;
                self.changed.notify_all();
                return Next::Done(result);
            }
            if state.stopped {
                return Next::Stopped;
            }
            if state.next < self.items && state.next < state.taken + AHEAD {
                state.next += 1;
                return Next::Work(state.next - 1);
            }
            state = self.wait(state);
        }
    }

    fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }
}

/// Stops the queue when its thread panics, so that no other thread waits for this one.
struct StopOnPanic<'q, R>(&'q Queue<R>);

impl<R> Drop for StopOnPanic<'_, R> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::{ahead, leave_one_processor, processors};

    #[test]
    fn a_modest_thread_leaves_one_processor_to_others() {
        let threads_of = || {
            let list: Vec<u32> = (0..1000).collect();
            let mut seen = std::collections::HashSet::new();
            let work = |_: &u32| {
                std::thread::yield_now();
                std::thread::current().id()
            };
            ahead(&list, work, |id| {
                seen.insert(id);
                true
            });
            seen.len()
        };
        assert!(threads_of() <= processors());
        let modest = std::thread::spawn(move || {
            leave_one_processor();
            threads_of()
        });
        assert!(modest.join().unwrap() <= (processors() - 1).max(1));
    }

    #[test]
    fn results_are_handed_on_in_order_until_nobody_wants_more() {
        let list: Vec<u32> = (0..1000).collect();
        for wanted in [0, 1, 7, 999, 1000] {
            let mut taken = Vec::new();
            ahead(
                &list,
                |item| *item,
                |item| {
                    taken.push(item);
                    taken.len() < wanted
                },
            );
            assert_eq!(taken, list[..wanted.max(1)]);
        }
        ahead(&[], |item: &u32| *item, |_| unreachable!());
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn nobody_waits_for_a_thread_that_panicked() {
        let main = std::thread::current().id();
        let list: Vec<u32> = (0..100).collect();
        let work = |item: &u32| {
            assert!(std::thread::current().id() == main, "on the way");
            (0..1000).for_each(|_| std::thread::yield_now());
            *item
        };
        ahead(&list, work, |_| true);
        // On one processor there is no other thread.
        panic!("a scoped thread panicked");
    }
}
