"""Pods as network namespaces: each has an address, and a route to everything through the namespace of this process."""

import subprocess
from pathlib import Path

# The address of this process's namespace: control plane, router, and what stands for the world outside.
ROUTER = "192.0.2.1"


def run(*command, **options) -> str:
    """Runs a program that must succeed, and returns what it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def begin():
    """Makes this process's network and mount namespaces ready."""
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{ROUTER}/32", "dev", "lo")
    # Here nothing is left behind, and the proxies' own user may read it.
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run("iptables", "-t", "nat", "-N", "SERVICES")
    run("iptables", "-t", "nat", "-A", "PREROUTING", "-j", "SERVICES")


def add_outside(address: str):
    """Gives an address of the world outside to this namespace, where its server listens."""
    run("ip", "address", "add", f"{address}/32", "dev", "lo")


def add_pod(name: str, address: str):
    """Makes a network namespace with an address."""
    here = "v" + address.replace(".", "-").removeprefix("100-")
    run("ip", "netns", "add", name)
    run("ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", here, "up")
    run("ip", "route", "add", f"{address}/32", "dev", here)
    run("ip", "-n", name, "-batch", "-", input=f"""
        link set lo up
        link set eth0 up
        address add {address}/32 dev eth0
        route add {ROUTER} dev eth0 scope link
        route add default via {ROUTER}
    """)


def remove_pod(name: str):
    """Removes a network namespace, once its processes are gone."""
    run("ip", "netns", "delete", name)


def inside(name: str, *command) -> list:
    """Returns the command that runs another one in a pod's network."""
    return ["nsenter", f"--net=/run/netns/{name}", *map(str, command)]


def forward(services: dict):
    """Leads each (address, port) of a Service to a pod's, as kube-proxy does for pods without a sidecar."""
    rules = [f"-A SERVICES -d {address} -p tcp --dport {port} -j DNAT --to-destination {to[0]}:{to[1]}"
             for (address, port), to in sorted(services.items())]
    run("iptables-restore", "--noflush", input="\n".join(["*nat", ":SERVICES - [0:0]", *rules, "COMMIT", ""]))
