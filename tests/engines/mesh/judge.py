"""Compares what a mesh did with what `netpol eval` says, and knows where the two rightly differ."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from flows import Ask


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
        # A deny of pods that nobody here is shows in no verdict.
        denies = [item for item in objects if item["spec"].get("action") == "DENY" and "principals" in json.dumps(item)]
        self.identified |= {ask.target.key for ask in inside if any(selects(item, ask.target) for item in denies)}
        # The wildcards that some ServiceEntry resolves: `.example.com`.
        self.wildcards = tuple(host[1:] for item in objects for host in item["spec"].get("hosts", [])
                               if item["spec"].get("resolution") == "DYNAMIC_DNS")


def selects(item: dict, pod) -> bool:
    """Whether an object of the pod's namespace selects a pod."""
    labels = item["spec"].get("selector", {}).get("matchLabels", {})
    return item["metadata"]["namespace"] == pod.namespace and labels.items() <= pod.labels.items()


def refused_without_identity(ask: Ask, seen: Seen) -> bool:
    """Whether a pod that asks for identities refuses a caller that has none, and no rule on addresses lets it in."""
    allows = ask.reasons("ingress", ("allow",))
    asked_for = ask.target is not None and ask.target.role == "sidecar" and ask.target.key in seen.identified
    let_in = allows and not any(map(ask.asks_identity, allows))
    return asked_for and ask.anonymous() and not ask.answer["by"] and not let_in


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
    ("caller without identity", "where a rule is about pods, nobody comes in without an identity",
     refused_without_identity),
    ("pod dialled by its address", "egress to pods goes through their Services",
     lambda ask, seen: ask.kind in ("pod", "gateway") and ask.source and ask.source.role == "sidecar"
     and not ask.answer["by"] and "egress" in ask.ends("allow", "grant")),
    ("pod at a gateway", "a gateway knows its clients by their addresses, and no pod by its identity",
     lambda ask, seen: ask.kind == "gateway" and ask.source and not ask.answer["by"] and ask.let_in_as_pod()),
    ("headless Service", "a Service without an address of its own is let through on all its ports",
     lambda ask, seen: ask.headless and ask.answer["by"] and ask.denied_at() == {"egress"}
     and (ask.caller, ask.target.key) in seen.open),
    ("wildcard host on TLS", "Istio judges it by the AuthorizationPolicies of the caller's own ingress",
     lambda ask, seen: not ask.target and not ask.answer["by"] and ask.caller in seen.governed
     and ask.request.get("tls", "").endswith(seen.wildcards or ("no name",))),
    ("TLS of the pod's own", "where the sidecar opens TLS, it knows the host on the port that pods dial alone",
     lambda ask, seen: not ask.target and not ask.answer["by"] and ask.request.get("tls", "").endswith(".zen.example")
     and any(name in (reason["rule"] or "") for reason in ask.reasons("egress", ("allow",)) for name in ("tls:80", "liar:80"))),
    ("address from another resolver", "a sidecar that answers DNS knows a host by the address that it gave",
     lambda ask, seen: ask.kind == "forged" and not ask.answer["by"] and ask.caller.startswith("lab/")
     and "egress" in ask.ends("allow")),
    ("client past the proxies", "what such a one writes into X-Forwarded-For is not believed",
     lambda ask, seen: ask.kind == "gateway" and not ask.answer["by"] and ask.target.labels.get("istio") == "front"
     and ask.caller == "legacy/plain-0"),
    ("token that is not valid", "such a request is refused, whatever else allows it",
     lambda ask, seen: ask.answer["what"].startswith(("HTTP/1.1 401", "HTTP/2 401"))),
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
        command = [*map(str, arguments), "--flows", "-"]
        done = subprocess.run(command, input="\n".join(distinct), capture_output=True, text=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) != len(distinct):
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr[-2000:]}")
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
        refused = len(asks) - passed
        self.policies += 1
        self.requests += len(asks)
        self.passed += passed
        self.refused += refused
        self.greeted += sum(bool(ask.answer["greeting"]) and not ask.answer["by"] for ask in asks)
        print(f"{name}: {len(asks)} requests, {passed} passed, {refused} refused, {len(wrong)} wrong", flush=True)
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
        known = sum(map(len, self.known.values()))
        print(f"mesh: {self.policies} policies, {self.requests} requests, {self.passed} passed, "
              f"{self.refused} refused, {known} known differences, {self.late} asked twice, "
              f"{self.greeted} greetings heard before a denial, {len(self.wrong)} wrong")
