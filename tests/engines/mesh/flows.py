"""Requests through a mesh, what `netpol eval` says of each, and where the two may rightly differ."""

import json
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from world import Pod, Service


@dataclass
class Ask:
    """A request, and who may answer it: `reaches` has for each answerer the flows that must all be allowed for that, and
    those that no deny may name. An `optional` one goes a way that the policy does not promise: nobody need answer it."""
    caller: str
    request: dict
    reaches: list
    text: str
    kind: str
    source: Pod = None
    target: Pod = None
    headless: bool = False
    optional: bool = False
    answer: dict = field(default_factory=dict)
    verdicts: list = field(default_factory=list)

    def may(self) -> set:
        """Returns who may answer."""
        return {by for (by, flows, _), verdicts in zip(self.reaches, self.verdicts)
                if all(verdict["verdict"] == "allow" for verdict in verdicts[:len(flows)])
                and not any(reason["effect"] == "deny" for verdict in verdicts[len(flows):] for reason in verdict["reasons"])}

    def agrees(self) -> bool:
        """Whether the mesh did what the policy says."""
        may, by = self.may(), self.answer["by"]
        return by in may or by is None and (self.optional or not may)

    def reasons(self, direction: str = "", effects: tuple = ()) -> list:
        """Returns the reasons of all verdicts, or those of one direction or effect."""
        return [reason for verdicts in self.verdicts for verdict in verdicts for reason in verdict["reasons"]
                if direction in ("", reason.get("direction")) and (not effects or reason["effect"] in effects)]

    def ends(self, *effects: str) -> set:
        """Returns the directions in which some verdict has one of these effects."""
        return {reason["direction"] for reason in self.reasons(effects=effects) if "direction" in reason}

    def asks_identity(self, reason: dict) -> bool:
        """Whether the rule of a reason at the receiving end is about pods, which are known by their identity."""
        rule = reason["rule"] or ""
        return bool(PODS.search(rule if "<->" in rule else rule.split("->")[0])) or " via " in rule

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
        return line | ({"jwt": claims} if claims else {})

    def add(self, caller: str, address: str, port: int, request: dict, reaches: list, text: str, kind: str, target=None):
        """Adds a request."""
        outside = self.mesh.outside.get(caller)
        request = {"address": address, "port": port, **request} | ({"source": outside[0]} if outside else {})
        said = " ".join(f"{key}={value}" for key, value in request.items() if key in ("tls", "method", "path"))
        host = request.get("headers", {}).get("host")
        said += f" host={host}" if host else ""
        self.asks.append(Ask(caller, request, reaches, f"{caller} -> {text} {said}", kind, self.mesh.pods.get(caller), target,
                             any(each.address == "None" and target in self.mesh.world.behind(each)
                                 for each in self.mesh.world.services)))

    def host(self, caller: str, server: str, name: str, port: int, protocol: str, at: str = "", **more):
        """Asks for an outside host by name, at its address or at that of another server."""
        address, _ = self.mesh.outside[server]
        place, _ = self.mesh.outside[at or server]
        request = ports(protocol, name, more)
        reaches = [(at or server, [self.question(caller, place, port, request)], [])]
        if request or not at:
            # Where a deny names the address at which the host is, the host is not reached there.
            there = self.question(caller, address, port, request)
            reaches.append((server, [self.question(caller, name, port, request)], [there]))
        self.add(caller, place, port, request, reaches, f"{name} at {place}:{port}", "host" if not at else "forged")

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
        request = ports(protocol, f"{pod.address}:{port}", more)
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

    def through(self, caller: str, gateway: Pod, host: str, service: Service, claims=None, **more):
        """Asks for a public host of the cluster at the gateway, which leads to a Service's first port."""
        port, behind = service.ports[0], self.mesh.world.behind(service)
        request = ports("http", host, more)
        first = self.question(caller, gateway.key, 8080, request, claims)
        then = self.question(gateway.key, service.key, port["port"], request, claims)
        self.add(caller, gateway.address, 8080, request, [(pod.key, [first, then], []) for pod in behind],
                 f"gateway {gateway.key}", "gateway", gateway)


# How a rule's text names pods: a namespace, labels or `*` in front of a slash, and behind it no prefix length.
PODS = re.compile(r'[\w*}"]/[a-z*@{"]')


class Seen:
    """What the verdicts on all requests of a policy show together."""

    def __init__(self, asks: list, objects: list):
        inside = [ask for ask in asks if ask.target]
        # Who may reach whom, on some port.
        self.open = {(ask.caller, ask.target.key) for ask in inside if ask.may()}
        # Whose ingress some rule governs, and where one of these is about pods.
        rules = [(ask, reason) for ask in inside for reason in ask.reasons("ingress", ("allow", "deny", "isolate"))]
        self.governed = {ask.target.key for ask, _ in rules}
        self.identified = {ask.target.key for ask, reason in rules if ask.asks_identity(reason)}
        # The wildcards that some ServiceEntry resolves: `.example.com`.
        self.wildcards = tuple(host[1:] for item in objects for host in item["spec"].get("hosts", [])
                               if item["spec"].get("resolution") == "DYNAMIC_DNS")


def refused_without_identity(ask: Ask, seen: Seen) -> bool:
    """Whether a pod that asks for identities refuses a caller that has none, and no rule on addresses lets it in."""
    allows = ask.reasons("ingress", ("allow",))
    return (ask.target is not None and ask.target.role == "sidecar" and ask.target.key in seen.identified and ask.anonymous()
            and not ask.answer["by"] and (not allows or any(map(ask.asks_identity, allows))))


