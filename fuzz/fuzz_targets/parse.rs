//! Any bytes as a source: the parser neither panics nor hangs, every finding lies in the file, and what is read in two
//! goes is what is read at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netpol::diag::Diagnostics;
use netpol::source::{Sources, Span};
use netpol::syntax;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut sources = Sources::new();
    let file = sources.add("fuzz.netpol", &*text);
    let mut diagnostics = Diagnostics::new();
    let tree = syntax::parse(&sources, file, &mut diagnostics);
    let inside = |span: Span| span.file == file && span.start <= span.end && span.end as usize <= text.len();
    assert!(tree.items.iter().all(|item| inside(item.span)), "a statement lies outside the file");
    let mut also = Diagnostics::new();
    let opened = syntax::open(&sources, file, &mut also);
    let mut items = opened.file.items;
    opened.deferred.read(&sources, file, |more, found| {
        items.extend(more);
        also.append(found);
    });
    items.sort_by_key(|item| item.span.start);
    // Which mistakes are too many to be said depends on the order.
    if diagnostics.iter().len() < 200 && also.iter().len() < 200 {
        assert!(items == tree.items, "the declarations and the rest are not the whole");
    }
    for finding in diagnostics.iter() {
        assert!(inside(finding.primary.span), "a finding lies outside the file");
        for edit in finding.fixes.iter().flat_map(|fix| &fix.edits) {
            assert!(inside(edit.span), "a repair lies outside the file");
        }
    }
    syntax::parse_endpoint(&text, Span::new(file, 0, text.len()), &mut diagnostics);
});
