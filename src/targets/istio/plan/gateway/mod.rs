//! Gateways: who comes in through one (`access`), who leaves through one (`exits`), what passes as before (`others`), and
//! which rules have their clients judged behind one, too (`correlation`).

pub mod access;
pub mod correlation;
pub mod exits;
pub mod others;