# Where the mesh rightly differs from the meaning of the source: a name, why, and the condition on a request.
KNOWN = [
    ("caller without a sidecar", "its egress is judged by no one",
     lambda ask, seen: ask.source and not ask.source.role and ask.answer["by"] and ask.denied_at() == {"egress"}),
    ("pod without a sidecar", "its ingress is judged by no one",
     lambda ask, seen: ask.target and not ask.target.role and ask.answer["by"] and ask.denied_at() == {"ingress"}),
    ("no sidecar at either end", "neither end is judged",
     lambda ask, seen: ask.source and ask.target and not ask.source.role and not ask.target.role and ask.answer["by"]),
    ("gateway on its way out", "no object of Istio restricts what a gateway sends",
     lambda ask, seen: ask.kind == "gateway" and ask.answer["by"] and ask.denied_at() == {"egress"}),
    ("caller without identity", "where a rule is about pods, nobody comes in without an identity", refused_without_identity),
    ("pod dialled by its address", "egress to pods goes through their Services",
     lambda ask, seen: ask.kind == "pod" and ask.source and ask.source.role == "sidecar" and not ask.answer["by"]
     and "egress" in ask.ends("allow", "grant")),
    ("headless Service", "a Service without an address of its own is let through on all its ports",
     lambda ask, seen: ask.headless and ask.answer["by"] and ask.denied_at() == {"egress"}
     and (ask.caller, ask.target.key) in seen.open),
    ("wildcard host on TLS", "Istio judges it by the AuthorizationPolicies of the caller's own ingress",
     lambda ask, seen: not ask.target and not ask.answer["by"] and ask.caller in seen.governed
     and ask.request.get("tls", "").endswith(seen.wildcards or ("no name",))),
    ("token that is not valid", "such a request is refused, whatever else allows it",
     lambda ask, seen: ask.answer["what"].startswith("HTTP/1.1 401")),
]


class Judge:
    """Compares a mesh with the evaluator, and keeps the counts."""

    def __init__(self, mesh):
        self.mesh = mesh
        self.known, self.wrong, self.seen = {}, [], None
        self.requests = self.passed = self.refused = self.late = self.greeted = self.policies = 0

    def evaluate(self, asks: list, arguments: list):
        """Has `netpol eval` decide every flow of these requests."""
        lines = [json.dumps(flow) for ask in asks for _, flows, spared in ask.reaches for flow in flows + spared]
        distinct = list(dict.fromkeys(lines))
        done = subprocess.run([*map(str, arguments), "--flows", "-"], input="\n".join(distinct), capture_output=True, text=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) != len(distinct):
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")
        verdicts = dict(zip(distinct, answers))
        for line, verdict in verdicts.items():
            if verdict["verdict"] == "error":
                raise RuntimeError(f"{line}: {verdict['message']}")
        for ask in asks:
            ask.verdicts = [[verdicts[json.dumps(flow)] for flow in flows + spared] for _, flows, spared in ask.reaches]

    def send(self, asks: list):
        """Sends requests, several at a time."""
        def one(ask):
            ask.answer = self.mesh.ask(ask.caller, ask.request)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(one, asks))

    def compare(self, name: str, asks: list, arguments: list) -> list:
        """Judges the requests of one policy; returns those that disagree and are not known."""
        self.evaluate(asks, arguments)
        self.send(asks)
        # A proxy may take its last configuration a moment after it acknowledged it.
        self.seen = Seen(asks, self.mesh.applied)
        unsure = [ask for ask in asks if not ask.agrees() and not self.condition(ask)]
        if unsure:
            time.sleep(2)
            self.send(unsure)
            self.late += sum(map(Ask.agrees, unsure))
        wrong = []
        for ask in asks:
            if not ask.agrees():
                condition = self.condition(ask)
                if condition:
                    self.known.setdefault(condition[:2], []).append(f"{name}: {ask.text}: {ask.answer['what']}")
                else:
                    wrong.append(ask)
        passed = sum(bool(ask.answer["by"]) for ask in asks)
        self.policies += 1
        self.requests += len(asks)
        self.passed += passed
        self.refused += len(asks) - passed
        self.greeted += sum(bool(ask.answer["greeting"]) and not ask.answer["by"] for ask in asks)
        print(f"{name}: {len(asks)} requests, {passed} passed, {len(asks) - passed} refused, {len(wrong)} wrong", flush=True)
        if not 0 < passed < len(asks):
            raise RuntimeError(f"{name}: the requests show nothing, since all of them end alike")
        self.wrong += [(name, ask) for ask in wrong]
        return wrong

    def condition(self, ask: Ask):
        """Returns the known difference that a request shows, or nothing."""
        return next((known for known in KNOWN if known[2](ask, self.seen)), None)

    def table(self):
        """Prints the counts, the known differences with a request that showed each, and what is wrong."""
        for (name, why), shown in self.known.items():
            print(f"  known, {len(shown)} requests: {name}: {why}; {shown[0]}")
        shown = {}
        for name, ask in self.wrong:
            shown[name] = shown.get(name, 0) + 1
            if shown[name] > 6:
                continue
            reasons = [reason["message"] for reason in ask.reasons()]
            print(f"  WRONG {name}: {ask.text}: may be answered by {ask.may() or 'nobody'}, was by {ask.answer['by']} "
                  f"({ask.answer['what']}); {'; '.join(dict.fromkeys(reasons))}")
        print(f"mesh: {self.policies} policies, {self.requests} requests, {self.passed} passed, {self.refused} refused, "
              f"{sum(map(len, self.known.values()))} known differences, {self.late} asked twice, "
              f"{self.greeted} greetings heard before a denial, {len(self.wrong)} wrong")
