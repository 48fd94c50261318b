import random

import pytest
import torch

from expunge.core.capability import CAPABILITY, pin_capability
from expunge.engine import derived_seed, environment, pinned


def test_settings_come_back_afterwards_also_after_an_error() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pinned(2):
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ZeroDivisionError), pinned(2):
        _ = 1 / 0
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_no_two_places_share_a_seed() -> None:
    places = [(s, *c) for s in (b"a", b"b") for c in ((), ("x",), ("x", 1), ("x", 2), ("x1",), ("", "x"))]
    seeds = {derived_seed(secret, *context) for secret, *context in places}
    assert len(seeds) == len(places)
    assert all(0 <= s < 2**63 for s in seeds)
    assert derived_seed(b"a", "x", 1) == derived_seed(b"a", "x", 1)


def test_the_environment_names_what_bits_depend_on() -> None:
    here = environment(1)
    assert environment(1) == here
    assert environment(2) != here
    assert here["libraries"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert here["capability"] == torch.backends.cpu.get_cpu_capability()


def test_the_capability_is_pinned_unless_the_user_chose_another(monkeypatch: pytest.MonkeyPatch) -> None:
    name, value = random.Random(0).choice(sorted(CAPABILITY.items()))
    monkeypatch.setenv(name, "mine")
    for other in CAPABILITY:
        if other != name:
            monkeypatch.delenv(other, raising=False)
    pin_capability()
    import os

    assert os.environ[name] == "mine"
    assert all(os.environ[k] == v for k, v in CAPABILITY.items() if k != name)
    assert value != "mine"
