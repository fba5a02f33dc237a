//! Reading manifests, and asking the inventory that comes of them.

mod dumps;
mod hostile;
mod kinds;
mod mistakes;
mod objects;
mod queries;
mod sidecars;

use netpol::diag::{Code, Diagnostics};
use netpol::inventory::{Inventory, Reading, Workload, read};
use netpol::settings::Layer;
use netpol::source::Sources;

use crate::istio::build::Build;

/// Reads files of the given paths and texts.
fn read_files(files: &[(&str, &str)]) -> (Inventory, Diagnostics, Sources) {
    let mut sources = Sources::new();
    let ids: Vec<_> = files.iter().map(|(path, text)| sources.add(*path, *text)).collect();
    let mut diagnostics = Diagnostics::new();
    let inventory = read(&sources, &ids, Reading { namespace: Some("default"), found: &[] }, &mut diagnostics);
    (inventory, diagnostics, sources)
}

/// Reads one file that has no mistakes.
fn read_text(text: &str) -> Inventory {
    let (inventory, diagnostics, sources) = read_files(&[("facts.yaml", text)]);
    assert_eq!(said(&diagnostics, &sources), "", "{text}");
    inventory
}

/// Returns the findings, a line each: the place, the code and the message.
fn said(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let mut lines = Vec::new();
    for diagnostic in diagnostics.iter() {
        let span = diagnostic.primary.span;
        let position = sources.position(span.file, span.start);
        let place = format!("{}:{}:{}", sources.file(span.file).path, position.line, position.column);
        lines.push(format!("{place} {} {}", diagnostic.code.as_str(), diagnostic.message));
    }
    lines.join("\n")
}

/// Returns the codes of the findings in one file.
fn codes(text: &str) -> Vec<Code> {
    let (_, diagnostics, _) = read_files(&[("facts.yaml", text)]);
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// Returns the only workload of an inventory.
fn only(inventory: &Inventory) -> &Workload {
    let [one] = inventory.workloads.as_slice() else { panic!("{:?}", inventory.workloads) };
    one
}

/// The pages of the inventory's codes: their failing manifests fail with just that code, the repaired ones do not.
#[test]
fn the_pages_of_the_codes_hold() {
    for code in Code::ALL.iter().filter(|code| code.as_str().starts_with("E06")) {
        let block = |heading: &str| {
            let (_, rest) = code.page().split_once(&format!("## {heading}\n\n```yaml\n")).expect(heading);
            rest.split_once("```").expect("the end of the block").0.to_owned()
        };
        assert_eq!(codes(&block("Fails")), vec![*code]);
        assert_eq!(codes(&block("Repaired")), vec![]);
    }
}

#[test]
fn a_cluster_ip_in_a_name_for_addresses_that_only_send_is_no_matter() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: api, namespace: shop }\nspec: { clusterIP: 10.96.4.7, selector: { app: api }, ports: [{ port: 80 }] }\n";
    let codes = |source: &str| Build::text_for(&[Layer::NetworkPolicy], source, Some(service), |_| ()).codes();
    assert!(!codes("allow ingress private -> shop/{app=api}:80").contains(&"W0326"));
    assert!(codes("allow egress shop/{app=api} -> private:80").contains(&"W0326"));
}
