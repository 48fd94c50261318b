"""A published benchmark on a model folder: numbers as JSON, and a page."""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidParameter
from expunge.core.refusals import explaining
from expunge.core.version import __version__
from expunge.engine import load_model, load_tokenizer, pinned
from expunge.report.benchmark_page import benchmark_page
from expunge.verify import Arm
from expunge.verify.benchmarks import benchmarks
from expunge.verify.benchmarks._loading import Source


def run_benchmark(
    name: str,
    model: str,
    data: str | None,
    retrained: str | None = None,
    revision: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Load the models, run the benchmark, and give its result as a document that holds no text of the data.

    `settings` are the benchmark's own (its dataclass fields); None stands for its default.

    Raises: UnknownMethod; InvalidParameter, for a setting that this benchmark does not have.
    """
    benchmark = _configured(name, settings or {})
    if revision is not None and data is None:
        raise InvalidParameter("--revision pins a data set of the hub; name it with --data")
    source = Source(data, revision) if data else None
    arms = {role: _arm(folder) for role, folder in (("model", model), ("retrained", retrained)) if folder}
    with pinned():
        result = benchmark.run(arms["model"], source, arms.get("retrained"))
    return {
        **result.to_json(),
        "complete": result.complete,
        "tool": {"name": "expunge", "version": __version__},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_benchmark(document: Mapping[str, Any], out: Path | None, page: Path | None) -> None:
    """Write the numbers and the page, where they are wanted."""
    with explaining("what benchmark writes"):
        if out:
            write_durably(out, json.dumps(document, indent=1, sort_keys=True).encode())
        if page:
            benchmark_page(document, page)


def _configured(name: str, settings: Mapping[str, Any]) -> Any:
    cls = benchmarks.get(name)
    given = {key: value for key, value in settings.items() if value is not None}
    known = {f.name for f in fields(cls)}
    if foreign := sorted(set(given) - known):
        raise InvalidParameter(f"{name} has no setting '{foreign[0]}'; it has {', '.join(sorted(known)) or 'none'}")
    return cls(**given)


def _arm(folder: str) -> Arm:
    return Arm.of(load_model(folder), load_tokenizer(folder))
