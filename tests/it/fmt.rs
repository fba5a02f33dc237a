//! Tests of fmt.
