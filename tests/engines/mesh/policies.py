"""Random policies about the cluster of `cluster.yaml`, as far as Istio has words for them."""

import json
import random

import gateways

GOVERNED = ["garden/*", "garden/*", "shop/*", "lab/*", "garden/web", "garden/api", "garden/curl", "shop/cart",
            "garden/{tier=back}", "garden/{app in (web, curl)}", "garden/@api", "team-a/web", "{env=prod}/*", "*/*"]
HOSTS = ["intern:443", "zenquotes.io:443", "zenquotes.io:80", "zenquotes.io:{80, 443}", "evil.example:443", "*.wild.example:443",
         "*.wild.example:80", "{ zenquotes.io, kyma-project.io }:443", "db:5432", "intern:{80, 443}", "tls:80",
         "{ tls:80, liar:80, zenquotes.io:80 }", "liar:80"]
ADDRESSES = ["198.51.100.0/24:443", "198.51.100.0/24:{80, 5432}", "internet:443", "internet:{80, 443}", "{ internet except 198.51.100.0/26 }:443",
             "{ 198.51.100.0/24 except 198.51.100.64/26 }:{443, 5432}", "{ 0.0.0.0/0 except 198.51.100.10 }:{80, 443}",
             "198.51.100.66:8080", "203.0.113.20:443"]
PODS = ["garden/*", "shop/*", "garden/web:80", "garden/web:9000", "garden/api:80", "garden/api:9090", "shop/cart:80",
        "shop/db:5432", "garden/{app=api}:8080", "team-a/web:80", "lab/*", "*/*", "{ garden/web, shop/cart }:80"]
CALLERS = ["garden/curl", "garden/*", "shop/*", "shop/@cart", "lab/*", "garden/{tier=back}", "*/*", "{env=prod}/*",
           "{ garden/web, shop/cart }", "*/@web", "163.223.48.163", "198.51.100.0/24", "anywhere", "internet"]
DOORS = ["garden/web", "garden/web:80", "garden/web:9000", "garden/api:80", "garden/*:8080", "shop/cart:8080", "shop/*",
         "garden/{tier=back}:8080", "team-a/*", "shop/db:5432", "lab/probe:80", "garden/{app=api}:{8080, 9090}"]
VIA = ["zenquotes.io:443", "kyma-project.io:443", "zenquotes.io:80", "db:5432", "evil.example:80",
       "{ evil.example:80, db:5432 }"]
REQUESTS = ["garden/web:80/http", "garden/api:8080/http", "shop/cart:80/http", "garden/*:8080/http"]
WHERE = ['where method GET', 'where method POST, PUT where path "/api/**"', 'where path "/api", "/health"',
         'where path "/api/**"', 'where path "/*/x"', 'where jwt corp', 'where jwt corp subject "alice"',
         'where jwt corp claim groups = "admin"', 'where jwt corp subject "alice", "bob" where method GET',
         'where host "web.garden.svc.cluster.local", "cart.shop.svc.cluster.local"', 'where host "*.svc.cluster.local"',
         'where path "/**" except "/api/**", "/health"', 'where header x-team "web", "api"',
         'where jwt desk', 'where jwt desk where header X-Team "web"', 'where jwt desk claim realm_access.roles = "ops"']
WAYS = [{"method": "GET", "path": "/"}, {"method": "POST", "path": "/api/x"},
        {"claims": {"iss": "corp", "sub": "alice", "groups": ["admin", "dev"]}}, {"path": "/api"},
        {"claims": {"iss": "corp", "sub": "bob", "groups": ["dev"]}}, {"token": "x.y.z"},
        {"path": "/health", "headers": {"x-team": "web"}}, {"path": "/api/y", "headers": {"x-team": "ops"}},
        # Istio knows whom a token is for by its issuer and its subject, and takes none that lacks one of them.
        {"claims": {"iss": "desk", "sub": "carol", "aud": "shop", "realm_access": {"roles": ["ops"]}},
         "headers": {"x-team": "web"}},
        {"claims": {"iss": "desk", "sub": "carol", "aud": ["lab"]}},
        {"claims": {"iss": "desk", "sub": "carol", "aud": "shop"}, "place": "authorization"},
        {"claims": {"iss": "desk", "sub": "carol", "aud": "shop"}, "headers": {"x-team": "web"}}]


def exception(who: str, wide: str, narrow: str) -> str:
    """Returns an allow with a deny beside it: Istio's Sidecar leaves out, and restricts nothing by a deny alone."""
    return f"allow egress {who} -> {wide}\ndeny egress {who} -> {narrow}"


def refused(who: str, wide: str, some: str, narrow: str) -> str:
    """Returns an allow through the gateway with a deny beside it, which the gateway holds where it is isolated."""
    return f"default deny ingress egress-gateway\nallow egress {who} -> {wide} via egress-gateway\ndeny egress {some} -> {narrow}"


