//! Whom the words of a question stand for: names, Services, labels, Pods, public hosts.

use serde_json::Value;

use super::{Run, folder, netpol, netpol_with};

/// A database of three replicas with its Service, a client, and a Service that two workloads stand behind.
const CLUSTER: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: data }
---
apiVersion: v1
kind: Namespace
metadata: { name: kube-system }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: pg, namespace: data }
spec:
  serviceName: pg
  selector: { matchLabels: { app: pg } }
  template:
    metadata: { labels: { app: pg } }
    spec: { containers: [{ name: c, image: i, ports: [{ name: sql, containerPort: 5432 }] }] }
---
apiVersion: v1
kind: Pod
metadata:
  name: pg-0
  namespace: data
  labels: { app: pg, statefulset.kubernetes.io/pod-name: pg-0 }
  ownerReferences: [{ apiVersion: apps/v1, kind: StatefulSet, name: pg, uid: a, controller: true }]
spec: { containers: [{ name: c, image: i, ports: [{ name: sql, containerPort: 5432 }] }] }
status: { phase: Running, podIPs: [{ ip: 10.1.0.10 }] }
---
apiVersion: v1
kind: Pod
metadata:
  name: pg-1
  namespace: data
  labels: { app: pg, statefulset.kubernetes.io/pod-name: pg-1 }
  ownerReferences: [{ apiVersion: apps/v1, kind: StatefulSet, name: pg, uid: a, controller: true }]
