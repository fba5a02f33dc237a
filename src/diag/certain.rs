//! Certain fixes: those that say what the author wrote in the language's own spelling, so that a machine may apply them
//! unasked.

use super::{Code, Diagnostic, Fix};

/// The codes of mistakes in spelling, whose one fix is what was meant. What resembles a name that exists, or what
/// narrows or widens a rule, is for a person to decide.
const SPELLING: [Code; 9] = [
    Code::SpaceInEndpoint,
    Code::ForeignComment,
    Code::WrongArrow,
    Code::MissingComma,
    Code::UnionWithoutBraces,
    Code::NeedsQuotes,
    Code::NeedsBrackets,
    Code::NotAMethod,
    Code::PathNeverSeen,
];

impl Diagnostic {
    /// Returns the fix of the finding, if it is the only one and certain.
    pub fn certain_fix(&self) -> Option<&Fix> {
        match self.fixes.as_slice() {
            [only] if SPELLING.contains(&self.code) => Some(only),
            // `→` for `->`. What is unseen and goes may have made the text look like something else.
            [only] if self.code == Code::ForbiddenCharacter && only.edits.iter().all(|edit| !edit.text.is_empty()) => {
                Some(only)
            }
            _ => None,
        }
    }
}
