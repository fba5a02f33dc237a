//! The words of the language by position: one list for each, for completion and for the grammars of editors.

use super::errors;
pub use super::keyword::{Keyword, RESERVED};
use super::refusal;

/// The words after the `@` of an annotation.
pub const ANNOTATIONS: [&str; 5] = errors::ANNOTATIONS;
/// The words after the `/` of a port.
pub const PROTOCOLS: [&str; 8] = errors::PROTOCOLS;
/// The words after `where`.
pub const CONDITIONS: [&str; 5] = refusal::CONDITIONS;
/// The words that are used only in conditions on tokens, addresses of hosts, `each`, and `from` of an issuer.
pub const DETAILS: [&str; 6] = ["subject", "claim", "weight", "each", "param", "prefix"];

/// Returns the words that begin fields in the blocks of declarations, each once, in the order of the declarations.
pub fn fields() -> Vec<&'static str> {
    let mut fields: Vec<&str> = Vec::new();
    for keyword in Keyword::STATEMENTS {
        for field in keyword.fields() {
            if !fields.contains(&field.word()) {
                fields.push(field.word());
            }
        }
    }
    fields
}

/// Returns whether a word can be a name of the language, such as a `let` defines.
pub fn can_be_name(word: &str) -> bool {
    super::words::is_name(word) && !super::keyword::is_reserved(word)
}
