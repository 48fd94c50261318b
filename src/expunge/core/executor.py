"""Who carries out independent tasks: this process, a pool of processes, a cluster. A task is one unit's rebuild.

Whoever does it, the result must be the same: a task takes everything it needs from its item, and may be done twice.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
R = TypeVar("R")


@runtime_checkable
class Executor(Protocol):
    """Runs one idempotent task on every item."""

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Results in the order of the items. A task whose worker dies is done again; an error in a task is raised.

        Raises: WorkersLost; what the task raises.
        """
        ...
