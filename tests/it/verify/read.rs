//! The reader of NetworkPolicies: what objects of anybody mean, and what is said of those that cannot be read.

use netpol::diag::{Code, Diagnostics};
use netpol::model::rules::{Action, Rule};
use netpol::source::Sources;
use netpol::targets::networkpolicy::read::read;
use proptest::prelude::*;

fn rules(text: &str) -> (Vec<Rule>, Diagnostics, Sources) {
    let mut sources = Sources::new();
    let file = sources.add("policies.yaml", text);
    let mut found = Diagnostics::new();
    let rules = read(&sources, &[file], "default", &mut found);
    (rules, found, sources)
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: p, namespace: garden }}\nspec: {spec}\n"
    )
}

/// Returns each rule in short: its action and direction, and the members of its ends.
fn shown(rules: &[Rule]) -> Vec<String> {
    let shown = |rule: &Rule| {
        let action = if rule.action == Action::Isolate { "isolate" } else { "allow" };
        let direction = if rule.egress { "egress" } else { "ingress" };
        let (own, peers) = match rule.egress {
            true => (&rule.source, &rule.destination),
            false => (&rule.destination, &rule.source),
        };
        let ports = |end: &netpol::model::endpoint::Endpoint| match &end.members[0].ports {
            netpol::model::ports::Ports::All => "*".to_owned(),
            netpol::model::ports::Ports::Some(list) => {
                let one = |port: &netpol::model::ports::PortMatch| format!("{}/{}", port.port, port.protocol.word());
                list.iter().map(one).collect::<Vec<_>>().join(",")
            }
        };
        let pods = own.members.len();
        match rule.action {
            Action::Isolate => format!("{action} {direction} {pods}"),
            _ => format!("{action} {direction} {} peers on {}", peers.members.len(), ports(&rule.destination)),
        }
    };
    rules.iter().map(shown).collect()
}

#[test]
fn what_is_left_out_means_what_kubernetes_says() {
    for (spec, meant) in [
        ("{}", vec!["isolate ingress 1"]),
        ("{ podSelector: {} }", vec!["isolate ingress 1"]),
        ("{ policyTypes: [] }", vec!["isolate ingress 1"]),
        ("{ egress: [] }", vec!["isolate ingress 1"]),
        ("{ egress: [{}] }", vec!["isolate egress 1", "allow egress 2 peers on *", "isolate ingress 1"]),
        ("{ policyTypes: [Egress] }", vec!["isolate egress 1"]),
        ("{ policyTypes: [Egress], ingress: [{}] }", vec!["isolate egress 1"]),
        ("{ ingress: [{}] }", vec!["isolate ingress 1", "allow ingress 2 peers on *"]),
        ("{ ingress: [{ from: [], ports: [] }] }", vec!["isolate ingress 1", "allow ingress 2 peers on *"]),
        (
            "{ ingress: [{ from: null, ports: [{}] }] }",
            vec!["isolate ingress 1", "allow ingress 2 peers on 1-65535/tcp"],
        ),
        (
            "{ ingress: [{ from: [{ podSelector: {} }, { namespaceSelector: {} }], ports: [{ port: 80 }] }] }",
            vec!["isolate ingress 1", "allow ingress 2 peers on 80/tcp"],
        ),
        (
            "{ ingress: [{ ports: [{ protocol: UDP }, { port: http }, { protocol: SCTP, port: 1, endPort: 9 }] }] }",
            vec!["isolate ingress 1", "allow ingress 2 peers on 1-65535/udp,http/tcp,1-9/sctp"],
        ),
        // Nobody is meant, which is not everybody.
        (
            "{ ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: a, operator: Exists }, \
             { key: a, operator: DoesNotExist }] } }] }] }",
            vec!["isolate ingress 1"],
        ),
        (
            "{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [0.0.0.0/0] } }] }] }",
            vec!["isolate ingress 1"],
        ),
    ] {
        let (rules, found, _) = rules(&policy(spec));
        assert!(found.iter().next().is_none(), "{spec}: {found:?}");
        assert_eq!(shown(&rules), meant, "{spec}");
    }
    let bare = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p }\n";
    assert_eq!(shown(&rules(bare).0), ["isolate ingress 1"]);
}

