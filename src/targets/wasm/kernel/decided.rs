//! Decisions that were made: a flow that comes again is looked up, at the same cost for every policy.

/// The fewest places, and the most: two megabytes.
const FEWEST: usize = 1 << 8;
const MOST: usize = 1 << 16;
/// So many places are looked at for a flow.
const WAYS: usize = 4;

/// A decision: the four numbers of the flow, and the three words of the verdict.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Decision {
    flow: [u32; 4],
    verdict: [u32; 3],
}

/// The decisions, each at one of the places of its flow's hash. Where these are taken, one of them is forgotten.
#[derive(Debug, Default)]
pub struct Decided {
    places: Vec<[Decision; WAYS]>,
}

impl Decided {
    /// Returns the decision on a flow. No flow is of zeros, as a free place is: no party has that number.
    pub fn find(&self, flow: [u32; 4]) -> Option<[u32; 3]> {
        let place = self.places.get(self.place(hash(flow)))?;
        place.iter().find(|one| same(one.flow, flow)).map(|one| one.verdict)
    }

    /// Keeps a decision.
    pub fn keep(&mut self, flow: [u32; 4], verdict: [u32; 3]) {
        let hash = hash(flow);
        let at = self.place(hash);
        let Some(place) = self.places.get_mut(at) else { return };
        let free = place.iter().position(|one| one.flow == [0; 4]);
        if let Some(one) = place.get_mut(free.unwrap_or((hash >> 60) as usize % WAYS)) {
            *one = Decision { flow, verdict };
        }
    }

    /// Makes room where parties and requests have become many, so that no decision has to; `None` if there is none.
    pub fn make_room(&mut self, interned: usize) -> Option<()> {
        if WAYS * self.places.len() >= (2 * interned).clamp(FEWEST, MOST) {
            return Some(());
        }
        let size = (8 * interned).next_power_of_two().clamp(FEWEST, MOST) / WAYS;
        let mut places = Vec::new();
        places.try_reserve_exact(size).ok()?;
        places.resize(size, Default::default());
        self.places = places;
        Some(())
    }

    fn place(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.places.len().wrapping_sub(1)
    }
}

/// Returns whether two flows are the same, word by word: in a module a comparison of lists takes byte by byte.
fn same([a, b, c, d]: [u32; 4], [e, f, g, h]: [u32; 4]) -> bool {
    (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) == 0
}

fn hash([source, destination, port, request]: [u32; 4]) -> u64 {
    let ends = (u64::from(destination) << 32 | u64::from(source)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let rest = (u64::from(request) << 32 | u64::from(port)).wrapping_mul(0xd1b5_4a32_d192_ed03);
    let mixed = ends ^ ends >> 29 ^ rest.rotate_left(32);
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
