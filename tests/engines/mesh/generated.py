"""Random policies in the live mesh, and defects in their objects that the mesh must show."""

import os
import subprocess
import time
from pathlib import Path

import policies
from cluster import Cluster, documents
from judge import Judge
from setting import CLUSTER, OUTSIDE, ROUTES, requests, route, start

SERVERS = {name: OUTSIDE[name] for name in ("zen", "evil", "wild", "db", "kyma")}
PUBLIC = [("garden.example.com", "garden/web", 80), ("team.example.com", "team-a/web", 80)]


class Bench:
    """The mesh with the cluster of `cluster.yaml`, in which a policy is built, applied and asked."""

    def __init__(self, cluster: Cluster):
        self.mesh, self.signer = start(cluster)
        self.mesh.become(documents(Path(CLUSTER).read_text()))
        self.folder = cluster.folder / "policy"
        self.folder.mkdir()
        # Where pods and Services are, so that addresses mean neither.
        (self.folder / "netpol.toml").write_text(
            'targets = ["istio"]\n[cluster]\npods = ["100.96.0.0/16", "10.96.0.0/16"]\n')
        self.judge = Judge(self.mesh)
        self.routes = documents(ROUTES) + [each for one in PUBLIC for each in route(*one)]

    def issuer(self) -> str:
        """Returns the declaration of the issuer of the tokens that the requests bring."""
        return policies.issuer(self.signer.keys())

    def build(self, text: str):
        """Returns the objects of a policy, or the reason why it is refused."""
        source = self.folder / "policy.netpol"
        source.write_text(text)
        done = subprocess.run([os.environ["NETPOL"], "build", "--inventory", CLUSTER, "--color", "never", self.folder],
                              capture_output=True, text=True)
        if done.returncode:
            return next((line for line in done.stderr.splitlines() if line.startswith("error")), done.stderr)
        return [each for each in documents(done.stdout) if each["kind"] != "Service"]

    def compare(self, name: str, objects: list) -> list:
        """Applies objects and returns the requests that disagree with the last policy that was built."""
        self.mesh.apply(self.routes + objects)
        asks = requests(self.mesh, self.signer, SERVERS, PUBLIC, policies.WAYS)
        evaluator = [os.environ["NETPOL"], "eval", self.folder, "--inventory", self.mesh.inventory]
        return self.judge.compare(name, asks, evaluator)


def check(cluster: Cluster, count: str = "5", seed: str = "1") -> int:
    """Returns 0 if requests in the mesh end as the evaluator says for so many random policies that build; a seed with a
    number behind a slash is that policy alone."""
    began = time.monotonic()
    seed, _, only = seed.partition("/")
    bench, refused, built, number = Bench(cluster), [], 0, int(only or 1)
    while built < (1 if only else int(count)):
        text = policies.policy(f"{seed}/{number}")
        objects = bench.build(bench.issuer() + text)
        if isinstance(objects, str):
            refused.append(objects)
        else:
            built += 1
            if bench.compare(f"policy {seed}/{number}", objects):
                print(text)
        number += 1
    bench.judge.table()
    print(f"random policies: seed {seed}, {built} built, {len(refused)} refused, {time.monotonic() - began:.0f} s")
    print(*(f"  refused: {why}" for why in sorted(set(refused))), sep="\n", end="\n" if refused else "")
    return 1 if bench.judge.wrong or built < 4 * len(refused) else 0
