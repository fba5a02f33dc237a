"""What an inventory's manifests say, as pods that can be run and Services that can be called."""

import json
from dataclasses import dataclass

from app import GREETING

# Ports that every pod listens on, named by manifests or not: what is not declared is judged by a policy too.
EVERYWHERE = {GREETING, 8080, 9999}


@dataclass
class Pod:
    """A pod; `role` is `sidecar`, `router` (a gateway) or nothing for one outside the mesh; `config` is the proxy's."""
    namespace: str
    name: str
    labels: dict
    account: str
    role: str
    ports: dict
    config: dict
    address: str = ""

    @property
    def key(self) -> str:
        """Its name for people, for the evaluator and in answers."""
        return f"{self.namespace}/{self.name}"

    @property
    def id(self) -> str:
        """Its name for the kernel."""
        return f"{self.namespace}.{self.name}"

    def container_ports(self) -> list:
        """Its ports as manifests have them."""
        return [{"containerPort": port} | ({"name": name} if name else {}) for port, name in self.ports.items()]


@dataclass
class Service:
    """A Service; each port has `port`, `target` (the pods' port), `name` and `protocol` (http, grpc, tls, tcp)."""
    namespace: str
    name: str
    selector: dict
    ports: list
    address: str
    manifest: dict

    @property
    def key(self) -> str:
        """Its name for people and for the evaluator."""
        return f"{self.namespace}/{self.name}"


class World:
    """The namespaces, pods and Services of an inventory."""

    def __init__(self, manifests: list):
        self.namespaces = {each["metadata"]["name"]: each["metadata"].get("labels", {})
                           for each in manifests if each["kind"] == "Namespace"}
        self.pods = [pod for each in manifests if (pod := self.pod(each))]
        self.services = [self.service(each) for each in manifests if each["kind"] == "Service"]

    def pod(self, manifest: dict):
        """Returns the pod of a workload, or nothing: istiod is real here, and host-network pods belong to a node."""
        kind, spec = manifest["kind"], manifest.get("spec", {})
        if kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template = manifest if kind == "Pod" else spec.get("template")
        if not template or "spec" not in template or template["spec"].get("hostNetwork"):
            return None
        meta, spec = template.get("metadata", {}), template["spec"]
        labels = dict(meta.get("labels", {}))
        if labels.get("istio") == "pilot":
            return None
        namespace = manifest["metadata"]["namespace"]
        annotations = meta.get("annotations", {})
        ports = {each["containerPort"]: each.get("name", "") for container in spec.get("containers", [])
                 for each in container.get("ports", []) if each.get("protocol", "TCP") == "TCP"}
        wish = labels.get("sidecar.istio.io/inject", annotations.get("sidecar.istio.io/inject"))
        injected = self.namespaces.get(namespace, {}).get("istio-injection") == "enabled"
        if labels.get("istio") in ("ingressgateway", "egressgateway", "edge", "front"):
            role = "router"
        else:
            role = "sidecar" if wish == "true" or injected and wish != "false" else ""
        name = manifest["metadata"]["name"] + ("" if kind == "Pod" else "-0")
        config = json.loads(annotations.get("proxy.istio.io/config", "{}"))
        return Pod(namespace, name, labels, spec.get("serviceAccountName", "default"), role, ports, config)

    def manifests(self) -> list:
        """Returns the pods as a dump of a cluster would show them, with their addresses."""
        return [{
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": pod.namespace, "name": pod.name, "labels": pod.labels, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": pod.name, "controller": True, "uid": pod.id}],
                "annotations": {"sidecar.istio.io/status": "{}"} if pod.role else {}},
            "spec": {"serviceAccountName": pod.account, "containers": [
                {"name": "application", "image": "application",
                 "ports": pod.container_ports()}]},
            "status": {"phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}]},
        } for pod in self.pods]

    def service(self, manifest: dict) -> Service:
        """Returns a Service with its TCP ports, named ones by the pods behind them."""
        spec, meta = manifest["spec"], manifest["metadata"]
        behind = self.selected(meta["namespace"], spec.get("selector", {}))
        ports = []
        for each in spec["ports"]:
            if each.get("protocol", "TCP") != "TCP":
                continue
            target = each.get("targetPort", each["port"])
            if isinstance(target, str):
                target = next((port for pod in behind for port, name in pod.ports.items() if name == target), None)
            name = each.get("name", "")
            word = each.get("appProtocol") or name.split("-")[0]
            protocol = {"http": "http", "http2": "http", "grpc": "grpc", "https": "tls", "tls": "tls"}.get(word, "tcp")
            ports.append({"port": each["port"], "target": target, "name": name, "protocol": protocol})
        address = spec.get("clusterIP", "")
        return Service(meta["namespace"], meta["name"], spec.get("selector", {}), ports, address, manifest)

    def selected(self, namespace: str, selector: dict) -> list:
        """Returns the pods that a Service's selector means."""
        return [pod for pod in self.pods if pod.namespace == namespace and selector
                and all(pod.labels.get(key) == value for key, value in selector.items())]

    def behind(self, service: Service) -> list:
        """Returns the pods of a Service."""
        return self.selected(service.namespace, service.selector)

    def listening(self, pod: Pod) -> list:
        """Returns the ports on which a pod's server listens."""
        targets = [port["target"] for service in self.services if pod in self.behind(service) for port in service.ports]
        return sorted(EVERYWHERE.union(pod.ports, filter(None, targets)))
