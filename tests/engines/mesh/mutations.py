"""Defects that are put into the objects of small policies, one at a time: requests must show each of them."""

import copy
import time

import gateways
from cluster import Cluster
from judge import Judge
from generated import INSIDE, Bench

POLICIES = {
    "egress": """
        allow egress garden/* -> zenquotes.io:443
        allow egress garden/web -> { 198.51.100.0/24 except 198.51.100.64/26 }:5432
        allow egress shop/cart -> garden/web:80
    """,
    "internet": """
        allow egress garden/* -> internet:443
        let intern = host intern.example at 10.100.8.8
        allow egress garden/web -> { zenquotes.io, intern }:443
        allow egress shop/* -> { internet except 198.51.100.0/26 }:{80, 443}
    """,
    "ingress": """
        allow ingress garden/curl -> garden/web:80/http where method GET where path "/api/**"
        deny ingress lab/* -> garden/api
        allow ingress 163.223.48.163 -> team-a/web:8080
    """,
    "token": """
        allow ingress garden/* -> garden/web:80/http where jwt corp subject "alice", "bob" claim groups = "admin"
    """,
    "via egress": """
        use std/istio (egress-gateway)
        allow egress garden/* -> zenquotes.io:443 via egress-gateway
    """,
    "refused": """
        use std/istio (egress-gateway)
        default deny ingress egress-gateway
        allow egress garden/* -> zenquotes.io:443 via egress-gateway
        deny egress garden/web -> zenquotes.io:443
    """,
    "tls": """
        let tls = host api.zen.example { port 80/http -> 443/tls }
        let liar = host liar.zen.example { port 80/http -> 443/tls }
        allow egress garden/* -> { tls:80, liar:80 }
    """,
    "captured": """
        allow egress lab/* -> mail.zen.example:587
        allow egress garden/* -> zenquotes.io:443
    """,
    "requests": """
        allow ingress garden/* -> garden/web:80/http where header x-team "web"
        allow ingress garden/* -> garden/api:80/http where path "/**" except "/api/**"
    """,
    "desk": """
        allow ingress garden/* -> garden/web:80/http where jwt desk
        allow ingress garden/* -> garden/api:80/http where jwt desk claim realm_access.roles = "ops"
    """,
    "by host and address": """
        use std/istio (egress-gateway)
        let db = host db.zen.example at 198.51.100.50
        allow egress garden/* -> { zenquotes.io:80, db:5432 } via egress-gateway
    """,
    "via ingress": """
        use std/istio (ingress-gateway)
        allow ingress 163.223.48.163 -> garden/web:80/http
          via ingress-gateway at "garden.example.com" where path "/api/**"
    """,
    "via edge": gateways.BLOCK + """
        allow ingress 163.223.48.163 -> garden/web:80/http via edge at "garden.example.com"
        allow ingress 203.0.113.0/24 -> garden/api:80/http via edge at "shop.other.test"
        allow ingress 163.223.48.163 -> garden/web:8443/tls via edge at "pass.example.com"
        allow ingress 163.223.48.163 -> garden/web:9000 via edge
    """,
    "two clients": gateways.BLOCK + """
        allow ingress 163.223.48.163 -> garden/web:80/http via edge at "garden.example.com" where jwt corp subject "alice"
        allow ingress 203.0.113.0/24 -> garden/web:80/http via edge at "garden.example.com" where jwt corp subject "bob"
    """,
}
# Which requests show what is wrong with a policy.
PARTS = {"via ingress": [gateways.ask], "via edge": [gateways.ask], "two clients": [gateways.ask]}


def of(objects: list, kind: str, text: str = "") -> list:
    """Returns the specs of the objects of a kind whose text has these words."""
    found = [item["spec"] for item in objects if item["kind"] == kind and text in str(item)]
    assert found, f"no {kind} with {text}"
    return found


def drop(objects: list, kind: str):
    """Takes all objects of a kind away."""
    assert of(objects, kind)
    objects[:] = [item for item in objects if item["kind"] != kind]


def each(objects: list, kind: str, change, text: str = ""):
    """Changes the specs of a kind."""
    for spec in of(objects, kind, text):
        change(spec)


def exact(objects: list):
    """Gives the ServiceEntries of several addresses an exact host, and their imports too."""
    for spec in of(objects, "ServiceEntry", "*.internet"):
        spec["hosts"] = [host.replace("*.", "all.") for host in spec["hosts"]]
    for spec in of(objects, "Sidecar", "*.internet"):
        for listener in spec["egress"]:
            listener["hosts"] = [host.replace("*.internet", "all.internet") for host in listener["hosts"]]


