"""Workers killed by SIGKILL at random while they carry real requests: every request ends right, and no step is applied twice.

    python bench/kill_workers.py [--quick] [--seed N]

Four processes share one project of two models; each takes any open request and carries it with `run_request`. One after
another is killed after a random time, 500 times (`--quick`: 40), and replaced. Requests are filed in rounds, so that there
is always one to carry. Afterwards every event, step, tombstone, key, certificate, folder and model is looked at.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from _claims import claim, finish
from _workers import faults, kill_at_random, make_project

WORKERS = 4
PER_ROUND = 6  # requests, of one or two people each
MEAN_S = 0.8  # between kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kills", type=int, help="So many instead.")
    parser.add_argument("--requests", type=int, default=PER_ROUND, help="So many in a round.")
    options = parser.parse_args()
    n_kills, began = options.kills or (40 if options.quick else 500), time.perf_counter()
    killed, rounds, wrong = 0, 0, list[str]()
    while killed < n_kills:
        with tempfile.TemporaryDirectory() as scratch:
            project = make_project(Path(scratch) / "made", 4 * options.requests)
            asked = set[str]()
            for k in range(options.requests):
                people = [f"Person {2 * k}", f"Person {2 * k + 1}"][: 1 + k % 2]
                asked |= set(project.ledger.open_request(None, people).subjects)
            before = killed

            def told(n: int, before: int = before) -> None:
                print(f"\rkilled {before + n} of {n_kills}", end="", file=sys.stderr, flush=True)

            n, _ = kill_at_random(project.root, n_kills - killed, WORKERS, MEAN_S, options.seed + rounds, told)
            killed, rounds = killed + n, rounds + 1
            wrong += faults(project, asked)
    print(file=sys.stderr)
    finish(
        "kill_workers",
        [
            claim("workers killed while carrying requests, SQLite", killed, n_kills, killed >= n_kills),
            claim("faults found in the projects afterwards", len(wrong), 0, not wrong),
        ],
        began,
        requests=rounds * options.requests,
        rounds=rounds,
        workers=WORKERS,
        faults=wrong[:20],
    )


if __name__ == "__main__":
    main()
