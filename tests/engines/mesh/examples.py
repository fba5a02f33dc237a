"""The examples that have objects of Istio, in a live mesh with the pods of their inventories."""

import os
import subprocess
import time
from pathlib import Path

import gateways
from cluster import Cluster, documents
from judge import Judge
from setting import CLUSTER, GET, OUTSIDE, inside, published, requests, route, start

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
        objects = gateways.objects(cluster.folder, [gateways.PUBLIC]) if public else []
        objects += [each for one in public for each in route(*one)]
        for file in sorted(Path(folder, "out").glob("*/istio.yaml")):
            objects += documents(file.read_text())
        mesh.apply(objects)
        asks = requests(mesh, signer, WAYS.get(name, [GET]), inside(OUTSIDE), published(public))
        judge.compare(name, asks, [os.environ["NETPOL"], "eval", folder, "--inventory", mesh.inventory])
    judge.table()
    print(f"mesh: {time.monotonic() - began:.0f} s")
    return 1 if judge.wrong else 0
