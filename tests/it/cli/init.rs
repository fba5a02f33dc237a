//! Tests of `init`: what it writes builds, and it overwrites nothing.

use super::{folder, netpol, netpol_with};

const INVENTORY: &str = "
apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Namespace, metadata: { name: shop } }
  - { apiVersion: v1, kind: Namespace, metadata: { name: kube-system } }
  - apiVersion: apps/v1
    kind: Deployment
    metadata: { name: web, namespace: shop }
    spec:
      selector: { matchLabels: { app: web } }
      template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: c, image: i }] } }
  - apiVersion: apps/v1
    kind: DaemonSet
    metadata: { name: aws-node, namespace: kube-system }
    spec:
      selector: { matchLabels: { app: node } }
      template: { metadata: { labels: { app: node } }, spec: { containers: [{ name: c, image: i }] } }
  - apiVersion: apps/v1
    kind: DaemonSet
    metadata: { name: agent, namespace: hosts }
    spec:
      selector: { matchLabels: { app: agent } }
      template: { metadata: { labels: { app: agent } }, spec: { hostNetwork: true, containers: [{ name: c, image: i }] } }
";

#[test]
fn what_init_writes_builds() {
    let here = folder(&[("cluster/all.yaml", INVENTORY)]);
    for (name, arguments) in [
        ("bare", &["init", "bare"][..]),
        ("known", &["init", "known", "--inventory", "cluster"]),
        ("piped", &["init", "piped", "--inventory", "-"]),
    ] {
        let run = netpol_with(here.path(), arguments, INVENTORY.as_bytes());
        assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
        assert!(run.err.contains(&format!("wrote {name}/netpol.toml and {name}/policy.netpol")), "{}", run.err);
        let run = netpol(here.path(), &["build", "--deny-warnings", name]);
        assert_eq!(run.code, 0, "{name}: {}", run.err);
        assert!(run.out.contains("kind: NetworkPolicy"), "{}", run.out);
        assert_eq!(netpol(here.path(), &["fmt", "--check", name]).code, 0);
    }
    let read = |path: &str| std::fs::read_to_string(here.path().join(path)).unwrap();
    let config = read("known/netpol.toml");
    assert!(config.contains("\ninventory = \"../cluster\"\n"), "{config}");
    assert!(config.contains("\nname = \"known\"\n"), "{config}");
    assert!(
        config.contains("\nplatform = \"eks\"\n") && config.contains("\ntargets = [\"networkpolicy\"]\n"),
        "{config}"
    );
    for name in ["known", "piped"] {
        let policy = read(&format!("{name}/policy.netpol"));
        assert!(policy.contains("# In shop: web.\nallow ingress shop/* -> shop/*\n"), "{policy}");
        assert!(!policy.contains("kube-system/*") && !policy.contains("hosts/*"), "{policy}");
    }
}

#[test]
fn init_overwrites_nothing() {
    let here = folder(&[("netpol.toml", "# mine\n"), ("b/policy.netpol", "# mine\n")]);
    for (folder, there) in [(".", "netpol.toml"), ("b", "b/policy.netpol")] {
        let run = netpol(here.path(), &["init", folder]);
        assert_eq!(run.code, 2);
        assert!(run.err.contains("is there already"), "{}", run.err);
        assert_eq!(std::fs::read_to_string(here.path().join(there)).unwrap(), "# mine\n");
    }
    assert!(!here.path().join("policy.netpol").exists() && !here.path().join("b/netpol.toml").exists());
}

#[test]
fn an_inventory_that_cannot_be_read_stops_init() {
    let here = folder(&[("bad.yaml", "kind: [")]);
    assert_eq!(netpol(here.path(), &["init", "x", "--inventory", "bad.yaml"]).code, 1);
    assert_eq!(netpol(here.path(), &["init", "x", "--inventory", "none.yaml"]).code, 2);
    assert!(!here.path().join("x").exists());
}
