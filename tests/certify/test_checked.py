import pytest

from expunge.certify.checked import Check, Step

OK, FAILED, NOT_RUN = Step("a", "ok", "fine"), Step("b", "failed", "altered"), Step("c", "not run", "no file")


@pytest.mark.parametrize(
    "steps, needed, exit_code, verdict",
    [
        ((OK,), {"a"}, 0, "pass"),
        ((OK, NOT_RUN), {"a"}, 0, "pass"),
        ((OK, NOT_RUN), {"a", "c"}, 3, "inconclusive"),
        ((OK, FAILED, NOT_RUN), {"a", "b", "c"}, 1, "failed"),
        ((OK, FAILED), {"a"}, 1, "failed"),
        ((), {"a"}, 3, "inconclusive"),
    ],
)
def test_what_could_not_run_is_never_a_pass(
    steps: tuple[Step, ...], needed: set[str], exit_code: int, verdict: str
) -> None:
    checked = Check(steps, frozenset(needed))
    assert (checked.exit_code, checked.to_json()["verdict"]) == (exit_code, verdict)
    assert checked.first_failure == ("b: altered" if FAILED in steps else None)
