"""The commands of docs/apply.md, run against a real API server: what a build no longer makes goes, and nothing opens."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from cluster import KINDS, SERVER, TOKEN, Cluster, documents

DOCS = Path("docs/apply.md")
SETTINGS = 'name = "shop"\ntargets = ["networkpolicy", "istio"]\n'
# Two builds: rules go, the pods of one rule are told in another way, and `cellar` has no rule any more.
FIRST = """use std/istio
allow ingress lab/* -> garden/{app=web}:8080
default deny ingress garden/{app=api}
allow ingress lab/* -> garden/{app=api}:9090
allow egress garden/{app=web} -> zenquotes.io:443
allow ingress lab/* -> cellar/{app=db}:5432
allow ingress 203.0.113.0/24 -> garden/{app=web}:8081/http via ingress-gateway at "shop.example.com"
"""
SECOND = """use std/istio
allow ingress lab/* -> garden/{app=web, tier=front}:8080
default deny ingress garden/{app=api}
allow ingress 203.0.113.0/24 -> garden/{app=web, tier=front}:8081/http via ingress-gateway at "shop.example.com"
"""
PODS = {"garden/web": {"app": "web", "tier": "front"}, "garden/api": {"app": "api"}, "cellar/db": {"app": "db"}}
NAMESPACES = ["garden", "lab", "cellar", "istio-system"]
# The kinds that a build writes, and what is in the cluster beside the build's objects and has to stay.
WRITTEN = ["NetworkPolicy", "ServiceEntry", "Sidecar", "Gateway", "VirtualService", "DestinationRule",
           "PeerAuthentication", "RequestAuthentication", "AuthorizationPolicy"]
OTHERS = [{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
           "metadata": {"name": name, "namespace": namespace, "labels": labels},
           "spec": {"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Egress"]}}
          for name, namespace, labels in [
              ("by-hand", "garden", {}),
              ("lab-all-pods", "garden", {"app.kubernetes.io/managed-by": "netpol", "app.kubernetes.io/part-of": "lab"}),
              ("by-hand", "cellar", {"app.kubernetes.io/managed-by": "netpol"})]]
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "istio-ingressgateway", "namespace": "istio-system"},
           "spec": {"type": "LoadBalancer", "selector": {"istio": "ingressgateway"},
                    "ports": [{"name": "http2", "port": 80, "targetPort": 8080}]}}
# The ways of the page, each with the namespaces in which the page says that the last objects stay.
WAYS = {"With kubectl alone": [], "With `kubectl apply --prune`": ["cellar"], "With an ApplySet": ["cellar"],
        "With Kustomize": []}


def check(cluster: Cluster) -> int:
    """Returns 0 if every way does what the page says of it, and the wrong order is found out."""
    blocks = commands(DOCS.read_text())
    if set(blocks) != set(WAYS):
        print(f"the commands of {DOCS} stand under {sorted(blocks)}, and {sorted(WAYS)} are known")
        return 1
    for name in NAMESPACES:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    home = environment(cluster)
    wrong, ran = [], 0
    for way, last_stay in WAYS.items():
        said, count = try_way(cluster, home, blocks[way], last_stay)
        wrong += [f"{way}: {each}" for each in said]
        ran += count
    # A check that cannot fail is none: what goes before its successor is there leaves a pod open.
    open_pods, late_ones = wrong_order(cluster, home)
    if not open_pods or not late_ones:
        wrong.append("deleting before applying was not found out")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"apply: {len(WAYS)} ways, {ran} commands run, deleting first leaves {len(open_pods)} gaps, {len(wrong)} wrong")
    return 1 if wrong or not ran else 0


def commands(page: str) -> dict:
    """Returns the shell blocks of a page, by heading."""
    blocks, heading, inside = {}, "", False
    for line in page.splitlines():
        if inside and line == "```":
            inside = False
        elif inside:
            blocks[heading][-1] += line + "\n"
        elif line.startswith("## "):
            heading = line[3:]
        elif line == "```sh":
            blocks.setdefault(heading, []).append("")
            inside = True
    return blocks


def environment(cluster: Cluster) -> dict:
    """Returns what the commands see: `netpol`, `kubectl` and a way to the API server."""
    home = cluster.folder / "home"
    home.mkdir()
    for name in ("netpol", "kubectl"):
        (home / name).symlink_to(os.environ[name.upper()])
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "live",
              "clusters": [{"name": "live", "cluster": {"server": SERVER, "insecure-skip-tls-verify": True}}],
              "users": [{"name": "live", "user": {"token": TOKEN}}],
              "contexts": [{"name": "live", "context": {"cluster": "live", "user": "live"}}]}
    (home / "config").write_text(json.dumps(config))
    return {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "config"), "PATH": f"{home}:{os.environ['PATH']}"}


def try_way(cluster: Cluster, home: dict, blocks: list, last_stay: list) -> tuple:
    """Runs the commands for the first build and then for the second; returns what is wrong, and how many commands ran."""
    folder = begin(cluster, home)
    wrong = []
    for number, policy in enumerate((FIRST, SECOND)):
        old = objects(cluster)
        write(folder, policy)
        if not any("netpol build" in block for block in blocks):
            run(home, folder, "netpol build shop/ -o deploy/")
        before = version(cluster)
        for block in blocks:
            run(home, folder, block)
        due, there = built(folder), {key: item for key, item in objects(cluster).items() if of_build(item)}
        allowed = {key for key in old if of_build(old[key]) and key[1] in last_stay and key not in due}
        wrong += [f"build {number + 1}: missing: {' '.join(key)}" for key in sorted(due - set(there))]
        wrong += [f"build {number + 1}: left over: {' '.join(key)}" for key in sorted(set(there) - due - allowed)]
        if number and allowed - set(there):
            wrong.append(f"the page says that {sorted(allowed - set(there))} stays")
    if not old or set(old) <= set(there):
        wrong.append("the second build takes nothing away, and shows nothing")
    open_port = [key for key, item in there.items() if key[1] == "garden" and re.search(r"\b9090\b", json.dumps(item["spec"]))]
    wrong += [f"the removed rule is still open in {' '.join(key)}" for key in open_port]
    wrong += [f"gone, and not the build's: {item['metadata']['name']}" for item in OTHERS if key_of(item) not in objects(cluster)]
    steps = changes(cluster, before)
    wrong += gaps(old, steps)
    wrong += [f"applied after something was deleted: {name}" for name in late(old, steps)]
    if any("patch service" in block for block in blocks):
        service = json.loads(cluster.request("GET", "/api/v1/namespaces/istio-system/services/istio-ingressgateway"))
        if service["spec"].get("externalTrafficPolicy") != "Local":
            wrong.append("the Service is not patched")
    return wrong, sum(len(re.findall(r"(?m)^ *(?:\w+=\w+ )?(?:kubectl|netpol) ", block)) for block in blocks)


def wrong_order(cluster: Cluster, home: dict) -> tuple:
    """Returns the gaps that there are where objects are deleted before the new ones are applied, and what comes late."""
    folder = begin(cluster, home)
    write(folder, FIRST)
    run(home, folder, "netpol build shop/ -o deploy/\nkubectl apply -R -f deploy/")
    old, before = objects(cluster), version(cluster)
    write(folder, SECOND)
    run(home, folder, "netpol build shop/ -o deploy/ --prune-list prune.yaml\n"
                      "kubectl delete --ignore-not-found -f prune.yaml\nkubectl apply -R -f deploy/")
    steps = changes(cluster, before)
    return gaps(old, steps), late(old, steps)


def begin(cluster: Cluster, home: dict) -> Path:
    """Returns an empty folder, and makes the cluster as it is before the first build."""
    for item in objects(cluster).values():
        cluster.delete(item)
    for item in [*OTHERS, SERVICE]:
        cluster.apply(item)
    folder = Path(home["HOME"], "work")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shop").mkdir(parents=True)
    (folder / "netpol.toml").write_text(SETTINGS)
    return folder


def write(folder: Path, policy: str):
    """Writes the policy of a build."""
    (folder / "shop/shop.netpol").write_text(policy)


def run(home: dict, folder: Path, script: str):
    """Runs a script as a person would; a command that fails is an exception with what it said."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=home, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"exit {done.returncode}: {script}\n{done.stdout}{done.stderr}")


def key_of(item: dict) -> tuple:
    """Returns what tells an object from others."""
    return item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]


def of_build(item: dict) -> bool:
    """Whether an object is one of the build's."""
    labels = item["metadata"].get("labels", {})
    return labels.get("app.kubernetes.io/managed-by") == "netpol" and labels.get("app.kubernetes.io/part-of") == "shop"


def built(folder: Path) -> set:
    """Returns the objects of the last build."""
    return {key_of(item) for file in (folder / "deploy").glob("*/*.yaml") for item in documents(file.read_text())}


