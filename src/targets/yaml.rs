//! The YAML writer.
