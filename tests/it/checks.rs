//! What the checks of names, kinds and facts say, and what they leave unsaid.

use netpol::diag::{Code, Severity};

use crate::common::{Given, Outcome};

/// Returns the findings that are errors or warnings, as `line code`, in the order of their places.
fn findings(given: &Given) -> Vec<String> {
    let outcome = given.run();
    let severe = outcome.diagnostics.iter().filter(|finding| finding.severity() < Severity::Note);
    let line = |outcome: &Outcome, span| outcome.sources.line(span);
    severe.map(|finding| format!("{} {}", line(&outcome, finding.primary.span), finding.code.as_str())).collect()
}

fn of(text: &str) -> Vec<String> {
    findings(&Given::policy(text))
}

/// A `use` that fails takes its names along: they are not reported again, while others are.
#[test]
fn what_a_failed_use_would_bring_is_not_missed_twice() {
    assert_eq!(of("use std/kymaa\nallow egress garden/* -> nats"), ["1 E0204"]);
    assert_eq!(of("use \"./gone.netpol\"\nallow egress garden/* -> anything"), ["1 E0205"]);
    assert_eq!(of("use std/kyma (nat)\nallow egress garden/* -> { nat, nuts }"), ["1 E0208", "2 E0202"]);
    assert_eq!(
        of("use std/none (a as b)\nallow egress garden/* -> b\nallow egress garden/* -> a"),
        ["1 E0204", "3 E0202"]
    );
    let through = Given {
        policy: "use \"./a.netpol\" (nat)\nuse \"./a.netpol\"\nallow egress garden/* -> nat".into(),
        also: vec![("a.netpol".into(), "use std/kyma (nat)".into())],
        ..Given::default()
    };
    assert_eq!(findings(&through), ["1 E0208"]);
}

/// Whether a name is used cannot be told from a file that is not understood.
#[test]
fn nothing_is_called_unused_in_a_file_with_errors() {
    assert_eq!(of("let a = 203.0.113.1\nlet b = 203.0.113.2\nallow egress garden/* -> c"), ["3 E0202"]);
    assert_eq!(of("let a = 203.0.113.1\nallow egress garden/* -> 203.0.113.2"), ["1 W0220"]);
}

#[test]
fn cycles_of_every_kind_end_with_one_message() {
    assert_eq!(of("let a = b\nlet b = c\nlet c = a"), ["1 E0210"]);
    assert_eq!(of("gateway g { pods g port 443 }"), ["1 E0210"]);
    assert_eq!(of("let p = { g, edge/* }\ngateway g { pods p port 443 }"), ["1 E0210"]);
    assert_eq!(of("use \"./policy.netpol\""), ["1 E0206"]);
    let chain = |length: usize| {
        let mut text: String =
            (0..length).map(|at| format!("template t{at}(n: Namespace) {{ apply t{}(n) }}\n", at + 1)).collect();
        text += &format!("template t{length}(n: Namespace) {{ default deny n/* }}\napply t0(garden)\n");
        text
    };
    assert_eq!(of(&chain(63)), [""; 0]);
    assert_eq!(of(&chain(64)), ["1 E0416"]);
    assert!(!of(&chain(20_000)).is_empty());
    // As deep, and written from the innermost on.
    let backwards = |length: usize| chain(length).lines().rev().map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(of(&backwards(63)), [""; 0]);
    assert_eq!(of(&backwards(64)), ["66 E0416"]);
    assert_eq!(of(&backwards(20_000)).len(), 1);
}

/// A finding that rests on the arguments stands at the `apply`, with the place inside the template beside it.
#[test]
fn what_only_the_arguments_make_wrong_is_said_at_the_apply() {
    let text = "template t(a: Addresses) { allow egress garden/* -> { 10.0.0.0/8 except a }:443 }\n\
                apply t(10.1.0.0/16)\napply t(192.168.0.0/16)\n";
    let outcome = Given::policy(text).run();
    let found = outcome.of(Code::ExceptNothing);
    assert_eq!(found.len(), 1);
    assert_eq!(outcome.sources.slice(found[0].primary.span), "apply t(192.168.0.0/16)");
    assert_eq!(outcome.sources.slice(found[0].labels[0].span), "a");
}

/// The parameter of one template is not used by another's of the same name.
#[test]
fn each_template_uses_its_own_parameters() {
    let text = "template b(n: Namespace) { default deny n/* }\n\
                template a(n: Namespace, m: Namespace) { apply b(m) }\napply a(x, y)\n";
    assert_eq!(of(text), ["2 W0420"]);
}

