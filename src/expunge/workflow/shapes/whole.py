"""How the folder of an adopted model is laid out, and the one model that it holds."""

from pathlib import Path
from typing import Any

WHOLE, WITH_ADAPTER = "whole", "base + adapter"


def load_whole(folder: Path, shape: str) -> tuple[Any, Any]:
    """The model as it answers, an adapter merged in, with its tokenizer."""
    from expunge.engine import load_model, load_tokenizer

    if shape != WITH_ADAPTER:
        return load_model(folder), load_tokenizer(folder)
    from peft import PeftModel

    base = load_model(folder / "base")
    merged = PeftModel.from_pretrained(base, str(folder / "adapter")).merge_and_unload()
    return merged.requires_grad_(True).eval(), load_tokenizer(folder / "base")
