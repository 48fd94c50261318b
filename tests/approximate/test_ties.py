import random

import pytest
import torch

from expunge.approximate._ties import elect, mean_of_agreeing, ties, trim


def slowly(changes: list[list[float]], share: float) -> list[float]:
    """TIES written entry by entry."""
    trimmed = []
    for change in changes:
        n = max(1, int(share * len(change) + 0.5))
        largest = sorted(range(len(change)), key=lambda i: (-abs(change[i]), i))[:n]
        trimmed.append([change[i] if i in largest else 0.0 for i in range(len(change))])
    merged = []
    for column in zip(*trimmed, strict=True):
        up, down = sum(x for x in column if x > 0), -sum(x for x in column if x < 0)
        agreeing = [x for x in column if (x > 0 if up > down else x < 0)] if up != down else []
        merged.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return merged


def test_a_case_worked_by_hand() -> None:
    # Of six entries each keeps the three largest: (5, -4, 3), (-6, 2, 1.5) and (-2, -3, 4).
    change_KP = torch.tensor(
        [[5.0, -4.0, 3.0, 0.1, 0.2, 0.3], [-6.0, 0.1, 2.0, 1.5, 0.2, 0.3], [-2.0, -3.0, 0.5, 0.1, 0.0, 4.0]]
    )
    # Column 0: 5 - 6 - 2 = -3, so the mean of -6 and -2. Column 1: -4 and -3. Column 2: 3 and 2.
    expected_P = torch.tensor([-4.0, -3.5, 2.5, 1.5, 0.0, 4.0])
    torch.testing.assert_close(ties(change_KP, share=0.5), expected_P)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 1.0])
def test_equals_the_slow_one(share: float) -> None:
    draw = random.Random(share)
    for k in (1, 2, 3, 5):
        # Halves, so that sums are exact, equal sizes occur, and opposite changes cancel.
        changes = [[draw.randint(-6, 6) / 2 for _ in range(40)] for _ in range(k)]
        change_KP = torch.tensor(changes, dtype=torch.float64)
        expected_P = torch.tensor(slowly(changes, share), dtype=torch.float64)
        torch.testing.assert_close(ties(change_KP, share), expected_P)


def test_one_change_untrimmed_is_itself() -> None:
    change_P = torch.tensor([0.25, -3.0, 0.0, 1e-8])
    assert torch.equal(ties(change_P[None], share=1.0), change_P)


def test_the_sign_is_that_of_the_larger_movement_not_of_the_most_votes() -> None:
    change_KP = torch.tensor([[5.0], [-1.0], [-1.0]])
    assert elect(change_KP).tolist() == [1.0]
    assert mean_of_agreeing(change_KP, elect(change_KP)).tolist() == [5.0]


def test_at_least_one_entry_is_kept() -> None:
    assert trim(torch.tensor([1.0, -2.0, 0.5]), share=0.01).tolist() == [0.0, -2.0, 0.0]
