//! Work on the parts of something, each part on its own thread.

/// Returns what a function makes of each item, in the order of the items. A panic of one is a panic of the whole.
pub fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let work = &work;
    std::thread::scope(|scope| {
        let mut items = items;
        // This thread would only wait, so that it takes the last item itself.
        let Some(last) = items.pop() else { return Vec::new() };
        let others: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let last = work(last);
        let mut results = Vec::with_capacity(others.len() + 1);
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results.push(last);
        results
    })
}

/// Cuts a list into as many parts as there are processors; a list of less than twice `least` is one part.
pub fn parts<T>(list: &[T], least: usize) -> Vec<&[T]> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = threads.min(list.len() / least.max(1)).max(1);
    list.chunks(list.len().div_ceil(parts).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::{map, parts};

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let list: Vec<u32> = (0..1000).collect();
        let sums = map(parts(&list, 10), |part| part.to_vec());
        assert_eq!(sums.concat(), list);
        assert_eq!(map(Vec::<u32>::new(), |item| item), Vec::<u32>::new());
        assert_eq!(parts::<u32>(&[], 10).concat(), Vec::<u32>::new());
        assert_eq!(parts(&list, 501).len(), 1);
    }
}
