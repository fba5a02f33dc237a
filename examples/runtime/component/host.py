"""A host of components, with wasmtime (pip install wasmtime). It asks about the flows of the other hosts."""

import json
import sys

from wasmtime import Store
from wasmtime.component import Component, Linker, Record, Variant

store = Store()
component = Component.from_file(store.engine, f"{sys.argv[1]}/policy.wasm")
instance = Linker(store.engine).instantiate(store, component)
decisions = instance.get_export_index(store, "netpol:policy/decisions@1.0.0")
decide = instance.get_func(store, instance.get_export_index(store, "decide", decisions))


def record(**fields):
    made = Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


def pod(namespace, app):
    labels = [("app", app)]
    absent = dict.fromkeys(["namespace_labels", "account", "name"])
    return Variant("pod", record(namespace=namespace, labels=labels, ports=[], sidecar=False, **absent))


def ask(destination):
    source = pod("garden", "web")
    answer = decide(store, record(source=source, destination=destination, protocol="tcp", port=443, request=None))
    decide.post_return(store)
    return answer


def why(end):
    """Says what decided at one end."""
    if end.by is None:
        return end.cause
    told = json.loads(end.by)
    return f"{end.cause} by {told['path']}:{told['line']}" if "path" in told else f"{end.cause}: {told['reason']}"


for name in "zenquotes.io", "evil.example":
    decision = ask(Variant("host", record(name=name, at=None)))
    print(f"{decision.verdict}: garden -> {name}:443, egress {why(decision.egress)}, ingress {why(decision.ingress)}")

# What is no flow is an error, and never allowed.
print(f"error: {ask(Variant('address', 'nowhere'))}")
