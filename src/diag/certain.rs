//! Certain fixes: they only correct the spelling of what the author clearly meant, so a machine may apply them without
//! asking.

use super::{Code, Diagnostic, Fix};

/// The codes of mistakes in spelling with one possible fix. A name that resembles another one, or a change that narrows
/// or widens a rule, must be decided by a person.
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
            // `→` becomes `->`. A fix that only removes an invisible character is not certain: the text may have looked
            // different.
            [only] if self.code == Code::ForbiddenCharacter && only.edits.iter().all(|edit| !edit.text.is_empty()) => {
                Some(only)
            }
            _ => None,
        }
    }
}
