"""Scripts in processes of their own."""

import os
import subprocess
import sys


def printed_twice(script: str) -> list[str]:
    """What a script prints in two new processes, where sets and addresses come in other orders."""
    return [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
