//! Exact sets of flows: unions, intersections, differences, and one flow of a set.
//!
//! ```text
//! allow egress garden/* -> 203.0.113.0/24:443      the set of all flows from pods of garden to these addresses on TCP 443
//! less   garden/{app=web} -> 203.0.113.7:443       another set, equal to no other one
//! ```
//!
//! A set is over every flow that could exist: any labels, accounts, namespaces, addresses, hosts, ports, methods, paths
//! and tokens, whether or not a rule names them. A set is never approximated: if it would take too much work, the
//! answer is [`TooLarge`].
//!
//! | step | file |
//! |---|---|
//! | the values in play: all values that some rule names | [`terms`] |
//! | the variables of a flow, in the order of tests | [`space`] |
//! | the order of the labels among them | `order` |
//! | sets as decision diagrams | [`diagram`] |
//! | sets from selectors, addresses, hosts, ports, requests | [`sets`] |
//! | the flows that can exist | `possible` |
//! | a flow that is in no set of a list, without their union | [`search`] |
//! | the flows that pass, compared without being made one set | [`Passing`] |
//! | one flow of a set, to show | [`witness`] |

pub mod diagram;
mod order;
mod passing;
mod possible;
pub mod search;
pub mod sets;
mod side;
pub mod space;
pub mod terms;
pub mod witness;

pub use diagram::{Set, TooLarge, Var};
pub use passing::Passing;
pub use sets::{Flows, Name, TRUE};
pub use side::Side;
pub use space::{ABSENT, Feature, OTHER, OUTSIDE, Space};
pub use terms::Terms;
pub use witness::{End, Token, Witness};
