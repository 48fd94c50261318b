"""A folder that was trained elsewhere is copied into the project: its weights, and not what training left beside them."""

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

from expunge.core.errors import UnsafeWeights

# What a Trainer writes beside a model: states of the training, which would outlive a request.
BY_PRODUCTS = ("checkpoint-*", "training_args.bin", "optimizer.*", "scheduler.*", "scaler.pt", "rng_state*", ".git")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")  # they can run code when they are loaded


def take_in(source: Path, folder: Path) -> None:
    """Copy all that is not a by-product of training, whatever form the weights of the user's own loop have."""
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*BY_PRODUCTS))


def take_in_weights(source: Path, folder: Path) -> None:
    """Copy a model that is loaded here, without pickles: those beside safetensors are the same weights once more.

    Raises: UnsafeWeights, where a pickle holds more than all that would be kept.
    """
    check_weights_elsewhere(source)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*BY_PRODUCTS, *PICKLES))


def check_weights_elsewhere(source: Path) -> None:
    """Raises: UnsafeWeights, where weights are in files that are not taken in: in one, or in the parts of one together."""
    files = [p for p in source.rglob("*") if p.is_file() and not _any(p.relative_to(source), BY_PRODUCTS)]
    pickles = {p for p in files if _any(p.relative_to(source), PICKLES)}
    size_kept = sum(p.stat().st_size for p in files if p not in pickles)
    parts: dict[str, list[Path]] = {}
    for path in sorted(pickles):  # of a model of several files: alike but for their numbers
        parts.setdefault(re.sub(r"\d+", "0", path.relative_to(source).as_posix()), []).append(path)
    for first, *more in parts.values():
        if (size := sum(p.stat().st_size for p in (first, *more))) > size_kept:
            and_others = f" and {len(more)} others of that name are pickles" if more else " is a pickle"
            raise UnsafeWeights(
                f"{first.relative_to(source)}{and_others} of {size:,} bytes, more than all else in the folder, and not taken "
                "in: weights would be lost. Save them as safetensors, or remove what is not the model"
            )


def _any(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(part, pattern) for part in path.parts for pattern in patterns)