def listed(cluster: Cluster, kind: str) -> dict:
    """Returns what the API server answers for all objects of a kind."""
    root, plural, _ = KINDS[kind]
    return json.loads(cluster.request("GET", f"/{root}/{plural}"))


def objects(cluster: Cluster) -> dict:
    """Returns the objects of all kinds that builds write."""
    found = {}
    for kind in WRITTEN:
        answer = listed(cluster, kind)
        for item in answer["items"]:
            item |= {"kind": kind, "apiVersion": answer["apiVersion"]}
            found[key_of(item)] = item
    return found


def version(cluster: Cluster) -> dict:
    """Returns where the history of each kind stands."""
    return {kind: listed(cluster, kind)["metadata"]["resourceVersion"] for kind in WRITTEN}


def changes(cluster: Cluster, since: dict) -> list:
    """Returns what was added, modified and deleted, in the order in which it was written to the store."""
    found = []
    for kind, at in since.items():
        root, plural, _ = KINDS[kind]
        answer = cluster.request("GET", f"/{root}/{plural}?watch=1&timeoutSeconds=1&resourceVersion={at}")
        for event in map(json.loads, answer.splitlines()):
            found.append((event["type"], {**event["object"], "kind": kind}))
    return sorted(found, key=lambda event: int(event[1]["metadata"]["resourceVersion"]))


