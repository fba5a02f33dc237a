"""Every committed object of the examples is taken by a real API server, strictly, and every patch finds what it changes."""

import subprocess
from pathlib import Path

from cluster import Cluster, Refused, documents

META = {"name": "broken", "namespace": "default"}
# What the platform has, which patches change.
LABELS = {"istio": "ingressgateway"}
SPECS = {
    "Service": {"type": "LoadBalancer", "selector": LABELS, "ports": [{"name": "http2", "port": 80, "targetPort": 8080}]},
    "Deployment": {"selector": {"matchLabels": LABELS}, "template": {
        "metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}}},
}
# Objects with one mistake each, of kinds whose schema or admission sees it.
BROKEN = [
    ("a field that is not there", {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": META,
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egres": []}}),
    ("a word that is no mode", {
        "apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": META,
        "spec": {"outboundTrafficPolicy": {"mode": "REGISTRY"}}}),
    ("a rule of Istio's schema", {
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": META,
        "spec": {"hosts": ["a.example"], "addresses": ["203.0.113.0/24"], "resolution": "DNS_ROUND_ROBIN",
                 "ports": [{"number": 80, "name": "http"}]}}),
    ("a Service without a port", {
        "apiVersion": "v1", "kind": "Service", "metadata": META,
        "spec": {"externalTrafficPolicy": "Local"}}),
]


def check(cluster: Cluster) -> int:
    """Returns 0 if nothing is refused that should be taken, and nothing taken that should be refused."""
    files = subprocess.run(["git", "ls-files", "examples/**/out/**.yaml", "examples/**/out/**.patch"], check=True, capture_output=True, text=True)
    outputs = [(Path(name), item) for name in files.stdout.split() for item in documents(Path(name).read_text())]
    namespaces = {item["metadata"]["namespace"] for _, item in outputs}
    for name in sorted(namespaces | {"default"}):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    wrong = [f"taken, and broken: {what}" for what, item in BROKEN if not refused(cluster.apply, item)]
    kinds, patches = {}, 0
    for name, item in outputs:
        patch = name.suffix == ".patch"
        if patch:
            # What the platform has: the patch changes it and makes none.
            meta = {key: item["metadata"][key] for key in ("name", "namespace")}
            cluster.apply({"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": meta, "spec": SPECS[item["kind"]]})
        because = refused(cluster.patch if patch else cluster.apply, item)
        if because:
            wrong.append(f"{name}: {item['kind']} {item['metadata']['name']}: {because}")
        elif patch:
            patches += 1
        else:
            kinds[item["kind"]] = kinds.get(item["kind"], 0) + 1
    print(*wrong, sep="\n", end="\n" if wrong else "")
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"admission: {sum(kinds.values())} objects taken ({counts}), {patches} objects patched, "
          f"{len(BROKEN)} broken objects tried, {len(wrong)} wrong")
    return 1 if wrong or not kinds or not patches else 0


def refused(give, item: dict) -> str:
    """Returns the API server's reason, or nothing if it took the object."""
    try:
        give(item)
    except Refused as reason:
        return str(reason)
    return ""
