//! Work on the parts of something, on all processors.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns what a function makes of each item, in the order of the items. Whoever is free takes the next one. A panic of
/// one is a panic of the whole.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..processors().min(items.len())).map(|_| scope.spawn(take)).collect();
        let mut done = vec![take()];
        for other in others {
            done.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    let mut results: Vec<Option<R>> = items.iter().map(|_| None).collect();
    done.into_iter().flatten().for_each(|(at, result)| results[at] = Some(result));
    results.into_iter().flatten().collect()
}

/// Cuts a list into as many parts as there are processors; a list of less than twice `least` is one part.
pub fn parts<T>(list: &[T], least: usize) -> Vec<&[T]> {
    let parts = processors().min(list.len() / least.max(1)).max(1);
    list.chunks(list.len().div_ceil(parts).max(1)).collect()
}

fn processors() -> usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    *PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(test)]
mod tests {
    use super::{map, parts};

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let list: Vec<u32> = (0..1000).collect();
        let sums = map(&parts(&list, 10), |part| part.to_vec());
        assert_eq!(sums.concat(), list);
        assert_eq!(map(&list, |item| *item), list);
        assert_eq!(map::<u32, u32>(&[], |item| *item), Vec::<u32>::new());
        assert_eq!(parts::<u32>(&[], 10).concat(), Vec::<u32>::new());
        assert_eq!(parts(&list, 501).len(), 1);
    }
}
