//! Messages of the checker, by subject; each constructor is one message.

mod declarations;
mod endpoints;
mod known;
mod ports;
mod rules;

pub use declarations::*;
pub use endpoints::*;
pub use known::*;
pub use ports::*;
pub use rules::*;
