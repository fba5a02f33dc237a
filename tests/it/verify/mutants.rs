//! Many ways to break what is written for NetworkPolicy. Each is put into every place of the policies that has it, one
//! at a time, and each must be found.

use super::text::Text;
use super::{build, is_caught, part};

/// A peer of all pods of other namespaces beside one of the own namespace.
const OWN: &[&str] = &[
    "a namespaceSelector is lost",
    "a namespaceSelector is emptied",
    "matchLabels are lost",
    "matchLabels are emptied",
];

/// Policies that have every feature of the objects, with the addresses of pods, and the mutants that mean the same
/// there.
const POLICIES: &[(&str, &[&str], &[&str])] = &[
    ("allow egress garden/{app=web} -> db/{app=pg}:5432", &[], &[]),
    ("allow egress garden/* -> { db/*:{5432, 53/udp, 8000-8100}, 203.0.113.7:443 }", &[], &[]),
    ("allow ingress { web/{tier=front}, 198.51.100.0/24 } -> garden/{app=api}:{80, 9-10/sctp}", &[], &[]),
    (
        "allow ingress { { 203.0.113.0/24 except { 203.0.113.8/30, 203.0.113.64/26 } }, 2001:db8::/32 } -> garden/*:443",
        &[],
        &[],
    ),
    ("allow ingress {env=prod}/{app in (a, b), !canary, zone, tier notin (w, x)} -> garden/*", &[], &[]),
    ("allow garden/{app=web} -> shop/{app=api}:8080\nallow ingress lab/* -> garden/{app=cart}:http", &[], &[]),
    ("default deny ingress garden/{tier}\nallow ingress anywhere -> garden/{app=front}:443", &[], &[]),
    ("default deny egress garden/*\nallow egress garden/{app=web} -> 203.0.113.0/24", &[], &[]),
    ("allow ingress lab/* -> \"yes\"/{on=\"off\", \"no\"=\"1\", x=\"1.5\", \"null\"=y}:80", &[], &[]),
    ("deny egress garden/* -> garden/{tier=db}:1-100", &["10.244.0.0/16", "[fd00:10:244::]/56"], OWN),
    ("deny ingress b/* -> a/{app=web}", &["10.244.0.0/16"], &["or for and, in a peer"]),
];

