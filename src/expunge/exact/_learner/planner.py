"""What deletions will cost, which of them wait for one another, and how much work they may ask for.

Retraining for every request alone is waste where requests touch the same units: they are carried out together when the
oldest of them must be done. A limit on work per period keeps deletions that were crafted to be expensive (Marchant et
al. 2022, "Hard to Forget", arXiv:2109.08266) from taking the machine; it delays, and never refuses for good.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from expunge.core import Deletion, Plan
from expunge.core.errors import (
    AlreadyForgotten,
    EmptyForgetSet,
    ExpungeError,
    InvalidParameter,
    NotReady,
    RateLimited,
    UnknownRecord,
    UnknownSubject,
)
from expunge.exact._learner.rows import named


def expected_cost(shards: int, slices: int, n_requests: int) -> float:
    """Expected work of this many deletions in one batch, as a fraction of training one block on everything.

    Source: Bourtoule et al. (2021), SISA, arXiv:1912.03817, extended to batches: stage j of a shard is trained again
    where a deletion fell into its first j slices; with e = 2/(R+1) passes a stage,
    E = e/R · Σ_j j·(1 − (1 − j/(SR))^K). Assumes that records and requests spread evenly over shards and slices.

    >>> round(1 / expected_cost(20, 10, 1), 1), round(1 / expected_cost(20, 10, 8), 1)
    (28.6, 4.1)
    """
    cut = shards * slices
    stages = (j * (1 - (1 - j / cut) ** n_requests) for j in range(1, slices + 1))
    return 2 / (slices + 1) / slices * sum(stages)


def expected_cost_with_prior(
    work: Sequence[Sequence[float]], mass: Sequence[Sequence[float]], n_requests: int
) -> float:
    """Expected work of a batch where subjects differ in how likely they leave.

    `work[s][j]` is the work of stage j of shard s; `mass[s][j]` the probability that one request falls into it. A
    stage is trained again where a request fell into it or an earlier one. The unit of the result is that of `work`.

    >>> even = [[1 / 4] * 2] * 2
    >>> expected_cost_with_prior([[1, 2], [1, 2]], even, 1)
    2.5
    >>> expected_cost_with_prior([[1, 2], [1, 2]], [[0.0, 0.5]] * 2, 1)  # those who leave live in the last slice
    2.0
    """
    total = 0.0
    for costs, masses in zip(work, mass, strict=True):
        reached = 0.0
        for cost, share in zip(costs, masses, strict=True):
            reached += share
            total += cost * (1 - (1 - reached) ** n_requests)
    return total


@dataclass(frozen=True)
class _Request:
    subjects: tuple[Any, ...]
    records: tuple[Any, ...]
    at_s: float


class Planner:
    """A learner's waiting deletions, carried out as one batch.

    `wait_s`: how long the oldest request may wait. `work_limit`: how many full fits' worth of deletions a `period_s`
    may cost. Where the limit is reached the batch waits for the period to refill, but never beyond `wait_s`: an
    erasure that is due is done. Times are seconds on any clock that only moves forward; names are held in memory only.
    """

    def __init__(self, learner: Any, *, wait_s: float, work_limit: float = 2.0, period_s: float = 86_400.0) -> None:
        if wait_s < 0 or work_limit <= 0 or period_s <= 0:
            raise InvalidParameter(
                f"wait_s must be >= 0, work_limit and period_s > 0, got {wait_s}, {work_limit} and {period_s}"
            )
        self.learner, self.wait_s, self.work_limit, self.period_s = learner, wait_s, work_limit, period_s
        self._waiting: list[_Request] = []
        self._left, self._since = work_limit, None

    _since: float | None

    def ask(self, subjects: Sequence[Any] = (), records: Sequence[Any] = (), *, now_s: float) -> Plan:
        """Put a deletion in line; returns the plan of the batch that it now belongs to.

        Raises: what the learner's `plan` raises; then it is not in line.
        """
        request = _Request(tuple(named(subjects, "subjects")), tuple(named(records, "records")), now_s)
        if not request.subjects and not request.records:
            raise EmptyForgetSet("no subjects or records were named; forgetting needs at least one")
        try:
            plan = self._plan([*self._waiting, request])
        except ExpungeError:
            self._drop_done()  # perhaps it is not this one that is wrong
            plan = self._plan([*self._waiting, request])
        self._waiting.append(request)
        return plan

    def plan(self) -> Plan | None:
        """What the waiting batch would do and cost now; None where nothing waits.

        Names that somebody forgot directly meanwhile are done, and leave the line.
        """
        try:
            return self._plan(self._waiting) if self._waiting else None
        except (UnknownSubject, UnknownRecord, AlreadyForgotten):
            self._drop_done()
            return self._plan(self._waiting) if self._waiting else None

    def due_s(self) -> float | None:
        """When the oldest request must be done; None where nothing waits."""
        return min(request.at_s for request in self._waiting) + self.wait_s if self._waiting else None

    def carry_out(self, *, now_s: float) -> Deletion:
        """Forget everything that waits, at once.

        Raises: NotReady, if nothing waits; RateLimited, if the batch costs more than is left of this period's work and
        nothing in it is due yet. The line then stands as it was, as after any other error.
        """
        plan, due = self.plan(), self.due_s()
        if plan is None or due is None:
            raise NotReady("nothing waits to be forgotten; ask first")
        cost, left = plan.cost or 0.0, self._refilled(now_s)
        if cost > left and now_s < due:
            missing = min(cost, self.work_limit) - left
            again = min(now_s + missing / self.work_limit * self.period_s, due)
            raise RateLimited(
                f"{len(self._waiting)} waiting deletions cost {cost:.2f} of a full fit, {left:.2f} is left of "
                f"{self.work_limit:g} per {self.period_s:g} s; try again at {again:.0f} s, they are due at {due:.0f} s"
            )
        subjects, records = _together(self._waiting)
        deletion: Deletion = self.learner.forget(subjects=subjects or None, records=records or None)
        self._waiting, self._left, self._since = [], max(0.0, left - cost), now_s
        return deletion

    def _drop_done(self) -> None:
        """Take names out of the line that the learner does not hold any more: somebody forgot them directly."""
        line = [
            replace(
                request,
                subjects=tuple(s for s in request.subjects if self._holds(subjects=[s])),
                records=tuple(r for r in request.records if self._holds(records=[r])),
            )
            for request in self._waiting
        ]
        self._waiting = [request for request in line if request.subjects or request.records]

    def _holds(self, **named: Any) -> bool:
        try:
            self.learner.plan(**named)
        except (UnknownSubject, UnknownRecord, AlreadyForgotten):
            return False
        except ExpungeError:
            return True  # it is there, and cannot leave alone
        return True

    def _plan(self, requests: Sequence[_Request]) -> Plan:
        subjects, records = _together(requests)
        plan: Plan = self.learner.plan(subjects=subjects or None, records=records or None)
        return plan

    def _refilled(self, now_s: float) -> float:
        if self._since is None:
            return self._left
        return min(self.work_limit, self._left + (now_s - self._since) / self.period_s * self.work_limit)


def _together(requests: Sequence[_Request]) -> tuple[list[Any], list[Any]]:
    """All names once, in the order in which they came."""
    subjects = dict.fromkeys(s for request in requests for s in request.subjects)
    records = dict.fromkeys(r for request in requests for r in request.records)
    return list(subjects), list(records)
