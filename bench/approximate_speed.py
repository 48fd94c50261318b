"""Every approximate method against a plain implementation of the same formula: the same rows, the same losses, less work.

    python bench/approximate_speed.py [--quick] [--device cuda]

One thread, CPU seconds (on a GPU, seconds), both sides in one run on the same weights and the same batches of 8 forget and
8 retain rows, ten passes over the forget set; what the caches cost is in. Each side runs twice, in turns, and its faster run
counts. The rival is `_plain_edit.py`. Rows are as long as TOFU's with a chat template (62 to 100 tokens, about a quarter of
them answer); the retain set has three times the rows of the forget set. Memory is the highest resident size above that of
one loaded model, each side in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from expunge.core.capability import pin_capability

pin_capability()  # before torch: one thread, one instruction set

import torch  # noqa: E402

import _plain_edit as rival  # noqa: E402
from _claims import claim, finish  # noqa: E402
from expunge.approximate import Edit, methods  # noqa: E402
from expunge.approximate._draws import draws  # noqa: E402
from expunge.approximate._work import Work  # noqa: E402
from expunge.engine import Batch, Encoded, Schedule, collate, pinned, train  # noqa: E402
from expunge.testing.toys import toy_llama  # noqa: E402

BATCH, EPOCHS, LR = 8, 10, 1e-5
ONCE = ("cached reference", "answers only", "term by term")
Losses = Callable[[rival.Plain, Batch, Batch, Batch], list[torch.Tensor]]


@dataclass(frozen=True)
class Pair:
    """A method of ours and the same formula done plainly. `bars` by size of the vocabulary."""

    name: str
    method: Any
    plain: Losses
    bars: dict[int, float]
    layers: int = 8
    tricks: tuple[str, ...] = ONCE
    blocks: tuple[int, ...] = ()  # those that are trained; none named: all weights


def pairs() -> list[Pair]:
    get = methods.get
    rmu = lambda block: get("rmu")(layer=float(block), push=2.0, retain_weight=50.0)
    plain = lambda losses, *given: lambda *batches: losses(*batches, *given)
    kl = get("grad_diff")(retain="kl", retain_weight=1.0)
    early = ("early exit", "cached reference", "trained alone")
    dpo = with_answers(get("dpo")(beta=0.1, retain_weight=1.0))
    return [
        Pair("NPO", get("npo")(beta=0.1, retain_weight=1.0), plain(rival.npo, 0.1, 1.0), {4096: 1.25, 32768: 1.5}),
        Pair("DPO", dpo, plain(rival.dpo, 0.1, 1.0), {4096: 1.3, 32768: 1.5}),
        Pair("GradDiff+KL", kl, plain(rival.grad_diff_kl, 1.0), {4096: 1.6, 32768: 1.6}),
        Pair("UNDIAL", get("undial")(beta=10.0, retain_weight=0.0), plain(rival.undial, 10.0), {4096: 2.0, 32768: 2.0}),
        Pair(
            "RMU, middle of 8 layers",
            rmu(3),
            plain(rival.rmu, 3, 2.0, 50.0),
            {4096: 2.4, 32768: 2.4},
            tricks=early,
            blocks=(1, 2, 3),
        ),
        Pair(
            "RMU, layer 7 of 32",
            rmu(7),
            plain(rival.rmu, 7, 2.0, 50.0),
            {4096: 6.0},
            layers=32,
            tricks=early,
            blocks=(5, 6, 7),
        ),
    ]


def with_answers(method: Any) -> Any:
    """The same method, saying answers that are rows already."""

    class Ready(type(method)):  # type: ignore[misc]
        def alternate(self, rows: Sequence[Encoded], epoch: int, work: Any) -> list[Encoded]:
            return [other_answer(row) for row in rows]

    return Ready(**vars(method))


class Ready(Work):
    """Work on rows that are token ids already."""

    def rows(self, records: Sequence[Any]) -> list[Any]:
        return list(records)


class Words:
    pad_token_id = 0
    eos_token_id = 1


def rows(n: int, vocabulary: int, seed: int, skewed: bool = False) -> list[Encoded]:
    """Random token ids; lengths as TOFU's, or lognormal."""
    draw = torch.Generator().manual_seed(seed)
    made = []
    for i in range(n):
        prompt, answer = (int(torch.randint(lo, hi, (1,), generator=draw)) for lo, hi in ((46, 75), (16, 26)))
        if skewed:
            length = min(400, max(8, int(torch.exp(torch.randn(1, generator=draw) * 0.8 + 3.6))))
            prompt, answer = 2, length - 2
        ids = torch.randint(3, vocabulary, (prompt + answer,), generator=draw)
        made.append(Encoded(f"{seed}/{i}", tuple(ids.tolist()), prompt))
    return made


