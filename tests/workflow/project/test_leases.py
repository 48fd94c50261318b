"""A step is one worker's while it runs, its lease is kept alive, and who lost it does nothing more."""

import time
from pathlib import Path

import pytest

from expunge.core.errors import InvalidData, ProjectLocked
from expunge.ledger import Columns, StepState
from expunge.workflow.project.leases import Lease, leased
from expunge.workflow.project.project import Project

NAME = "model:churn#1/forget"


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Project, str]:
    project = Project.create(tmp_path / "p", "acme")
    (tmp_path / "people.csv").write_text("who,text\nAda,about Ada\nBo,about Bo\n")
    project.ledger.add_dataset("people", tmp_path / "people.csv", Columns(subject="who", answer="text"))
    return project, project.ledger.open_request("people", ["Ada"]).id


def test_a_lease_is_kept_alive_for_as_long_as_the_step_runs(asked: tuple[Project, str]) -> None:
    project, request = asked
    with leased(project, request, NAME, lease_s=6):
        first = project.ledger.step(request, NAME)
        time.sleep(7.5)  # without a beat it would have run out; the ledger counts whole seconds
        later = project.ledger.step(request, NAME)
        assert first is not None
        assert later is not None
        assert later.heartbeat_at > first.heartbeat_at
        with pytest.raises(ProjectLocked, match="held by another process"):
            project.ledger.claim_step(request, NAME)


def test_without_a_beat_it_runs_out(asked: tuple[Project, str]) -> None:
    """The control of the test above."""
    project, request = asked
    project.ledger.claim_step(request, NAME, lease_s=1)
    time.sleep(2.1)
    assert project.ledger.claim_step(request, NAME).token == 2


def test_beats_are_no_writes_that_the_project_counts(asked: tuple[Project, str]) -> None:
    project, request = asked
    with leased(project, request, NAME, lease_s=0.3):
        before = project.ledger.stamp()
        time.sleep(0.8)
        assert project.ledger.stamp() == before


def test_who_lost_the_lease_stops_before_the_effect_and_records_nothing(asked: tuple[Project, str]) -> None:
    project, request = asked
    with leased(project, request, NAME) as lease:
        other = project.ledger.claim_step(request, NAME, take_over=True)
        with pytest.raises(ProjectLocked, match="taken over"):
            lease.check()
    found = project.ledger.step(request, NAME)
    assert found is not None
    assert (found.token, found.state) == (other.token, StepState.RUNNING)  # the other's, untouched
    with pytest.raises(ProjectLocked):
        _finished(project, request, lease)
    assert [event.kind for event in project.ledger.events(request)] == ["received"]


def _finished(project: Project, request: str, lease: Lease) -> None:
    with project.ledger.transaction():
        project.ledger.append_event(request, "forgotten", {})
        lease.finish(after="sha256:00")


def test_a_step_that_fails_is_as_if_it_had_never_begun(asked: tuple[Project, str]) -> None:
    project, request = asked
    with pytest.raises(InvalidData), leased(project, request, NAME):
        raise InvalidData("no")
    assert project.ledger.step(request, NAME) is None


def test_who_holds_the_project_takes_over_what_a_killed_worker_held(asked: tuple[Project, str]) -> None:
    project, request = asked
    project.ledger.claim_step(request, NAME)  # by a worker that was killed
    with pytest.raises(ProjectLocked), leased(project, request, NAME):
        pass
    with project.writing(), leased(project, request, NAME) as lease:
        lease.finish(after="sha256:00")
    found = project.ledger.step(request, NAME)
    assert found is not None
    assert (found.state, found.token) == (StepState.DONE, 2)
