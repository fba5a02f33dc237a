"""Requests through a mesh, each with the flows that the evaluator is asked about."""

import re
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from world import Pod, Service

# The host outside whose certificate has another name.
LIAR = "liar.zen.example"
# How a rule's text names pods: a namespace, labels or `*` in front of a slash, and behind it no prefix length.
PODS = re.compile(r'[\w*}"]/[a-z*@{"]')

# Servers at private addresses, by the names that policies give to their hosts.
PRIVATE = {"intern"}


@dataclass
class Ask:
    """A request, and who may answer it.

    `reaches` has for each answerer the flows that must all be allowed for that, and those without which it need not
    answer. An `optional` request goes a way that the policy does not promise at all. `let_name` is the name that policies
    give to a host at a private address: the evaluator looks for other hosts among the public ones.
    """
    caller: str
    request: dict
    reaches: list
    text: str
    kind: str
    source: Pod = None
    target: Pod = None
    headless: bool = False
    optional: bool = False
    let_name: str = ""
    answer: dict = field(default_factory=dict)
    verdicts: list = field(default_factory=list)

    def may(self, sure: bool = False) -> set:
        """Returns who may answer; if `sure`, without those who are where a deny names their address."""
        return {by for (by, flows, _), verdicts in zip(self.reaches, self.verdicts)
                if all(verdict["verdict"] == "allow" and self.is_about(flow, verdict)
                       for flow, verdict in zip(flows, verdicts))
                and not (sure and any(reason["effect"] == "deny" for verdict in verdicts[len(flows):]
                                      for reason in verdict["reasons"]))}

    def is_about(self, flow: dict, verdict: dict) -> bool:
        """Whether a verdict is about the place of a flow: a host at a private address is allowed by its name alone."""
        allows = [reason["rule"] for reason in verdict["reasons"] if reason["effect"] == "allow"]
        by_address = not self.let_name or flow["to"][0].isdigit()
        return by_address or not allows or any(re.search(rf"\b{self.let_name}\b", rule) for rule in allows)

    def lied_to(self) -> bool:
        """Whether the mesh opens TLS for the request, to a host whose certificate has another name."""
        host = self.request.get("headers", {}).get("host")
        return host == LIAR and self.request["port"] == 80 and any(
            "liar:80" in (reason["rule"] or "") for reason in self.reasons("egress", ("allow",)))

    def agrees(self) -> bool:
        """Whether the mesh did what the policy says."""
        by = self.answer["by"]
        if self.lied_to():
            return by is None
        return by in self.may() or by is None and (self.optional or not self.may(sure=True))

    def reasons(self, direction: str = "", effects: tuple = ()) -> list:
        """Returns the reasons of all verdicts, or those of one direction or effect."""
        return [reason for verdicts in self.verdicts for verdict in verdicts for reason in verdict["reasons"]
                if direction in ("", reason.get("direction")) and (not effects or reason["effect"] in effects)]

    def ends(self, *effects: str) -> set:
        """Returns the directions in which some verdict has one of these effects."""
        return {reason["direction"] for reason in self.reasons(effects=effects) if "direction" in reason}

    def names_pods(self, reason: dict) -> bool:
        """Whether the rule of a reason at the receiving end names pods as its callers."""
        rule = reason["rule"] or ""
        return bool(PODS.search(rule if "<->" in rule else rule.split("->")[0]))

    def asks_identity(self, reason: dict) -> bool:
        """Whether the rule of a reason at the receiving end is about pods, which are known by their identity."""
        return self.names_pods(reason) or " via " in (reason["rule"] or "")

    def let_in_as_pod(self) -> bool:
        """Whether the gateway, which decides first, lets the caller in by a rule about pods."""
        first = [reason for verdicts in self.verdicts for reason in verdicts[0]["reasons"]]
        return any(reason["effect"] == "allow" and reason.get("direction") == "ingress" and self.names_pods(reason)
                   for reason in first)

    def anonymous(self) -> bool:
        """Whether the request comes without an identity: from a place without a sidecar, or past the Services."""
        return not self.source or not self.source.role or self.kind == "pod"

    def denied_at(self) -> set:
        """Returns the directions that deny."""
        return self.ends("deny", "isolate")


def ports(protocol: str, host: str, more: dict) -> dict:
    """Returns the part of a request that a protocol needs."""
    if protocol in ("http", "grpc"):
        return {"method": "GET", "path": "/", **more, "headers": {"host": host, **more.get("headers", {})}}
    if protocol == "tls":
        return {"tls": host, "method": "GET", "path": "/", "headers": {"host": host}}
    return {}


