"""Parameters as saved models record them: models of earlier versions open with the digests they had, or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from expunge.core import Record
from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter, RecipeMismatch
from expunge.exact import AdapterShards
from expunge.exact._adapter.parameters import Parameters

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


def test_a_model_is_described_as_the_earlier_one_but_for_what_is_recorded_since(saved: Path) -> None:
    def without_bits(description: dict[str, Any]) -> Any:
        """Digests of weights depend on the base, the processor and the libraries."""
        parameters = {**description["parameters"], "base": ""}
        return parameters, [{**unit, "digest": "", "encoded": ""} for unit in description["units"]]

    described = json.loads((saved / "expunge.json").read_text())
    assert described.keys() - EARLIER.keys() == {"canary", "config"}
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


def test_a_model_of_an_earlier_version_opens_with_its_digest_and_forgets(
    saved: Path, llama: Any, tokenizer: Any
) -> None:
    path = saved / "expunge.json"
    described = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("digest", "canary", "config")}
    described["units"] = [{k: v for k, v in unit.items() if k != "encoded"} for unit in described["units"]]
    digest = digest_json("adapter-shards", described)
    path.write_text(json.dumps({**described, "digest": digest}))
    learner = AdapterShards.load(saved, llama, tokenizer, records=ROWS, salt=b"salt")
    assert learner.digest() == digest
    learner.forget(["person 1"])
    left = [r for r in ROWS if r.subject != "person 1"]
    fresh = AdapterShards.from_parameters(EARLIER["parameters"], llama, tokenizer, salt=b"salt").fit(left)
    assert [u.digest for u in learner.units()] == [u.digest for u in fresh.units()]


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
