//! Decisions that were made: a flow that comes again is looked up, at the same cost for every policy.

/// The fewest places, and the most: two megabytes.
const FEWEST: usize = 1 << 8;
const MOST: usize = 1 << 16;

/// A decision: the four numbers of the flow, and the three words of the verdict.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Decision {
    flow: [u32; 4],
    verdict: [u32; 3],
}

/// The decisions, each at the place of its flow's hash; the next one of that hash takes its place.
#[derive(Debug, Default)]
pub struct Decided {
    places: Vec<Decision>,
}

impl Decided {
    /// Returns the decision on a flow. No flow is of zeros, as a free place is: no party has that number.
    pub fn find(&self, flow: [u32; 4]) -> Option<[u32; 3]> {
        let place = self.places.get(self.place(flow))?;
        (place.flow == flow).then_some(place.verdict)
    }

    /// Keeps a decision.
    pub fn keep(&mut self, flow: [u32; 4], verdict: [u32; 3]) {
        let at = self.place(flow);
        if let Some(place) = self.places.get_mut(at) {
            *place = Decision { flow, verdict };
        }
    }

    /// Makes room where parties and requests have become many, so that no decision has to; `None` if there is none.
    pub fn make_room(&mut self, interned: usize) -> Option<()> {
        if self.places.len() >= (2 * interned).clamp(FEWEST, MOST) {
            return Some(());
        }
        let size = (8 * interned).next_power_of_two().clamp(FEWEST, MOST);
        let mut places = Vec::new();
        places.try_reserve_exact(size).ok()?;
        places.resize(size, Decision::default());
        self.places = places;
        Some(())
    }

    fn place(&self, [source, destination, port, request]: [u32; 4]) -> usize {
        let ends = u64::from(destination) << 32 | u64::from(source);
        let rest = u64::from(request) << 32 | u64::from(port);
        let mixed = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(rest.wrapping_mul(0xd1b5_4a32_d192_ed03));
        (mixed ^ mixed >> 32) as usize & self.places.len().wrapping_sub(1)
    }
}
