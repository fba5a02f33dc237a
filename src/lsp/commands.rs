//! The names of the commands, each with its arguments.

/// Shows the objects of the rule at a position: `[uri, position]`.
pub const YAML: &str = "netpol.showYaml";
/// Decides on a flow: `[uri, from, to]`.
pub const EVALUATE: &str = "netpol.evaluate";
/// Shows how well each layer enforces the rule at a position, or all rules of a file: `[uri, position?]`.
pub const EXPLAIN: &str = "netpol.explain";
/// Shows the tests and assertions that concern the rule at a position: `[uri, position]`.
pub const TESTS: &str = "netpol.showTests";
/// Shows the flows that a file opens and closes beside its version in git: `[uri]`.
pub const CHANGES: &str = "netpol.showChanges";
/// The commands.
pub const COMMANDS: [&str; 5] = [YAML, EVALUATE, EXPLAIN, TESTS, CHANGES];
