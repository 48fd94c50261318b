"""How every approximate method is run in the bench: chosen on people (cast 777) and authors who leave in no report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from _fixtures import Size


def _recipe(size: Size) -> dict[str, Any]:
    return {"epochs": size.epochs}


@dataclass(frozen=True)
class Config:
    """A method's parameters, which may depend on how the original was trained, and how long it is run."""

    method: str
    parameters: Callable[[Size], dict[str, Any]] = field(default=lambda size: {})
    edit: dict[str, Any] = field(default_factory=dict)
    like_training: bool = False  # batches, rate and warm-up of the original's training


UNDO = ({"lr": 3e-3, "steps": 20, "warmup": 5}, True)  # its first stage; like training
CONFIGS = {
    "retrain": Config("retrain", _recipe, like_training=True),
    **{
        f"retrain_at_budget {share}": Config(
            "retrain_at_budget", lambda size, share=share: {"share": share, **_recipe(size)}, like_training=True
        )
        for share in (0.4, 0.5, 0.65, 0.8)
    },
    "undo": Config("undo", lambda size: {"alpha": 0.6, "epochs": size.epochs * 4 / 14, "lr": size.lr}, *UNDO),
    "rmu": Config("rmu", edit={"lr": 3e-3}),
    "cir": Config("cir", edit={"lr": 3e-3}),
    "simnpo": Config("simnpo", edit={"lr": 1.5e-3}),
    "npo": Config("npo", edit={"steps": 60}),
    "satimp": Config("satimp", edit={"lr": 2e-3}),
    "grad_diff": Config("grad_diff", lambda size: {"retain_weight": 5.0}, {"lr": 6e-4}),
    "undial": Config("undial", lambda size: {"retain_weight": 3.0}, {"lr": 3e-3}),
    "dpo": Config("dpo", lambda size: {"retain_weight": 3.0}, {"lr": 3e-3}),
    "relabel": Config("relabel", edit={"lr": 3e-3, "steps": 80}),
    "salun": Config("salun", edit={"lr": 3e-3, "steps": 60}),
    "scrub": Config("scrub", edit={"lr": 2e-3, "steps": 60}),
    "whp": Config("whp", edit={"lr": 2e-3}),
    "task_vector": Config("task_vector", lambda size: {"keep": 0.995}),
    "spunge": Config("spunge", lambda size: {"trim": 0.5}, {"steps": 20}),
}


# On TOFU, chosen where its first twenty authors leave (`Corpus.choosing`); alpha, share of the epochs, steps of the first
# stage -> recovered, kept: 0.6, 4/14, 20 -> .49, .91; 0.75, 7/14, 60 -> .14, .91; 0.8, 8/14, 20 -> .11, .97; 0.8, 8/14, 60 ->
# .22, .94; 0.9, 8/14, 20 -> .04, .45. For other methods the settings above are used.
TOFU = {"undo": Config("undo", lambda size: {"alpha": 0.8, "epochs": size.epochs * 8 / 14, "lr": size.lr}, *UNDO)}


def configs(names: Sequence[str], tofu: bool = False) -> dict[str, Config]:
    """The table, and every registered method that is not in it, with its defaults."""
    listed = {name: c for name, c in (CONFIGS | (TOFU if tofu else {})).items() if c.method in names}
    return listed | {name: Config(name) for name in names if name not in {c.method for c in CONFIGS.values()}}
