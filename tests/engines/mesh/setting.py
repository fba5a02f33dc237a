"""What the live mesh runs in: the world outside, public hosts, and the requests that every policy is asked with."""

import gateways
from cluster import Cluster
from flows import Asker
from mesh import Mesh
from tokens import Signer
from world import Pod

CLUSTER = "tests/engines/mesh/cluster.yaml"
# What is outside: its addresses, its names, and its ports with what is spoken there.
OUTSIDE = {
    "zen": ("198.51.100.10", ["zenquotes.io"], {443: "tls", 80: "http", 5432: "tcp"}),
    "evil": ("198.51.100.66", ["evil.example", "unknown.example"], {443: "tls", 80: "http", 5432: "tcp", 8080: "http"}),
    "wild": ("198.51.100.40", ["a.wild.example", "b.a.wild.example", "wild.example"], {443: "tls", 80: "http"}),
    "db": ("198.51.100.50", ["db.zen.example"], {5432: "tcp"}),
    "mail": ("198.51.100.61", ["mail.zen.example"], {587: "tcp"}),
    "post": ("198.51.100.62", ["post.zen.example"], {587: "tcp"}),
    # The certificate has the first name and not the second.
    "tls": ("198.51.100.60", ["api.zen.example", "liar.zen.example"], {443: "tls", 80: "http"}),
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
# A host at a private address, of which random policies know.
INTERN = {"intern": ("10.100.8.8", ["intern.example"], {443: "tls", 80: "http"})}


def route(host: str, service: str, port: int) -> list:
    """Returns the platform's half of a public host: the way from the ingress gateway to a Service."""
    namespace, name = service.split("/")
    destination = {"host": f"{name}.{namespace}.svc.cluster.local", "port": {"number": port}}
    return [{
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": host.replace(".", "-"), "namespace": "istio-system"},
        "spec": {"hosts": [host], "gateways": ["public"], "http": [{"route": [{"destination": destination}]}]}}]


# Those outside who call.
CLIENTS = ["office", "home", "stranger", "berlin", "store"]
GET = {"method": "GET", "path": "/"}


def start(cluster: Cluster) -> tuple:
    """Returns a mesh with the world outside, and the signer of tokens."""
    mesh, signer = Mesh(cluster), Signer(cluster.folder)
    gateways.certificates(cluster.folder)
    for name, (addresses, hosts, ports) in (OUTSIDE | INTERN).items():
        mesh.add_outside(name, addresses.split(), hosts, list(ports), signer.keys())
    return mesh, signer


def requests(mesh: Mesh, signer: Signer, ways: list, *parts) -> list:
    """Returns the requests of one policy; each part makes some of them, by some ways to ask."""
    asker = Asker(mesh)
    ways = [way_of(way, signer) for way in ways]
    for part in parts:
        part(asker, ways)
    return asker.asks


def inside(servers: dict):
    """Returns the part of the pods: each asks every host outside, Service and pod, and clients outside ask every pod."""
    def ask(asker: Asker, ways: list):
        world = asker.mesh.world
        pods = [pod for pod in world.pods if pod.role != "router"]
        for caller in pods:
            ask_outside(asker, caller.key, servers)
            for service in world.services:
                for port in service.ports:
                    for way in ways if port["protocol"] == "http" else [{}]:
                        asker.service(caller.key, service, port, **way)
        for caller in [*(pod.key for pod in pods), *CLIENTS]:
            for pod in pods:
                ask_pod(asker, caller, pod, ways[:3])
    return ask


def published(public: list):
    """Returns the part of an example's ingress gateway: clients ask for public hosts, also under other names of TLS."""
    forged = {"x-forwarded-for": "163.223.48.163", "x-envoy-external-address": "163.223.48.163"}
    def ask(asker: Asker, ways: list):
        gateway = next((pod for pod in asker.mesh.world.pods if pod.labels.get("istio") == "ingressgateway"), None)
        for host, key, _ in public:
            service = next(each for each in asker.mesh.world.services if each.key == key)
            to = key, service.ports[0]["port"]
            for caller in CLIENTS:
                for way in ways:
                    asker.through(caller, (gateway, 8080), (None, host), to, **way)
                asker.through(caller, (gateway, 8080), (None, f"{host.upper()}:8080"), to)
                asker.through(caller, (gateway, 8080), (None, host), to, **{**ways[-1], "headers": forged})
                for name in dict.fromkeys([host, *(other for other, _, _ in public), "unknown.example.net", ""]):
                    for more in ({}, gateways.HTTP2):
                        asker.through(caller, (gateway, 8443), (name, host), to, **more)
    return ask


def ask_outside(asker: Asker, caller: str, servers: dict):
    """Asks all that is outside, as it is and with forged names, and goes to the egress gateway by itself."""
    for server, (addresses, hosts, ports) in servers.items():
        for port, protocol in ports.items():
            for name in hosts or [addresses.split()[0]]:
                asker.host(caller, server, name, port, protocol)
            if hosts and protocol != "tcp" and server != "evil":
                asker.host(caller, server, hosts[0], port, protocol, at="evil")
    asker.host(caller, "evil", "evil.example", 443, "tls", at="zen")
    asker.host(caller, "zen", "ZENQUOTES.IO:80", 80, "http", at="evil")
    for server in ("zen", "evil", "kyma"):
        asker.detour(caller, server)


def ask_pod(asker: Asker, caller: str, pod: Pod, ways: list):
    """Asks a pod by its address, on all its ports."""
    world = asker.mesh.world
    known = {port["target"]: port["protocol"] for service in world.services if pod in world.behind(service)
             for port in service.ports}
    if pod.key != caller:
        for port in world.listening(pod):
            for way in ways if known.get(port) == "http" and pod.role else [{}]:
                asker.pod(caller, pod, port, known.get(port, "tcp"), **way)


def way_of(way: dict, signer: Signer) -> dict:
    """Returns a way to ask with its token, valid or not."""
    way = dict(way)
    token = way.pop("token", None) or ("claims" in way and signer.token(way["claims"]))
    if not token:
        return way
    # The tokens of `desk` are in a header of their own; where it is another, nobody looks for them there.
    of_desk = way.get("claims", {}).get("iss") == "desk"
    if way.pop("place", None):
        del way["claims"]
        of_desk = False
    header = {"x-jwt": f"Token {token}"} if of_desk else {"authorization": f"Bearer {token}"}
    return way | {"headers": {**way.get("headers", {}), **header}}
