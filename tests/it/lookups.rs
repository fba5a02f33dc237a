//! What a name stands for is recorded with its place, once for each place.

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::resolve::Resolved;
use netpol::settings::Settings;

const OFFICES: &str = "let branch = 203.0.113.0/24\nlet head = 198.51.100.7/32\n";

const POLICY: &str = "\
use \"./offices.netpol\" (branch, head as main)
let db = data/{app=db}
let near = { branch, main }
template open(ns: Namespace) {
  allow ingress near -> ns/*:443
}
apply open(shop)
apply open(garden)
allow shop/* -> db:5432
";

/// Returns each name that was looked up, as `line: name = line of its definition in file`, in the order of the places.
fn lookups() -> Vec<String> {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    input.policy("shop.netpol", POLICY);
    let mut found = Diagnostics::new();
    let files = compile::parse(&input, &mut found);
    let mut loader = |_: &str, path: &str| Ok((path.to_owned(), OFFICES.to_owned()));
    let Resolved { names, deferred } = compile::resolve(files, &mut input, &mut loader, &mut found);
    let inventory = compile::inventory(&input, &mut found);
    let program = compile::check(&names, deferred, inventory, &input, &mut found);
    assert!(!found.has_errors());
    let mut all: Vec<_> = program.lookups.iter().collect();
    all.sort();
    let words = all.into_iter().map(|(place, def)| {
        let sources = &input.sources;
        let (name, definition) = (sources.slice(place), names.name_span(def));
        let file = &sources.file(definition.file).path;
        assert_eq!(program.lookups.get(place), Some(def));
        format!("{}: {name} = {} of {file}", sources.line(place), sources.line(definition))
    });
    words.collect()
}

#[test]
fn each_name_is_recorded_with_its_place_and_its_definition() {
    let expected = [
        "3: branch = 1 of ./offices.netpol",
        "3: main = 2 of ./offices.netpol",
        "5: near = 3 of shop.netpol",
        "7: open = 4 of shop.netpol",
        "8: open = 4 of shop.netpol",
        "9: db = 2 of shop.netpol",
    ];
    assert_eq!(lookups(), expected);
}
