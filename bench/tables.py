"""What a table costs in a project beside scikit-learn alone: Telco churn at five shards, each in a process of its own.

    EXPUNGE_DATA=... python bench/tables.py [--quick]

`expunge train` reads and checks the records, fits five units, fits the smallest again to see that it repeats, writes what it
fitted, reads it back and forgets somebody from that copy. Beside it: a script that reads the same file and fits the same
pipeline on five fifths of it. Both are CPU seconds of the process and all that it starts, from start to exit, in turns; the
median of 5 (`--quick`: 2). Records of the fits alone, without start-up, are a finding.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

from _claims import claim, finding, finish

FILE = Path(os.environ["EXPUNGE_DATA"]) / "tabular" / "telco_churn.parquet"
SHARDS, TIMES = 5, 3.0
ESTIMATOR = """from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

words = OneHotEncoder(handle_unknown="ignore", sparse_output=False), make_column_selector(dtype_include="str")
estimator = make_pipeline(make_column_transformer(words, remainder="passthrough"), HistGradientBoostingClassifier())
"""
RECIPE = f"""import expunge
from expunge.exact import Sisa
{ESTIMATOR}

def recipe():
    return expunge.Training(model="churn", dataset="customers", learner=Sisa(estimator, shards={SHARDS}))
"""
ALONE = f"""import sys
import time

import pandas as pd
from sklearn.base import clone
{ESTIMATOR}
frame = pd.read_parquet(sys.argv[1])
frame.pop("customerID")
y = frame.pop("Churn")
began = time.process_time()
for k in range({SHARDS}):
    clone(estimator).fit(frame[k::{SHARDS}], y[k::{SHARDS}])
print(time.process_time() - began)
"""


def columns() -> list[str]:
    """All that is neither the name nor the answer."""
    import pyarrow.parquet as pq

    return [name for name in pq.read_schema(FILE).names if name not in ("customerID", "Churn")]


def cpu_s(*command: str | Path) -> tuple[float, str]:
    """CPU seconds of a process and all that it starts, and its standard output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def project(folder: Path) -> Path:
    """A new project with the data, and no model."""
    named = ("--name", "customers", "--subject", "customerID", "--id", "customerID", "--answer", "Churn")
    cpu_s("-m", "expunge", "init", folder)
    cpu_s("-m", "expunge", "data", "add", FILE, *named, "--features", ",".join(columns()), "-p", folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    began, n = time.perf_counter(), 2 if given.quick else 5
    trained, alone, fits = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "recipe.py").write_text(RECIPE)
        (folder / "alone.py").write_text(ALONE)
        for k in range(n + 1):  # the first reads from disk what the others find in memory
            spent = cpu_s("-m", "expunge", "train", f"{folder / 'recipe.py'}:recipe", "-p", project(folder / f"p{k}"))[
                0
            ]
            whole, printed = cpu_s(folder / "alone.py", FILE)
            if k:
                trained.append(round(spent, 2))
                alone.append(round(whole, 2))
                fits.append(round(float(printed), 2))
    ratio = median(trained) / median(alone)
    text = f"`expunge train` on Telco at {SHARDS} shards, CPU seconds over those of five fits by scikit-learn with start-up"
    why = "start-up is most of it, and that of a process which reads, signs and checks is another than that of a script"
    finish(
        "tables",
        [claim(text, round(ratio, 2), TIMES, ratio <= TIMES)],
        began,
        [finding("the same over the five fits alone", round(median(trained) / median(fits), 2), None, why)],
        quick=given.quick,
        trained_s=trained,
        alone_s=alone,
        fits_s=fits,
    )


if __name__ == "__main__":
    main()
