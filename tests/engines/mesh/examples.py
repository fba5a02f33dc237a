"""The examples that have objects of Istio, in a live mesh with the pods of their inventories."""

import os
import subprocess
import time
from pathlib import Path

import yaml

from cluster import Cluster, documents
from flows import Asker, Judge
from mesh import Mesh
from tokens import Signer
from world import UNDECLARED

CLUSTER = "tests/engines/mesh/cluster.yaml"
# What is outside: its addresses, its names, and its ports with what is spoken there.
OUTSIDE = {
    "zen": ("198.51.100.10", ["zenquotes.io"], {443: "tls", 80: "http", 5432: "tcp"}),
    "evil": ("198.51.100.66", ["evil.example", "unknown.example"], {443: "tls", 80: "http", 5432: "tcp", 8080: "http"}),
    "kyma": ("203.0.113.20", ["kyma-project.io"], {443: "tls"}),
    "payments-api": ("203.0.113.21", ["payments-api.com"], {443: "tls"}),
    "analytics-api": ("203.0.113.22", ["analytics-api.com"], {443: "tls"}),
    "external-db": ("203.0.113.50", ["external-db.internal"], {5432: "tcp"}),
    "legacy-api": ("192.168.1.10 192.168.1.11 192.168.1.12", ["legacy-api.internal"], {8080: "http"}),
    "corporate": ("10.100.7.7", [], {80: "tcp", 443: "tcp", 5432: "tcp"}),
    "keys": ("185.199.108.133", ["raw.githubusercontent.com"], {443: "tls"}),
    "office": ("163.223.48.163", [], {81: "http"}),
    "home": ("223.196.169.244", [], {81: "http"}),
    "stranger": ("8.8.4.9", [], {81: "http"}),
    "cdn": ("198.51.100.30", ["a.cdn.example.net", "b.a.cdn.example.net", "cdn.example.net"], {443: "tls", 80: "http"}),
    "card": ("198.51.100.5", [], {443: "tls"}),
    "card-test": ("198.51.100.70", [], {443: "tls"}),
    "card-closed": ("198.51.100.201", [], {443: "tls"}),
    "bank": ("192.168.40.10 192.168.40.11", ["bank.internal"], {8443: "tcp"}),
    "login": ("198.51.100.200", ["login.example.com"], {443: "tls"}),
    "berlin": ("203.0.113.7", [], {81: "http"}),
    "store": ("10.40.3.3", [], {81: "http"}),
}
ROUTES = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""


def route(host: str, service: str, port: int) -> list:
    """Returns the platform's half of a public host: a gateway, and the way to a Service."""
    namespace, name = service.split("/")
    destination = {"host": f"{name}.{namespace}.svc.cluster.local", "port": {"number": port}}
    return [{
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": host.replace(".", "-"), "namespace": "istio-system"},
        "spec": {"hosts": [host], "gateways": ["public"], "http": [{"route": [{"destination": destination}]}]}}]


# What an example asks beyond the common requests: public hosts as (host, Service, port), and ways to ask by HTTP.
PUBLIC = {
    "kyma/3.2-ingress-cluster": [("garden.example.com", "garden/beautiful-garden", 8080)],
    "kyma/3.3-ingress-namespace": [("garden.example.com", "garden/beautiful-garden", 8080)],
    "kyma/3.4-ingress-workload": [("garden.example.com", "garden/beautiful-garden", 8080),
                                  ("team.example.com", "team-a/web", 80)],
    "kyma/8.1-production": [("garden.example.com", "garden/beautiful-garden", 8080)],
    "kyma/8.2-development": [("garden.example.com", "garden/beautiful-garden", 8080)],
    "istio-networkpolicy/exposure-with-token": [
        ("httpbin.example.com", "my-virtualservice-namespace/httpbin", 8000)],
    "shop": [("shop.example.com", "shop/frontend", 80), ("admin.shop.example.com", "shop/api", 80)],
}
GET = {"method": "GET", "path": "/"}
WAYS = {
    "kyma/3.4-ingress-workload": [GET, *({"path": path} for path in (
        "/api", "/api/x", "/api/x/y?q=1", "/apix", "/public/z", "/api/../admin", "/x/../api/y", "/API/x"))],
    "istio-networkpolicy/exposure-with-token": [
        GET, {"claims": {"iss": "testing@secure.istio.io", "sub": "testing@secure.istio.io"}},
        {"claims": {"iss": "testing@secure.istio.io", "sub": "somebody"}}, {"token": "x.y.z"}],
    "shop": [GET, {"path": "/v1/orders"}, {"method": "POST", "path": "/charges"}, {"path": "/charges"},
             {"method": "POST", "path": "/charges/7/refund"}, {"method": "POST", "path": "/charges/7/8/refund"},
             {"method": "DELETE"}, {"path": "/debug/pprof"}, {"path": "/admin/users"}, {"path": "/admin"},
             {"claims": {"iss": "https://login.example.com", "sub": "a", "groups": ["billing", "x"]}},
             {"claims": {"iss": "https://login.example.com", "sub": "a", "groups": ["x"]}},
             {"method": "POST", "claims": {"iss": "https://login.example.com", "sub": "a", "groups": ["billing"]}}],
}