spec: { containers: [{ name: c, image: i, ports: [{ name: sql, containerPort: 5432 }] }] }
status: { phase: Running, podIPs: [{ ip: 10.1.0.11 }] }
---
apiVersion: v1
kind: Service
metadata: { name: pg-rw, namespace: data }
spec:
  clusterIP: 10.96.0.9
  selector: { app: pg }
  ports: [{ name: postgres, port: 6000, targetPort: sql }, { name: metrics, port: 9187 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: old, namespace: data }
spec:
  selector: { matchLabels: { shop: yes, version: old } }
  template:
    metadata: { labels: { shop: \"yes\", version: old } }
    spec: { containers: [{ name: c, image: i }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: new, namespace: data }
spec:
  selector: { matchLabels: { shop: yes, version: new } }
  template:
    metadata: { labels: { shop: \"yes\", version: new } }
    spec: { containers: [{ name: c, image: i }] }
---
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: data }
spec: { selector: { shop: \"yes\" }, ports: [{ port: 80, targetPort: 8080 }] }
";

fn asked(policy: &str, from: &str, to: &str, more: &[&str]) -> Run {
    let here = folder(&[("a.netpol", policy), ("cluster.yaml", &CLUSTER.replace("shop: yes,", "shop: \"yes\","))]);
    let arguments = ["eval", "a.netpol", "--inventory", "cluster.yaml", "--from", from, "--to", to];
    netpol(here.path(), &[&arguments, more].concat())
}

#[test]
fn two_pods_of_a_workload_are_two() {
    let policy = "default deny data/*\n";
    let code = |from: &str, to: &str| {
        let run = asked(policy, from, to, &[]);
        assert!(run.code < 2, "{from} {to}: {}", run.err);
        run.code
    };
    // Replicas that talk to each other need a rule, by whatever words they are asked for.
    assert_eq!(code("data/pg", "data/pg:5432"), 1);
    assert_eq!(code("data/{app=pg}", "data/{app=pg}:5432"), 1);
    assert_eq!(code("data/pg", "data/pg-rw:6000"), 1);
    assert_eq!(code("data/pg", "10.96.0.9:6000"), 1);
    assert_eq!(code("data/*", "data/*:5432"), 1);
    assert_eq!(code("data/pg-0", "data/pg-1:5432"), 1);
    // One Pod reaches itself by its own address, and not by way of its Service.
    assert_eq!(code("data/pg-0", "data/pg-0:5432"), 0);
    assert_eq!(code("data/pg-0", "10.1.0.10:5432"), 0);
    assert_eq!(code("10.1.0.10", "10.1.0.10:5432"), 0);
    assert_eq!(code("data/pg-0", "data/pg-rw:6000"), 1);
    // Nor does anything that is made up.
    let here = folder(&[("a.netpol", policy)]);
    for party in ["data/web", "data/{app=web}", "data/@web"] {
        let to = format!("{party}:8080");
        assert_eq!(netpol(here.path(), &["eval", "a.netpol", "--from", party, "--to", &to]).code, 1, "{party}");
    }
    let stated = "service data/web { select {app=web} port 80 -> 8080 }\ndefault deny data/*\n";
    let here = folder(&[("a.netpol", stated)]);
    assert_eq!(netpol(here.path(), &["eval", "a.netpol", "--from", "data/{app=web}", "--to", "data/web:80"]).code, 1);
}

#[test]
fn what_stands_for_several_workloads_is_answered_for_each() {
    let policy = "default deny ingress data/*
allow ingress data/pg -> data/{version=old}:8080
";
    let run = asked(policy, "data/pg", "data/shop:80", &[]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(run.out, @r"
    denied    data/pg -> data/shop:80 (pod data/new, port 8080/tcp)   ingress denied: a.netpol:1 isolates data/new, and no rule allows this
    allowed   data/pg -> data/shop:80 (pod data/old, port 8080/tcp)   ingress allowed by a.netpol:2   allow ingress data/pg -> data/{version=old}:8080
    ");
    let run = asked(policy, "data/pg", "data/{shop=yes}:8080", &["--format", "json"]);
    let value: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, value["verdict"].as_str()), (1, Some("deny")));
    let each = value["answers"].as_array().unwrap();
    let told: Vec<_> = each.iter().map(|it| (it["to"].as_str().unwrap(), it["verdict"].as_str().unwrap())).collect();
    assert_eq!(told, [("data/new:8080", "deny"), ("data/old:8080", "allow")]);
    assert_eq!(value["reasons"], each[0]["reasons"]);
    // Where every one is allowed, so is the whole; the Pods of one workload are one answer where they are alike.
    let open = "allow ingress data/* -> data/{shop=yes}:8080\n";
    assert_eq!(asked(open, "data/*", "data/shop:80", &[]).code, 0);
    let run = asked(open, "data/{app=pg}", "data/pg-rw:6000", &[]);
    assert_eq!(run.out.lines().next(), Some("allowed   data/{app=pg} -> data/pg-rw:6000 (pod data/pg, port 5432/tcp)"));
    // … and told apart where they are not.
    let policy = "deny ingress data/old -> data/{statefulset.kubernetes.io/pod-name=pg-1}\n";
    let run = asked(policy, "data/old", "data/pg-rw:6000", &[]);
    assert_eq!((run.code, run.out.lines().count()), (1, 2), "{}", run.out);
    assert!(run.out.lines().any(|line| line.starts_with("denied") && line.contains("data/pg-1")), "{}", run.out);
    let here = folder(&[("a.netpol", policy)]);
    let run = netpol(here.path(), &["eval", "a.netpol", "--from", "data/*", "--to", "data/old:1"]);
    assert!(run.code == 2 && run.err.contains("without an inventory none is known"), "{}", run.err);
}

#[test]
fn a_name_that_nothing_knows_is_an_error_or_a_stated_assumption() {
    let policy = "default deny ingress data/*\n";
    for (from, to, message) in [
        ("data/pgg", "data/pg:1", "no workload, Service or Pod `data/pgg`; did you mean `data/pg`?"),
        (
            "data/zebra",
            "data/pg:1",
            "`data/zebra`; it has `data/new`, `data/old`, `data/pg`, `data/pg-rw`, `data/shop`",
        ),
        ("dta/pg", "data/pg:1", "no namespace `dta`; did you mean `data`?"),
        ("data/old", "data/pg-rw:80", "no such port; it sends postgres (6000) to `sql`, metrics (9187) to 9187"),
        ("data/old", "data/pg:sq", "data/pg has no tcp port named `sq`; did you mean `sql`?"),
        ("data/old", "pg-rw.data:6000", "is a Service of the cluster; ask for `data/pg-rw`"),
        ("data/old", "pg-rw.data.svc.cluster.local:6000", "is a Service of the cluster; ask for `data/pg-rw`"),
        ("data/old", "pg-0.pg.data.svc:5432", "is a pod of the cluster; ask for `data/pg-0`"),
        ("data/old", "kubernetes.default.svc:443", "is the API server, and its address is not known"),
    ] {
        let run = asked(policy, from, to, &[]);
        assert!(run.code == 2 && run.err.contains(message), "{from} {to}: {}{}", run.out, run.err);
    }
    // No Service has that name, so it is a host outside.
    assert_eq!(asked(policy, "data/old", "pg.data:5432", &[]).code, 0);
    let run = asked(policy, "data/old", "data/{version=odl}:5432", &[]);
    insta::assert_snapshot!(run.out, @r"
    denied    data/old -> data/{version=odl}:5432
      egress   allowed: no rule isolates data/old
      ingress  denied: a.netpol:1 isolates data/{version=odl}, and no rule allows this
      assumed: a pod labelled version=odl and nothing else; the inventory has none; data/old has `version=old`
    ");
    let here = folder(&[("a.netpol", policy)]);
    let run = netpol(here.path(), &["eval", "a.netpol", "--from", "shop/web", "--to", "data/pg:5432"]);
    insta::assert_snapshot!(run.out, @r"
    denied    shop/web -> data/pg:5432
      egress   allowed: no rule isolates shop/web
      ingress  denied: a.netpol:1 isolates data/pg, and no rule allows this
      assumed: pods labelled app.kubernetes.io/name=web for shop/web
      assumed: pods labelled app.kubernetes.io/name=pg for data/pg
    ");
    let flow = br#"{"from":"shop/{app=web}","to":"data/pg:5432"}"#;
    let run = netpol_with(here.path(), &["eval", "a.netpol", "--flows", "-"], flow);
    let value: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(value["assumed"][0], "pods labelled app.kubernetes.io/name=pg for data/pg");
}

#[test]
fn an_account_that_nothing_tells_is_said() {
    let policy = "workload shop/web { labels { app = web } }
workload shop/api { labels { app = api }  account api }
default deny ingress data/*
allow ingress shop/@web -> data/{app=pg}:5432
";
    let here = folder(&[("a.netpol", policy)]);
    let said = |from: &str| -> Vec<String> {
        let run = netpol(here.path(), &["eval", "a.netpol", "--from", from, "--to", "data/{app=pg}:5432"]);
        let lines = run.out.lines().filter_map(|line| line.trim().strip_prefix("assumed: "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        said("shop/web"),
        ["shop/web runs as none of the accounts that rules name; its declaration says no `account`"]
    );
    assert_eq!(said("shop/api"), Vec::<String>::new());
    assert_eq!(said("shop/{app=other}"), ["shop/{app=other} runs as the account `default`"]);
    assert_eq!(said("shop/@web"), ["a pod without labels for shop/@web"]);
    // Where no rule asks for an account, none is told.
    assert_eq!(said("lab/{app=tool}"), Vec::<String>::new());
    let run = asked("default deny ingress data/*\n", "data/@ghost", "data/pg:5432", &[]);
    assert!(run.code == 2 && run.err.contains("the inventory has no ServiceAccount `data/ghost`"), "{}", run.err);
}

#[test]
fn what_a_rule_asks_for_and_nobody_told_is_said() {
    let policy = "allow ingress data/old -> data/{version=new}:8080/http where method GET where path \"/api/**\"
allow ingress data/* -> data/pg:5432
deny ingress data/old -> data/pg:5432/http where path \"/admin/**\"
";
    let run = asked(policy, "data/old", "data/new:8080", &["--path", "/api/x"]);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(run.out, @r#"
    denied    data/old -> data/new:8080
      egress   allowed: no rule isolates data/old
      ingress  denied: a.netpol:1 isolates data/new, and no rule allows this
      nearest  a.netpol:1   allow ingress data/old -> data/{version=new}:8080/http where method GET where path "/api/**"
      unknown  --method, for a.netpol:1   allow ingress data/old -> data/{version=new}:8080/http where method GET where path "/api/**"
    "#);
    // Also where a deny hangs on it; and not where it could not matter.
    let run = asked(policy, "data/old", "data/pg:5432", &[]);
    assert!(run.code == 0 && run.out.contains("unknown  --path, for a.netpol:3"), "{}", run.out);
    let run = asked(policy, "data/old", "data/new:8080", &["--path", "/other"]);
    assert!(run.code == 1 && !run.out.contains("unknown"), "{}", run.out);
    let run = asked(policy, "data/old", "data/new:8080", &["--format", "json"]);
    let value: Value = serde_json::from_str(&run.out).unwrap();
    let unknown = value["reasons"].as_array().unwrap().iter().find(|reason| reason["effect"] == "unknown").unwrap();
    assert_eq!(unknown["unknown"], serde_json::json!(["method", "path"]));
}

#[test]
fn a_public_host_is_asked_for_by_a_clients_address() {
    let policy = "use std/istio (ingress-gateway)
allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"shop.example.com\" where method GET
";
    let here = folder(&[("a.netpol", policy)]);
    let ask = |from: &str, to: &str, more: &[&str]| {
        netpol(here.path(), &[&["eval", "a.netpol", "--from", from, "--to", to], more].concat())
    };
    let get = ["--method", "GET"];
    for (from, more, code) in [
        ("203.0.113.8", &get[..], 0),
        ("203.0.113.8", &["--method", "POST"], 1),
        ("203.0.113.8", &[], 1),
        ("198.51.100.1", &get, 1),
    ] {
        let run = ask(from, "shop.example.com:80", more);
        assert_eq!(run.code, code, "{from} {more:?}: {}{}", run.out, run.err);
    }
    let run = ask("198.51.100.1", "shop.example.com:80", &get);
    let gateway = run.out.lines().find(|line| line.starts_with("  gateway ")).unwrap();
    assert!(gateway.contains("denied: a.netpol:2"), "{}", run.out);
    let run = ask("203.0.113.8", "shop.example.com:81", &get);
    assert!(run.code == 2 && run.err.contains("has the ports 80, 443 and no other"), "{}", run.err);
    let run = ask("203.0.113.8", "shopp.example.com:80", &get);
    assert!(run.code == 2 && run.err.contains("did you mean `shop.example.com`?"), "{}", run.err);
    // What asks for a host of no rule passes the gateway as before, and where it leads is not known.
    let run = ask("198.51.100.1", "shop.example.com:80", &["--host", "other.example.com"]);
    assert!(run.code == 0 && !run.out.contains("garden"), "{}", run.out);
}

#[test]
fn layers_say_what_they_let_through_and_refuse() {
    let host = "allow egress garden/* -> zenquotes.io:443\n";
    let fixed = "let m = host metadata.example.internal at 198.51.100.10\nallow egress garden/* -> m:80\n";
    let ask = |policy: &str, to: &str, more: &[&str]| {
        let here = folder(&[("a.netpol", policy)]);
        let arguments = ["eval", "a.netpol", "--layers", "--format", "json", "--from", "garden/{app=x}", "--to", to];
        let run = netpol(here.path(), &[&arguments, more].concat());
        let value: Value = serde_json::from_str(&run.out).unwrap();
        let layers = value["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["does"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // NetworkPolicy knows addresses, not names.
    assert_eq!(ask(host, "203.0.113.9:443", &[]), ["passes", "stops-well-behaved"]);
    assert_eq!(ask(host, "zenquotes.io:443", &[]), ["passes", "passes"]);
    // Istio sees TCP alone.
    assert_eq!(ask(host, "lab/{app=y}:53/udp", &[]), ["stops", "passes"]);
    // A host with `at` is found by its name where the port shows one.
    let names = ["--host", "metadata.example.internal"];
    assert_eq!(ask(fixed, "198.51.100.10:80", &[]), ["passes", "may-refuse"]);
    assert_eq!(ask(fixed, "198.51.100.10:80", &["--host", "198.51.100.10"]), ["passes", "refuses"]);
    assert_eq!(ask(fixed, "198.51.100.10:80", &names), ["passes", "passes"]);
    assert_eq!(ask(fixed, "metadata.example.internal:80", &[]), ["passes", "passes"]);
    let here = folder(&[("a.netpol", host)]);
    let run = netpol(here.path(), &["eval", "a.netpol", "--layers", "--from", "garden/x", "--to", "203.0.113.9:443"]);
    insta::assert_snapshot!(run.out, @r"
    denied    garden/x -> 203.0.113.9:443
      egress   denied: a.netpol:1 isolates garden/x, and no rule allows this
      ingress  not judged: 203.0.113.9 is no pod
      layer    networkpolicy lets it through: any public address :443
      layer    istio stops it, unless a pod avoids its sidecar: a pod that avoids its sidecar is not stopped
      assumed: pods labelled app.kubernetes.io/name=x for garden/x
    ");
    let flow = br#"{"from":"garden/{app=x}","to":"203.0.113.9:443"}"#;
    let run = netpol_with(here.path(), &["eval", "a.netpol", "--layers", "--flows", "-"], flow);
    let value: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(value["layers"][0]["layer"], "networkpolicy");
}
