"""Record what a unit's training run learned: a Hugging Face callback, and the same for any other loop."""

import json
from pathlib import Path
from typing import Any

from expunge.core.durable import write_durably
from expunge.core.errors import InvalidParameter
from expunge.workflow.shapes.split import DataUnit

UNIT_FILE = "expunge_unit.json"


def write_unit(unit: DataUnit, folder: Path, weights: str, recipe: dict[str, Any]) -> Path:
    """`expunge_unit.json`: the unit, opaque names of its records, the digest of the trained state, and the recipe."""
    document = {
        "unit": unit.id,
        "shard": unit.shard,
        "slice": unit.slice,
        "of": {"shards": unit.shards, "slices": unit.slices},
        "members": [list(part) for part in unit.members],
        "weights": weights,
        "recipe": recipe,
    }
    write_durably(folder / UNIT_FILE, json.dumps(document, indent=1, sort_keys=True, default=str).encode())
    return folder / UNIT_FILE


def _callback_base() -> Any:
    from transformers import TrainerCallback

    return TrainerCallback


def _trainer_track() -> Any:
    class Track(_callback_base()):  # type: ignore[misc]
        """What one unit learned. As a Trainer callback it writes when training ends; in a loop of your own call `done`.

        `done(state)` takes a torch module, a scikit-learn estimator, or a digest of your own, and a folder.
        """

        def __init__(self, unit: DataUnit) -> None:
            self.unit = unit

        def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero:
                return  # one process of several writes
            shown = {
                k: v for k, v in args.to_dict().items() if isinstance(v, str | int | float | bool) and "token" not in k
            }
            shown.pop("output_dir", None)
            shown.pop("logging_dir", None)
            self._write(Path(args.output_dir), model, {"trainer": shown, "steps": state.global_step})

        def done(self, trained: Any, folder: str | Path | None = None, **recipe: Any) -> Path:
            place = Path(folder) if folder is not None else self.unit.folder
            if place is None:
                raise InvalidParameter("where is this unit's model? pass folder=, or split with project=")
            return self._write(place, trained, recipe)

        def _write(self, folder: Path, trained: Any, recipe: dict[str, Any]) -> Path:
            recipe = {**recipe, "environment": here(trained)}
            return write_unit(self.unit, folder, state_digest(trained), recipe)

    return Track


def here(trained: Any) -> dict[str, Any]:
    """The environment of this process, as a unit's recipe holds it: of threads and modes those that are set when it is asked,
    so in a block that changes them call `done` within.
    """
    from expunge.engine import environment
    from expunge.engine.conditions import MODELS, TABLES, table_modes, table_threads

    if not hasattr(trained, "state_dict"):
        return {**environment((*TABLES, *MODELS), table_threads()), **table_modes()}
    import torch

    device = next((p.device for p in trained.parameters()), "cpu")
    return environment((*TABLES, *MODELS), torch.get_num_threads(), device)


def state_digest(trained: Any) -> str:
    """Digest of what was trained: tensors of a torch module, all that an estimator holds, or a digest as given.

    Raises: InvalidParameter, for anything else, and for what is not here as a whole: a sharded module, an object that
    cannot be copied.
    """
    if isinstance(trained, str) and trained.startswith("sha256:"):
        return trained
    if hasattr(trained, "state_dict"):
        from expunge.engine import digest_model

        return digest_model(trained)
    if hasattr(trained, "fit"):
        from expunge.engine import digest_value

        return digest_value(trained)
    raise InvalidParameter(
        f"cannot digest a {type(trained).__name__}; pass a torch module, an estimator, or a 'sha256:…' of its state"
    )


def __getattr__(name: str) -> Any:
    """`Track` is made when first used: its base class comes from transformers."""
    if name == "Track":
        globals()["Track"] = _trainer_track()
        return globals()["Track"]
    raise AttributeError(name)