/// A way to break a text, at each place where it can be broken so.
type Mutant = (&'static str, fn(&Text) -> Vec<Text>);

const MUTANTS: &[Mutant] = &[
    ("an object is lost", Text::without_document),
    ("an object is of another kind", |text| text.replace("kind: NetworkPolicy", "kind: NetworkPolicies")),
    ("an object is of another group", |text| text.replace("networking.k8s.io/v1", "projectcalico.org/v3")),
    ("the kind is lost", |text| text.without("kind:")),
    ("an object stands in another namespace", |text| text.replace("  namespace: ", "  namespace: x")),
    ("the namespace is lost", |text| text.without("namespace:")),
    ("documents run together", |text| text.without("---")),
    ("the spec is lost", |text| text.without("spec:")),
    ("policyTypes are lost", |text| text.replace("policyTypes: [Egress]", "")),
    ("policyTypes are emptied", |text| text.replace("[Egress]", "[]")),
    ("policyTypes name ingress for egress", |text| text.replace("[Egress]", "[Ingress]")),
    ("policyTypes name egress for ingress", |text| text.replace("[Ingress]", "[Egress]")),
    ("policyTypes name both, from egress", |text| text.replace("[Egress]", "[Egress, Ingress]")),
    ("policyTypes name both, from ingress", |text| text.replace("[Ingress]", "[Ingress, Egress]")),
    ("policyTypes are misspelt", |text| text.replace("policyTypes", "policytypes")),
    ("egress stands as ingress", |text| text.replace("  egress:", "  ingress:")),
    ("ingress stands as egress", |text| text.replace("  ingress:", "  egress:")),
    ("the list of egress is lost", |text| text.without("egress:")),
    ("the list of ingress is lost", |text| text.without("ingress:")),
    ("the list of egress is emptied", |text| text.emptied("egress", "[]")),
    ("the list of ingress is emptied", |text| text.emptied("ingress", "[]")),
    ("an entry for everything is added to egress", |text| text.with_line_after("egress:", "  - {}")),
    ("an entry for everything is added to ingress", |text| text.with_line_after("ingress:", "  - {}")),
    ("an entry of egress is lost", |text| text.without_item("to:")),
    ("an entry of ingress is lost", |text| text.without_item("from:")),
    ("to is lost", |text| text.without("to:")),
    ("from is lost", |text| text.without("from:")),
    ("to is emptied", |text| text.emptied("to", "[]")),
    ("from is emptied", |text| text.emptied("from", "[]")),
    ("to stands as from", |text| text.replace("- to:", "- from:")),
    ("from stands as to", |text| text.replace("- from:", "- to:")),
    ("ports stand as an entry of their own", |text| text.own_item("ports:")),
    ("ports are lost", |text| text.without("ports:")),
    ("ports are emptied", |text| text.emptied("ports", "[]")),
    ("a port is lost", |text| text.without_item("{ protocol:")),
    ("a peer of namespaces is lost", |text| text.without_item("namespaceSelector:")),
    ("a peer of addresses is lost", |text| text.without_item("ipBlock:")),
    ("a namespaceSelector is lost", |text| text.without("namespaceSelector:")),
    ("a namespaceSelector is emptied", |text| text.emptied("namespaceSelector", "{}")),
    ("the podSelector of a peer with labels is emptied", |text| text.emptied("podSelector", "{}")),
    ("or for and, in a peer", |text| text.own_item("podSelector:")),
    ("matchLabels are lost", |text| text.without("matchLabels:")),
    ("matchLabels are emptied", |text| text.emptied("matchLabels", "{}")),
    ("matchExpressions are lost", |text| text.without("matchExpressions:")),
    ("matchLabels are misspelt", |text| text.replace("matchLabels", "matchlabels")),
    ("a requirement is lost", |text| text.without_item("{ key:")),
    ("In is turned round", |text| text.replace("operator: In,", "operator: NotIn,")),
    ("NotIn is turned round", |text| text.replace("operator: NotIn,", "operator: In,")),
    ("Exists is turned round", |text| text.replace("operator: Exists", "operator: DoesNotExist")),
    ("DoesNotExist is turned round", |text| text.replace("operator: DoesNotExist", "operator: Exists")),
    ("a value is lost", |text| text.replace("[a, b]", "[a]")),
    ("a value is added", |text| text.replace("[w, x]", "[w, x, z]")),
    ("the value of a label differs", |text| text.replace("app: ", "app: x")),
    ("the key of a label differs", |text| text.replace("app: ", "apps: ")),
    ("the name of a namespace differs", |text| text.replace("metadata.name: ", "metadata.name: x")),
    ("a namespace is told by another label", |text| text.replace("kubernetes.io/metadata.name", "name")),
    ("a value that is no string has no quotes", |text| {
        [text.replace("\"off\"", "off"), text.replace("\"1\"", "1")].concat()
    }),
    ("a number has no quotes", |text| text.replace("\"1.5\"", "1.5")),
    ("a key that is no string has no quotes", |text| {
        [text.replace("\"no\":", "no:"), text.replace("\"on\":", "on:")].concat()
    }),
    ("a namespace that is no string has no quotes", |text| text.replace("\"yes\"", "yes")),
    ("the number of a port differs", |text| text.replace("port: 443", "port: 444")),
    ("a port becomes a range", |text| text.replace("port: 443 }", "port: 443, endPort: 444 }")),
    ("a port becomes all of its protocol", |text| text.replace(", port: 443 }", " }")),
    ("endPort is lost", |text| [text.replace(", endPort: 8100", ""), text.replace(", endPort: 10 ", " ")].concat()),
    ("endPort is one more", |text| text.replace("endPort: 8100", "endPort: 8101")),
    ("a range begins one later", |text| text.replace("port: 8000", "port: 8001")),
    ("the protocol is lost", |text| {
        [text.replace("protocol: UDP, ", ""), text.replace("protocol: SCTP, ", "")].concat()
    }),
    ("TCP becomes UDP", |text| text.replace("protocol: TCP", "protocol: UDP")),
    ("UDP becomes TCP", |text| text.replace("protocol: UDP", "protocol: TCP")),
    ("the way to DNS over TCP is lost", |text| text.without_item("{ protocol: TCP, port: 53 }")),
    ("the way to DNS over UDP is lost", |text| text.without_item("{ protocol: UDP, port: 53 }")),
    ("the name of a port differs", |text| text.replace("port: http", "port: https")),
    ("a port name becomes a number", |text| text.replace("port: http", "port: 80")),
    ("exceptions are lost", |text| text.without("except:")),
    ("an exception is lost", |text| {
        [text.without_item("203.0.113.8/30"), text.without_item("203.0.113.64/26")].concat()
    }),
    ("an exception is narrower", |text| text.replace("203.0.113.64/26", "203.0.113.64/27")),
    ("an exception is the whole block", |text| text.replace("203.0.113.64/26", "203.0.113.0/24")),
    ("a block is wider", |text| {
        [text.replace("198.51.100.0/24", "198.51.100.0/23"), text.replace("::/32", "::/31")].concat()
    }),
    ("a block is narrower", |text| {
        [text.replace("198.51.100.0/24", "198.51.100.0/25"), text.replace(".7/32", ".6/32")].concat()
    }),
    ("a family of addresses is lost", |text| [text.without_item("ipBlock:")].concat()),
    ("pods' addresses are let through", |text| text.without("except:")),
    ("a block stands beside a selector", |text| text.with_line_after("ipBlock:", "  podSelector: {}")),
    ("a field that nobody knows is added", |text| text.with_line_after("policyTypes:", "denyAll: true")),
];

#[test]
fn no_mutant_of_the_text_survives() {
    let mut survivors = Vec::new();
    let mut placed = vec![0; MUTANTS.len()];
    for (source, pods, alike) in POLICIES {
        let build = build(source, pods);
        let mut part = part(&build);
        assert!(!is_caught(&part.check(&build)), "{source}");
        let files = part.texts.clone();
        for (at, file) in files.iter().enumerate() {
            let text = Text::of(file);
            for (number, (name, put)) in MUTANTS.iter().enumerate() {
                for mutant in put(&text) {
                    let mutant = mutant.shown();
                    if mutant == *file {
                        continue;
                    }
                    placed[number] += 1;
                    part.texts[at] = mutant.clone();
                    let by_yaml = part.check_as_yaml(&build).is_none_or(|found| is_caught(&found));
                    if !(is_caught(&part.check(&build)) && by_yaml || alike.contains(name)) {
                        survivors.push(format!("{name}\n{source}\n{mutant}"));
                    }
                }
            }
            part.texts[at].clone_from(file);
        }
    }
    assert!(survivors.is_empty(), "{} survive:\n{}", survivors.len(), survivors.join("\n"));
    let nowhere = MUTANTS.iter().zip(&placed).filter(|(_, count)| **count == 0);
    let nowhere: Vec<&str> = nowhere.map(|((name, _), _)| *name).collect();
    assert!(nowhere.is_empty() && MUTANTS.len() >= 60, "put nowhere: {nowhere:?}");
    println!("{} mutants in {} places", MUTANTS.len(), placed.iter().sum::<usize>());
}