# Hosts on a tcp port that have no address but their name, for a mesh whose sidecars answer DNS.
CAPTURED = ["mail.zen.example", "post.zen.example"]
CAPTURING = ["lab/*", "lab/probe", "lab/job"]
# Each shape of a rule with how often it is drawn.
SHAPES = [
    (4, lambda pick: f"allow egress {pick(GOVERNED)} -> {pick(HOSTS)}"),
    (3, lambda pick: f"allow egress {pick(GOVERNED)} -> {pick(ADDRESSES)}"),
    (4, lambda pick: f"allow egress {pick(GOVERNED)} -> {pick(PODS)}"),
    (2, lambda pick: f"allow egress {pick(GOVERNED)} -> {pick(VIA)} via egress-gateway"),
    (1, lambda pick: refused(pick(GOVERNED), pick(VIA), pick(GOVERNED), pick(VIA))),
    (5, lambda pick: f"allow ingress {pick(CALLERS)} -> {pick(DOORS)}"),
    (3, lambda pick: f"allow ingress {pick(CALLERS)} -> {pick(REQUESTS)} {pick(WHERE)}"),
    (2, lambda pick: f"allow {pick(GOVERNED[:10])} -> {pick(PODS)}"),
    (1, lambda pick: f"allow {pick(GOVERNED[:10])} <-> {pick(['shop/cart', 'garden/api', 'team-a/web'])}"),
    (2, lambda pick: exception(pick(GOVERNED), pick(HOSTS + ADDRESSES + PODS), pick(HOSTS + ADDRESSES + PODS))),
    (2, lambda pick: f"deny ingress {pick(CALLERS)} -> {pick(DOORS)}"),
    (1, lambda pick: f"default deny {pick(['', 'egress ', 'ingress '])}{pick(GOVERNED[:10])}"),
]


# Who comes to gateways, what for, and where that leads.
CLIENTS = ["163.223.48.163", "{ 163.223.48.163, 8.8.4.0/24 }", "{ 203.0.113.0/24, 8.8.4.0/24 }", "203.0.113.0/24",
           "internet", "anywhere", "{ 0.0.0.0/0 except 203.0.113.0/24 }"]
HTTP = [("garden/web:80/http", "garden.example.com"), ("garden/web:80/http", "garden.example.com"),
        ("team-a/web:80/http", "team.example.com"), ("garden/api:80/http", "shop.other.test"),
        ("garden/web:80/http", "www.other.test"), ("garden/*:8080/http", 'shop.other.test", "www.other.test'),
        ("{ garden/web, team-a/web }:80/http", 'garden.example.com", "team.example.com'),
        ("garden/web:80/http", 'garden.example.com", "www.other.test'), ("garden/*:8080/http", "shop.other.test")]
PASSED = [("garden/web:8443/tls", "pass.example.com"), ("garden/api:8443/tls", "a.pass.test"),
          ("garden/api:8443/tls", "*.pass.test"), ("garden/web:8443/tls", "pass.example.com"),
          ("garden/*:8443/tls", 'pass.example.com", "a.pass.test')]
PLAIN = ["garden/web:9000", "shop/db:5432"]
GATEWAYS = ["edge", "ingress-gateway", "front"]
AT_ONCE = ["edge", "ingress-gateway", "edge/*:8080/http", "edge/*:8443/https", "istio-system/{istio=ingressgateway}:8443/https",
           'ingress-gateway where host "garden.example.com"']


def published(pick, gateway: str, pairs: list, where: list) -> str:
    """Returns an allow through a gateway for one public host or several."""
    to, host = pick(pairs)
    return f'allow ingress {pick(CLIENTS)} -> {to} via {gateway} at "{host}" {pick(where)}'


# The same for rules about gateways. Most have clients without more, so that what they lend each other shows.
AT_GATEWAYS = [
    (6, lambda pick: published(pick, pick(GATEWAYS), HTTP, ["", *WHERE])),
    (4, lambda pick: published(pick, pick(GATEWAYS), HTTP[:3], ["", "where jwt corp", WHERE[1], WHERE[3]])),
    (3, lambda pick: published(pick, "edge", PASSED, [""])),
    (2, lambda pick: f"allow ingress {pick(CLIENTS)} -> {pick(PLAIN)} via edge"),
    (1, lambda pick: f"allow ingress {pick(CLIENTS)} -> {pick(AT_ONCE)}"),
    (1, lambda pick: f"deny ingress {pick(CLIENTS[:4])} -> {pick(GATEWAYS)}"),
    (1, lambda pick: f"allow ingress {pick(GATEWAYS)} -> {pick(DOORS)}"),
]


def issuer(keys: str) -> str:
    """Returns the declarations of the issuers, with their public keys."""
    return (f"issuer corp {{ url \"corp\" keys {json.dumps(keys)} }}\n"
            f"issuer desk {{ url \"desk\" keys {json.dumps(keys)} audiences \"shop\" from header \"x-jwt\" prefix \"Token \" }}\n")


def policy(seed: str, gateways_share: float, captured: bool = False) -> str:
    """Returns the text of a policy but for its issuer. The same seed gives the same policy; such a share of the policies
    is about gateways above all; if `captured`, some hosts on tcp ports are told by their names."""
    rng = random.Random(seed)
    def drawn(shapes, count):
        shapes = [shape for weight, shape in shapes for _ in range(weight)]
        return [rng.choice(shapes)(rng.choice).rstrip() for _ in range(count)]
    if rng.random() < gateways_share:
        rules = drawn(SHAPES, rng.randint(0, 2)) + drawn(AT_GATEWAYS, rng.randint(1, 4))
    else:
        rules = drawn(SHAPES, rng.randint(2, 6))
    if captured:
        rules.append(f"allow egress lab/* -> {rng.choice(CAPTURED)}:587")
        rules.append(f"allow egress {rng.choice(CAPTURING)} -> {{ {rng.choice(CAPTURED)}, zenquotes.io }}:587")
    rng.shuffle(rules)
    return "\n".join([
        "use std/istio (ingress-gateway, egress-gateway)",
        f"{gateways.BLOCK}let db = host db.zen.example at 198.51.100.50",
        "let intern = host intern.example at 10.100.8.8",
        "let tls = host api.zen.example { port 80/http -> 443/tls }",
        "let liar = host liar.zen.example { port 80/http -> 443/tls }", *rules, ""])
