import pytest
from tests.ledger.conftest import PEOPLE

from expunge.core.errors import ProjectLocked
from expunge.ledger import Ledger, StepState


@pytest.fixture
def request_id(people: Ledger) -> str:
    return people.open_request("people", [PEOPLE[0]]).id


def test_a_step_that_is_done_stays_done(people: Ledger, request_id: str) -> None:
    assert people.step(request_id, "plan") is None
    held = people.claim_step(request_id, "plan")
    assert (held.state, held.token, held.result) == (StepState.RUNNING, 1, None)
    done = people.finish_step(held, {"route": "rebuild"})
    again = Ledger.open(people.root)
    assert again.claim_step(request_id, "plan") == again.step(request_id, "plan") == done
    assert (done.state, done.result) == (StepState.DONE, {"route": "rebuild"})
    assert again.steps(request_id) == (done,)


def test_a_held_step_is_not_given_twice(people: Ledger, request_id: str) -> None:
    people.claim_step(request_id, "forget")
    with pytest.raises(ProjectLocked, match=r"'forget' of req-.* is held by another process until"):
        people.claim_step(request_id, "forget")


@pytest.mark.parametrize("how", [{"lease_s": 0.0, "take_over": False}, {"lease_s": 300.0, "take_over": True}])
def test_an_earlier_holder_is_fenced_off(people: Ledger, request_id: str, how: dict[str, float]) -> None:
    late = people.claim_step(request_id, "forget", lease_s=how["lease_s"])
    held = people.claim_step(request_id, "forget", take_over=bool(how["take_over"]))
    assert held.token == 2
    for call in (people.finish_step, people.fail_step):
        with pytest.raises(ProjectLocked, match="token 2, this one holds 1"):
            call(late, {})
    with pytest.raises(ProjectLocked):
        people.heartbeat_step(late)
    people.finish_step(held, {"by": "second"})
    with pytest.raises(ProjectLocked):
        people.finish_step(held, {"by": "second, again"})
    step = people.step(request_id, "forget")
    assert step is not None
    assert step.result == {"by": "second"}


def test_a_heartbeat_prolongs_the_lease(people: Ledger, request_id: str) -> None:
    held = people.claim_step(request_id, "forget", lease_s=0)
    longer = people.heartbeat_step(held, lease_s=300)
    assert longer.leased_until > held.leased_until
    with pytest.raises(ProjectLocked):
        people.claim_step(request_id, "forget")


def test_a_failed_step_can_be_claimed_again(people: Ledger, request_id: str) -> None:
    failed = people.fail_step(people.claim_step(request_id, "verify"), {"error": "no control"})
    assert (failed.state, failed.result) == (StepState.FAILED, {"error": "no control"})
    assert people.claim_step(request_id, "verify").token == 2


def test_effect_and_result_happen_together_or_not_at_all(people: Ledger, request_id: str) -> None:
    held = people.claim_step(request_id, "locate")

    def stopped() -> None:
        with people.transaction():
            people.entomb(request_id)
            people.finish_step(held, {"n": 4})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert len(people.live_records("people")) == 12
    assert [e.kind for e in people.events(request_id)] == ["received"]
    with people.transaction():
        people.entomb(request_id)
        people.finish_step(held, {"n": 4})
    assert len(people.live_records("people")) == 8
    step = people.step(request_id, "locate")
    assert step is not None
    assert step.state is StepState.DONE


def test_a_fenced_off_holder_cannot_leave_its_effect(people: Ledger, request_id: str) -> None:
    late = people.claim_step(request_id, "locate")
    people.claim_step(request_id, "locate", take_over=True)

    def finish_late() -> None:
        with people.transaction():
            people.entomb(request_id)
            people.finish_step(late, {})

    with pytest.raises(ProjectLocked):
        finish_late()
    assert len(people.live_records("people")) == 12
