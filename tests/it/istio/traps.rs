//! The known ways in which objects of Istio come to mean something else than their author wrote, one test for each that
//! can be tested. `docs/design/traps.md` has them all.

mod authorization;
mod clients;
mod egress;
mod gateways;
mod imports;
