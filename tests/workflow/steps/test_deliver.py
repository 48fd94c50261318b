import pytest

from expunge.core.errors import DeliveryBlocked, InvalidParameter
from expunge.workflow.steps.deliver import _check


@pytest.mark.parametrize("flag", ["HIDDEN", "DAMAGED", "RETAINED"])
def test_a_blocking_flag_needs_its_own_name(flag: str) -> None:
    with pytest.raises(DeliveryBlocked, match=f"--override {flag}"):
        _check([flag], None)
    assert _check([flag], flag) == flag
    assert DeliveryBlocked.exit_code == 1


def test_one_override_does_not_carry_two_flags() -> None:
    with pytest.raises(DeliveryBlocked, match="--override DAMAGED"):
        _check(["HIDDEN", "DAMAGED"], "HIDDEN")


def test_an_override_must_name_a_flag_of_this_audit() -> None:
    with pytest.raises(InvalidParameter, match="not among the flags"):
        _check(["INCONCLUSIVE"], "HIDDEN")


@pytest.mark.parametrize("flags", [[], ["INCONCLUSIVE"], ["PARTIAL"], ["OVER_FORGOTTEN", "INCONCLUSIVE"]])
def test_what_is_only_undecided_does_not_block(flags: list[str]) -> None:
    assert _check(flags, None) is None
