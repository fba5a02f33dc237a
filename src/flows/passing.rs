//! The flows that pass, kept as three sets (allowed, closed, denied) because their combination can be much larger.
//!
//! ```text
//! allow ingress a1/* -> shop/{app=w1}     allowed: from a1 to w1, from a2 to w2, …
//! allow ingress a2/* -> shop/{app=w2}     closed: w1, w2, …
//! ```
//!
//! A single set would list, for each namespace, the pods that it reaches and all the pods that it does not reach. The
//! three sets stay small, and so does the difference between two such triples.

use super::diagram::{Diagrams, Set};

/// The flows that pass: those that are allowed or not closed, without those that are denied.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// The flows that are allowed.
    pub allowed: Set,
    /// The flows that pass only if they are allowed.
    pub closed: Set,
    /// The flows that are denied even if they are allowed.
    pub denied: Set,
}

impl Passing {
    /// Everything passes.
    pub const ALL: Passing = Passing { allowed: Set::NONE, closed: Set::NONE, denied: Set::NONE };

    /// Returns the flows that pass, as one set.
    pub fn set(self, d: &mut Diagrams) -> Set {
        let open = d.complement(self.closed);
        let through = d.or(self.allowed, open);
        d.minus(through, self.denied)
    }

    /// Returns the flows of a set that do not pass.
    pub fn refused(self, set: Set, d: &mut Diagrams) -> Set {
        let denied = d.and(set, self.denied);
        let left = d.minus(set, self.allowed);
        let left = d.and(left, self.closed);
        d.or(denied, left)
    }

    /// Returns the flows that pass here and not there.
    pub fn minus(self, other: Passing, d: &mut Diagrams) -> Set {
        let denied = d.minus(other.denied, self.denied);
        let denied_of_allowed = d.and(denied, self.allowed);
        let denied_of_open = d.minus(denied, self.closed);
        let allowed = d.minus(self.allowed, other.allowed);
        let allowed = d.and(allowed, other.closed);
        let open = d.minus(other.closed, self.closed);
        let open = d.minus(open, other.allowed);
        let left = d.or(allowed, open);
        let left = d.minus(left, self.denied);
        d.union(vec![denied_of_allowed, denied_of_open, left])
    }

    /// Returns the flows that pass by the rules of both together.
    pub fn with(self, other: Passing, d: &mut Diagrams) -> Passing {
        Passing {
            allowed: d.or(self.allowed, other.allowed),
            closed: d.or(self.closed, other.closed),
            denied: d.or(self.denied, other.denied),
        }
    }

    /// Returns the same flows after a function changed each of the three sets.
    pub fn map(self, mut each: impl FnMut(Set) -> Set) -> Passing {
        Passing { allowed: each(self.allowed), closed: each(self.closed), denied: each(self.denied) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flows::diagram::{Scale, Var};

    fn some() -> impl Strategy<Value = [[bool; 8]; 3]> {
        prop::array::uniform3(prop::array::uniform8(any::<bool>()))
    }

    fn passing(d: &mut Diagrams, sets: [[bool; 8]; 3]) -> Passing {
        let [allowed, closed, denied] = sets.map(|list| {
            let values = (0..).zip(list).filter(|(_, is)| *is).map(|(value, _)| (value, Set::ALL));
            d.names(Var(0), Set::NONE, values)
        });
        Passing { allowed, closed, denied }
    }

    proptest! {
        #[test]
        fn a_difference_is_that_of_the_whole_sets(one in some(), other in some()) {
            let mut d = Diagrams::new(vec![Scale::Names], u64::MAX);
            let (a, b) = (passing(&mut d, one), passing(&mut d, other));
            let difference = a.minus(b, &mut d);
            let refused = b.refused(a.closed, &mut d);
            let closed = a.closed;
            let (a, b) = (a.set(&mut d), b.set(&mut d));
            prop_assert_eq!(difference, d.minus(a, b));
            prop_assert_eq!(refused, d.minus(closed, b));
            for at in 0..8 {
                let [allowed, closed, denied] = one.map(|list| list[at]);
                prop_assert_eq!(d.contains(a, |_| at as u32), (allowed || !closed) && !denied);
            }
        }
    }
}
