"""Scores of several people as one arm: what is missing in one is missing in all."""

from expunge.verify.scores import ArmScores
from expunge.workflow.shapes.text_arms import join


def _part(hit: float, **rest: object) -> ArmScores:
    given = {
        "digest": f"d{hit}",
        "scores": {"relearn": {"lr 1 @ 5": [hit, 0.0]}, "direct": {"greedy": [hit, hit]}},
        "failed": {},
        "skill": (),
        "elapsed_s": {"relearn": 1.0},
        "checks": {"relearn": {"learnt": hit, "kept": {"lr 1 @ 5": 1 - hit}}, "direct": {}},
        "spent": {"relearn": {"tokens": 10, "steps": 2}},
        "precision": "float32",
        "unseen": (0.0, hit),
    }
    return ArmScores(**{**given, **rest})  # type: ignore[arg-type]


def test_scores_follow_each_other_and_costs_add_up() -> None:
    joined = join([_part(1.0), _part(0.5)])
    assert joined.scores["direct"]["greedy"] == [1.0, 1.0, 0.5, 0.5]
    assert joined.spent["relearn"] == {"tokens": 20, "steps": 4}
    assert joined.elapsed_s["relearn"] == 2.0
    assert joined.unseen == (0.0, 0.75)
    assert joined.digest not in ("d1.0", "d0.5")
    assert joined.precision == "float32"


def test_a_check_is_as_bad_as_where_it_went_worst() -> None:
    checks = join([_part(1.0), _part(0.5)]).checks
    assert checks["relearn"] == {"learnt": 0.5, "kept": {"lr 1 @ 5": 0.0}}
    assert checks["direct"] == {}
    unchecked = join([_part(1.0), _part(0.5, checks={})]).checks
    assert unchecked["relearn"] == {}


def test_an_attack_that_failed_on_one_person_failed() -> None:
    half = _part(0.5, scores={"direct": {"greedy": [0.0, 0.0]}}, failed={"relearn": "too few facts"})
    for parts in ([_part(1.0), half], [half, _part(1.0)]):
        joined = join(parts)
        assert joined.failed == {"relearn": "too few facts"}
        assert "relearn" not in joined.scores
