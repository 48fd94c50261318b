"""A replay in a process of its own, which reads nothing of what this one holds in memory."""

import json
from typing import Any

from expunge.core.errors import RebuildFailed
from expunge.core.workers import last_line, run_module
from expunge.workflow.shapes.made import Progress


def printed_by(name: str, *arguments: str, progress: Progress | None = None) -> Any:
    """What `python -m expunge.workflow.shapes.<name> arguments` prints last, read as JSON.

    Raises: RebuildFailed, if it fails.
    """
    done = run_module(f"expunge.workflow.shapes.{name}", *arguments, progress=progress)
    if done.returncode:
        raise RebuildFailed(
            f"the {name} in a fresh process could not run: {last_line(done.stderr)}; mend that and repeat, or verify without a "
            "replay (--no-replay)"
        )
    return json.loads(last_line(done.stdout))