def folders() -> list:
    """Returns the examples with committed objects of Istio, those of one inventory together."""
    files = subprocess.run(["git", "ls-files", "examples/**/istio.yaml"], check=True, capture_output=True, text=True)
    found = sorted({name.split("/out/")[0] for name in files.stdout.split()})
    return sorted(found, key=lambda folder: (str(inventory(folder)), folder))


def inventory(folder: str) -> str:
    """Returns the inventory of an example, or one with pods for it."""
    return next((str(place / "inventory.yaml") for place in (Path(folder), *Path(folder).parents)
                 if (place / "inventory.yaml").exists()), CLUSTER)


def start(cluster: Cluster) -> tuple:
    """Returns a mesh with the world outside, and the signer of tokens."""
    mesh, signer = Mesh(cluster), Signer(cluster.folder)
    for name, (addresses, hosts, ports) in OUTSIDE.items():
        mesh.add_outside(name, addresses.split(), hosts, list(ports), signer.keys())
    return mesh, signer


def requests(mesh: Mesh, signer: Signer, outside: dict, public: list, ways: list) -> list:
    """Returns the requests of one policy: every caller to every host, Service, pod and public host."""
    asker = Asker(mesh)
    ways = [way_of(way, signer) for way in ways]
    callers = [pod.key for pod in mesh.world.pods if pod.role != "router"]
    for caller in callers:
        for server, (addresses, hosts, ports) in outside.items():
            for port, protocol in ports.items():
                for name in hosts or [addresses]:
                    asker.host(caller, server, name, port, protocol)
                if hosts and protocol != "tcp" and server != "evil":
                    asker.host(caller, server, hosts[0], port, protocol, at="evil")
        if "evil" in outside:
            asker.host(caller, "zen", "evil.example", 443, "tls", at="zen")
            asker.host(caller, "zen", "ZENQUOTES.IO:80", 80, "http", at="evil")
    for caller in [*callers, "office", "home", "stranger", "berlin", "store"]:
        for service in mesh.world.services:
            for port in service.ports:
                if caller in callers and service.name != "istiod":
                    for way in ways if port["protocol"] == "http" else [{}]:
                        asker.service(caller, service, port, **way)
        for pod in mesh.world.pods:
            known = {port["target"]: port["protocol"] for service in mesh.world.services
                     if pod in mesh.world.behind(service) for port in service.ports}
            if pod.role != "router" and pod.key != caller:
                for port in mesh.world.listening(pod):
                    for way in ways if known.get(port) == "http" and pod.role else [{}]:
                        asker.pod(caller, pod, port, known.get(port, "tcp"), **way)
    gateway = next((pod for pod in mesh.world.pods if pod.labels.get("istio") == "ingressgateway"), None)
    forged = {"x-forwarded-for": "163.223.48.163", "x-envoy-external-address": "163.223.48.163"}
    for host, key, _ in public:
        service = next(each for each in mesh.world.services if each.key == key)
        for caller in ["office", "home", "stranger", "berlin", "store"]:
            for way in ways:
                asker.through(caller, gateway, host, service, **way)
            asker.through(caller, gateway, f"{host.upper()}:8080", service)
            asker.through(caller, gateway, host, service, **{**ways[-1], "headers": forged})
    return asker.asks


def way_of(way: dict, signer: Signer) -> dict:
    """Returns a way to ask with its token, valid or not."""
    way = dict(way)
    token = way.pop("token", None) or ("claims" in way and signer.token(way["claims"]))
    return way | ({"headers": {"authorization": f"Bearer {token}"}} if token else {})


def check(cluster: Cluster, *names: str) -> int:
    """Returns 0 if the mesh does in every example what the evaluator says."""
    began = time.monotonic()
    mesh, signer = start(cluster)
    judge, current = Judge(mesh), None
    for folder in folders():
        name = folder.removeprefix("examples/")
        if names and name not in names:
            continue
        if inventory(folder) != current:
            current = inventory(folder)
            mesh.apply([])
            mesh.become(documents(Path(current).read_text()))
        settings = Path(folder, "netpol.toml").read_text()
        mesh.normalize("DECODE_AND_MERGE_SLASHES" if "DECODE_AND_MERGE_SLASHES" in settings else "BASE")
        public = PUBLIC.get(name, [])
        objects = documents(ROUTES) if public else []
        objects += [each for one in public for each in route(*one)]
        for file in sorted(Path(folder, "out").glob("*/istio.yaml")):
            objects += documents(file.read_text())
        mesh.apply(objects)
        asks = requests(mesh, signer, OUTSIDE, public, WAYS.get(name, [GET]))
        judge.compare(name, asks, [os.environ["NETPOL"], "eval", folder, "--inventory", mesh.inventory])
    judge.table()
    print(f"mesh: {time.monotonic() - began:.0f} s")
    return 1 if judge.wrong else 0
