"""Runs one of the checks inside the namespaces that `run` made."""

import os
import sys
from pathlib import Path

import admission
import apply
import examples
import generated
import mutations
import network
from cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]
CHECKS = {"admission": admission.check, "apply": apply.check, "examples": examples.check, "random": generated.check,
          "mutations": mutations.check}


def main(check: str, *arguments: str) -> int:
    """Returns the exit code. Whatever still runs at the end dies with the process namespace."""
    network.begin()
    for name in ("ENVOY", "PILOT_AGENT", "BOOTSTRAP"):
        # The proxies' own user cannot read everybody's clone.
        program = Path("/run", name.lower())
        program.touch()
        network.run("mount", "--bind", os.environ[name], program)
        os.environ[name] = str(program)
    os.chdir(ROOT)
    folder = Path("/run/live")
    try:
        return CHECKS[check](Cluster(folder), *arguments)
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            print(f"== {log.name}", *log.read_text(errors="replace").splitlines()[-5:], sep="\n", file=sys.stderr)
        raise


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in CHECKS:
        sys.exit("usage: run " + "|".join(CHECKS))
    sys.exit(main(*sys.argv[1:]))
