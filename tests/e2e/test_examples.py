"""The examples run on real material."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import HANGING

ROOT = Path(__file__).parents[2]


@pytest.mark.data
@pytest.mark.skipif("EXPUNGE_DATA" not in os.environ, reason="EXPUNGE_DATA not set")
def test_tofu_on_the_pretrained_model(tmp_path: Path) -> None:
    data = Path(os.environ["EXPUNGE_DATA"])
    script = [sys.executable, str(ROOT / "examples" / "tofu.py"), "--quick", "--out", str(tmp_path / "out")]
    command = [*script, "--data", str(data), "--base", str(data / "lm" / "tinystories-656k")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGING, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    exact = result["rows"][-1]
    assert exact["assurance"] == "EXACT", "the deletion equals a fit without the author, bit for bit"
    assert all(row["assurance"] == "CLAIMED" for row in result["rows"][:-1]), "two epochs teach nothing to attack"
    assert Path(result["report"]).exists()