def rules(objects: list, change, text: str = ""):
    """Changes the rules of the AuthorizationPolicies, those with these words."""
    found = [rule for spec in of(objects, "AuthorizationPolicy", text) for rule in spec["rules"] if text in str(rule)]
    assert found, text
    for rule in found:
        change(rule)


def apart(spec: dict):
    """Makes two rules of who and what, which are then joined by or."""
    spec["rules"] = [part for rule in spec["rules"] for part in ({"from": rule["from"]}, {"to": rule["to"]})]


def at(objects: list, namespace: str, change, text: str):
    """Changes the rules with these words in the AuthorizationPolicies of a namespace."""
    rules([item for item in objects if item["metadata"]["namespace"] == namespace], change, text)


def led(objects: list):
    """Takes the Sidecar of `garden/web` away, so that the one of its namespace leads it to the gateway, too."""
    [own] = [item for item in objects if item["kind"] == "Sidecar" and "'app': 'web'" in str(item["spec"])]
    objects.remove(own)


def operations(rule: dict, key: str, value=None):
    """Takes a condition out of a rule's operations, or gives it another value."""
    for to in rule["to"]:
        to["operation"].pop(key)
        if value:
            to["operation"][key] = value


MUTATIONS = [
    ("egress", "ALLOW_ANY", lambda o: each(o, "Sidecar", lambda s: s.update(
        outboundTrafficPolicy={"mode": "ALLOW_ANY"}))),
    ("egress", "a lost host", lambda o: each(o, "Sidecar", lambda s: s.update(
        egress=[one for one in s["egress"] if "zenquotes" not in str(one)]), "zenquotes")),
    ("egress", "a listener for another port", lambda o: each(o, "Sidecar", lambda s: [
        one["port"].update(number=8443) for one in s["egress"] if "zenquotes" in str(one)], "zenquotes")),
    ("egress", "NONE for DNS", lambda o: each(o, "ServiceEntry", lambda s: s.update(resolution="NONE"), "zenquotes")),
    ("egress", "a lost except", lambda o: each(o, "ServiceEntry", lambda s: s.update(addresses=["198.51.100.0/24"]),
                                               "198.51.100.0/26")),
    ("internet", "an exact host of several addresses", exact),
    ("internet", "a lost except", lambda o: each(o, "ServiceEntry", lambda s: s["addresses"].append("198.51.100.0/26"),
                                                 "internet-except")),
    ("egress", "a lost workloadSelector", lambda o: each(o, "Sidecar", lambda s: s.pop("workloadSelector"),
                                                         "app': 'cart")),
    ("ingress", "or for and", lambda o: each(o, "AuthorizationPolicy", apart, "/sa/curl")),
    ("ingress", "lost ports", lambda o: rules(o, lambda r: r.pop("to"), "163.223.48.163")),
    ("ingress", "lost methods", lambda o: rules(o, lambda r: operations(r, "methods"), "methods")),
    ("ingress", "a path without itself", lambda o: rules(o, lambda r: operations(r, "paths", ["/api/*"]), "paths")),
    ("ingress", "a lost source", lambda o: rules(o, lambda r: r.pop("from"), "/sa/curl")),
    ("ingress", "lost mTLS", lambda o: drop(o, "PeerAuthentication")),
    ("ingress", "a lost selector", lambda o: each(o, "AuthorizationPolicy", lambda s: s.pop("selector"), "/sa/curl")),
    ("ingress", "ALLOW for DENY", lambda o: each(o, "AuthorizationPolicy", lambda s: s.update(action="ALLOW"), "DENY")),
    ("token", "lost claims", lambda o: rules(o, lambda r: r.pop("when"), "claims")),
    ("token", "no check of tokens", lambda o: drop(o, "RequestAuthentication")),
    ("via egress", "a missing exportTo", lambda o: [each(o, kind, lambda s: s.update(exportTo=["."]))
                                                    for kind in ("ServiceEntry", "VirtualService")]),
    ("via egress", "a way without the hop", lambda o: drop(o, "DestinationRule")),
    ("refused", "a lost DENY where a Sidecar leads to the gateway", lambda o: (led(o), each(
        o, "AuthorizationPolicy", lambda s: s.update(action="ALLOW"), "DENY"))),
    ("by host and address", "a lost address", lambda o: each(o, "ServiceEntry", lambda s: s.pop("addresses"), "198.51")),
    ("tls", "a certificate of any name", lambda o: each(o, "DestinationRule", lambda s: [
        one["tls"].pop("subjectAltNames") for one in s["trafficPolicy"]["portLevelSettings"]], "liar")),
    ("captured", "a lost host", lambda o: drop(o, "ServiceEntry")),
    ("requests", "a lost header", lambda o: rules(o, lambda r: r.pop("when"), "request.headers")),
    ("requests", "lost notPaths", lambda o: rules(o, lambda r: operations(r, "notPaths"), "notPaths")),
    ("desk", "lost audiences", lambda o: each(o, "RequestAuthentication", lambda s: [
        one.pop("audiences") for one in s["jwtRules"]])),
    ("desk", "another place of tokens", lambda o: each(o, "RequestAuthentication", lambda s: [
        one.pop("fromHeaders") for one in s["jwtRules"]])),
    ("desk", "a lost claim", lambda o: rules(o, lambda r: r.update(
        when=[one for one in r["when"] if "roles" not in one["key"]]), "roles")),
    ("via ingress", "lost addresses", lambda o: rules(o, lambda r: r.pop("from"), "remoteIpBlocks")),
    ("via ingress", "other hosts closed", lambda o: each(o, "AuthorizationPolicy", lambda s: s.update(
        rules=[rule for rule in s["rules"] if "notHosts" not in str(rule)]), "notHosts")),
    ("via edge", "lost addresses of a host", lambda o: at(o, "edge", lambda r: r.pop("from"), "['shop.other.test', '")),
    ("via edge", "lost addresses of a port", lambda o: at(o, "edge", lambda r: r.pop("from"), "'ports': ['9000']")),
    ("via edge", "a lost host at the workload", lambda o: at(o, "garden", lambda r: operations(r, "hosts"), "garden.ex")),
    ("via edge", "lost notPorts", lambda o: at(o, "edge", lambda r: r.pop("to"), "notPorts")),
    ("via edge", "hosts for a name of TLS", lambda o: at(o, "edge", lambda r: (
        r.pop("when"), r["to"][0]["operation"].update(hosts=["pass.example.com"])), "'values': ['pass.ex")),
    ("via edge", "a name of TLS for all", lambda o: at(o, "edge", lambda r: r.pop("when"), "notValues")),
    ("via edge", "names of TLS where it ends", lambda o: at(
        o, "edge", lambda r: r["to"][0]["operation"]["ports"].append("8443"), "notValues")),
    ("two clients", "lost addresses at the workload", lambda o: at(
        o, "garden", lambda r: r["from"][0]["source"].pop("remoteIpBlocks"), "remoteIpBlocks")),
    ("two clients", "a lost identity at the workload", lambda o: at(
        o, "garden", lambda r: r["from"][0]["source"].pop("principals"), "principals")),
]

