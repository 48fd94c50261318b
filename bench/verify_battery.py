"""How long the standard battery takes: three arms of the demo's size, side by side on two cores.

    python bench/verify_battery.py [--quick] [--dir DIR]

The models are the demo's (1.1 million parameters, 200 facts to forget, 600 to keep); with `--dir` they are trained once.
`--quick` takes the demo's small cast.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from _claims import claim, finish
from expunge.core.capability import pin_capability


def arms_of(folder: Path, cast: Any) -> dict[str, Any]:
    """The original, an edited copy and a control, trained if they are not there yet."""
    from expunge.engine import load_model, load_tokenizer
    from expunge.verify import Arm
    from expunge.workflow.demo import models

    for name, make in (
        ("base", lambda: models.base(folder, cast)),
        ("original", lambda: models.block(folder, cast, "original", False, 1)),
        ("control", lambda: models.block(folder, cast, "control", True, 2)),
        ("rmu", lambda: models.edited(folder, cast, "rmu")),
    ):
        if not (folder / name / "config.json").exists():
            make()
    named = {"original": "original", "unlearned": "rmu", "control": "control"}
    return {k: Arm.of(load_model(folder / v), load_tokenizer(folder / v)) for k, v in named.items()}


if __name__ == "__main__":
    pin_capability()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path)
    given = parser.parse_args()
    from expunge.verify import audit
    from expunge.workflow.demo.models import QUICK, Cast

    cast = QUICK if given.quick else Cast()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        arms = arms_of(given.dir or Path(scratch), cast)
        started = time.perf_counter()
        found = audit(**arms, probes=cast.probes(), battery="standard", workers=2)
        seconds = time.perf_counter() - started
    spent = {
        name: {attack: round(found.arms[name].elapsed_s[attack], 1) for attack in found.arms[name].elapsed_s}
        for name in found.arms
    }
    claims = [
        claim("standard battery, three arms of the demo on two cores, seconds", round(seconds, 1), 180, seconds <= 180),
        claim(
            "RMU is HIDDEN under it",
            [f.value for f in found.flags],
            "HIDDEN",
            "HIDDEN" in [f.value for f in found.flags],
        ),
    ]
    finish("verify_battery", claims, began, quick=given.quick, seconds_by_attack=spent)
