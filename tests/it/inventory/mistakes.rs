//! What Kubernetes would refuse is refused, at its line.

use super::{read_files, said};

/// Asserts the findings of a file, a line each.
fn says(text: &str, expected: &str) {
    let (_, diagnostics, sources) = read_files(&[("a.yaml", text)]);
    assert_eq!(said(&diagnostics, &sources), expected, "{text}");
}

#[test]
fn what_is_no_yaml_is_found_and_the_rest_is_read() {
    let text = "\
kind: [
---
apiVersion: v1
kind: Namespace
metadata: { name: garden }
---
a: b: c
---
apiVersion: v1
kind: Namespace
metadata: { name: orchard }
";
    let (inventory, diagnostics, sources) = read_files(&[("a.yaml", text)]);
    assert_eq!(
        said(&diagnostics, &sources),
        "a.yaml:1:7 E0601 this is no YAML: unclosed bracket '['\n\
         a.yaml:7:5 E0601 this is no YAML: mapping values are not allowed in this context"
    );
    assert_eq!(inventory.namespaces.keys().collect::<Vec<_>>(), ["garden", "orchard"]);
}

#[test]
fn templates_are_told_to_be_rendered() {
    for text in
        ["name: {{ .Values.name }}\n", "{{- if .Values.x }}\na: b\n", "apiVersion: v1\nkind: Pod\nmetadata: {{ x }}\n"]
    {
        let (_, diagnostics, _) = read_files(&[("a.yaml", text)]);
        let notes: Vec<_> = diagnostics.iter().flat_map(|d| &d.notes).collect();
        assert!(notes.iter().any(|note| note.contains("helm template")), "{text}: {notes:?}");
    }
}

#[test]
fn documents_that_are_no_objects() {
    says("- a\n- b\n", "a.yaml:1:1 E0603 this is no Kubernetes object: it is a list");
    says("hello\n", "a.yaml:1:1 E0603 this is no Kubernetes object: it is a string");
    says("apiVersion: v1\n", "a.yaml:1:1 E0603 this is no Kubernetes object: it has no `kind`");
    says("\nkind: Pod\n", "a.yaml:2:1 E0603 this is no Kubernetes object: it has no `apiVersion`");
    says(
        "apiVersion: v1\nkind: List\nitems:\n  - 5\n  - kind: Pod\n",
        "a.yaml:4:5 E0603 this is no Kubernetes object: it is a number\n\
         a.yaml:5:5 E0603 this is no Kubernetes object: it has no `apiVersion`",
    );
}

#[test]
fn fields_of_another_kind() {
    says("apiVersion: v1\nkind: 5\n", "a.yaml:2:7 E0604 `kind` must be a string, and `5` is a number");
    says("apiVersion: 1\nkind: Pod\n", "a.yaml:1:13 E0604 `apiVersion` must be a string, and `1` is a number");
    says(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: 5\n",
        "a.yaml:4:9 E0604 `name` must be a string, and `5` is a number",
    );
    says(
        "apiVersion: v1\nkind: Namespace\nmetadata: [name]\n",
        "a.yaml:3:11 E0604 `metadata` must be a mapping, and this is a list",
    );
    says(
        "apiVersion: v1\nkind: Namespace\nmetadata: { name: a, labels: { x: on, y: a, version: 1.10 } }\n",
        "a.yaml:3:35 E0604 `x` must be a string, and `on` is a boolean\n\
         a.yaml:3:39 E0604 Kubernetes takes the key `y` for a boolean\n\
         a.yaml:3:54 E0604 `version` must be a string, and `1.10` is a number",
    );
    says(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec:\n  hostNetwork: 'true'\n  containers: none\n",
        "a.yaml:6:15 E0604 `containers` must be a list, and `none` is a string\n\
         a.yaml:5:16 E0604 `hostNetwork` must be a boolean, and `'true'` is a string",
    );
    says(
        "apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec:\n  ports:\n    - { port: '80' }\n    - 90\n    - { port: 1, targetPort: {} }\n",
        "a.yaml:7:7 E0604 `ports` must be a list of mappings, and `90` is a number\n\
         a.yaml:6:15 E0604 `port` must be a number, and `'80'` is a string\n\
         a.yaml:8:30 E0604 `targetPort` must be a number or a string, and this is a mapping",
    );
    says("? [a]\n: b\n", "a.yaml:1:3 E0604 a key must be a string, and this is a list");
}

