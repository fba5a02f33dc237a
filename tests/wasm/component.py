"""Asks a component and a core module of the same policy about the same random flows: `component.py COMPONENT CORE COUNT`. The
answers must be the same, verdict, causes and rules."""

import json
import random
import struct
import sys

from wasmtime import Instance, Module, Store
from wasmtime.component import Component, Linker, Record, Variant

CAUSES = ["no-pod", "itself", "not-isolated", "allowed", "granted", "denied", "isolated"]
VERDICTS = ["denied", "allowed", "told"]
NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1}


class Core:
    """A host of the core module (docs/wasm-abi.md)."""

    def __init__(self, folder):
        self.store = Store()
        instance = Instance(self.store, Module.from_file(self.store.engine, f"{folder}/policy.wasm"), [])
        self.exports = instance.exports(self.store)
        with open(f"{folder}/policy.rules.json") as file:
            self.told = json.load(file)

    def decide(self, flow):
        text = json.dumps(flow).encode()
        at = self.exports["buffer"](self.store, len(text))
        self.exports["memory"].write(self.store, text, at)
        verdict = self.exports["decide_text"](self.store, at, len(text))
        if verdict < 0:
            return "error"
        at = self.exports["verdict"](self.store)
        word, *by = struct.unpack("<iii", self.exports["memory"].read(self.store, at, at + 12))
        ends = []
        for cause, number in zip((word >> 8 & 255, word >> 16 & 255), by):
            kind = "grants" if cause == 4 else "rules"
            ends.append((CAUSES[cause], self.told[kind][number] if number >= 0 else None))
        return VERDICTS[verdict], *ends


class Typed:
    """A host of the component."""

    def __init__(self, folder):
        self.store = Store()
        component = Component.from_file(self.store.engine, f"{folder}/policy.wasm")
        instance = Linker(self.store.engine).instantiate(self.store, component)
        decisions = instance.get_export_index(self.store, "netpol:policy/decisions@1.0.0")
        self.function = instance.get_func(self.store, instance.get_export_index(self.store, "decide", decisions))

    def decide(self, flow):
        keys = ["method", "path", "host", "tls", "client"]
        request = record(**{key: flow.get(key) for key in keys}, headers=list(flow.get("headers", {}).items()),
                         jwt=json.dumps(flow["jwt"]) if "jwt" in flow else None)  # fmt: skip
        told = record(source=party(flow["from"]), destination=party(flow["to"]), protocol=flow["protocol"],
                      port=flow.get("port", 0), request=request)  # fmt: skip
        answer = self.function(self.store, told)
        self.function.post_return(self.store)
        if isinstance(answer, str):
            return "error"
        ends = [(end.cause, json.loads(end.by) if end.by else None) for end in (answer.egress, answer.ingress)]
        return answer.verdict, *ends


def record(**fields):
    made = Record()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def party(value):
    if "address" in value:
        return Variant("address", value["address"])
    if "host" in value:
        return Variant("host", record(name=value["host"], at=value.get("at")))
    labels = value.get("namespaceLabels")
    ports = [record(name=port.get("name"), port=port["port"], protocol=port["protocol"]) for port in value["ports"]]
    fields = {"namespace-labels": list(labels.items()) if labels is not None else None}
    fields |= {key: value.get(key) for key in ("account", "name")}
    fields |= {"labels": list(value["labels"].items()), "ports": ports, "sidecar": value["sidecar"]}
    return Variant("pod", record(namespace=value["namespace"], **fields))


def drawn_pod(pick):
    labels = {"app": pick(["web", "api"]), "tier": pick(["a", "c"]), "canary": "yes"}
    pod = {"namespace": pick(["garden", "shop"]), "sidecar": pick([True, False])}
    pod["labels"] = {key: value for key, value in labels.items() if pick([True, True, False])}
    pod["ports"] = pick([[], [{"name": "metrics", "port": 9090, "protocol": "tcp"}], [{"port": 9090, "protocol": "udp"}]])
    more = {"namespaceLabels": {"env": "prod"}, "account": pick(["cart", "api"]), "name": "one"}
    return pod | {key: value for key, value in more.items() if pick([True, False])}


def drawn(pick):
    hosts = [{"host": "db.example"}, {"host": "db.example", "at": ["192.0.2.10/32"]}, {"host": "a.example.com"}]
    others = [{"address": "203.0.113.7"}, {"address": "2001:db8::10"}, {"address": "none"}, *hosts]
    flow = {"from": drawn_pod(pick), "to": pick([drawn_pod(pick), drawn_pod(pick), pick(others)])}
    flow["protocol"] = pick(["tcp"] * 6 + ["udp", "sctp", "icmp"])
    if flow["protocol"] != "icmp":
        flow["port"] = pick([8080, 9090, 53, 5432, 443, 22])
    request = {
        "method": pick(["GET", "PUT"]),
        "path": pick(["/api/a", "/api/x", "/"]),
        "host": "a.example.com",
        "tls": "b.example.com",
        "client": "203.0.113.7",
        "headers": {"X-Team": pick(["web", "api"])},
        "jwt": {"iss": "https://login.example", "sub": pick(["alice", "bob"]), "groups": ["admin"]},
    }
    return flow | {key: value for key, value in request.items() if pick([True, True, False])}


def main(component, core, count):
    draw = random.Random(1)
    one, other = Typed(component), Core(core)
    seen = {}
    for _ in range(count):
        flow = drawn(draw.choice)
        typed, plain = one.decide(flow), other.decide(flow)
        if typed != plain:
            raise SystemExit(f"{json.dumps(flow)}\nthe component: {typed}\nthe module:    {plain}")
        verdict = typed if typed == "error" else typed[0]
        seen[verdict] = seen.get(verdict, 0) + 1
    if min(seen.get(verdict, 0) for verdict in ("allowed", "denied", "error")) < count // 100:
        raise SystemExit(f"these flows show too little: {seen}")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
