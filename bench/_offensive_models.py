"""Small language models that know tweets: trained, edited with and without SPUNGE, and made to speak.

What is kept on disk are numbers: scores, likelihoods, and the weights of the originals.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from _offensive_rows import SAID, Split, judge, words
from expunge.core import Record
from expunge.engine import Schedule, collate, encode, encode_prompt, epoch_batches, mean_nll, pad_id, pinned, train

VOCABULARY, HIDDEN, LAYERS = 1024, 96, 3  # 0.43 million parameters
EPOCHS, LR, BATCH = 10, 3e-3, 32
FORGET_BATCH, RETAIN_BATCH = 10, 30  # a group's rows are a whole number of batches, so passes can be counted out
TOKENS, SAMPLES = 32, 6  # of a continuation, and of a prompt


@dataclass(frozen=True)
class Way:
    """How one model is made: trained ("original", "retrained") or edited. With a `trim`, by SPUNGE around the method.

    `passes` over each forgotten row are the same with and without SPUNGE, and so are the retained rows beside them.
    """

    method: str
    lr: float = 0.0
    parameters: tuple[tuple[str, float], ...] = ()
    passes: int = 3
    trim: float | None = None
    scale: float = 1.0

    @property
    def name(self) -> str:
        said = [f"{key}={value:g}" for key, value in (("lr", self.lr), *self.parameters) if value]
        if self.trim is not None:
            said += [f"trim={self.trim:g}", f"scale={self.scale:g}"]
        return " ".join(["spunge", self.method][self.trim is None :] + said)


def fresh(split: Split, seed: int) -> Any:
    from expunge.testing.toys import toy_llama

    return toy_llama(len(words(split.material, VOCABULARY)), HIDDEN, LAYERS, seed).eval()


def taught(split: Split, rows: list[Record], seed: int) -> Any:
    """A model trained from scratch on the rest of these rows, after their first words."""
    tokenizer = words(split.material, VOCABULARY)
    model, pad, encoded = fresh(split, seed), pad_id(tokenizer), encode(tokenizer, rows)
    batches = [b for epoch in range(EPOCHS) for b in epoch_batches(encoded, BATCH, f"salt {seed}".encode(), epoch)]
    with pinned(1):
        train(
            list(model.parameters()),
            lambda k: mean_nll(model, collate(batches[k], pad)),
            len(batches),
            Schedule(lr=LR, warmup=20, shape="cosine"),
        )
    return model


def edited(split: Split, way: Way, original: Any) -> Any:
    from expunge.approximate import Edit, methods, run_edit

    method, forget, parts = methods.get(way.method)(**dict(way.parameters)), split.forget_rows(), 1
    if way.trim is not None:
        groups = split.groups()
        method = methods.get("spunge")(inner=method, group=groups, trim=way.trim, scale=way.scale)
        parts = len(set(groups.values()))
    steps, rest = divmod(way.passes * len(forget), parts * FORGET_BATCH)
    assert not rest, "a group's rows are a whole number of batches"
    settings = Edit(
        lr=way.lr,
        steps=steps,
        forget_batch=FORGET_BATCH,
        retain_batch=RETAIN_BATCH,
        guard=None,
        shape="cosine",
        seed=split.number,
    )
    return run_edit(original, words(split.material, VOCABULARY), forget, split.retain_rows(), method, settings)


def made(split: Split, way: Way, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A model, and what it cost."""
    from safetensors.torch import load_model, save_model

    began, kept = time.process_time(), folder / f"{split.name} original.safetensors"
    if way.method in ("original", "retrained"):
        forget = split.forget_rows() if way.method == "original" else []
        model = taught(split, forget + split.retain_rows(), 2 * split.number + (way.method == "original"))
        if way.method == "original":
            folder.mkdir(parents=True, exist_ok=True)
            save_model(model, kept)
        return model, {"seconds": time.process_time() - began, "rows_trained": None, "notes": []}
    load_model(original := fresh(split, 0), kept)
    result = edited(split, way, original)
    cost = {"seconds": time.process_time() - began, "rows_trained": result.rows_trained, "notes": list(result.notes)}
    return result.model, cost


def measured(split: Split, way: Way, folder: Path) -> dict[str, Any]:
    """One model's figures, in a process of its own; those that are on disk are taken from there."""
    place = folder / f"{split.name} {way.name} passes={way.passes}.json"
    if place.exists():
        return dict(json.loads(place.read_text()))
    model, cost = made(split, way, folder)
    result = {
        "split": split.number,
        "auc": judge(split.material).auc,
        "name": way.name,
        "way": asdict(way),
        **cost,
        **heard(model, split),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (temporary := place.with_name(f"{place.name}.tmp")).write_text(json.dumps(result))
    temporary.replace(place)
    return result


def heard(model: Any, split: Split) -> dict[str, Any]:
    """What a model says after held-out offensive words, as numbers, and how likely it finds rows it should (not) know.

    The same prompt's samples are drawn with the same random numbers from every model of a split.
    """
    from expunge.engine.logprobs import rows_logp
    from expunge.engine.sampling import sampled_texts
    from expunge.verify.metrics.repetition import repeated_share
    from expunge.verify.metrics.toxicity import toxicity

    tokenizer, asked = words(split.material, VOCABULARY), split.prompt_rows()
    prompts = [encode_prompt(tokenizer, r.question) for r in asked for _ in range(SAMPLES)]
    with pinned(1):
        said = [" ".join(t.split()[:SAID]) for t in sampled_texts(model, tokenizer, prompts, TOKENS, split.number)]
        nll = {
            name: [-fmean(row) for row in rows_logp(model, encode(tokenizer, rows), pad_id(tokenizer))]
            for name, rows in (("forget", split.forget_rows()), ("unseen", asked), ("utility", split.utility_rows()))
        }
    scores = judge(split.material)(said)
    found = toxicity(said, lambda _: scores)
    return {
        "scores": [fmean(scores[k : k + SAMPLES]) for k in range(0, len(scores), SAMPLES)],
        "offensive": found.score.value,
        "above": found.above.value,
        "empty": fmean(not text for text in said),
        "repeated": fmean(repeated_share(text, 2) for text in said),
        "length": fmean(len(text.split()) for text in said),
        "forget_nll": fmean(nll["forget"]),
        "unseen_nll": fmean(nll["unseen"]),
        "utility": nll["utility"],
        "utility_nll": fmean(nll["utility"]),
    }
