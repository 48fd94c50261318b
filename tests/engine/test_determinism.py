import random

import pytest
import torch
from tests.modes import MODES

from expunge.core.capability import CAPABILITY, pin_capability
from expunge.engine import derived_seed, environment, pinned
from expunge.engine.conditions import MODELS


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
    here = environment(MODELS, 1, "cpu")
    assert environment(MODELS, 1, "cpu") == here
    assert environment(MODELS, 2, "cpu") != here
    assert here["libraries"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert here["capability"] == torch.backends.cpu.get_cpu_capability()


def _modes() -> tuple[object, ...]:
    tiny = (torch.tensor([1e-38], dtype=torch.float32) * 1e-2).item()
    flash = torch.backends.cuda.flash_sdp_enabled(), torch.backends.cuda.mem_efficient_sdp_enabled()
    return (
        torch.get_float32_matmul_precision(),
        torch.get_default_dtype(),
        tiny,
        flash,
        torch.backends.mkldnn.enabled,
        torch.is_autocast_enabled("cpu"),
    )


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_the_caller_do_not_reach_pinned_work_and_come_back(mode: str) -> None:
    change, back = MODES[mode]
    with pinned():
        usual = _modes()
    try:
        change()
        changed = _modes()
        assert changed != usual, "the control"
        with pinned():
            assert _modes() == usual
        assert _modes() == changed
    finally:
        back()


def test_autocast_of_the_caller_does_not_reach_pinned_work() -> None:
    with torch.autocast("cpu"), pinned():
        assert not torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


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
