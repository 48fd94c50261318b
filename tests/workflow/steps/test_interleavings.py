"""Whatever order the steps of several requests come in, every request ends, and nothing of anybody is left."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.workflow.steps.conftest import MODELS, PEOPLE, quiet

from expunge.core.errors import DeliveryBlocked, InvalidParameter, NotReady, UnknownName
from expunge.ledger import RequestState
from expunge.workflow.project.project import Project
from expunge.workflow.shapes.learner import fitted, load_learner, training_of
from expunge.workflow.shapes.table import columns_of
from expunge.workflow.steps.certify import certify_request
from expunge.workflow.steps.deliver import deliver_request
from expunge.workflow.steps.forget import abandon_request, forget_request, plan_request
from expunge.workflow.steps.verify import verify_request

STEPS: dict[str, Callable[[Project, str, list[str]], Any]] = {
    "plan": lambda project, request, targets: plan_request(project, request),
    "forget": lambda project, request, targets: forget_request(project, request, quiet, targets=targets),
    "verify": lambda project, request, targets: verify_request(project, request, quiet, targets=targets, replay=False),
    "deliver": lambda project, request, targets: deliver_request(project, request, targets=targets),
    "abandon": lambda project, request, targets: abandon_request(project, request, targets),
    "certify": lambda project, request, targets: certify_request(project, request),
}
FORWARD = ("forget", "verify", "deliver", "certify")
REFUSED = (NotReady, InvalidParameter, DeliveryBlocked, UnknownName)


def _try(project: Project, step: str, request: str, targets: list[str]) -> bool:
    try:
        STEPS[step](project, request, targets)
    except REFUSED:
        return False
    return True


@pytest.mark.parametrize("seed", range(3))
def test_every_request_ends(project: Project, seed: int) -> None:
    draw = random.Random(seed)
    requests = []
    for _ in range(3):
        people = draw.sample(PEOPLE[:5], draw.randint(1, 3))
        requests.append(project.ledger.open_request(None, people).id)
    asked = {ref for request in requests for ref in project.ledger.get_request(request).subjects}
    for _ in range(25):
        step = draw.choice([*STEPS, *FORWARD])
        _try(project, step, draw.choice(requests), draw.choice([[], [], [MODELS[0]], [MODELS[1]]]))
        _nothing_is_served_twice(project)
    for _ in range(2 * len(requests)):
        for request in draw.sample(requests, len(requests)):
            for step in FORWARD:
                _try(project, step, request, [])
    states = {project.ledger.get_request(request).state for request in requests}
    assert states <= {RequestState.COMPLETED, RequestState.DUPLICATE}
    assert RequestState.COMPLETED in states
    assert not asked & set(project.ledger.keys.subjects.all())
    for model in MODELS:
        _equals_training_on_who_is_left(project, model, len(PEOPLE) - len(asked))


def _nothing_is_served_twice(project: Project) -> None:
    """At most one version of a model serves, and its folder is there."""
    for model in MODELS:
        version = project.ledger.current_version(model)
        assert version is None or project.folder(version).is_dir()


def _equals_training_on_who_is_left(project: Project, model: str, n_people: int) -> None:
    version = project.current(model)
    records = project.ledger.live_records("people")
    assert len({record.subject for record in records}) == n_people
    fresh = fitted(training_of(version), records, columns_of(project, version), project.salt(model))
    assert fresh.equals(load_learner(project, version))
    assert [v.digest for v in project.ledger.model_versions(model) if v.state != "purged"] == [version.digest]
