"""What the demo claims: the two honest negatives, the untouched, the wrecked and the exact, within time and memory.

    python bench/demo.py [--quick] [--dir DIR]

`--quick` runs the same with fewer people on a smaller model. With `--dir` an interrupted run goes on.
"""

import argparse
import tempfile
import time
from pathlib import Path

from _claims import claim, finish
from expunge.core.capability import pin_capability

if __name__ == "__main__":
    pin_capability()
    from expunge.workflow.demo.models import QUICK, Cast
    from expunge.workflow.demo.story import demo

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path)
    given = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        result = demo(given.dir or Path(scratch), QUICK if given.quick else Cast())
    result.pop("document")
    row = {r["method"]: r for r in result["rows"]}
    exact, person = row["adapter shards, one person"], result["person"]
    hidden = [
        claim(
            f"{m}: hidden, not forgotten; recovered fraction of the worst attack",
            row[m]["recovered"],
            0.3,
            "HIDDEN" in row[m]["flags"] and row[m]["recovered"] >= 0.3,
        )
        for m in ("refusal", "rmu")
    ]
    skilled = [
        claim(f"{m}: retained skill over the control's", row[m]["retained"], 0.9, row[m]["retained"] >= 0.9)
        for m in ("refusal", "rmu")
    ]
    claims = [
        *hidden,
        *skilled,
        claim(
            "untouched model is RETAINED",
            row["untouched"]["flags"],
            ["RETAINED"],
            row["untouched"]["flags"] == ["RETAINED"],
        ),
        claim(
            "gradient ascent is DAMAGED",
            row["gradient_ascent"]["flags"],
            "DAMAGED",
            "DAMAGED" in row["gradient_ascent"]["flags"],
        ),
        claim("exact route: level", exact["assurance"], "EXACT", exact["assurance"] == "EXACT"),
        claim("exact route: flags", exact["flags"], [], exact["flags"] == []),
        claim(
            "retrained with a second seed: no attack recovers anything",
            row["retrain, second seed"]["flags"],
            [],
            not {"HIDDEN", "RETAINED", "PARTIAL"} & set(row["retrain, second seed"]["flags"]),
        ),
        claim(
            "one person's 20 facts are INCONCLUSIVE", person["flags"], "INCONCLUSIVE", "INCONCLUSIVE" in person["flags"]
        ),
        claim(
            "certificate: exit code of the check", result["check"]["exit_code"], 0, result["check"]["exit_code"] == 0
        ),
        claim("files that still hold the person's name", result["traces"], [], result["traces"] == []),
        claim("seconds on two cores", result["seconds"], 240, result["seconds"] <= 240),
        claim("peak memory, MB", result["peak_mb"], 3000, result["peak_mb"] <= 3000),
    ]
    finish("demo", claims, began, quick=given.quick, rows=result["rows"], recalls=result["recalls"])
