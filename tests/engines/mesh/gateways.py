"""The mesh's ingress gateways: what their ports do with TLS, where a request leads there, and who asks for what."""

import network
from flows import Asker
from world import Pod

# Gateway objects as (object, labels of the pods, servers); a server is (port, protocol, hosts, certificate): HTTPS ends
# TLS, and TLS passes it on. Of several servers on a port the closest name of TLS chooses.
PUBLIC = ("istio-system/public", {"istio": "ingressgateway"}, [
    (8080, "HTTP", ["*"], ""),
    (8443, "HTTPS", ["*.example.com"], "wildcard"),
    (8443, "HTTPS", ["*"], "every"),
])
EDGE = ("edge/edge", {"istio": "edge"}, [
    (8080, "HTTP", ["*"], ""),
    (8443, "HTTPS", ["*.example.com"], "wildcard"),
    (8443, "HTTPS", ["*"], "every"),
    (8443, "TLS", ["pass.example.com", "*.pass.test"], ""),
    (9443, "TLS", ["*"], ""),
    (9000, "TCP", ["*"], ""),
    (5432, "TCP", ["*"], ""),
])
# A gateway behind a proxy that appends its client to X-Forwarded-For: the last address there is the client's.
FRONT = ("edge/front", {"istio": "front"}, [
    (8080, "HTTP", ["*"], ""),
    (8443, "HTTPS", ["*"], "every"),
])
ALL = (PUBLIC, EDGE, FRONT)
# Where names lead: by the host of a request, by the name of TLS that is passed on, and by the port alone.
REQUESTS = {
    "garden.example.com": ("garden/web", 80),
    "team.example.com": ("team-a/web", 80),
    "shop.other.test": ("garden/api", 80),
    "www.other.test": ("garden/web", 80),
}
PASSED = {"pass.example.com": ("garden/web", 8443), "a.pass.test": ("garden/api", 8443)}
PLAIN = {9000: ("garden/web", 9000), 5432: ("shop/db", 5432)}
# The clients: in one list of the policies, in another one, in both, in neither; and pods without a sidecar and with one.
CLIENTS = ["office", "berlin", "stranger", "home", "legacy/plain-0", "lab/job-0"]
HTTP2 = {"http2": True}
# What they say in X-Forwarded-For to be taken for others.
FORGED = ["163.223.48.163", "203.0.113.7"]
# What arrives in X-Forwarded-For behind the proxy; nothing from one that is not asked through the proxy.
APPENDED = ["", "163.223.48.163", "203.0.113.7", "163.223.48.163, 8.8.4.9", "8.8.4.9, 163.223.48.163"]
# The names that TLS asks for; an empty one is none.
NAMES = ["garden.example.com", "team.example.com", "shop.other.test", "pass.example.com", ""]
# What declarations say of the other gateways; the first is that of the standard library.
BLOCK = """gateway edge {
  pods edge/{istio=edge}
  account edge/@edge
  service edge/edge
  port 80 -> 8080/http
  port 443 -> 8443/https
  port 9443 -> 9443/tls
  port 9000/tcp
  port 5432/tcp
}
gateway front {
  pods edge/{istio=front}
  account edge/@front
  service edge/front
  port 80 -> 8080/http
  port 443 -> 8443/https
  proxies 1 from { 163.223.48.163, 8.8.4.0/24 }
}
"""


def certificates(folder):
    """Makes the certificates of the ports that end TLS."""
    for name, subject in (("wildcard", "DNS:*.example.com"), ("every", "DNS:every.invalid")):
        file = folder / f"{name}.crt"
        network.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-keyout", file.with_suffix(".key"), "-out", file, "-addext", f"subjectAltName={subject}")
        # The gateways read them as the proxies' own user.
        file.with_suffix(".key").chmod(0o644)


def objects(folder, gateways=ALL) -> list:
    """Returns the Gateway objects."""
    return [{
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": meta(name),
        "spec": {"selector": labels, "servers": [
            {"port": {"number": port, "name": f"{protocol.lower()}-{port}-{at}", "protocol": protocol}, "hosts": hosts}
            | tls(folder, protocol, certificate) for at, (port, protocol, hosts, certificate) in enumerate(servers)]},
    } for name, labels, servers in gateways]


def meta(key: str) -> dict:
    """Returns the metadata of an object."""
    return dict(zip(("namespace", "name"), key.split("/")))


def tls(folder, protocol: str, certificate: str) -> dict:
    """Returns what a server does with TLS."""
    if protocol == "TLS":
        return {"tls": {"mode": "PASSTHROUGH"}}
    if protocol == "HTTPS":
        file = folder / f"{certificate}.crt"
        return {"tls": {"mode": "SIMPLE", "serverCertificate": str(file), "privateKey": str(file.with_suffix(".key"))}}
    return {}