def other_answer(row: Encoded) -> Encoded:
    """A short answer in place of the true one, as a refusal would be."""
    ids = (*row.ids[: row.n_prompt], *range(3, 11))
    return Encoded(row.id, ids, row.n_prompt)


@dataclass(frozen=True)
class Setting:
    """What both sides are run on."""

    pair: Pair
    vocabulary: int
    n_forget: int
    device: str
    epochs: int = EPOCHS
    hidden: int = 256

    def model(self) -> Any:
        model = toy_llama(self.vocabulary, self.hidden, self.pair.layers, seed=0).to(self.device)
        return model.to(torch.bfloat16) if self.device != "cpu" else model

    @property
    def forget(self) -> list[Encoded]:
        return rows(self.n_forget, self.vocabulary, 1)

    @property
    def retain(self) -> list[Encoded]:
        return rows(3 * self.n_forget, self.vocabulary, 2)

    @property
    def edit(self) -> Edit:
        steps = self.epochs * self.n_forget // BATCH
        return Edit(lr=LR, steps=steps, warmup=0, forget_batch=BATCH, retain_batch=BATCH, guard=None, bucket=False)

    def work(self) -> Ready:
        return Ready(self.model().eval(), Words(), self.forget, self.retain, self.edit)


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def ours(setting: Setting) -> tuple[float, list[float]]:
    """Seconds with the caches' cost in, and the loss of every step."""
    work = setting.work()
    began = clock(setting.device)
    losses = work.descend(setting.pair.method)
    return clock(setting.device) - began, losses


def plainly(setting: Setting, tricks: Sequence[str] = ()) -> tuple[float, list[float]]:
    """The same steps on the same rows by the rival."""
    model, pair = setting.model().eval(), setting.pair
    trained = [p for b in pair.blocks for p in model.model.layers[b].parameters()] or list(model.parameters())
    if "trained alone" in tricks:
        model.requires_grad_(False)
        for p in trained:
            p.requires_grad_(True)
    plain = rival.Plain(model, frozenset(tricks))
    drawn = draws(setting.forget, setting.retain, setting.edit.steps, "edit", setting.edit)

    def at(k: int) -> Any:
        model.zero_grad()
        forget, retain, _ = drawn[k]
        sides = [collate(side).to(setting.device) for side in (forget, retain, [other_answer(r) for r in forget])]
        terms = pair.plain(plain, sides[0], sides[1], sides[2])
        return terms if "term by term" in tricks else sum(terms)

    began = clock(setting.device)
    losses = train(trained, at, len(drawn), Schedule(lr=LR))
    return clock(setting.device) - began, losses