#[test]
fn a_string_that_lacks_its_quotes_gets_them() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata: { name: 5 }\n";
    let (_, diagnostics, sources) = read_files(&[("a.yaml", text)]);
    let fix = &diagnostics.iter().next().expect("a finding").fixes[0];
    let edit = &fix.edits[0];
    assert_eq!((sources.slice(edit.span), edit.text.as_str()), ("5", "\"5\""));
}

#[test]
fn fields_that_are_missing() {
    says("apiVersion: v1\nkind: Pod\n", "a.yaml:1:1 E0605 this Pod has no `metadata.name`");
    says("apiVersion: v1\nkind: Pod\nmetadata: { labels: {} }\n", "a.yaml:3:11 E0605 this Pod has no `metadata.name`");
    says(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: garden }\n",
        "a.yaml:3:19 E0605 Deployment garden/web has no `spec`",
    );
    says(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { selector: { matchLabels: { a: b } } }\n",
        "a.yaml:3:19 E0605 Deployment default/web has no `spec.template`",
    );
    says(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { template: { spec: {} } }\n",
        "a.yaml:3:19 E0605 Deployment default/web has no `spec.selector`",
    );
    says(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: web }\nspec: { jobTemplate: { spec: { template: {} } } }\n",
        "a.yaml:3:19 E0605 CronJob default/web has no `spec.jobTemplate.spec.template.spec`",
    );
    says(
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { ports: [{ targetPort: 80 }] }\n",
        "a.yaml:4:17 E0605 a port of Service default/web has no `port`",
    );
    says(
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\n",
        "a.yaml:3:19 E0605 Service default/web has no `spec`",
    );
    says(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ ports: [{ name: a }] }] }\n",
        "a.yaml:4:32 E0605 a container's port has no `containerPort`",
    );
    says(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: { name: a }\nspec:\n  selector: { matchExpressions: [{ key: a }] }\n  template: { spec: {} }\n",
        "a.yaml:5:34 E0605 this requirement has no `operator`",
    );
}

#[test]
fn values_that_kubernetes_refuses() {
    says(
        "apiVersion: v1\nkind: Namespace\nmetadata: { name: Garden.x }\n",
        "a.yaml:3:19 E0606 `Garden.x` is no name of a Namespace",
    );
    says(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a_b, namespace: g.h, labels: { a/b/c: d, e: 'f g' } }\nspec: {}\n",
        "a.yaml:3:19 E0606 `a_b` is no name of a Pod\n\
         a.yaml:3:35 E0606 `g.h` is no name of a Namespace\n\
         a.yaml:3:50 E0606 `a/b/c` is no label key\n\
         a.yaml:3:63 E0606 `f g` is no label value",
    );
    says(
        "apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec:\n  clusterIP: 10.0.0\n  ports:\n    - { port: 65536 }\n    - { port: 80, protocol: tcp }\n    - { port: 80, targetPort: '8080' }\n    - { port: 80, name: a_b }\n",
        "a.yaml:7:15 E0606 `65536` is no port\n\
         a.yaml:8:29 E0606 `tcp` is no protocol of a port\n\
         a.yaml:9:31 E0606 `8080` is no port name\n\
         a.yaml:10:25 E0606 `a_b` is no port name\n\
         a.yaml:5:14 E0606 `10.0.0` is no IP address",
    );
    says(
        "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: { name: a }\nspec:\n  selector:\n    matchExpressions:\n      - { key: a, operator: In, values: [] }\n  template: { spec: {} }\n",
        "a.yaml:7:29 E0606 `In` is no operator for these values",
    );
    says(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ ports: [{ containerPort: 0 }, { containerPort: 1, name: Web }] }] }\nstatus: { podIPs: [{ ip: x }] }\n",
        "a.yaml:4:49 E0606 `0` is no port\n\
         a.yaml:4:80 E0606 `Web` is no port name\n\
         a.yaml:5:26 E0606 `x` is no IP address",
    );
}

