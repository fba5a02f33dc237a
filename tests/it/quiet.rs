//! Quiet diffs: what is written hangs on what a policy says, and not on where it says it.

use std::collections::BTreeMap;

use netpol::compile::{self, Input};
use netpol::diag::Diagnostics;
use netpol::settings::{Layer, Settings};
use proptest::prelude::*;

use super::istio::build::MESH;
use super::parts::{BEGINNING, rule};

/// Builds files that are given in this order, and returns each written file with its text.
fn written(files: &[(&str, &str)], manifests: Option<&str>, lines: bool) -> BTreeMap<String, String> {
    let mut settings = Settings::new(time::Date::from_calendar_date(2026, time::Month::November, 21).unwrap());
    settings.targets = vec![Layer::NetworkPolicy, Layer::Istio];
    settings.lines = lines;
    let mut input = Input::new(settings);
    for (path, text) in files {
        input.policy(*path, *text);
    }
    if let Some(text) = manifests {
        input.manifest("inventory.yaml", text);
    }
    let mut diagnostics = Diagnostics::new();
    let policy = compile::policy_despite_errors(&mut input, &mut compile::no_files, &mut diagnostics).unwrap();
    let mut written = BTreeMap::new();
    compile::build(&policy, &input.sources, &mut diagnostics, &mut |files| {
        written.extend(files.into_iter().map(|file| (file.path, file.text)));
        true
    });
    written
}

/// Returns the objects of some written files, each by its namespace, kind and name.
fn objects(files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let documents = files.values().flat_map(|text| text.split("---\n"));
    documents
        .map(|document| {
            let object: serde_json::Value = serde_yaml::from_str(document).unwrap();
            let of = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
            let text = document.lines();
            let text = text.filter(|line| !line.contains("Code generated")).collect::<Vec<_>>().join("\n");
            (format!("{} {} {}", of("namespace"), object["kind"], of("name")), text)
        })
        .collect()
}

/// Fails with the first line that differs.
fn same(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>, what: &str) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{what}");
    for (path, text) in one {
        let lines = text.lines().zip(other[path].lines());
        let differs = lines.enumerate().find(|(_, (a, b))| a != b);
        assert!(text == &other[path], "{what}: {path}: {differs:?}\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_rules_and_files_changes_nothing(
        (rules, moved) in prop::collection::vec(rule(), 2..24).prop_flat_map(|rules| {
            (Just(rules.clone()), Just(rules).prop_shuffle())
        }),
        known in any::<bool>(),
        cut in 0usize..24,
    ) {
        let known = known.then_some(MESH);
        let one = format!("{BEGINNING}{}\n", rules.join("\n"));
        let first = written(&[("a.netpol", &one)], known, false);
        let other = format!("# A comment.\n\n{BEGINNING}{}\n", moved.join("\n\n# And one more.\n"));
        same(&first, &written(&[("a.netpol", &other)], known, false), &format!("moved\n{one}\n{other}"));

        let (a, b) = rules.split_at(cut % rules.len());
        let (a, b) = (format!("{BEGINNING}{}\n", a.join("\n")), format!("{BEGINNING}{}\n", b.join("\n")));
        let first = written(&[("a.netpol", &a), ("b.netpol", &b)], known, false);
        let second = written(&[("b.netpol", &b), ("a.netpol", &a)], known, false);
        same(&first, &second, &format!("files\n{a}\n{b}"));
    }

    #[test]
    fn a_rule_for_other_namespaces_changes_no_byte_of_the_others(
        rules in prop::collection::vec(rule(), 1..16),
        known in any::<bool>(),
    ) {
        let known = known.then_some(MESH);
        let extra = "default deny extra/*\nallow egress extra/{app=web} -> { zenquotes.io:443, 198.51.100.0/24:5432 }\n\
                     allow ingress shop/* -> extra/{app=api}:8080/http where method GET\n";
        let before = objects(&written(&[("a.netpol", &format!("{BEGINNING}{}\n", rules.join("\n")))], known, false));
        let with = format!("{BEGINNING}{extra}{}\n", rules.join("\n"));
        let after = objects(&written(&[("a.netpol", &with)], known, false));
        for (object, text) in before.iter().filter(|(object, _)| !object.starts_with("extra ")) {
            prop_assert_eq!(Some(text), after.get(object), "{}\n{}", object, with);
        }
        let more = after.keys().find(|object| !object.starts_with("extra ") && !before.contains_key(*object));
        prop_assert_eq!(more, None);
    }
}

/// The names of objects stay, and so does every other byte of those that a new rule does not concern.
#[test]
fn a_rule_in_the_middle_touches_its_own_objects_alone() {
    let before = "allow egress garden/{app=web} -> zenquotes.io:443\n\
                  allow ingress shop/* -> garden/{app=api}:8080\n\
                  allow egress shop/{app=cart} -> 203.0.113.0/24:443\n";
    let after = before.replace(
        "allow ingress shop",
        "allow egress garden/{app=jobs} -> { quotes.example.com:443, 198.51.100.7:25 }\nallow ingress shop",
    );
    let before = objects(&written(&[("a.netpol", before)], None, false));
    let after = objects(&written(&[("a.netpol", &after)], None, false));
    let changed: Vec<&String> =
        before.iter().filter(|(object, text)| after.get(*object) != Some(text)).map(|(object, _)| object).collect();
    assert_eq!(changed, Vec::<&String>::new());
    let added: Vec<&str> = after.keys().filter(|object| !before.contains_key(*object)).map(String::as_str).collect();
    assert_eq!(
        added,
        [
            "garden \"NetworkPolicy\" app-jobs-egress",
            "garden \"ServiceEntry\" 198-51-100-7-tcp-25",
            "garden \"ServiceEntry\" quotes-example-com",
            "garden \"Sidecar\" app-jobs-egress",
        ]
    );
}

#[test]
fn objects_name_files_and_sentences_and_lines_where_they_are_wanted() {
    let source = "# What it is for.\n@owner(\"web team\") @reason(\"PAY-123\")\nallow egress garden/*\n  -> zenquotes.io:443   # asked for\n\
                  @owner(\"platform\")\nallow egress garden/* -> 198.51.100.0/24\n";
    let build = |lines: bool| written(&[("a.netpol", source)], None, lines)["garden/networkpolicy.yaml"].clone();
    let quiet = build(false);
    assert!(
        quiet.contains(
            "    netpol/source: |-\n      a.netpol: allow egress garden/* -> 198.51.100.0/24\n      \
             a.netpol: allow egress garden/* -> zenquotes.io:443\n    netpol/owner: |-\n      platform\n      web team\n    \
             netpol/reason: PAY-123\n"
        ),
        "{quiet}"
    );
    assert!(quiet.contains("    # a.netpol: allow egress garden/* -> zenquotes.io:443\n"), "{quiet}");
    assert!(!quiet.contains("a.netpol:3"), "{quiet}");
    let lines = build(true);
    assert!(lines.contains("      a.netpol:3: allow egress garden/* -> zenquotes.io:443\n"), "{lines}");
    assert!(lines.contains("    # a.netpol:3: allow egress garden/* -> zenquotes.io:443\n"), "{lines}");
}