/// A rule's place and its fixes leave out the annotations before it.
#[test]
fn a_statement_begins_with_its_keyword() {
    let text = "@owner(\"x\") # why, and allow\n@reason(\"y\")\nallow garden/* -> zenquotes.io:443";
    let given = Given::policy(text);
    let outcome = given.run();
    let found = outcome.of(Code::BothGoverned);
    assert_eq!(outcome.sources.slice(found[0].primary.span), "allow");
    let repaired = given.repaired(&found[0].fixes[0], &outcome.sources);
    assert!(repaired.policy.ends_with("\nallow egress garden/* -> zenquotes.io:443"), "{}", repaired.policy);
    let good = repaired.run();
    assert_eq!(good.sources.line(good.policy.as_ref().unwrap().rules[0].origin.span), 3);
}

/// What `except` takes away counts before the rest is looked at.
#[test]
fn addresses_are_held_against_the_cluster_after_their_exceptions() {
    let given = |policy: &str| Given {
        policy: policy.into(),
        settings: Some("[cluster]\npods = [\"10.96.0.0/12\"]\n".into()),
        ..Given::default()
    };
    assert_eq!(findings(&given("allow egress a/* -> { 10.0.0.0/8 except 10.96.0.0/12 }:1")), [""; 0]);
    assert_eq!(findings(&given("allow egress a/* -> { 10.0.0.0/8 except 10.96.0.0/16 }:1")), [""; 0]);
    assert_eq!(findings(&given("allow egress a/* -> 10.97.0.1:1")), ["1 W0223"]);
    assert_eq!(findings(&given("let x = host a.example.com at 10.97.0.1\nallow egress a/* -> x")), ["1 W0223"]);
}

/// A name may be spelled like the namespace that it stands for, and elsewhere the two are told apart.
#[test]
fn a_namespace_like_a_name_is_a_warning_but_in_its_definition() {
    assert_eq!(of("let shop = shop/{app=web}\nallow egress garden/* -> shop"), [""; 0]);
    assert_eq!(of("gateway edge { pods edge/{a=b} port 443 }\nallow egress garden/* -> edge"), [""; 0]);
    assert_eq!(of("let shop = shop/{app=web}\nallow egress garden/* -> { shop, shop/{app=db} }"), ["2 W0222"]);
    let note = |text: &str| {
        let outcome = Given::policy(text).run();
        outcome.of(Code::NamespaceLikeName)[0].notes.last().unwrap().clone()
    };
    assert_eq!(note("allow egress garden/* -> dns/udp"), "for the name with its own ports write `dns`");
    let text = "let db = 203.0.113.1\nallow egress garden/* -> db/udp";
    assert_eq!(note(text), "for every port of the name write `db:*/udp`");
}

/// One endpoint that stands twice in a union has each of its ports read in one way.
#[test]
fn a_port_is_read_in_one_way_across_a_union() {
    assert_eq!(of("allow egress a/* -> { b.example.com:443, b.example.com:{80, 443/http} }"), ["1 E0306"]);
    assert_eq!(
        of("let b = b.example.com:8080/http\nallow egress a/* -> { b, b.example.com:8000-9000/tls }"),
        ["2 E0306"]
    );
    assert_eq!(of("allow egress a/* -> { b.example.com:443, c.example.com:443/http }"), [""; 0]);
    assert_eq!(of("allow egress a/* -> { b.example.com:443, b.example.com:80 }"), [""; 0]);
}

/// An allow is redundant beside one with more ports, peers or subjects, or for both directions.
#[test]
fn an_allow_inside_a_wider_one_is_redundant() {
    let narrow = [
        "allow egress a/* -> 203.0.113.0/25:443",
        "allow egress a/{app=web} -> 203.0.113.0/24:443",
        "allow egress a/* -> 203.0.113.0/24:443",
        "allow egress a/* -> b/{app=web}:443",
        "allow ingress a/{app=web} -> b/*",
        "allow a/* -> b/{app=web}",
    ];
    let wide = "allow egress a/* -> 203.0.113.0/24:{80, 443}\nallow a/* -> b/*";
    for rule in narrow {
        assert_eq!(of(&format!("{rule}\n{wide}")), ["1 W0521"], "{rule}");
        assert_eq!(of(&format!("{wide}\n{rule}")), ["3 W0521"], "{rule}");
    }
    let other = [
        "allow egress a/* -> 203.0.113.0/24:8080",
        "allow egress a/* -> 203.0.112.0/23:443",
        "allow egress c/* -> 203.0.113.0/25:443",
        "allow egress {env=prod}/* -> b/*",
        "allow ingress c/* -> b/*",
    ];
    for rule in other {
        assert_eq!(of(&format!("{rule}\n{wide}")), [""; 0], "{rule}");
    }
    // The wider one governs one end only, so the other end of the narrow one is not covered.
    assert_eq!(of("allow a/* -> b/{app=web}\nallow egress a/* -> b/*"), [""; 0]);
    assert_eq!(of("allow egress a/* -> b/*\nallow egress a/* -> b/*\nallow egress a/* -> b/*"), ["2 W0521", "3 W0521"]);
}

