"""What was trained elsewhere is taken in whole, or refused; what training left beside it is not taken in."""

from pathlib import Path

import pytest

from expunge.core.errors import UnsafeWeights
from expunge.workflow.shapes.taken_in import take_in, take_in_weights


def _folder(at: Path, **sizes: int) -> Path:
    for name, size in sizes.items():
        path = at / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return at


def test_weights_of_a_loop_of_ones_own_come_in_whatever_their_form(tmp_path: Path) -> None:
    source = _folder(tmp_path / "s", model_DOT_pt=900, config_DOT_json=10, training_args_DOT_bin=5000)
    _folder(source, checkpoint__model_DOT_bin=1)
    (source / "checkpoint").rename(source / "checkpoint-3")
    (source / "optimizer.pt").write_bytes(b"x" * 9000)
    take_in(source, tmp_path / "taken")
    assert sorted(p.name for p in (tmp_path / "taken").iterdir()) == ["config.json", "model.pt"]


def test_weights_that_are_only_in_a_pickle_are_refused_and_nothing_is_copied(tmp_path: Path) -> None:
    source = _folder(tmp_path / "s", model_DOT_safetensors=100, head_DOT_pt=900)
    with pytest.raises(UnsafeWeights, match=r"head\.pt is a pickle of 900 bytes.*safetensors"):
        take_in_weights(source, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_a_pickle_beside_the_same_weights_is_left_out(tmp_path: Path) -> None:
    source = _folder(tmp_path / "s", model_DOT_safetensors=900, pytorch_model_DOT_bin=890, optimizer_DOT_pt=4000)
    take_in_weights(source, tmp_path / "taken")
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["model.safetensors"]


def test_parts_of_one_model_are_weighed_together(tmp_path: Path) -> None:
    """Each is smaller than what is kept beside them, a tokenizer for one, and all of them are the model."""
    source = _folder(tmp_path / "s", tokenizer_DOT_json=400)
    for i in range(1, 4):
        _folder(source, **{f"pytorch_model-0000{i}-of-00003_DOT_bin": 300})
    with pytest.raises(
        UnsafeWeights, match=r"model-00001-of-00003\.bin and 2 others of that name are pickles of 900 bytes"
    ):
        take_in_weights(source, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_parts_beside_the_same_weights_are_left_out_in_each_form(tmp_path: Path) -> None:
    source = _folder(tmp_path / "s", model_DOT_safetensors=900, model_DOT_pt=880)
    for i in range(1, 4):
        _folder(source, **{f"pytorch_model-0000{i}-of-00003_DOT_bin": 295, f"consolidated_DOT_0{i}_DOT_pth": 290})
    take_in_weights(source, tmp_path / "taken")
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["model.safetensors"]
