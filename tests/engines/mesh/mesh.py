"""A mesh: istiod beside the API server, and pods with an Envoy that pilot-agent runs."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import network
from cluster import SERVER, TOKEN, Cluster, wait
from network import ROUTER
from world import Pod, World

HERE = Path(__file__).resolve().parent
CAPTURING = "lab"  # the namespace whose sidecars answer DNS
PROXY = 1337  # the user whose traffic is not captured


class Mesh:
    """The live mesh. `become` gives it the pods of an inventory, `apply` a policy's objects, `ask` sends a request."""

    def __init__(self, cluster: Cluster):
        self.cluster, self.folder = cluster, cluster.folder
        self.pods, self.running, self.applied, self.outside = {}, {}, [], {}
        self.world = World([])
        self.addresses = (f"100.96.{high}.{low}" for high in range(1, 250) for low in range(1, 250))
        self.inventory = self.folder / "inventory.yaml"
        # A sidecar that answers DNS asks nobody else.
        (self.folder / "resolv.conf").write_text("")
        network.run("mount", "--bind", self.folder / "resolv.conf", "/etc/resolv.conf")
        self.make_certificate()
        self.names = self.folder / "hosts"
        self.names.write_text(f"127.0.0.1 localhost\n{ROUTER} istiod.istio-system.svc\n")
        network.run("mount", "--bind", self.names, "/etc/hosts")
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
        self.start_istiod()

    def make_certificate(self):
        """Makes the certificate of everything outside, and has istiod trust it."""
        self.certificate, self.certificate_key = self.folder / "outside.pem", self.folder / "outside.key"
        network.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=outside",
                    "-keyout", self.certificate_key, "-out", self.certificate, "-addext",
                    "subjectAltName=DNS:*.githubusercontent.com,DNS:*.example.com,DNS:outside,DNS:api.zen.example")
        # Sidecars that open TLS ask the authorities of their image.
        network.run("mount", "--bind", self.certificate, "/etc/ssl/certs/ca-certificates.crt")

    def start_istiod(self):
        """Starts istiod with its own view of the API server."""
        (self.folder / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "live",
            "clusters": [{"name": "live", "cluster": {"server": SERVER, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "live", "user": {"token": TOKEN}}],
            "contexts": [{"name": "live", "context": {"cluster": "live", "user": "live"}}]}))
        self.normalize("BASE")
        environment = {
            "PATH": os.environ["PATH"], "POD_NAMESPACE": "istio-system", "POD_NAME": "istiod",
            "CLUSTER_ID": "Kubernetes",
            "PILOT_ENABLE_ALPN_FILTER": "false", "PILOT_ENABLE_METADATA_EXCHANGE": "false",
            "INJECTION_WEBHOOK_CONFIG_NAME": "", "VALIDATION_WEBHOOK_CONFIG_NAME": "",
            "SSL_CERT_FILE": str(self.certificate), "PILOT_ENABLE_XDS_CACHE": "false",
        }
        self.cluster.start("istiod", [
            os.environ["PILOT_DISCOVERY"], "discovery", "--kubeconfig", self.folder / "kubeconfig",
            "--meshConfig", self.folder / "mesh.yaml", "--httpAddr", "127.0.0.1:18080",
            "--log_output_level", "default:warn",
        ], env=environment, cwd=self.folder)
        wait("istiod", lambda: self.debug("/ready", 18080) is not None)

    def normalize(self, paths: str):
        """Writes the mesh's settings, which istiod watches, with this normalisation of paths."""
        (self.folder / "mesh.yaml").write_text(json.dumps({
            "accessLogFile": "access.log", "defaultProviders": {"metrics": [], "tracing": []},
            "pathNormalization": {"normalization": paths}, "rootNamespace": "istio-system",
            "trustDomain": "cluster.local"}))

    def debug(self, path: str, port: int = 15014) -> str:
        """Returns what istiod says at one of its own addresses."""
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read().decode()

    # The world outside.

    def add_outside(self, name: str, addresses: list, hosts: list, ports: list, keys: str = ""):
        """Starts a server outside the cluster, and a client too; hosts are the names of its first address."""
        for address in addresses:
            network.add_outside(address)
        self.outside[name] = (addresses[0], hosts)
        with self.names.open("a") as names:
            names.writelines(f"{addresses[0]} {host}\n" for host in hosts)
        self.start_app(name, name, ",".join(addresses), ports, keys=keys)

    # Pods.

    def become(self, manifests: list):
        """Runs the pods and Services of an inventory: what is there already and unchanged stays."""
        world = World(manifests)
        old = dict(self.pods)
        for pod in world.pods:
            before = old.get(pod.key)
            pod.address = before.address if before else next(self.addresses)
        wanted = {pod.key: pod for pod in world.pods}
        gone = [pod for key, pod in old.items()
                if key not in wanted or wanted[key] != pod or self.world.listening(pod) != world.listening(wanted[key])]
        for pod in gone:
            self.stop(pod)
        for service in self.world.services:
            self.cluster.delete({"kind": "Service", "metadata": service.manifest["metadata"]})
        self.world = world
        self.inventory.write_text("\n---\n".join(map(json.dumps, manifests + world.manifests())))
        for name, labels in world.namespaces.items():
            self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        fresh = [pod for pod in world.pods if pod.key not in self.pods]
        for pod in fresh:
            self.create(pod)
        self.create_services()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.launch, fresh))
        for pod in fresh:
            if pod.role:
                wait(f"the proxy of {pod.key}", lambda: self.proxy_ready(pod))

    def create(self, pod: Pod):
        """Writes a pod down, as its creator, the scheduler, the injector and the kubelet would together."""
        name = {"namespace": pod.namespace, "name": pod.name}
        account = {"namespace": pod.namespace, "name": pod.account}
        self.cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        labels = {**pod.labels, **({"security.istio.io/tlsMode": "istio"} if pod.role == "sidecar" else {})}
        self.cluster.apply({
            "apiVersion": "v1", "kind": "Pod", "metadata": {**name, "labels": labels},
            "spec": {"nodeName": "node", "serviceAccountName": pod.account,
                     "containers": [{"name": "application", "image": "application",
                                     "ports": pod.container_ports()}]}})
        self.cluster.patch({"kind": "Pod", "metadata": name, "status": {
            "phase": "Running", "podIP": pod.address, "podIPs": [{"ip": pod.address}],
            "conditions": [{"type": "Ready", "status": "True"}]}}, "/status")
        self.pods[pod.key] = pod

    def create_services(self):
        """Writes down the Services and where they lead, as the endpoint controller would."""
        forwards = {}
        for service in self.world.services:
            meta = service.manifest["metadata"]
            spec = {key: value for key, value in service.manifest["spec"].items() if key != "type"}
            made = self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {
                "name": meta["name"], "namespace": meta["namespace"]}, "spec": spec})
            service.address = made["spec"].get("clusterIP", "")
            behind = self.world.behind(service)
            if not service.ports or not behind:
                continue
            self.cluster.apply({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "metadata": {
                    "name": meta["name"], "namespace": meta["namespace"],
                    "labels": {"kubernetes.io/service-name": meta["name"]}},
                "ports": [{"name": port["name"], "port": port["target"], "protocol": "TCP"} for port in service.ports],
                "endpoints": [{"addresses": [pod.address], "conditions": {"ready": True}, "targetRef": {
                    "kind": "Pod", "namespace": pod.namespace, "name": pod.name}} for pod in behind]})
            if service.address != "None":
                for port in service.ports:
                    forwards[service.address, port["port"]] = behind[0].address, port["target"]
        network.forward(forwards)

    def launch(self, pod: Pod):
        """Gives a pod its network, its server, and its proxy."""
        network.add_pod(pod.id, pod.address)
        ports = [] if pod.role == "router" else self.world.listening(pod)
        self.start_app(pod.key, pod.id, "0.0.0.0", ports, pod.id)
        if not pod.role:
            return
        folder = self.folder / pod.id
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("var/run/secrets/tokens", "var/run/secrets/istio", "etc/istio/pod", "etc/istio/proxy"):
            (folder / part).mkdir(parents=True)
        made = json.loads(self.cluster.request("GET", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"))
        bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": made["metadata"]["uid"]}
        token = json.loads(self.cluster.request(
            "POST", f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{pod.account}/token",
            {"spec": {"audiences": ["istio-ca"], "expirationSeconds": 43200, "boundObjectRef": bound}}))
        (folder / "var/run/secrets/tokens/istio-token").write_text(token["status"]["token"])
        root = f"/api/v1/namespaces/{pod.namespace}/configmaps/istio-ca-root-cert"
        wait(f"istiod's certificate in {pod.namespace}", lambda: self.cluster.request("GET", root))
        certificate = json.loads(self.cluster.request("GET", root))["data"]["root-cert.pem"]
        (folder / "var/run/secrets/istio/root-cert.pem").write_text(certificate)
        labels = "".join(f'{key}="{value}"\n' for key, value in made["metadata"]["labels"].items())
        (folder / "etc/istio/pod/labels").write_text(labels)
        network.run("chown", "-R", str(PROXY), folder)
        agent = os.environ["PILOT_AGENT"]
        if pod.role == "sidecar":
            network.run(*network.inside(pod.id, agent, "istio-iptables", "-p", "15001", "-z", "15006", "-u", PROXY,
                                        "-m", "REDIRECT", "-i", "*", "-b", "*", "-d", "15090,15021,15020"))
        environment = {
            "PATH": os.environ["PATH"], "POD_NAME": pod.name, "POD_NAMESPACE": pod.namespace,
            "INSTANCE_IP": pod.address, "SERVICE_ACCOUNT": pod.account, "HOST_IP": ROUTER,
            "ISTIO_META_CLUSTER_ID": "Kubernetes",
            "CA_ADDR": "istiod.istio-system.svc:15012", "ISTIO_META_INTERCEPTION_MODE": "REDIRECT",
            **({"ISTIO_META_DNS_CAPTURE": "true"} if pod.namespace == CAPTURING else {}),
            "ISTIO_META_WORKLOAD_NAME": pod.name, "TRUST_DOMAIN": "cluster.local", "ISTIO_CPU_LIMIT": "1",
            "ISTIO_BOOTSTRAP": os.environ["BOOTSTRAP"],
            "PROXY_CONFIG": json.dumps({
                "binaryPath": os.environ["ENVOY"], "configPath": "./etc/istio/proxy", "drainDuration": "1s",
                "terminationDrainDuration": "1s", "concurrency": 1,
                "discoveryAddress": "istiod.istio-system.svc:15012", **pod.config}),
        }
        self.running[pod.key].append(self.cluster.start(pod.id + ".proxy", network.inside(
            pod.id, "setpriv", "--reuid", PROXY, "--regid", PROXY, "--clear-groups", agent, "proxy", pod.role,
            "--domain", f"{pod.namespace}.svc.cluster.local", "--log_output_level", "default:warn",
            "--proxyLogLevel", "warning"), env=environment, cwd=folder))

    def start_app(self, name: str, file: str, address: str, ports: list, pod: str = "", keys: str = ""):
        """Starts the server and client of a pod, or of a place outside."""
        command = [sys.executable, HERE / "app.py", name, self.folder / f"{file}.sock", address, *ports]
        environment = {**os.environ, "CERTIFICATE": str(self.certificate), "CERTIFICATE_KEY": str(self.certificate_key),
                       "KEYS": keys}
        command = network.inside(pod, *command) if pod else command
        self.running[name] = [self.cluster.start(file + ".app", command, env=environment)]
        wait(f"the application of {name}", (self.folder / f"{file}.sock").exists)

    def asks_sidecar(self, caller: str) -> bool:
        """Whether a pod's own sidecar answers its DNS questions."""
        pod = self.pods.get(caller)
        return pod is not None and pod.role == "sidecar" and pod.namespace == CAPTURING

    def proxy_ready(self, pod: Pod) -> bool:
        """Whether a pod's proxy has its configuration."""
        get = "import urllib.request as u; u.urlopen('http://127.0.0.1:15021/healthz/ready', timeout=2)"
        return subprocess.run(network.inside(pod.id, sys.executable, "-c", get), capture_output=True).returncode == 0

    def stop(self, pod: Pod):
        """Ends a pod and takes it out of the cluster."""
        for process in self.running.pop(pod.key):
            process.kill()
            process.wait()
        for other in network.run("ip", "netns", "pids", pod.id).split():
            os.kill(int(other), 9)
        network.remove_pod(pod.id)
        (self.folder / f"{pod.id}.sock").unlink()
        self.cluster.delete({"kind": "Pod", "metadata": {"namespace": pod.namespace, "name": pod.name}})
        del self.pods[pod.key]

    # Policies and requests.

    def apply(self, objects: list):
        """Makes these the objects that hold, and waits until each proxy has what follows from them."""
        for item in self.applied:
            self.cluster.delete(item)
        self.applied = []
        for item in objects:
            self.cluster.apply(item)
            self.applied.append(item)
        self.settle()

    def settle(self):
        """Waits until istiod has nothing more to say and every proxy has acknowledged what it said."""
        until, quiet, last = time.monotonic() + 60, 0, None
        while quiet < 4:
            if time.monotonic() > until:
                raise TimeoutError("the proxies do not come to rest")
            time.sleep(0.15)
            proxies = json.loads(self.debug("/debug/syncz"))
            now = sorted((proxy["proxy"], kind, proxy.get(f"{kind}_sent"), proxy.get(f"{kind}_acked"))
                         for proxy in proxies for kind in ("cluster", "listener", "route", "endpoint"))
            quiet = quiet + 1 if now == last and all(sent == acked for _, _, sent, acked in now) else 0
            last = now
        # Connections of before are closed when their listeners have drained.
        time.sleep(1.2)

    def ask(self, caller: str, request: dict) -> dict:
        """Has a pod or a place outside send a request; returns who answered."""
        file = caller.replace("/", ".")
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rwb") as stream:
            connection.settimeout(30)
            connection.connect(str(self.folder / f"{file}.sock"))
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            return json.loads(stream.readline())
