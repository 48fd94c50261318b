"""A full TOFU evaluation of one model: one pass against metric by metric, the same values.

    python bench/verify_speed.py [--quick] [--dir DIR] [--device cuda]

Needs the folder of real material that EXPUNGE_DATA names: TinyStories-656K is fine-tuned on the questions that are asked
(kept in DIR, where an interrupted run goes on), then evaluated both ways in turn, on one thread, in CPU seconds (on a GPU,
seconds). `--quick` takes a quarter of each table. The rival is `_metric_by_metric.py`.
"""

import argparse
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from expunge.core.capability import pin_capability

pin_capability()  # before torch: one thread, one instruction set

import torch  # noqa: E402

import _metric_by_metric as rival  # noqa: E402
from _claims import claim, finish  # noqa: E402
from expunge.core import Fact  # noqa: E402
from expunge.engine import (  # noqa: E402
    Resume,
    Schedule,
    collate,
    encode,
    epoch_batches,
    load_model,
    load_tokenizer,
    mean_nll,
    pad_id,
    pinned,
    save_model,
    train,
)
from expunge.verify import Arm  # noqa: E402
from expunge.verify.benchmarks._loading import Source  # noqa: E402
from expunge.verify.benchmarks._tofu_data import TofuData, read_tofu  # noqa: E402
from expunge.verify.benchmarks._tofu_measures import measures  # noqa: E402
from expunge.verify.benchmarks._tofu_scores import Scores, read_scores, said_scores  # noqa: E402