/// The reader of what was just written is another one, and reads the same.
#[test]
fn what_is_written_is_read_alike_by_both_readers() {
    let folder = crate::common::root().join("tests/targets");
    let mut files = 0;
    for entry in walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap()) {
        if entry.file_name() != "networkpolicy.yaml" {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text.as_str());
        let mut found = Diagnostics::new();
        let by_yaml = read(&sources, &[file], "", &mut found);
        let by_style = netpol::targets::read_back(netpol::settings::Layer::NetworkPolicy, file, &text).unwrap();
        assert!(found.iter().next().is_none(), "{found:?}");
        assert_eq!(format!("{by_yaml:?}"), format!("{by_style:?}"), "{text}");
        files += 1;
    }
    assert!(files > 40, "{files}");
}

#[test]
fn lists_other_kinds_and_status_are_read_over() {
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- {{ apiVersion: v1, kind: Pod, metadata: {{ name: x }} }}\n",
        "{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { name: p, managedFields: [{ a: b }] }, \
         spec: { policyTypes: [Egress] }, status: { x: y } }"
    );
    let (rules, found, _) = rules(&text);
    assert!(found.iter().next().is_none(), "{found:?}");
    assert_eq!(shown(&rules), ["isolate egress 1"]);
}

#[test]
fn what_nobody_understands_is_an_error_at_its_place() {
    for (spec, marked) in [
        ("{ podselector: {} }", "podselector"),
        ("{ policyTypes: [egress] }", "egress"),
        ("{ ingress: [{ form: [] }] }", "form"),
        ("{ ingress: [{ from: [{}] }] }", "{}"),
        ("{ ingress: [{ from: [{ podSelectors: {} }] }] }", "podSelectors"),
        ("{ ingress: [{ from: [{ podSelector: { labels: {} } }] }] }", "labels"),
        ("{ ingress: [{ from: [{ podSelector: { matchLabels: { a: 1 } } }] }] }", "1"),
        ("{ ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: a, operator: In }] } }] }] }", "In"),
        ("{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/33 } }] }] }", "10.0.0.0/33"),
        ("{ ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [x] } }] }] }", "x"),
        ("{ ingress: [{ ports: [{ port: 0 }] }] }", "0"),
        ("{ ingress: [{ ports: [{ port: 70000 }] }] }", "70000"),
        ("{ ingress: [{ ports: [{ port: http, endPort: 9 }] }] }", "9"),
        ("{ ingress: [{ ports: [{ port: 80, endPort: 79 }] }] }", "79"),
        ("{ ingress: [{ ports: [{ protocol: ICMP }] }] }", "ICMP"),
        ("{ ingress: { from: [] } }", "{ from: [] }"),
    ] {
        let text = policy(spec);
        let (_, found, sources) = rules(&text);
        let first = found.iter().next().unwrap_or_else(|| panic!("{spec}"));
        let span = first.primary.span;
        let place = &sources.file(span.file).text[span.start as usize..];
        assert!(place.starts_with(marked), "{spec}: {} at {place}", first.message);
        assert!(matches!(first.code, Code::ManifestValue | Code::ManifestType | Code::ManifestMissing), "{spec}");
    }
    let twice = format!("{0}---\n{0}", policy("{}"));
    assert_eq!(rules(&twice).1.iter().next().map(|finding| finding.code), Some(Code::ManifestConflict));
}

#[test]
fn hostile_text_is_answered() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let wide = format!("{{ ingress: [{}] }}", "{},".repeat(100_000));
    for (text, ends) in [
        (bomb, false),
        ("[".repeat(100_000), false),
        ("{a: ".repeat(100_000), false),
        (policy(&format!("{{ ingress: [{{ from: {}", "[".repeat(100_000))), false),
        (policy(&wide), true),
    ] {
        let (_, found, _) = rules(&text);
        assert_eq!(!found.has_errors(), ends, "{}", &text[..40]);
    }
}

