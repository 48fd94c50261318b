"""How a bench ends: one line of JSON with its claims, and exit code 0 only if every claim holds."""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any


def claim(text: str, value: Any, bar: Any, ok: bool) -> dict[str, Any]:
    return {"claim": text, "value": value, "bar": bar, "ok": bool(ok)}


def finish(bench: str, claims: list[dict[str, Any]], began: float, **more: Any) -> None:
    """Print the line and leave."""
    line = {
        "bench": bench,
        "claims": claims,
        "machine": machine(),
        "versions": {
            name: version(name) for name in ("torch", "transformers", "peft", "numpy", "scipy", "scikit-learn", "numba")
        },
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - began, 1),
        **more,
    }
    sys.stderr.write(
        "".join(f"{'ok  ' if c['ok'] else 'FAIL'} {c['claim']}: {c['value']} (bar {c['bar']})\n" for c in claims)
    )
    print(json.dumps(line))
    sys.exit(0 if all(c["ok"] for c in claims) else 1)


def machine() -> Mapping[str, Any]:
    """What the figures were measured on, without its name."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor()
