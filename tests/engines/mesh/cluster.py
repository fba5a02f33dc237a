"""An etcd and a kube-apiserver on the loopback, and the few requests that are made to them."""

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from network import ROUTER

SERVER = "https://127.0.0.1:6443"
TOKEN = "live"
# Where the kinds that occur live: the API's path, and whether they lie in a namespace.
KINDS = {
    "Namespace": ("api/v1", "namespaces", False),
    "Service": ("api/v1", "services", True),
    "ServiceAccount": ("api/v1", "serviceaccounts", True),
    "Pod": ("api/v1", "pods", True),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices", True),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies", True),
    "ServiceEntry": ("apis/networking.istio.io/v1", "serviceentries", True),
    "Sidecar": ("apis/networking.istio.io/v1", "sidecars", True),
    "Gateway": ("apis/networking.istio.io/v1", "gateways", True),
    "VirtualService": ("apis/networking.istio.io/v1", "virtualservices", True),
    "DestinationRule": ("apis/networking.istio.io/v1", "destinationrules", True),
    "AuthorizationPolicy": ("apis/security.istio.io/v1", "authorizationpolicies", True),
    "PeerAuthentication": ("apis/security.istio.io/v1", "peerauthentications", True),
    "RequestAuthentication": ("apis/security.istio.io/v1", "requestauthentications", True),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
}


class Refused(Exception):
    """The API server did not take what it was given; the text is its own."""


class Cluster:
    """The control plane of Kubernetes, in `folder`, with Istio's kinds. No controller and no node runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.programs = {}
        self.tls = ssl._create_unverified_context()
        folder.mkdir(parents=True, exist_ok=True)
        self.start("etcd", [
            os.environ["ETCD"], "--data-dir", folder / "etcd", "--unsafe-no-fsync", "--log-level", "error"])
        key = folder / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self.start("kube-apiserver", [
            os.environ["KUBE_APISERVER"], "--etcd-servers=http://127.0.0.1:2379", "--bind-address=127.0.0.1",
            f"--cert-dir={folder}", f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
            f"--advertise-address={ROUTER}",
        ])
        # A machine with much else to do takes its time.
        wait("the API server", lambda: self.request("GET", "/readyz") == "ok", 300)
        definitions = Path(os.environ["ISTIO"], "manifests/charts/base/files/crd-all.gen.yaml")
        for definition in documents(definitions.read_text()):
            self.apply(definition)
        wait("Istio's kinds", self.knows_istio, 300)

    def knows_istio(self) -> bool:
        """Whether every defined kind is served."""
        found = json.loads(self.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"))["items"]
        def established(item):
            conditions = item.get("status", {}).get("conditions") or []
            return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
        return all(map(established, found))

    def start(self, name: str, command: list, **options) -> subprocess.Popen:
        """Starts a program of the cluster; what it prints goes to a file of its name."""
        log = open(self.folder / f"{name}.log", "ab")
        self.programs[name] = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        return self.programs[name]

    def request(self, method: str, path: str, body=None, kind: str = "application/json") -> str:
        """Sends one request to the API server; a refusal is an exception. While the server sets up the storage of a kind,
        it answers 429, and asks to be asked again."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        request = urllib.request.Request(SERVER + path, data, headers, method=method)
        last = time.monotonic() + 60
        try:
            return self.answer(request, last)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            try:
                text = json.loads(text)["message"]
            except (ValueError, KeyError):
                pass
            raise Refused(f"{error.code}: {text}") from None

    def answer(self, request: urllib.request.Request, last: float) -> str:
        """Sends a request until the API server has time for it, at most to a moment."""
        while True:
            try:
                with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
                    return answer.read().decode()
            except urllib.error.HTTPError as error:
                if error.code != 429 or time.monotonic() > last:
                    raise
            time.sleep(1)

    def apply(self, item: dict) -> dict:
        """Applies an object as `kubectl apply --server-side --validate=strict` does."""
        text = self.request("PATCH", f"{path(item)}?fieldManager=live&force=true&fieldValidation=Strict",
                            json.dumps(item), "application/apply-patch+yaml")
        return json.loads(text)

    def patch(self, item: dict, part: str = "") -> dict:
        """Patches an object as `kubectl patch --type=strategic` does, or its `part`, as /status."""
        text = self.request("PATCH", f"{path(item)}{part}?fieldValidation=Strict", json.dumps(item),
                            "application/strategic-merge-patch+json")
        return json.loads(text)

    def delete(self, item: dict):
        """Deletes an object that is there, at once."""
        self.request("DELETE", f"{path(item)}?gracePeriodSeconds=0")


def path(item: dict) -> str:
    """Returns where the API serves an object."""
    if item["kind"] not in KINDS:
        raise Refused(f"no such kind is expected: {item['kind']}")
    root, plural, namespaced = KINDS[item["kind"]]
    meta = item["metadata"]
    return f"/{root}" + (f"/namespaces/{meta['namespace']}" if namespaced else "") + f"/{plural}/{meta['name']}"


def documents(text: str) -> list:
    """Returns the objects of a YAML stream."""
    return [each for each in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if each]


def wait(what: str, ready, seconds: float = 60):
    """Waits until `ready` returns true; an exception of a server that does not listen yet is a no."""
    until = time.monotonic() + seconds
    while True:
        try:
            if ready():
                return
        except (OSError, Refused):
            pass
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not ready after {seconds:.0f} s")
        time.sleep(0.05)