def late(old: dict, steps: list) -> list:
    """Returns the objects that are made, or change what they say, after one was deleted."""
    said, gone, found = {key: item["spec"] for key, item in old.items()}, False, []
    for what, item in steps:
        gone |= what == "DELETED"
        if what != "DELETED" and gone and said.get(key_of(item)) != item["spec"]:
            found.append(item["metadata"]["name"])
        said[key_of(item)] = item["spec"]
    return found


def gaps(old: dict, steps: list) -> list:
    """Returns the pods that are isolated before and after some steps, and not in between."""
    now, states = dict(old), [isolated(old)]
    for what, item in steps:
        if what == "DELETED":
            now.pop(key_of(item), None)
        else:
            now[key_of(item)] = item
        states.append(isolated(now))
    lasting = states[0] & states[-1]
    return sorted({f"{pod} is open for a moment: {kind}, {way}" for state in states for kind, way, pod in lasting - state})


def isolated(all_objects: dict) -> set:
    """Returns which pods are isolated by which kind in which direction."""
    found = set()
    for (kind, namespace, _), item in all_objects.items():
        spec = item.get("spec", {})
        if kind == "NetworkPolicy":
            selector, ways = spec["podSelector"].get("matchLabels", {}), spec["policyTypes"]
        elif kind == "AuthorizationPolicy" and spec.get("action", "ALLOW") == "ALLOW":
            selector, ways = spec.get("selector", {}).get("matchLabels", {}), ["Ingress"]
        elif kind == "Sidecar":
            selector, ways = spec.get("workloadSelector", {}).get("labels", {}), ["Egress"]
        else:
            continue
        for pod, labels in PODS.items():
            if pod.startswith(f"{namespace}/") and selector.items() <= labels.items():
                found |= {(kind, way, pod) for way in ways}
    return found
