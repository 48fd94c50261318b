"""How long the whole test suite takes, and which tests are slowest.

    python bench/suite.py [--quick]

Runs pytest as `make check` does: two processes of one thread each. The minutes count from its start to its end, without
installation. `--quick`: the tests of `core` and `certify` alone, which says nothing of the bar and is not held to it.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from _claims import claim, finish

ROOT = Path(__file__).parents[1]
MINUTES = 12
SLOWEST = 10
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    some = ["tests/core", "tests/certify"] if given.quick else []
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", f"--durations={SLOWEST}", *some]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **THREADS}, capture_output=True, text=True, check=False)
    minutes = (time.perf_counter() - began) / 60
    counted = dict(reversed(pair.split()) for pair in re.findall(r"\d+ (?:passed|failed|skipped|error)", done.stdout))
    slowest = re.findall(r"^([\d.]+)s (?:call|setup|teardown)\s+(\S+)$", done.stdout, re.MULTILINE)
    claims = [claim("tests that fail", int(counted.get("failed", 0)), 0, done.returncode == 0)]
    if not given.quick:
        claims.append(claim("minutes of pytest on two cores", round(minutes, 1), MINUTES, minutes <= MINUTES))
    finish(
        "suite", claims, began, quick=given.quick, counted=counted, slowest=[[float(s), name] for s, name in slowest]
    )


if __name__ == "__main__":
    main()