#[test]
fn keys_that_stand_twice() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  name: b\n";
    says(text, "a.yaml:5:3 E0607 `name` stands twice in this mapping");
    let many: String = (0..40).map(|at| format!("    k{}: v\n", at % 39)).collect();
    says(
        &format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n{many}"),
        "a.yaml:45:5 E0607 `k0` stands twice in this mapping",
    );
}

#[test]
fn the_same_object_twice_is_fine_and_contradictions_are_not() {
    let service = |port: u16| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{ name: a }}\nspec: {{ ports: [{{ port: {port} }}] }}\n")
    };
    let (_, diagnostics, _) = read_files(&[("a.yaml", &service(80)), ("b.yaml", &service(80))]);
    assert_eq!(diagnostics.iter().len(), 0);
    let (inventory, diagnostics, sources) = read_files(&[("a.yaml", &service(80)), ("b.yaml", &service(81))]);
    assert_eq!(
        said(&diagnostics, &sources),
        "b.yaml:3:19 E0608 Service default/a is stated twice, with different ports"
    );
    let other = &diagnostics.iter().next().expect("a finding").labels[0];
    assert_eq!(sources.place(other.span), "a.yaml:3");
    assert_eq!(inventory.services.len(), 1);
}

#[test]
fn workloads_that_contradict_each_other() {
    let pod = |rest: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: a }}\n{rest}");
    for (rest, difference) in [
        ("spec: { serviceAccountName: x }", "service accounts"),
        ("spec: { hostNetwork: true }", "`hostNetwork`"),
        ("spec: { containers: [{ ports: [{ containerPort: 1 }] }] }", "ports"),
        ("spec: {}\nstatus: { podIP: 10.0.0.1 }", "addresses"),
    ] {
        let text = format!("{}\n---\n{}\n", pod("spec: {}"), pod(rest));
        let (_, diagnostics, _) = read_files(&[("a.yaml", &text)]);
        let message = &diagnostics.iter().next().expect("a finding").message;
        assert!(message.ends_with(&format!("with different {difference}")), "{message}");
    }
    let annotated = "metadata: { name: a, annotations: { traffic.sidecar.istio.io/excludeInboundPorts: \"9000\" } }";
    let other = pod("spec: {}").replace("metadata: { name: a }", annotated);
    let (_, diagnostics, _) = read_files(&[("a.yaml", &format!("{}\n---\n{other}\n", pod("spec: {}")))]);
    let message = &diagnostics.iter().next().expect("a finding").message;
    assert!(message.ends_with("with different annotations for the sidecar"), "{message}");
}

#[test]
fn a_selector_must_match_its_template() {
    let workload = |selector: &str, labels: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  selector: {{ {selector} }}\n  \
             template: {{ metadata: {{ {labels} }}, spec: {{}} }}\n"
        )
    };
    let expected = "a.yaml:5:13 E0609 the selector of Deployment default/web does not match the labels of its own pods";
    says(&workload("matchLabels: { app: web }", "labels: { app: api }"), expected);
    says(&workload("matchLabels: { app: web }", ""), expected);
    says(&workload("", "labels: { app: web }"), expected);
}

#[test]
fn places_in_json_are_right_too() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"items\": [\n\t\t{\n\t\t\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\t\t\"metadata\": { \"name\": 5 }\n\t\t}\n\t],\n\t\"kind\": \"List\"\n}\n";
    says(text, "a.yaml:6:26 E0604 `name` must be a string, and `5` is a number");
}

#[test]
fn a_file_of_mistakes_is_given_up() {
    let text = "kind: Pod\n---\n".repeat(1000);
    let (_, diagnostics, _) = read_files(&[("a.yaml", &text), ("b.yaml", "kind: Pod\n")]);
    assert_eq!(diagnostics.iter().len(), 51);
    let last = diagnostics.iter().nth(49).expect("the last of the first file");
    assert!(last.notes.iter().any(|note| note.contains("read no further")), "{:?}", last.notes);
}
