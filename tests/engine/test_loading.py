import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from expunge.core.errors import UnreadableModel, UnsafeWeights
from expunge.engine import digest_model, load_model, load_tokenizer, save_model


@pytest.fixture
def folder(tmp_path: Path, llama: Any, tokenizer: Any) -> Path:
    save_model(llama, tokenizer, tmp_path / "m")
    return tmp_path / "m"


def test_a_saved_model_comes_back_with_its_bits(folder: Path, llama: Any, tokenizer: Any) -> None:
    model = load_model(folder)
    assert digest_model(model) == digest_model(llama)
    assert not model.training
    assert load_tokenizer(folder)("Where?").input_ids == tokenizer("Where?").input_ids


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "model.ckpt"])
def test_a_pickle_is_refused_and_never_run(folder: Path, tmp_path: Path, name: str) -> None:
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (trap,))

    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnsafeWeights, match="pickle"):
        load_model(folder)
    assert not trap.exists()


@pytest.mark.parametrize("keep", [0, 4, 500, -1])
def test_truncated_weights_are_refused(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableModel, match="truncated"):
        load_model(folder)


def test_weights_that_lack_a_tensor_are_refused_and_not_made_up(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(UnreadableModel, match=r"lacks 1 tensors, the first model\.layers\.1\.mlp"):
        load_model(folder)


def test_a_missing_shard_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weights = load_file(folder / "model-00001-of-00002.safetensors")
    index = dict.fromkeys(weights, "model-00001-of-00002.safetensors")
    index["model.norm.weight"] = "model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    with pytest.raises(UnreadableModel):
        load_model(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    for load in (load_model, load_tokenizer):
        with pytest.raises(UnreadableModel):
            load(tmp_path / "nowhere")


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnreadableModel, match="holds no model"):
        load_model(folder)


@pytest.mark.parametrize("text", [None, "", "{", '{"model_type": "nobody knows"}', "[]"])
def test_a_folder_without_a_sound_configuration_is_refused(folder: Path, text: str | None) -> None:
    if text is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(text)
    with pytest.raises(UnreadableModel):
        load_model(folder)


def test_code_beside_the_weights_is_not_run(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(trap)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "mine"
    config["auto_map"] = {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnreadableModel):
        load_model(folder)
    assert not trap.exists()


@pytest.mark.data
def test_a_published_model_loads(data: Path) -> None:
    model = load_model(data / "lm" / "tinystories-656k")
    assert sum(p.numel() for p in model.parameters()) > 600_000
