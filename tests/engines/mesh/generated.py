"""Random policies in the live mesh, and defects in their objects that the mesh must show."""

import json
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import gateways
import policies
from cluster import Cluster, documents
from judge import Judge
from setting import CLUSTER, INTERN, OUTSIDE, inside, requests, start

SERVERS = {name: OUTSIDE[name] for name in ("zen", "evil", "wild", "db", "kyma", "tls", "mail", "post")}
INSIDE = inside(SERVERS | INTERN)


class Bench:
    """The mesh with the cluster of `cluster.yaml`, in which a policy is built, applied and asked."""

    def __init__(self, cluster: Cluster):
        self.mesh, self.signer = start(cluster)
        self.mesh.become(documents(Path(CLUSTER).read_text()))
        self.folder = cluster.folder / "policy"
        self.folder.mkdir()
        # Where pods and Services are, so that addresses mean neither.
        self.capture(False)
        self.mesh.normalize("DECODE_AND_MERGE_SLASHES")
        self.judge = Judge(self.mesh)
        self.routes = gateways.objects(cluster.folder) + gateways.routes()
        self.inventory, self.asked = cluster.folder / "known.yaml", cluster.folder / "asked.yaml"
        self.know(gateways.EDGE, gateways.FRONT)

    def know(self, *told):
        """Gives a build and the evaluator the cluster with these Gateway objects. Of the ingress gateway the standard
        library tells, where its object does not."""
        known = [json.dumps(item) for item in gateways.objects(self.mesh.folder, told)]
        self.inventory.write_text("\n---\n".join([Path(CLUSTER).read_text(), *known]))
        self.asked.write_text("\n---\n".join([self.mesh.inventory.read_text(), *known]))

    def capture(self, captured: bool):
        """Says to builds whether sidecars answer DNS, as those of one namespace do."""
        (self.folder / "netpol.toml").write_text(
            'targets = ["istio"]\n[cluster]\npods = ["100.96.0.0/16", "10.96.0.0/16"]\n'
            f'[istio]\npath-normalization = "DECODE_AND_MERGE_SLASHES"\ndns-capture = {str(captured).lower()}\n')

    def issuer(self) -> str:
        """Returns the declaration of the issuer of the tokens that the requests bring."""
        return policies.issuer(self.signer.keys())

    def build(self, text: str):
        """Returns the objects of a policy, or the reason why it is refused."""
        source = self.folder / "policy.netpol"
        source.write_text(text)
        command = [os.environ["NETPOL"], "build", "--inventory", self.inventory, "--color", "never", self.folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return next((line for line in done.stderr.splitlines() if line.startswith("error")), done.stderr)
        return [each for each in documents(done.stdout) if each["kind"] not in ("Service", "Deployment")]

    def compare(self, name: str, objects: list, *parts) -> list:
        """Applies objects and returns the requests, of these parts, that disagree with the last policy that was built."""
        self.mesh.apply(self.routes + objects)
        asks = requests(self.mesh, self.signer, policies.WAYS, *parts)
        evaluator = [os.environ["NETPOL"], "eval", self.folder, "--inventory", self.asked]
        return self.judge.compare(name, asks, evaluator)


def check(cluster: Cluster, count: str = "5", seed: str = "1", only_gateways: str = "") -> int:
    """Returns 0 if requests in the mesh end as the evaluator says for so many random policies that build; a seed with a
    number behind a slash is that policy alone. With `gateways` the policies and the requests are about gateways."""
    began = time.monotonic()
    seed, _, only = seed.partition("/")
    bench, refused, built, number = Bench(cluster), [], 0, int(only or 1)
    while built < (1 if only else int(count)):
        captured = not only_gateways and number % 3 == 0
        bench.capture(captured)
        text = policies.policy(f"{seed}/{number}", 1 if only_gateways else 0.5, captured)
        bench.know(*gateways.ALL if number % 2 else (gateways.EDGE, gateways.FRONT))
        objects = bench.build(bench.issuer() + text)
        if isinstance(objects, str):
            refused.append(objects)
        else:
            built += 1
            # The evaluator knows where a host is from the rules that name it.
            servers = SERVERS | (INTERN if "intern:" in text else {})
            parts = [gateways.ask] if only_gateways else [inside(servers), gateways.ask]
            if bench.compare(f"policy {seed}/{number}", objects, *parts):
                print(text)
        number += 1
    bench.judge.table()
    print(f"random policies: seed {seed}, {built} built, {len(refused)} refused, {time.monotonic() - began:.0f} s")
    for why, count in sorted(Counter(refused).items()):
        print(f"  refused, {count}: {why}")
    # A generator whose policies are mostly refused would ask for little.
    return 1 if bench.judge.wrong or built < len(refused) else 0
