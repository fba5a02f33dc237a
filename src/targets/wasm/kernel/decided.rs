//! Decisions that were made: a flow that comes again is looked up, at the same cost for every policy.

/// The fewest decisions, and the most: two megabytes.
const FEWEST: usize = 1 << 6;
const MOST: usize = 1 << 16;
/// So many decisions stand at a place, which is one line of a processor's cache.
const WAYS: usize = 2;
/// So many decisions make way for a new one, at most.
const STEPS: usize = 8;

/// A decision: the four numbers of the flow, two by two, and the three words of the verdict.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Decision {
    flow: [u64; 2],
    verdict: [u32; 3],
}

impl Decision {
    /// Returns whether this is the decision on a flow.
    fn is_on(&self, [one, other]: [u64; 2]) -> bool {
        (self.flow[0] ^ one) | (self.flow[1] ^ other) == 0
    }

    /// No flow is of zeros, as a free place is: no party has that number.
    fn is_free(&self) -> bool {
        self.is_on([0; 2])
    }
}

/// The decisions at one place.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Place([Decision; WAYS]);

/// The decisions, each at one of the two places of its flow. Where both are taken, another one makes way, to the other
/// place of its own flow, and only where that goes on and on one of them is forgotten.
#[derive(Debug, Default)]
pub struct Decided {
    places: Vec<Place>,
}

impl Decided {
    /// Returns the decision on a flow. Which of those at a place it is cannot be foreseen, so no branch depends on it;
    /// few decisions stand at the other place.
    #[inline(always)]
    pub fn find(&self, flow: [u32; 4]) -> Option<&[u32; 3]> {
        let flow = pairs(flow);
        let [one, other] = self.places_of(flow);
        let Place([a, b]) = self.places.get(one)?;
        let (is_a, is_b) = (a.is_on(flow), b.is_on(flow));
        if is_a | is_b {
            return Some(&if is_b { b } else { a }.verdict);
        }
        let Place(ways) = self.places.get(other)?;
        ways.iter().find(|one| one.is_on(flow)).map(|one| &one.verdict)
    }

    /// Keeps a decision.
    pub fn keep(&mut self, flow: [u32; 4], verdict: [u32; 3]) {
        let mut moving = Decision { flow: pairs(flow), verdict };
        let mut from = usize::MAX;
        for step in 0..STEPS {
            let places = self.places_of(moving.flow);
            for at in places {
                let Some(Place(ways)) = self.places.get_mut(at) else { return };
                if let Some(free) = ways.iter_mut().find(|one| one.is_free() || one.is_on(moving.flow)) {
                    *free = moving;
                    return;
                }
            }
            // What made way goes to its other place.
            from = if places[0] == from { places[1] } else { places[0] };
            let Some(Place(ways)) = self.places.get_mut(from) else { return };
            std::mem::swap(&mut ways[step % WAYS], &mut moving);
        }
    }

    /// Makes room where parties and requests have become many, so that no decision has to; `None` if there is none.
    pub fn make_room(&mut self, interned: usize) -> Option<()> {
        // Few parties may have a flow for each two of them.
        let wanted = (interned * interned / 2).min(1 << 13).max(2 * interned).clamp(FEWEST, MOST);
        if WAYS * self.places.len() >= wanted {
            return Some(());
        }
        let size = wanted.next_power_of_two() / WAYS;
        let mut places = Vec::new();
        places.try_reserve_exact(size).ok()?;
        places.resize(size, Place::default());
        let before = std::mem::replace(&mut self.places, places);
        for one in before.iter().flat_map(|place| &place.0).filter(|one| !one.is_free()) {
            self.keep(numbers(one.flow), one.verdict);
        }
        Some(())
    }

    #[inline(always)]
    fn places_of(&self, [ends, rest]: [u64; 2]) -> [usize; 2] {
        // The highest bits of a product depend on all bits that were multiplied, nearly.
        let hash = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ rest.wrapping_mul(0xd1b5_4a32_d192_ed03);
        [hash >> 48, hash >> 32].map(|hash| hash as usize & self.places.len().wrapping_sub(1))
    }
}

/// Returns the numbers of a flow two by two: a comparison of them takes fewer steps.
fn pairs([source, destination, port, request]: [u32; 4]) -> [u64; 2] {
    [u64::from(source) | u64::from(destination) << 32, u64::from(port) | u64::from(request) << 32]
}

fn numbers([ends, rest]: [u64; 2]) -> [u32; 4] {
    [ends as u32, (ends >> 32) as u32, rest as u32, (rest >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flow and the verdict of a number.
    fn of(number: u32) -> ([u32; 4], [u32; 3]) {
        let flow = [(1 << 24) | (number % 97), (1 << 24) | (number / 97), (6 << 16) | (number % 7), 0];
        (flow, [number, number + 1, number + 2])
    }

    #[test]
    fn decisions_are_found_until_there_are_more_of_them_than_room() {
        let mut decided = Decided::default();
        decided.keep(of(1).0, of(1).1);
        assert_eq!(decided.find(of(1).0), None, "there is no room before it is made");
        for interned in [0, 10, 100, 200] {
            decided.make_room(interned).unwrap();
        }
        let room = WAYS * decided.places.len();
        assert_eq!(room, 8192);
        let found = |decided: &Decided, count: u32| {
            let right = (0..count).filter(|number| {
                let (flow, verdict) = of(*number);
                let found = decided.find(flow);
                assert!(found.is_none_or(|found| *found == verdict));
                found.is_some()
            });
            right.count() as u32
        };
        let half = room as u32 / 2;
        for number in 0..half {
            decided.keep(of(number).0, of(number).1);
        }
        assert!(found(&decided, half) * 1000 >= half * 999, "{} of {half}", found(&decided, half));
        assert_eq!(decided.find(of(half).0), None);
        for number in half..room as u32 * 2 {
            decided.keep(of(number).0, of(number).1);
        }
        let before = found(&decided, room as u32 * 2);
        assert!(before * 100 > room as u32 * 95, "{before} of {room}");
        decided.make_room(8192).unwrap();
        assert!(found(&decided, room as u32 * 2) * 100 >= before * 99, "a larger table has what the smaller one had");
    }
}