# Defects in the objects of one end that no request shows, since the other end refuses.
HELD = [
    ("refused", "a Sidecar that leads to the gateway", led),
]


def check(cluster: Cluster) -> int:
    """Returns 0 if every policy agrees as it is built, every defect in its objects is seen, and none of those that the other
    end holds."""
    began = time.monotonic()
    bench, missed, built = Bench(cluster), [], {}
    issuer = bench.issuer()
    for policy, what, change in [*((name, "", None) for name in POLICIES), *HELD, *MUTATIONS]:
        bench.judge = Judge(bench.mesh)
        bench.capture(policy == "captured")
        objects = built[policy] = built.get(policy) or bench.build(issuer + POLICIES[policy])
        bench.build(issuer + POLICIES[policy])
        if change:
            objects = copy.deepcopy(objects)
            change(objects)
        wrong = bench.compare(f"{policy}: {what or 'as built'}", objects, *PARTS.get(policy, [INSIDE]))
        seen = (policy, what, change) not in HELD
        if wrong and change and seen:
            print(f"  seen: {wrong[0].text}: {wrong[0].answer['what']}")
        elif wrong or change and seen:
            missed.append(f"{policy}: {what or 'as built'}")
            bench.judge.table()
    print(*(f"  MISSED {each}" for each in missed), sep="\n", end="\n" if missed else "")
    print(f"mutations: {len(MUTATIONS)} defects, {len(missed)} missed, {time.monotonic() - began:.0f} s")
    return 1 if missed else 0
