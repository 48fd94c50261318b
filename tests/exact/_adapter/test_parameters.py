"""Parameters as saved models record them: models of earlier versions open with the digests they had, or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter, RecipeMismatch
from expunge.exact import AdapterShards
from expunge.exact._adapter.parameters import Parameters, read_parameters
from expunge.exact._adapter.unit import Trainer

EARLIER = json.loads((Path(__file__).parent / "earlier_model.json").read_text())  # written by the code of 2026-11-21
ROWS = [Record(f"r{i}", f"person {i}", f"Where does person {i} live?", f"In town {i}.") for i in range(6)]
REMOVED: list[dict[str, Any]] = [
    {"route": "average"},
    {"route": "merge"},
    {"permutations": 1},
    {"permutations": 2, "truncated": {"shard-000": [1, 0]}},
]


@pytest.fixture
def saved(llama: Any, tokenizer: Any, tmp_path: Path) -> Path:
    """A model with the parameters of the earlier one; the base is another one."""
    AdapterShards.from_parameters(EARLIER["parameters"], llama, tokenizer, salt=b"salt").fit(ROWS).save(tmp_path)
    return tmp_path


def test_a_model_is_described_as_the_earlier_one(saved: Path) -> None:
    def without_bits(description: dict[str, Any]) -> Any:
        """Digests of weights depend on the base, the processor and the libraries."""
        parameters = {**description["parameters"], "base": ""}
        return parameters, [{**unit, "digest": ""} for unit in description["units"]]

    described = json.loads((saved / "expunge.json").read_text())
    assert without_bits(described) == without_bits(EARLIER)
    for description in (described, EARLIER):
        state = {k: v for k, v in description.items() if k != "digest"}
        assert description["digest"] == digest_json("adapter-shards", state)


def test_it_opens_and_forgets_to_the_bits_of_a_fit_without(saved: Path, llama: Any, tokenizer: Any) -> None:
    learner = AdapterShards.load(saved, llama, tokenizer, records=ROWS, salt=b"salt")
    assert learner.digest() == json.loads((saved / "expunge.json").read_text())["digest"]
    learner.forget(["person 1"])
    left = [r for r in ROWS if r.subject != "person 1"]
    fresh = AdapterShards.from_parameters(EARLIER["parameters"], llama, tokenizer, salt=b"salt").fit(left)
    assert learner.digest() == fresh.digest()


def test_finished_stages_of_earlier_versions_are_found_by_their_names() -> None:
    """`forget` must remove them, and an interrupted fit goes on from them. Earlier code wrote these names."""
    trainer = Trainer(None, None, read_parameters({**EARLIER["parameters"], "epochs": 3}), b"salt", (), "sha256:base")
    slices: list[list[Record]] = [[Record("1", "Ada", "Where was Ada born?", "In London.")], []]
    assert trainer.key(1, slices[:1]) == "2e6f8c91a80e1cd9ae9ef74ac81755ce4515646275a937ac1b42ac367304c50d"
    assert trainer.key(1, slices) == "ab0339d8cd69ba5f27bccb642a72038117f713ad0dc90a49bd59a164567ca612"


@pytest.mark.parametrize("removed", REMOVED, ids=str)
def test_a_model_with_an_option_that_is_gone_is_refused_by_its_name(
    llama: Any, tokenizer: Any, tmp_path: Path, removed: dict[str, Any]
) -> None:
    parameters = {**EARLIER["parameters"], **removed}
    (tmp_path / "expunge.json").write_text(json.dumps({**EARLIER, "parameters": parameters}))
    name, value = next(iter(removed.items()))
    shown = f"{name}='{value}'" if name == "route" else f"{name}={value}"
    acts = (
        lambda: AdapterShards.load(tmp_path, llama, tokenizer, records=ROWS, salt=b"salt"),
        lambda: AdapterShards.for_reading(tmp_path, llama, tokenizer, salt=b"salt"),
        lambda: AdapterShards.from_parameters(parameters, llama, tokenizer, salt=b"salt"),
    )
    for act in acts:
        with pytest.raises(RecipeMismatch, match=f"{shown}, which .* no longer has; forget .* or train it again"):
            act()


@pytest.mark.parametrize("wrong", [{"shards": 0}, {"lr": 0.0}, {"slices": 6}, {"rehearsal": -1.0}], ids=str)
def test_a_parameter_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    chosen = {k: v for k, v in EARLIER["parameters"].items() if k in Parameters.__dataclass_fields__}
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        Parameters(**{**chosen, **wrong})
