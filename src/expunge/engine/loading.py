"""Load models that cannot run code: safetensors only, no remote code, whole files only.

A folder is checked before anything is read from it; a hub name goes to transformers, with the same two settings.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from expunge.core.errors import UnreadableModel, UnsafeWeights

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")


def load_model(source: str | Path) -> Any:
    """A causal language model from a folder or a hub name, in evaluation mode.

    Raises: UnsafeWeights, for weights in a pickle; UnreadableModel, for a missing, truncated or foreign folder.
    """
    from transformers import AutoModelForCausalLM

    model, found = _from_pretrained(AutoModelForCausalLM, source, use_safetensors=True, output_loading_info=True)
    if missing := sorted(found["missing_keys"]):
        raise UnreadableModel(
            f"{source} lacks {len(missing)} tensors, the first {missing[0]}; they would be random, copy it again"
        )
    return model.eval()


def load_tokenizer(source: str | Path) -> Any:
    """The tokenizer beside a model.

    Raises: UnreadableModel, if there is none.
    """
    from transformers import AutoTokenizer

    return _from_pretrained(AutoTokenizer, source)


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write an ordinary Hugging Face folder."""
    _no_bars()
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def check_weights(folder: Path, name: str = "model") -> None:
    """Refuse pickles, missing weights, and safetensors files whose bytes are not all there."""
    if not folder.is_dir():
        raise UnreadableModel(f"no model folder at {folder}")
    whole = sorted(folder.glob(f"{name}*.safetensors"))
    if not whole:
        if pickles := sorted(p for p in folder.iterdir() if p.suffix in _PICKLES):
            raise UnsafeWeights(
                f"{pickles[0]} is a pickle, which can run code when loaded; convert it to safetensors with the tool that made it"
            )
        raise UnreadableModel(f"{folder} holds no {name}*.safetensors; expected a Hugging Face model folder")
    for path in whole:
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (SafetensorError, OSError) as e:
            raise UnreadableModel(f"{path} is truncated or not a safetensors file ({e}); copy it again") from e


def _from_pretrained(auto: Any, source: str | Path, **settings: Any) -> Any:
    _no_bars()
    folder = Path(source)
    local = folder.exists() or str(source).startswith((".", "/", "~"))
    if local and settings:
        check_weights(folder)
    if local and not (folder / "config.json").exists() and settings:
        raise UnreadableModel(f"{folder} has no config.json; expected a Hugging Face model folder")
    try:
        return auto.from_pretrained(source, trust_remote_code=False, local_files_only=local, **settings)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as e:
        raise UnreadableModel(f"cannot load {auto.__name__} from {source}: {str(e).splitlines()[0]}") from e


def _no_bars() -> None:
    """Loading and saving small files needs no progress bars of its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()
