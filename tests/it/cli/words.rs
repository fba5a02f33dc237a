//! Tests of the verbs that print what is compiled in, and of usage.

use super::{folder, netpol};

#[test]
fn rule_prints_the_page_of_a_code() {
    let here = folder(&[]);
    let run = netpol(here.path(), &["rule", "e0902"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.starts_with("# E0902: the configuration has an unknown key\n"), "{}", run.out);
    let run = netpol(here.path(), &["rule", "E0992"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.starts_with("error: there is no code `E0992`; did you mean `E09"), "{}", run.err);
}

#[test]
fn completions_are_printed_for_every_shell() {
    let here = folder(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = netpol(here.path(), &["completions", shell]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        assert!(run.out.contains("netpol") && run.out.contains("error-format"), "{shell}");
    }
}

#[test]
fn wrong_usage_is_told_on_stderr_and_help_on_stdout() {
    let here = folder(&[]);
    for arguments in [&["chekc"][..], &["rule"], &["fmt", "--error-format", "xml"], &["fmt", "--color"], &[]] {
        let run = netpol(here.path(), arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(run.err.contains("--help"), "{}", run.err);
    }
    let run = netpol(here.path(), &["--help"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.contains("fmt"), "{}", run.out);
}

#[test]
fn doc_prints_every_name_of_a_module_with_its_kind_and_its_text() {
    let here = folder(&[]);
    let run = netpol(here.path(), &["doc", "std/kyma"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    for part in [
        "STD/KYMA\n",
        "\n    nats: Workloads\n",
        "\n        NATS, the message broker behind Kyma Eventing",
        "\n        let nats = kyma-system/eventing-nats:4222\n",
        "\n    kyma-operator(ns: Namespace), a template\n",
        "\n    service kyma-system/eventing-nats\n",
        "ingress-gateway (of std/istio)",
    ] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let net = netpol(here.path(), &["doc", "std/net"]).out;
    assert!(net.contains("\n    private: Addresses\n"), "{net}");
    let prelude = netpol(here.path(), &["doc", "std/prelude/gardener"]).out;
    assert!(prelude.contains("\n    dns: Endpoint\n"), "{prelude}");
}

#[test]
fn doc_knows_every_module_and_the_near_miss() {
    let here = folder(&[]);
    let list = netpol(here.path(), &["doc"]);
    assert_eq!(list.code, 0);
    let modules: Vec<&str> = list.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(modules.contains(&"std/net") && modules.contains(&"std/prelude/k3s"), "{}", list.out);
    for module in modules.iter().filter(|module| module.starts_with("std/")) {
        let run = netpol(here.path(), &["doc", module]);
        assert_eq!(run.code, 0);
        // Every name that a module defines is documented: its text follows, and only then its source.
        let blocks: Vec<&str> = run.out.split("\n\n").collect();
        let is_source = |block: &str| {
            ["let ", "gateway ", "template ", "service "]
                .iter()
                .any(|word| block.starts_with(&format!("        {word}")))
        };
        let bare = blocks.windows(2).find(|pair| !pair[0].starts_with("        ") && is_source(pair[1]));
        assert!(bare.is_none(), "{module} does not say what this is: {bare:?}");
    }
    let run = netpol(here.path(), &["doc", "std/kymaa"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("did you mean `std/kyma`?"), "{}", run.err);
}
