//! Any bytes as NetworkPolicies: the reader neither panics nor hangs, every finding lies in the file, and what the reader of
//! written text reads, the reader of all YAML reads alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netpol::diag::Diagnostics;
use netpol::settings::Layer;
use netpol::source::{Sources, Span};
use netpol::targets::networkpolicy::read::read;
use netpol::targets::read_back;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut sources = Sources::new();
    let file = sources.add("fuzz.yaml", &*text);
    let mut found = Diagnostics::new();
    let rules = read(&sources, &[file], "", &mut found);
    let inside = |span: Span| span.file == file && span.start <= span.end && span.end as usize <= text.len();
    assert!(found.iter().all(|finding| inside(finding.primary.span)), "a finding lies outside the file");
    assert!(rules.iter().all(|rule| inside(rule.origin.span)), "a rule lies outside the file");
    if let Ok(by_style) = read_back(Layer::NetworkPolicy, file, &text) {
        assert!(!found.has_errors(), "written text is no YAML: {found:?}");
        assert_eq!(format!("{rules:?}"), format!("{by_style:?}"));
    }
});