def routes() -> list:
    """Returns the VirtualServices that lead what the gateways take to Services."""
    def destination(service, port):
        namespace, name = service.split("/")
        return [{"destination": {"host": f"{name}.{namespace}.svc.cluster.local", "port": {"number": port}}}]
    specs = {host: {"hosts": [host], "http": [{"route": destination(*to)}]} for host, to in REQUESTS.items()}
    specs |= {host: {"hosts": [host], "tls": [{"match": [{"sniHosts": [host]}], "route": destination(*to)}]}
              for host, to in PASSED.items()}
    specs["plain"] = {"hosts": ["*"], "tcp": [{"match": [{"port": port}], "route": destination(*to)}
                                              for port, to in PLAIN.items()]}
    return [{
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name.replace(".", "-"), "namespace": "edge"},
        "spec": spec | {"gateways": [gateway[0] for gateway in ALL]}} for name, spec in specs.items()]


def covers(hosts: list, name: str) -> int:
    """Returns how closely a server's hosts name a host; 0 is not at all."""
    fits = [host for host in hosts
            if host in ("*", name) or host.startswith("*.") and name.endswith(host[1:])]
    return max((1000 if host == name else len(host) for host in fits), default=0)


def leads(servers: list, port: int, name: str, host: str) -> tuple:
    """Returns whether TLS is passed on, and the Service and its port to which a request leads, or nothing; `name` is
    what TLS asks for."""
    here = [server for server in servers if server[0] == port]
    _, protocol, hosts, _ = max(here, key=lambda server: covers(server[2], name))
    if protocol == "TCP":
        return False, PLAIN[port]
    if protocol == "TLS":
        return True, PASSED.get(name)
    return False, REQUESTS.get(host) if covers(hosts, host) else None


def ask(asker: Asker, ways: list):
    """Asks every gateway on every port, with every pairing of names and hosts, and with every way to ask."""
    for _, labels, servers in ALL:
        gateway = next(pod for pod in asker.mesh.world.pods if labels.items() <= pod.labels.items())
        if labels == FRONT[1]:
            ask_behind_proxy(asker, gateway, servers, ways)
            continue
        for port in dict.fromkeys(server[0] for server in servers):
            protocols = {server[1] for server in servers if server[0] == port}
            for caller in CLIENTS:
                ask_port(asker, caller, gateway, (servers, port, protocols), ways)
    # Pods that call a workload with the address of a client which a gateway would have forwarded.
    world = asker.mesh.world
    for caller in ("shop/cart-0", "legacy/plain-0"):
        for service in (each for each in world.services if (each.key, 80) in REQUESTS.values()):
            port = next(port for port in service.ports if port["port"] == 80)
            for way in ways:
                for forged in FORGED:
                    headers = {**way.get("headers", {}), "x-forwarded-for": forged}
                    asker.service(caller, service, port, **{**way, "headers": headers})


def ask_behind_proxy(asker: Asker, gateway: Pod, servers: list, ways: list):
    """Asks a gateway behind a proxy for hosts, with what the proxy and others appended to X-Forwarded-For."""
    for caller in ("office", "stranger", "legacy/plain-0"):
        for port in (8080, 8443):
            for host in REQUESTS:
                name = host if port == 8443 else None
                _, to = leads(servers, port, name or "", host)
                for appended in APPENDED:
                    headers = {"x-forwarded-for": appended} if appended else {}
                    for way in ways[:3]:
                        way = {**way, "headers": {**way.get("headers", {}), **headers}}
                        asker.through(caller, (gateway, port), (name, host), to, client=appended.split(", ")[-1], **way)


def ask_port(asker: Asker, caller: str, gateway: Pod, where: tuple, ways: list):
    """Has a client ask a port of a gateway."""
    servers, port, protocols = where
    def through(name, host, **more):
        passed, to = leads(servers, port, name or "", host.lower().split(":")[0])
        asker.through(caller, (gateway, port), (name, host), to, passed, **more)
    if "TCP" in protocols:
        through(None, "")
    elif protocols == {"TLS"}:
        for name in [*PASSED, *NAMES]:
            through(name, next(iter(REQUESTS)))
    else:
        for host in REQUESTS:
            for name in NAMES if "HTTPS" in protocols else [None]:
                for more in ({}, HTTP2):
                    through(name, host, **more)
            own = host if "HTTPS" in protocols else None
            for at, way in enumerate(ways[1:]):
                through(own, host, **(HTTP2 if at % 2 else {}), **way)
            for forged in FORGED:
                headers = {**ways[2].get("headers", {}), "x-forwarded-for": forged, "x-envoy-external-address": forged}
                through(own, host, **{**ways[2], "headers": headers})
            through(own, f"{host.upper()}:{port}")
        if "TLS" in protocols:
            through("a.pass.test", next(iter(REQUESTS)))