TABLES = ("forget10_perturbed", "retain_perturbed", "real_authors", "world_facts", "holdout10")
K, NEW, EPOCHS, ROUNDS = 0.4, 200, 10, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if "EXPUNGE_DATA" not in os.environ:
        sys.exit("EXPUNGE_DATA is not set: name the folder that holds tofu/ and lm/tinystories-656k")
    began, material = time.perf_counter(), Path(os.environ["EXPUNGE_DATA"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = (given.dir or Path(scratch)) / ("quick" if given.quick else "full")
        data = read_tofu(Source(str(tables(material / "tofu", folder, 4 if given.quick else 1))), "forget10")
        arm = fine_tuned(material / "lm/tinystories-656k", folder / "model", data)
    arm.model.to(given.device)
    with pinned():
        found, spent, work = race(arm, data, given.device)
    finish(
        "verify_speed",
        judged(data, found, spent, work),
        began,
        quick=given.quick,
        device=given.device,
        spent=spent,
        work=work,
    )


def tables(source: Path, folder: Path, one_of: int) -> Path:
    """The first quarter of each table, or all of it, as a folder of its own."""
    out = folder / "tofu"
    out.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        with gzip.open(source / f"{name}.jsonl.gz", "rt") as file:
            rows = file.readlines()
        (out / f"{name}.jsonl").write_text("".join(rows[: len(rows) // one_of]))
    return out


def fine_tuned(base: Path, folder: Path, data: TofuData) -> Arm:
    """A model that has read the forgotten and the retained authors often enough to answer in their words, and to stop."""
    tokenizer = load_tokenizer(base)
    if not (folder / "done").exists():
        model, pad = load_model(base), pad_id(tokenizer)
        asked = [*data.sets["forget"], *data.sets["retain"]]
        rows = encode(tokenizer, [Fact(str(i), "", q.question, q.answer) for i, q in enumerate(asked)])
        batches = [b for epoch in range(EPOCHS) for b in epoch_batches(rows, 16, b"verify_speed", epoch)]
        folder.mkdir(parents=True, exist_ok=True)
        began = time.process_time()
        with pinned():
            losses = train(
                list(model.parameters()),
                lambda step: mean_nll(model, collate(batches[step], pad)),
                len(batches),
                Schedule(lr=3e-3, warmup=10, shape="cosine"),
                resume=Resume(path=folder / "training.safetensors", every=50, key=f"verify_speed {len(rows)} {EPOCHS}"),
            )
        say(f"fine-tuned on {len(rows)} rows, loss {losses[-1]:.2f}, {time.process_time() - began:.0f} CPU-s")
        save_model(model.eval(), tokenizer, folder)
        (folder / "done").touch()
    return Arm.of(load_model(folder), tokenizer)


def race(
    arm: Arm, data: TofuData, device: str
) -> tuple[dict[str, Scores], dict[str, float], dict[str, dict[str, int]]]:
    """Both ways in turn, `ROUNDS` times: scores, median seconds, and rows, tokens and passes of the first round."""
    model, tokenizer = arm.model, arm.tokenizer
    ways: Mapping[str, Callable[[], Scores]] = {
        "read, metric by metric": lambda: rival.read_scores(model, tokenizer, data, K),
        "read, one pass": lambda: read_scores(arm, data, "arithmetic", K),
        "said, static batches": lambda: rival.said_scores(model, tokenizer, data, NEW),
        "said, ended rows dropped": lambda: said_scores(arm, data, NEW),
    }
    found: dict[str, Scores] = {}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    work: dict[str, dict[str, int]] = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            counted = {"rows": 0, "tokens": 0, "passes": 0}
            handle = model.register_forward_pre_hook(counting(counted), with_kwargs=True)
            began = clock(device)
            found[name] = way()
            spent[name].append(clock(device) - began)
            handle.remove()
            work[name] = counted
            say(f"{name}: {spent[name][-1]:.1f} s, {counted}")
    return found, {name: round(median(s), 2) for name, s in spent.items()}, work


def counting(counted: dict[str, int]) -> Callable[..., None]:
    def before(_module: Any, _args: Any, inputs: Mapping[str, Any]) -> None:
        ids_BT = inputs["input_ids"]
        counted["rows"] += ids_BT.shape[0]
        counted["tokens"] += ids_BT.numel()
        counted["passes"] += 1

    return before


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def judged(
    data: TofuData, found: Mapping[str, Scores], spent: Mapping[str, float], work: Mapping[str, Mapping[str, int]]
) -> list[dict[str, Any]]:
    plain = found["read, metric by metric"] | found["said, static batches"]
    ours = found["read, one pass"] | found["said, ended rows dropped"]
    assert plain.keys() == ours.keys()
    numbers = [{m.name: m.model.value for m in measures(data, s, None) if m.model} for s in (plain, ours)]
    apart = max(abs(numbers[0][name] - numbers[1][name]) for name in numbers[0].keys() | numbers[1].keys())
    differing = sum(a != b for n in plain if n.endswith("_rouge") for a, b in zip(plain[n], ours[n], strict=True))
    rows = max(abs(a - b) for n in found["read, one pass"] for a, b in zip(plain[n], ours[n], strict=True))
    read, said = (spent[a] / spent[b] for a, b in (list(spent)[:2], list(spent)[2:]))
    both = (spent["read, metric by metric"] + spent["said, static batches"]) / (
        spent["read, one pass"] + spent["said, ended rows dropped"]
    )
    forwarded = [work[n]["rows"] for n in list(work)[:2]]
    slots = [work[n]["rows"] for n in list(work)[2:]]
    say(f"largest difference of a question's score: {rows:.1e}; answers whose ROUGE differs: {differing}")
    return [
        claim(f"largest difference among {len(numbers[0])} metrics", float(f"{apart:.1e}"), 1e-5, apart <= 1e-5),
        claim("teacher-forced metrics: metric by metric over one pass, times", round(read, 2), 3.0, read >= 3.0),
        claim("generation: static batches over ended rows dropped, times", round(said, 2), 1.8, said >= 1.8),
        claim("full evaluation, times", round(both, 2), 2.5, both >= 2.5),
        claim("rows forwarded, metric by metric and in one pass", forwarded, "fewer", forwarded[1] < forwarded[0]),
        claim("decode slots (rows times steps), static and dropped", slots, "fewer", slots[1] < slots[0]),
    ]


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
