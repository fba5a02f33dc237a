"""Runs one of the checks inside the namespaces that `run` made."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import admission
from cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]
CHECKS = {"admission": admission.check}


def main(check: str, *arguments: str) -> int:
    """Returns the exit code. Whatever still runs at the end dies with the process namespace."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    folder = Path(tempfile.mkdtemp(prefix="live-", dir=ROOT / "target/engines"))
    try:
        os.chdir(ROOT)
        return CHECKS[check](Cluster(folder), *arguments)
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            print(f"== {log.name}", *log.read_text(errors="replace").splitlines()[-5:], sep="\n", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in CHECKS:
        sys.exit("usage: run " + "|".join(CHECKS))
    sys.exit(main(*sys.argv[1:]))
