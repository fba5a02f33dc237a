//! Tests of istio.