const WRITTEN: &str = "\
# Code generated by netpol from a.netpol. DO NOT EDIT.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: app-web-egress
  namespace: garden
  annotations:
    netpol/source: |-
      a.netpol: one
      a.netpol: two
spec:
  podSelector:
    matchLabels:
      app: web
      \"on\": \"1\"
  policyTypes: [Egress]
  egress:
    # a.netpol: one
    - to:
        - namespaceSelector:
            matchExpressions:
              - { key: env, operator: NotIn, values: [prod, \"no\"] }
          podSelector: {}
        - ipBlock:
            cidr: 10.0.0.0/8
            except:
              - 10.1.0.0/16
      ports:
        - { protocol: TCP, port: 80, endPort: 90 }
    - {}  # everything
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: all-pods-ingress
  namespace: garden
spec:
  podSelector: {}
  policyTypes: [Ingress]
  # nothing is let through
";

fn both(text: &str) -> (Result<String, String>, String) {
    let mut sources = Sources::new();
    let file = sources.add("a.yaml", text);
    let mut found = Diagnostics::new();
    let by_yaml = read(&sources, &[file], "", &mut found);
    let by_style = netpol::targets::read_back(netpol::settings::Layer::NetworkPolicy, file, text);
    let by_style = by_style.map(|rules| format!("{rules:?}")).map_err(|finding| finding.message);
    let errors = found.has_errors();
    (by_style, if errors { format!("{found:?}") } else { format!("{by_yaml:?}") })
}

#[test]
fn the_written_text_of_the_next_test_is_read() {
    let (by_style, by_yaml) = both(WRITTEN);
    assert_eq!(by_style, Ok(by_yaml));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a text becomes, the reader of written text refuses it, or reads what the reader of all YAML reads.
    #[test]
    fn changed_text_is_refused_or_read_alike(
        at in 0usize..1200,
        cut in 0usize..12,
        junk in prop_oneof![
            "[-a-z:{}\\[\\], \"#|~*&!?\n]{0,4}",
            prop::sample::select(vec!["- ", "  ", "\n", ": ", "---\n", "{}", "[]", "\"", "\\x41", "null", "yes", "0x10", "# "])
                .prop_map(str::to_owned),
        ],
    ) {
        let at = at.min(WRITTEN.len());
        let end = (at + cut).min(WRITTEN.len());
        let text = format!("{}{junk}{}", &WRITTEN[..at], &WRITTEN[end..]);
        let (by_style, by_yaml) = both(&text);
        if let Ok(rules) = by_style {
            prop_assert_eq!(rules, by_yaml, "{}", text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_the_reader_fail(at in 0usize..400, cut in 0usize..40, junk in "[ -~\n]{0,12}") {
        let text = policy(
            "\n  podSelector: { matchLabels: { app: web } }\n  policyTypes: [Ingress, Egress]\n  ingress:\n  - from:\n    \
             - ipBlock: { cidr: 10.0.0.0/8, except: [10.1.0.0/16] }\n    - namespaceSelector: {}\n      podSelector:\n        \
             matchExpressions: [{ key: a, operator: NotIn, values: [b] }]\n    ports: [{ port: 80, endPort: 90 }]\n",
        );
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        rules(&format!("{}{junk}{}", &text[..at], &text[end..]));
    }
}

#[test]
fn a_character_that_yaml_takes_nowhere_is_not_read_in_a_comment_either() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a\n  namespace: garden\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n  # seg?.netpol\n";
    let read = |text: &str| {
        let file = netpol::source::Sources::new().add("a.yaml", text);
        netpol::targets::read_back(netpol::settings::Layer::NetworkPolicy, file, text).is_ok()
    };
    assert!(read(text) && read(&text.replace('?', "é")));
    for character in ["\u{4}", "\u{7f}", "\t", "\u{9b}", "\u{feff}"] {
        assert!(!read(&text.replace('?', character)), "{character:?}");
    }
}
