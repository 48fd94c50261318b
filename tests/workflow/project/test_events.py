from types import SimpleNamespace
from typing import Any

import pytest

from expunge.workflow.project.events import event_times

STEPS = ("forgotten", "verified", "delivered")


@pytest.mark.parametrize(
    ("story", "times"),
    [
        ("forgotten verified delivered", (0, 1, 2)),
        ("forgotten forgotten verified verified delivered", (1, 3, 4)),
        ("forgotten verified delivered forgotten verified", (0, 1, 2)),  # another attempt that came to no delivery
        ("forgotten verified forgotten delivered", (0, 1, 3)),
        ("received forgotten", (1, None, None)),
        ("received", (None, None, None)),
    ],
)
def test_the_steps_of_a_delivery_are_in_order_whatever_was_begun_beside_it(
    story: str, times: tuple[int | None, ...]
) -> None:
    events = [SimpleNamespace(kind=kind, at=str(n)) for n, kind in enumerate(story.split())]
    project: Any = SimpleNamespace(ledger=SimpleNamespace(events=lambda _: events))
    expected = {step: str(n) for step, n in zip(STEPS, times, strict=True) if n is not None}
    assert event_times(project, "req", STEPS) == expected