class Asker:
    """Makes requests in a mesh."""

    def __init__(self, mesh):
        self.mesh, self.asks = mesh, []

    def question(self, caller: str, to: str, port: int, request: dict, claims=None) -> dict:
        """Returns a line for the evaluator."""
        outside = self.mesh.outside.get(caller)
        line = {"from": outside[0] if outside else caller, "to": to, "port": port, "protocol": "tcp"}
        if "method" in request:
            if not request.get("tls"):
                # The evaluator takes paths as the mesh's normalisation leaves them.
                path = urlsplit(urljoin("http://host/", request["path"])).path
                line |= {"method": request["method"], "path": path}
            line["host"] = request.get("tls") or request["headers"]["host"]
            said = {name: value for name, value in request["headers"].items() if name.startswith("x-team")}
            line |= {"headers": said} if said else {}
        return line | ({"jwt": claims} if claims else {})

    def add(self, caller: str, address: str, port: int, request: dict, reaches: list, text: str, kind: str,
            target: Pod = None, let_name: str = ""):
        """Adds a request."""
        outside = self.mesh.outside.get(caller)
        request = {"address": address, "port": port, **request} | ({"source": outside[0]} if outside else {})
        said = " ".join(f"{key}={value}" for key, value in request.items() if key in ("tls", "method", "path", "http2"))
        host = request.get("headers", {}).get("host")
        said += f" host={host}" if host else ""
        world = self.mesh.world
        headless = any(each.address == "None" and target in world.behind(each) for each in world.services)
        self.asks.append(Ask(caller, request, reaches, f"{caller} -> {text} {said}", kind, self.mesh.pods.get(caller),
                             target, headless, let_name=let_name))

    def host(self, caller: str, server: str, name: str, port: int, protocol: str, at: str = "", **more):
        """Asks for an outside host by name, at its address or at that of another server."""
        address, _ = self.mesh.outside[server]
        place, _ = self.mesh.outside[at or server]
        request = ports(protocol, name, more)
        reaches = [(at or server, [self.question(caller, place, port, request)], [])]
        if request or not at:
            # A host by name may be anywhere. Where a deny names the address that it has here, either end is right.
            there = self.question(caller, address, port, request)
            reaches.append((server, [self.question(caller, name, port, request)], [there]))
        if self.mesh.asks_sidecar(caller) and not at and name != address:
            request = {**request, "resolve": name.lower().split(":")[0]}
        self.add(caller, place, port, request, reaches, f"{name} at {place}:{port}", "host" if not at else "forged",
                 let_name=server if server in PRIVATE else "")

    def service(self, caller: str, service: Service, port: dict, claims=None, **more):
        """Asks a Service of the cluster."""
        behind = self.mesh.world.behind(service)
        if not behind or not port["target"] or behind[0].role == "router" or caller == behind[0].key:
            return
        address = behind[0].address if service.address == "None" else service.address
        host = f"{service.name}.{service.namespace}.svc.cluster.local"
        request = ports(port["protocol"], host, more)
        number = port["target"] if service.address == "None" else port["port"]
        question = self.question(caller, service.key, port["port"], request, claims)
        self.add(caller, address, number, request, [(pod.key, [question], []) for pod in behind],
                 f"Service {service.key}:{port['port']}", "service", behind[0])

    def pod(self, caller: str, pod: Pod, port: int, protocol: str, claims=None, **more):
        """Asks a pod by its address."""
        request = ports(protocol, pod.address if protocol == "tls" else f"{pod.address}:{port}", more)
        question = self.question(caller, pod.key, port, request, claims)
        self.add(caller, pod.address, port, request, [(pod.key, [question], [])], f"pod {pod.key}:{port}", "pod", pod)

    def detour(self, caller: str, server: str):
        """Goes to the egress gateway by itself and asks there for a host: round the way that leads through it."""
        gateway = next((pod for pod in self.mesh.world.pods if pod.labels.get("istio") == "egressgateway"), None)
        if gateway is None:
            return
        name = self.mesh.outside[server][1][0]
        request = ports("tls", name, {})
        service = next(each for each in self.mesh.world.services if gateway in self.mesh.world.behind(each))
        for address, port in ((gateway.address, 8443), (service.address, 443)):
            reaches = [(server, [self.question(caller, name, 443, request)], [])]
            self.add(caller, address, port, request, reaches, f"{name} at the egress gateway:{port}", "detour")
            self.asks[-1].optional = True

    def through(self, caller: str, gate: tuple, names: tuple, to: tuple, passed: bool = False, client: str = "",
                claims=None, **more):
        """Asks a gateway's port for a name of TLS, or none, and a host; `to` is the Service and its port to which that
        leads, if anywhere. TLS ends at the gateway, or is `passed` on unread. The gateway takes the caller for `client`
        where a proxy in front of it says so."""
        (gateway, port), (name, host), world = gate, names, self.mesh.world
        request = ports("tls" if passed else "http" if host else "tcp", (passed and name) or host, more)
        asked = {"tls": name} if name is not None else {}
        reaches = []
        if to:
            service = next(each for each in world.services if each.key == to[0])
            outside = self.mesh.outside.get(caller)
            taken_for = {"from": client} if client else {}
            client = client or (outside[0] if outside else self.mesh.pods[caller].address)
            first = self.question(caller, gateway.key, port, request, claims) | asked | taken_for
            then = self.question(gateway.key, *to, request, claims) | {"client": client}
            reaches = [(pod.key, [first, then], []) for pod in world.behind(service)]
        self.add(caller, gateway.address, port, request | asked, reaches, f"gateway {gateway.key}:{port}", "gateway",
                 gateway)
