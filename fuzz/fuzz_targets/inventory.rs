//! Any bytes as a manifest: the reader neither panics nor hangs, every finding and every fact lies in the file, and
//! what was read can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netpol::diag::Diagnostics;
use netpol::inventory::{self, Workload};
use netpol::source::{Sources, Span};
use netpol::model::labels::{PodSelector, Requirement, Requirements};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut sources = Sources::new();
    let file = sources.add("fuzz.yaml", &*text);
    let mut diagnostics = Diagnostics::new();
    let inventory = inventory::read(&sources, &[file], inventory::Reading::default(), &mut diagnostics);
    let inside = |span: Span| span.file == file && span.start <= span.end && span.end as usize <= text.len();
    for finding in diagnostics.iter() {
        assert!(inside(finding.primary.span), "a finding lies outside the file");
        assert!(finding.labels.iter().all(|label| inside(label.span)), "a label lies outside the file");
        for edit in finding.fixes.iter().flat_map(|fix| &fix.edits) {
            assert!(inside(edit.span), "a repair lies outside the file");
        }
    }
    let known = |workload: &Workload| inventory.namespaces.contains_key(&workload.namespace);
    assert!(inventory.workloads.iter().all(|workload| inside(workload.origin) && known(workload)));
    assert!(inventory.running().count() <= inventory.workloads.len());
    let selector = PodSelector {
        labels: Requirements::new([Requirement::is_in("app", ["web".into()])]).unwrap_or_default(),
        ..PodSelector::in_namespace("garden")
    };
    if inventory.select(&selector).is_empty() {
        let _ = inventory.matched(&selector);
    }
});
