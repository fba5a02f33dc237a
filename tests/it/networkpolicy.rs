//! Tests of networkpolicy.
