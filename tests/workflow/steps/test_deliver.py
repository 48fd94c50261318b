import pytest

from expunge.core import Flag
from expunge.workflow.steps.deliver import blocking

ACCUSING = [Flag.RETAINED, Flag.HIDDEN, Flag.PARTIAL, Flag.DAMAGED, Flag.TAINTED, Flag.EXPIRED]


@pytest.mark.parametrize("flag", ACCUSING)
def test_what_came_back_or_was_wrecked_blocks_whoever_it_was_found_about(flag: Flag) -> None:
    assert blocking([flag.value], (), replayed=True) == [flag]
    assert blocking([], [flag.value], replayed=False) == [flag]


def test_every_flag_but_three_blocks() -> None:
    """One that is added later accuses until somebody says otherwise."""
    assert [flag for flag in Flag if not flag.blocks] == [Flag.OVER_FORGOTTEN, Flag.INCONCLUSIVE, Flag.EXCEPTIONS]


def test_too_few_facts_of_single_people_block_nothing_and_a_procedure_that_nobody_could_judge_does() -> None:
    assert blocking(["INCONCLUSIVE", "OVER_FORGOTTEN"], (), replayed=False) == []
    assert blocking(["INCONCLUSIVE"], ["INCONCLUSIVE"], replayed=False) == [Flag.INCONCLUSIVE]
    assert blocking(["INCONCLUSIVE"], ["INCONCLUSIVE"], replayed=True) == []  # the replay carries the claim


def test_each_flag_is_named() -> None:
    assert blocking(["DAMAGED", "HIDDEN"], (), replayed=False) == [Flag.HIDDEN, Flag.DAMAGED]
