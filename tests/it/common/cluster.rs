//! Manifests of small clusters.

/// The manifests of a cluster, to which one is added after the other.
#[derive(Clone, Default)]
pub struct Cluster {
    manifests: Vec<String>,
}

impl Cluster {
    /// Adds a namespace with labels, such as `istio-injection: enabled`.
    pub fn namespace(mut self, name: &str, labels: &str) -> Cluster {
        let manifest =
            format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}, labels: {{ {labels} }} }}\n");
        self.manifests.push(manifest);
        self
    }

    /// Adds a Deployment `namespace/name`, whose pods have its name as their label `app`, and a container with ports,
    /// such as `{ name: http, containerPort: 8080 }`.
    pub fn deployment(self, place: &str, ports: &str) -> Cluster {
        self.deployment_with(place, "", "", ports)
    }

    /// Adds a Deployment whose pods have other labels beside `app`, and annotations.
    pub fn deployment_with(mut self, place: &str, labels: &str, annotations: &str, ports: &str) -> Cluster {
        let (namespace, name) = place.split_once('/').unwrap();
        self.manifests.push(format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name}, {labels} }}, annotations: {{ {annotations} }} }}
    spec: {{ containers: [{{ name: c, image: i, ports: [{ports}] }}] }}
"
        ));
        self
    }

    /// Adds a Service for the pods of a Deployment of its name, with ports such as `{ port: 80, targetPort: 8080 }`.
    pub fn service(mut self, place: &str, ports: &str) -> Cluster {
        let (namespace, name) = place.split_once('/').unwrap();
        self.manifests.push(format!(
            "apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: {namespace} }}
spec: {{ selector: {{ app: {name} }}, ports: [{ports}] }}
"
        ));
        self
    }

    /// Returns the manifests as one text.
    pub fn text(&self) -> String {
        self.manifests.join("---\n")
    }
}