def shares(setting: Setting) -> dict[str, float]:
    """CPU seconds a step with one trick after the other, over a second pass, where what is cached is known.

    From the last to ours it is packing, and for RMU also the states that the first trained block reads, which are kept.
    """
    pair, found = setting.pair, {}
    for k in range(len(pair.tricks)):
        used = pair.tricks[: k + 1]
        once, twice = (plainly(replace(setting, epochs=n), used)[0] for n in (1, 2))
        found["+ " + used[-1]] = round((twice - once) / (setting.n_forget // BATCH), 3)
    return found


def memory(setting: Setting, side: str) -> int:
    """Kilobytes above one loaded model at the highest, in this process."""
    held = setting.model()
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before = resident("VmRSS")
    del held
    (ours if side == "ours" else plainly)(setting)
    return resident("VmHWM") - before


def resident(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1])


def memory_apart(name: str, vocabulary: int, side: str) -> int:
    """The same in a process of its own, so that one side does not leave its heap to the other."""
    command = [sys.executable, __file__, "--memory", name, str(vocabulary), side]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def bucketing(n: int) -> dict[str, float]:
    """NPO on rows of very different lengths: padded in random order, padded among their like, and without padding."""
    pair = pairs()[0]
    setting = Setting(pair, 4096, n, "cpu", epochs=2)
    spent = {}
    for name, bucket, packs in (("random order", False, False), ("like lengths", True, False), ("packed", True, True)):
        forget, retain = rows(n, 4096, 5, skewed=True), rows(n, 4096, 6, skewed=True)
        work = Ready(setting.model().eval(), Words(), forget, retain, replace(setting.edit, bucket=bucket))
        padded = patch("expunge.approximate._training.packing", lambda _model: nullcontext(False))
        with nullcontext() if packs else padded:
            began = time.process_time()
            work.descend(pair.method)
            spent[name] = round(time.process_time() - began, 2)
    return spent


def measured(setting: Setting, with_memory: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    pair, vocabulary = setting.pair, setting.vocabulary
    what = f"{pair.name}, vocabulary {vocabulary:,}"
    runs = [(ours(setting), plainly(setting)) for _ in range(2)]  # in turns; the faster of each, as others may run here
    losses, expected = runs[0][0][1], runs[0][1][1]
    seconds, theirs = (min(run[side][0] for run in runs) for side in (0, 1))
    apart = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(losses, expected, strict=True))
    times, bar = theirs / seconds, pair.bars[vocabulary]
    claims = [
        claim(f"{what}: plain over ours, times", round(times, 2), bar, times >= bar),
        claim(f"{what}: largest difference of a step's loss", float(f"{apart:.1g}"), 1e-5, apart <= 1e-5),
    ]
    row: dict[str, Any] = {"ours": round(seconds, 2), "plain": round(theirs, 2), "steps": setting.edit.steps}
    if setting.device == "cpu":
        row["seconds a step"] = {"plain": round(theirs / setting.edit.steps, 3), **shares(setting)}
        row["seconds a step"]["ours, caches in"] = round(seconds / setting.edit.steps, 3)
    if with_memory:
        peak = {side: memory_apart(pair.name, vocabulary, side) for side in ("ours", "plain")}
        ratio = peak["ours"] / peak["plain"]
        claims.append(
            claim(f"{what}: peak memory above the weights, share of plain", round(ratio, 2), 0.85, ratio <= 0.85)
        )
        row["memory, MB"] = {side: round(kb / 1024) for side, kb in peak.items()}
    sys.stderr.write(f"{what}: {json.dumps(row)}\n")
    return claims, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", nargs=3)
    given = parser.parse_args()
    by_name = {pair.name: pair for pair in pairs()}
    if given.memory:
        name, vocabulary, side = given.memory
        with pinned(1):
            print(memory(Setting(by_name[name], int(vocabulary), BATCH, "cpu", epochs=2), side))
        return
    began, claims, figures = time.perf_counter(), [], {}
    with pinned(1):
        for pair in by_name.values():
            for vocabulary in pair.bars:
                if given.quick and (vocabulary > 4096 or pair.layers > 8):
                    continue
                setting = Setting(pair, vocabulary, BATCH if given.quick else 2 * BATCH, given.device)
                found, row = measured(setting, given.device == "cpu" and pair.layers == 8)
                claims += found
                figures[f"{pair.name}, vocabulary {vocabulary}"] = row
        if given.device == "cpu":
            spent = bucketing(4 * BATCH if given.quick else 16 * BATCH)
            figures["skewed lengths, seconds"] = spent
            for name, what in (("like lengths", "batches of like lengths"), ("packed", "rows without padding")):
                times = spent["random order"] / spent[name]
                claims.append(
                    claim(f"skewed lengths: random order over {what}, times", round(times, 2), 1.3, times >= 1.3)
                )
    finish("approximate_speed", claims, began, quick=given.quick, device=given.device, figures=figures)


if __name__ == "__main__":
    main()
