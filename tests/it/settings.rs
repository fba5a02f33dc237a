//! Tests of `netpol.toml`.

use netpol::diag::render::{Format, render};
use netpol::diag::{Code, Diagnostics, Level};
use netpol::model::paths::PathNormalization;
use netpol::settings::{self, Layer, Platform, Project, Settings};
use netpol::source::Sources;

fn day() -> time::Date {
    time::Date::from_calendar_date(2026, time::Month::May, 4).unwrap()
}

/// Reads a configuration; the second answer is what is wrong, as `line:column code message`.
fn read(text: &str) -> ((Settings, Project), Vec<String>) {
    let mut sources = Sources::new();
    let file = sources.add("netpol.toml", text);
    let mut diagnostics = Diagnostics::new();
    let config = settings::read(&sources, file, day(), &mut diagnostics);
    diagnostics.sort();
    let lines = diagnostics.iter().map(|diagnostic| {
        let place = sources.position(file, diagnostic.primary.span.start);
        let notes: String = diagnostic.notes.iter().map(|note| format!("; {note}")).collect();
        format!("{}:{} {} {}{notes}", place.line, place.column, diagnostic.code.as_str(), diagnostic.message)
    });
    let lines = lines.collect();
    (config, lines)
}

fn wrong(text: &str) -> String {
    read(text).1.join("\n")
}

#[test]
fn every_key_is_read() {
    let text = r#"
        name = "shop"
        targets = ["istio", "networkpolicy"]
        inventory = "cluster/"
        inventory-namespace = "shop"
        guardrails = ["org.netpol", "team"]
output = "deploy"
kustomization = true
        [cluster]
        platform = "gardener"
        domain = "corp.local"
        dns = "explicit"
        load-balancer = "aws-nlb"
        resolver = ["169.254.20.10"]
        apiserver = ["192.0.2.1:443"]
        nodes = ["10.0.0.0/16"]
        pods = ['100.64.0.0/10', """::1""" ]
        [networkpolicy]
        port-names = "numbers"
        [istio]
        root-namespace = "mesh"
        trust-domain = "td.example"
        path-normalization = "MERGE_SLASHES"
        scope-gateway-to-namespace = true
        dns-capture = true
        [enforcement]
        require = "exact"
        [lints]
        W0521 = "deny"
    "#;
    let ((settings, project), wrong) = read(text);
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(project.inventory, ["cluster/"]);
    assert_eq!(project.guardrails, ["org.netpol", "team"]);
    assert_eq!((project.output.as_deref(), project.kustomization), (Some("deploy"), Some(true)));
    let written = |list: &[netpol::settings::Written]| -> Vec<String> {
        list.iter()
            .map(|written| {
                // The place is the contents of the string, so that what is wrong inside it can be pointed at.
                assert_eq!(&text[written.span.start as usize..written.span.end as usize], written.text);
                written.text.clone()
            })
            .collect()
    };
    assert_eq!(written(&settings.resolver), ["169.254.20.10"]);
    assert_eq!(written(&settings.apiserver), ["192.0.2.1:443"]);
    assert_eq!(written(&settings.nodes), ["10.0.0.0/16"]);
    assert_eq!(written(&settings.pods), ["100.64.0.0/10", "::1"]);
    let expected = Settings {
        name: Some("shop".into()),
        targets: vec![Layer::Istio, Layer::NetworkPolicy],
        targets_are_said: true,
        inventory_namespace: Some("shop".into()),
        platform: Platform::Gardener,
        platform_is_said: true,
        domain: "corp.local".into(),
        grant_dns: false,
        aws_nlb: true,
        resolver: settings.resolver.clone(),
        apiserver: settings.apiserver.clone(),
        nodes: settings.nodes.clone(),
        pods: settings.pods.clone(),
        port_numbers: true,
        root_namespace: "mesh".into(),
        trust_domain: "td.example".into(),
        path_normalization: PathNormalization::MergeSlashes,
        scope_gateway_to_namespace: true,
        dns_capture: true,
        require_exact: true,
        lints: [(Code::RedundantAllow, Level::Deny)].into(),
        lines: false,
        today: day(),
    };
    assert_eq!(settings, expected);
}

#[test]
fn an_empty_file_is_the_defaults() {
    let (config, wrong) = read("");
    assert!(wrong.is_empty());
    assert_eq!(config, (Settings::new(day()), Project::default()));
}

