import pytest

from expunge.core.errors import InvalidParameter, UnknownName
from expunge.ledger import CopyState, Ledger


@pytest.fixture
def adopted(ledger: Ledger) -> Ledger:
    ledger.record_model_version("base", kind="adopted", digest="sha256:b", path="models/base")
    return ledger


def test_a_copy_is_registered_once_and_followed(adopted: Ledger) -> None:
    here = adopted.register_copy("base", "sha256:b", "/srv/model", kind="path")
    adopted.register_copy("base", "sha256:b", "hub://org/model@1", kind="hub", reachable=False)
    assert (here.state, here.reachable) == (CopyState.PRESENT, True)
    assert adopted.register_copy("base", "sha256:b", "/srv/model", kind="path") == here
    assert adopted.mark_copy("base", "sha256:b", "/srv/model", CopyState.PURGED).state is CopyState.PURGED
    adopted.mark_copy("base", "sha256:b", "hub://org/model@1", CopyState.UNREACHABLE)
    assert [(c.uri, c.state, c.reachable) for c in adopted.copies("base", "sha256:b")] == [
        ("/srv/model", CopyState.PURGED, True),
        ("hub://org/model@1", CopyState.UNREACHABLE, False),
    ]


def test_a_place_that_comes_back_is_present_again(adopted: Ledger) -> None:
    adopted.register_copy("base", "sha256:b", "/srv/model", kind="path")
    adopted.mark_copy("base", "sha256:b", "/srv/model", CopyState.PURGED)
    assert adopted.register_copy("base", "sha256:b", "/srv/model", kind="path").state is CopyState.PRESENT


def test_unknown_places_versions_and_models_are_named(adopted: Ledger) -> None:
    adopted.register_copy("base", "sha256:b", "/srv/model", kind="path")
    with pytest.raises(UnknownName, match="did you mean '/srv/model'"):
        adopted.mark_copy("base", "sha256:b", "/srv/mode", CopyState.PURGED)
    with pytest.raises(UnknownName, match="with digest 'sha256:c'"):
        adopted.copies("base", "sha256:c")
    with pytest.raises(UnknownName, match="no model 'bose' is recorded; did you mean 'base'"):
        adopted.copies("bose", "sha256:b")
    with pytest.raises(InvalidParameter, match="needs a place"):
        adopted.register_copy("base", "sha256:b", " ", kind="path")
