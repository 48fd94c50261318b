"""How long light commands take: the help, a request and its plan on a table, each in a process of its own.

    python bench/startup.py [--quick]

A project with a model of a table of eight people is made; then each command is timed from start to exit, and the median of
15 is shown (`--quick`: 5). What is imported costs most, so the first run of each, which may read from disk, is not counted.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _claims import claim, finish

HELP_S, LIGHT_S = 0.25, 1.0
RECIPE = """import expunge
from expunge.exact import MultinomialNB


def recipe():
    return expunge.Training(model="churn", dataset="people", learner=MultinomialNB())
"""


def expunge(*arguments: str | Path, names: str = "") -> str:
    """Run a command; its standard output."""
    command = [sys.executable, "-m", "expunge", *map(str, arguments)]
    return subprocess.run(command, input=names, capture_output=True, text=True, check=True).stdout


def project(folder: Path) -> Path:
    rows = [
        {"id": f"r{i}", "who": f"Person {i % 8}", "a": i % 4, "b": i % 3, "leaves": "yes" if i % 3 else "no"}
        for i in range(64)
    ]
    (folder / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.py").write_text(RECIPE)
    expunge("init", folder / "p")
    columns = ("--subject", "who", "--id", "id", "--features", "a,b", "--answer", "leaves")
    expunge("data", "add", folder / "people.jsonl", *columns, "-p", folder / "p")
    expunge("train", f"{folder / 'recipe.py'}:recipe", "-p", folder / "p")
    return folder / "p"


def seconds(n: int, *arguments: str | Path, names: str = "") -> list[float]:
    """Of n runs after the first, from start to exit."""
    expunge(*arguments, names=names)
    found = []
    for _ in range(n):
        began = time.perf_counter()
        expunge(*arguments, names=names)
        found.append(round(time.perf_counter() - began, 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    began, n = time.perf_counter(), 5 if given.quick else 15
    with tempfile.TemporaryDirectory() as scratch:
        where = project(Path(scratch))
        asked = json.loads(expunge("request", "--dataset", "people", "-p", where, "--json", names="Person 1"))
        runs = {
            "--help": (seconds(n, "--help"), HELP_S),
            "request on a table": (
                seconds(n, "request", "--dataset", "people", "-p", where, names="Person 2"),
                LIGHT_S,
            ),
            "plan on a table": (seconds(n, "plan", asked["request"], "-p", where), LIGHT_S),
        }
    claims = []
    for name, (times, bar) in runs.items():
        median = statistics.median(times)
        claims.append(claim(f"{name}: seconds from start to exit, median of {n}", round(median, 3), bar, median <= bar))
    finish(
        "startup", claims, began, quick=given.quick, seconds_of_each={name: times for name, (times, _) in runs.items()}
    )


if __name__ == "__main__":
    main()
