import re

from expunge.certify.limits import LIMITS


def test_every_limit_is_said() -> None:
    for said in (
        "lower bounds",
        "Thudi et al., 2022",
        "not reached",
        "solid-state",
        "not that it is true",
        "legal",
    ):
        assert said in LIMITS


def test_nothing_is_claimed_that_may_not_be() -> None:
    assert not re.search(r"anonym|complian(t|ce with)|GDPR|impossible|guarantee", LIMITS)