/// Whether the resolver is isolated or denied is said where it is sure.
#[test]
fn the_resolver_is_missed_where_it_is_surely_cut_off() {
    let allow = "allow egress garden/* -> zenquotes.io:443\n";
    let with = |rule: &str| of(&format!("{rule}\n{allow}"));
    assert_eq!(with("default deny ingress */*"), ["1 W0522", "1 W0526"]);
    for closing in ["kube-system/*", "kube-system/{k8s-app=kube-dns}", "kube-system/{k8s-app}"] {
        assert_eq!(with(&format!("default deny ingress {closing}")), ["1 W0522"], "{closing}");
    }
    for open in ["garden/*", "{env=prod}/*", "kube-system/{app=other}", "kube-system/{k8s-app=other}"] {
        assert_eq!(with(&format!("default deny ingress {open}")), [""; 0], "{open}");
    }
    for deny in ["egress garden/* -> kube-system/*", "ingress */* -> kube-system/*:53/udp", "garden/* -> */*"] {
        assert_eq!(with(&format!("deny {deny}")), ["1 W0523"], "{deny}");
    }
    for deny in [
        "egress shop/* -> kube-system/*",
        "ingress shop/* -> kube-system/*",
        "ingress 203.0.113.0/24 -> kube-system/*",
        "egress garden/* -> kube-system/*:9153",
        "egress garden/* -> 169.254.0.0/16",
    ] {
        assert_eq!(with(&format!("deny {deny}")), [""; 0], "{deny}");
    }
    let kyma = Given {
        policy: format!("deny egress garden/* -> 169.254.0.0/16\n{allow}"),
        settings: Some("[cluster]\nplatform = \"kyma\"\n".into()),
        ..Given::default()
    };
    assert_eq!(findings(&kyma), ["1 W0523"]);
}

/// What a file is used for does not free it from its own scope, and facts that say the same twice agree.
#[test]
fn facts_agree_and_lie_inside_the_scope_of_their_file() {
    let with = |also: &str| {
        let also = vec![("a.netpol".into(), also.into())];
        findings(&Given { policy: "use \"./a.netpol\"\ndefault deny a/*".into(), also, ..Given::default() })
    };
    assert_eq!(with("scope a/*\nnamespace b { labels { env = prod } }"), ["2 E0503"]);
    assert_eq!(with("scope 203.0.113.0/24"), ["1 E0302"]);
    assert_eq!(with("scope a/*\nnamespace a { labels { env = prod } }"), [""; 0]);
    assert_eq!(of("namespace a { labels { x = y, x = y } }\nnamespace a { labels { x = y } }"), [""; 0]);
    assert_eq!(of("namespace a { labels { x = y, x = z } }"), ["1 E0401"]);
    assert_eq!(of("namespace a { labels { kubernetes.io/metadata.name = b } }"), ["1 E0401"]);
    assert_eq!(
        of("service a/b { select { x = y, x = y } port 80 }\nservice a/b { select { x = y } port 80 }"),
        [""; 0]
    );
    assert_eq!(of("service a/b { select { x = y } port 80 port 80 -> 81 }"), ["1 E0401"]);
    let differ = Given::policy("service a/b { port 80 }\nservice a/b { select { x = y } port 80 }").run();
    let said = &differ.of(Code::ContradictingFacts)[0].primary.message;
    assert_eq!(said, "it selects nothing there, and x=y here");
}

/// Mistakes of every kind, as a person sees them. Each fix that is offered takes its finding away.
#[test]
fn messages_can_be_read_and_their_fixes_applied() {
    for (name, policy, inventory) in [
        ("names", include_str!("checks/names.netpol"), None),
        ("rules", include_str!("checks/rules.netpol"), None),
        ("templates", include_str!("checks/templates.netpol"), None),
        ("facts", include_str!("checks/facts.netpol"), Some(include_str!("checks/inventory.yaml"))),
    ] {
        let given = Given { inventory: inventory.map(str::to_owned), ..Given::policy(policy) };
        let before = given.run();
        insta::assert_snapshot!(name, before.shown());
        for finding in before.diagnostics.iter() {
            for fix in &finding.fixes {
                let after = given.repaired(fix, &before.sources).run();
                let count = |outcome: &Outcome| outcome.of(finding.code).len();
                assert!(count(&after) < count(&before), "`{}` does not repair `{}`", fix.title, finding.message);
            }
        }
    }
}
