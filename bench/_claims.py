"""How a bench ends: one line of JSON with its claims and findings, and exit code 0 only if every claim holds.

A *claim* is a promise: its script fails when it is broken. A *finding* is what was found out, with its interval and the
reason why it is no promise; it fails nothing.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def claim(text: str, value: Any, bar: Any, ok: bool) -> dict[str, Any]:
    return {"claim": text, "value": value, "bar": bar, "ok": bool(ok)}


def finding(text: str, value: Any, interval: tuple[float, float] | None, why: str) -> dict[str, Any]:
    """Found out, and not promised, because `why`. The interval is two-sided, 95 %; None where none can be given."""
    return {"finding": text, "value": value, "interval": interval and [round(x, 3) for x in interval], "why": why}


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """Exact two-sided 95 % bounds of a share (Clopper and Pearson 1934).

    >>> [round(x, 3) for x in share_interval(3, 3)]
    [0.292, 1.0]
    """
    from scipy.stats import beta

    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0


def recorded(bench: str) -> dict[str, Any]:
    """What a bench measured when it was last recorded."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "results" / f"{bench}.json").read_text())
    return found


def judge_again(line: dict[str, Any], claims: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    """Claims and findings drawn again from recorded figures; date, machine and figures stay those of the measurement."""
    _leave({**line, "claims": claims, "findings": findings})


def finish(
    bench: str, claims: list[dict[str, Any]], began: float, findings: list[dict[str, Any]] | None = None, **more: Any
) -> None:
    """Print the line and leave."""
    line = {
        "bench": bench,
        "claims": claims,
        "findings": findings or [],
        "machine": machine(),
        "versions": {
            name: version(name) for name in ("torch", "transformers", "peft", "numpy", "scipy", "scikit-learn", "numba")
        },
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - began, 1),
        **more,
    }
    _leave(line)


def _leave(line: dict[str, Any]) -> None:
    for c in line["claims"]:
        sys.stderr.write(f"{'ok  ' if c['ok'] else 'FAIL'} {c['claim']}: {c['value']} (bar {c['bar']})\n")
    for f in line["findings"]:
        sys.stderr.write(f"found {f['finding']}: {f['value']} {f['interval'] or ''}\n")
    print(json.dumps(line))
    sys.exit(0 if all(c["ok"] for c in line["claims"]) else 1)


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
