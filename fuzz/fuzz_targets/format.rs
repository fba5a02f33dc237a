//! Bytes as a source, and as the choices of a generated one: what parses can be formatted to a text that means the
//! same (which the formatter itself compares), and formatting that text changes nothing.
#![no_main]

#[path = "../../tests/it/common"]
mod common {
    pub mod generate;
}

use libfuzzer_sys::fuzz_target;
use netpol::diag::Diagnostics;
use netpol::source::Sources;
use netpol::syntax::{self, FormatError};

fn format(text: &str) -> Result<String, FormatError> {
    let mut sources = Sources::new();
    let file = sources.add("fuzz.netpol", text);
    syntax::format(&sources, file, &mut Diagnostics::new())
}

fn judge(text: &str, must_parse: bool) {
    match format(text) {
        Ok(formatted) => assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "formatting twice changes the text"),
        Err(FormatError::Syntax) => assert!(!must_parse, "a generated source has syntax errors:\n{text}"),
        Err(FormatError::Internal(why)) => panic!("{why}:\n{text}"),
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        judge(text, false);
    }
    judge(&common::generate::source(data), true);
});