#[test]
fn unknown_keys_are_errors_with_the_near_miss() {
    assert_eq!(wrong("targtes = []"), "1:1 E0902 `netpol.toml` has no key `targtes`; did you mean `targets`?");
    assert_eq!(
        wrong("[cluster]\nplatfrom = \"kyma\""),
        "2:1 E0902 `[cluster]` has no key `platfrom`; did you mean `platform`?"
    );
    assert_eq!(
        wrong("platform = \"kyma\""),
        "1:1 E0902 `netpol.toml` has no key `platform`; it belongs in `[cluster]`"
    );
    assert_eq!(
        wrong("[istio]\ntargets = [\"istio\"]"),
        "2:1 E0902 `[istio]` has no key `targets`; `targets` stands at the top of the file, before the first `[table]`"
    );
    assert_eq!(wrong("[enforcement]\nzz = 1"), "2:1 E0902 `[enforcement]` has no key `zz`; its keys are `require`");
    assert_eq!(wrong("cluster.dsn = \"explicit\""), "1:9 E0902 `[cluster]` has no key `dsn`; did you mean `dns`?");
}

#[test]
fn wrong_types_are_errors_at_the_value() {
    assert_eq!(
        wrong("targets = \"istio\""),
        "1:11 E0903 `targets` takes a list of strings, not a string; write `[\"istio\"]`"
    );
    assert_eq!(wrong("name = 3"), "1:8 E0903 `name` takes a string, not a number");
    assert_eq!(wrong("cluster = true"), "1:11 E0903 `cluster` takes a table, `[cluster]`, not `true` or `false`");
    assert_eq!(wrong("[cluster]\npods = [1]"), "2:9 E0903 `pods` takes a list of strings, not a number");
    assert_eq!(
        wrong("[istio]\nscope-gateway-to-namespace = \"yes\""),
        "2:30 E0903 `scope-gateway-to-namespace` takes `true` or `false`, not a string"
    );
    assert_eq!(wrong("inventory = {}"), "1:13 E0903 `inventory` takes a list of strings, not a table");
}

#[test]
fn values_that_a_key_does_not_take_are_errors() {
    for (text, message) in [
        ("targets = [\"istoi\"]", "1:13 E0904 there is no target `istoi`; did you mean `istio`?"),
        ("targets = [\"x\"]", "1:13 E0904 there is no target `x`; it can be `networkpolicy` or `istio`"),
        ("targets = [\"istio\", \"istio\"]", "1:22 E0904 `istio` stands in `targets` twice"),
        ("name = \"-x\"", "1:9 E0904 `name` must be a label value of Kubernetes, and `-x` is none"),
        ("inventory = \"-\"", "1:14 E0904 `inventory` takes the path of a file or folder, not `-`"),
        ("[cluster]\ndns = \"explict\"", "2:8 E0904 `dns` cannot be `explict`; did you mean `explicit`?"),
        ("[cluster]\ndomain = \"A.b\"", "2:11 E0904 `domain` must be a DNS name in lower case, and `A.b` is none"),
        (
            "[istio]\nroot-namespace = \"a.b\"",
            "2:19 E0904 `root-namespace` must be the name of a namespace, and `a.b` is none",
        ),
        (
            "[istio]\npath-normalization = \"base\"",
            "2:23 E0904 `path-normalization` cannot be `base`; it can be `NONE`, `BASE`, `MERGE_SLASHES` or `DECODE_AND_MERGE_SLASHES`",
        ),
        ("[enforcement]\nrequire = \"strict\"", "2:12 E0904 `require` cannot be `strict`; it can be `exact`"),
    ] {
        assert_eq!(wrong(text), message);
    }
    assert!(wrong("targets = []").starts_with("1:11 E0904 `targets` names no target"));
}

#[test]
fn what_is_no_toml_is_an_error_at_its_place() {
    let (config, errors) = read("name = \n[cluster\nplatform = kyma\n");
    assert!(errors.len() >= 2 && errors.iter().all(|line| line.contains(Code::ConfigSyntax.as_str())), "{errors:?}");
    assert!(errors[0].starts_with("1:"), "{errors:?}");
    assert_eq!(config.0, Settings::new(day()));
    assert!(wrong("a = 1\na = 2").contains("E0901"));
    // Depth is the reader's to bound: this must come back, and with an error.
    assert!(wrong(&"[".repeat(100_000)).contains("E0901"));
    assert!(wrong(&format!("a = {}", "[".repeat(100_000))).contains("E0901"));
}

#[test]
fn a_near_miss_comes_with_the_edit_that_repairs_it() {
    let mut sources = Sources::new();
    let file = sources.add("netpol.toml", "[cluster]\nplatform = \"gardner\"\n");
    let mut diagnostics = Diagnostics::new();
    settings::read(&sources, file, day(), &mut diagnostics);
    let mut out = Vec::new();
    render(&diagnostics, &sources, Format::Human, false, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    error[E0904]: `platform` cannot be `gardner`
      ┌─ netpol.toml:2:13
      │
    2 │ platform = "gardner"
      │             ^^^^^^^
      │
      = did you mean `gardener`?                                              (fix available)
    "#);
}
