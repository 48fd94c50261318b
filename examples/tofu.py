"""TOFU on a pretrained model: one author by the exact route, a group by every approximate method, in one table.

    python examples/tofu.py --data DIR --base DIR [--authors 20] [--quick]

`--data` is a folder with `tofu/*.jsonl.gz` (or the files themselves) or the hub name of the TOFU dataset; `--base` a
Hugging Face causal model, folder or hub name. The sizes that suit the 656 K TinyStories model on two cores are the
defaults; for a larger base give `--lr 1e-5 --epochs 5 --edit-lr 1e-5 --adapter-lr 2e-4`.
"""

import argparse
import gzip
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from expunge.core.capability import pin_capability

pin_capability()  # before torch: bits depend on it

from expunge.approximate import Edit, methods, run_edit  # noqa: E402
from expunge.cli.show import say, table  # noqa: E402
from expunge.core import Fact, Guarantee, Record  # noqa: E402
from expunge.engine import (  # noqa: E402
    Schedule,
    collate,
    encode,
    epoch_batches,
    load_model,
    load_tokenizer,
    mean_nll,
    pad_id,
    pinned,
    train,
)
from expunge.exact import AdapterShards  # noqa: E402
from expunge.report import page, summary_rows  # noqa: E402
from expunge.report.table import COLUMNS  # noqa: E402
from expunge.verify import Arm, Audit, Probes, audit  # noqa: E402
from expunge.verify.battery import attack_arm  # noqa: E402
from expunge.verify.scores import ArmScores  # noqa: E402

BATTERY = "quick" if "--quick" in sys.argv else "standard"
STEPS = {"gradient_ascent": 1.0, "grad_diff": 0.5, "npo": 1.0, "refusal": 1.0, "rmu": 1.0}


def main() -> None:
    a = arguments()
    rows, perturbed, strangers = read_tofu(a.data)
    authors = sorted({r.subject for r in rows})[-a.authors :]  # the last ones have paraphrases and wrong answers
    leaving, staying = authors[-a.forget :], authors[: -a.forget]
    forget, retain = of(rows, leaving), of(rows, staying)
    tokenizer = load_tokenizer(a.base)
    probes = Probes(facts(forget, perturbed), facts(retain, perturbed)[: a.probes], facts(strangers, {})[: a.probes])
    say(f"{len(authors)} authors, {len(forget)} questions to forget, {len(retain)} to keep")

    began = time.process_time()
    original = fine_tune(load_model(a.base), tokenizer, [*forget, *retain], a.epochs, a.lr, 1, "original")
    control = fine_tune(load_model(a.base), tokenizer, retain, a.epochs, a.lr, 2, "control")
    retrain_s = (time.process_time() - began) * len(retain) / (2 * len(retain) + len(forget))
    arms = {
        name: attack(model, tokenizer, probes, name) for name, model in (("original", original), ("control", control))
    }
    shown = [row("untouched", arms, arms["original"], probes, 0.0, retrain_s, Guarantee.EMPIRICAL)]
    for name in a.methods:
        method, steps = methods.get(name)(), max(1, round(a.edit_steps * STEPS[name]))
        began = time.process_time()
        edited = run_edit(original, tokenizer, forget, retain, method, Edit(lr=a.edit_lr, steps=steps, retain_batch=64))
        spent = time.process_time() - began
        scores = attack(edited.model, tokenizer, probes, name)
        shown.append(row(name, arms, scores, probes, spent, retrain_s, edited.guarantee))
    shown.append(exact_route(a, tokenizer, rows, perturbed, strangers, authors))
    document = {
        "title": "TOFU",
        "rows": shown,
        "limits": "One run on one forget set; rankings among methods are indicative.",
    }
    table("", summary_rows(document), COLUMNS)
    say(f"report {page(document, a.out / 'report.html')}")
    print(json.dumps({"rows": summary_rows(document), "report": str(a.out / "report.html")}))


def exact_route(
    a: argparse.Namespace,
    tokenizer: Any,
    rows: Sequence[Record],
    perturbed: dict,
    strangers: Sequence[Record],
    authors: list[str],
) -> dict[str, Any]:
    """One author leaves a model made of adapters; checked against a fit without them, attacked beside a fresh one."""
    people = authors[-a.adapter_authors :]
    who, records = people[-1], of(rows, people)
    left = [r for r in records if r.subject != who]
    settings = {"shards": a.shards, "epochs": a.adapter_epochs, "lr": a.adapter_lr, "batch_size": 8}
    began = time.process_time()
    learner = AdapterShards(load_model(a.base), tokenizer, salt=b"tofu", **settings).fit(records, progress=told)
    full_s = time.process_time() - began
    probes = Probes(
        facts(of(records, [who]), perturbed), facts(left, perturbed)[: a.probes], facts(strangers, {})[: a.probes]
    )
    arms = {"original": attack(learner.model_for(who), tokenizer, probes, "adapters, original")}
    deletion = learner.forget([who], progress=told)
    without = AdapterShards(load_model(a.base), tokenizer, salt=b"tofu", **settings).fit(left, progress=told)
    fresh = AdapterShards(load_model(a.base), tokenizer, salt=b"other", seed=1, **settings).fit(left, progress=told)
    arms["control"] = attack(fresh.model_for(who), tokenizer, probes, "adapters, control")
    scores = attack(learner.model_for(who), tokenizer, probes, "adapters, unlearned")
    # Skill is the whole system's: every author is asked of their own adapter.
    arms["control"] = replace(arms["control"], skill=skill(fresh, probes.retain))
    scores = replace(scores, skill=skill(learner, probes.retain))
    replay = without.digest() == deletion.digest_after
    found = audit(
        original=arms["original"],
        unlearned=scores,
        control=arms["control"],
        probes=probes,
        battery=BATTERY,
        guarantee=Guarantee.EXACT,
        replay=replay,
    )
    shown = as_row("adapter shards, one author", found, deletion.elapsed_s, full_s)
    return {**shown, "route": "rebuild", "cost": deletion.cost, "equality": "bitwise", "replay": replay}


def skill(learner: AdapterShards, asked: Sequence[Fact]) -> tuple[float, ...]:
    from expunge.verify.metrics.recall import recall

    said = learner.answer([f.question for f in asked], [f.subject for f in asked], max_new_tokens=60)
    return tuple(recall(text, fact) for text, fact in zip(said, asked, strict=True))


def fine_tune(
    model: Any, tokenizer: Any, records: Sequence[Record], epochs: int, lr: float, seed: int, name: str
) -> Any:
    rows, pad = encode(tokenizer, records), pad_id(tokenizer)
    batches = [b for e in range(epochs) for b in epoch_batches(rows, 16, b"tofu", seed, e)]
    model.train()
    with pinned(1):
        train(
            list(model.parameters()),
            lambda k: mean_nll(model, collate(batches[k], pad)),
            len(batches),
            Schedule(lr=lr, warmup=min(20, len(batches) // 4), shape="cosine"),
            progress=lambda k, n: told(name, k, n),
        )
    return model.eval()


def attack(model: Any, tokenizer: Any, probes: Probes, name: str) -> ArmScores:
    return attack_arm(
        Arm.of(model, tokenizer), probes, BATTERY, progress=lambda what, k, n: told(f"{name}: {what}", k, n)
    )


def row(
    name: str,
    arms: dict[str, ArmScores],
    scores: ArmScores,
    probes: Probes,
    spent: float,
    retrain_s: float,
    guarantee: Guarantee,
) -> dict[str, Any]:
    found = audit(
        original=arms["original"],
        unlearned=scores,
        control=arms["control"],
        probes=probes,
        battery=BATTERY,
        guarantee=guarantee,
    )
    return as_row(name, found, spent, retrain_s)


def as_row(name: str, found: Audit, seconds: float, retrain_s: float) -> dict[str, Any]:
    return {
        "method": name,
        "route": "edit",
        "guarantee": "none" if name == "untouched" else found.guarantee.value,
        "cost": seconds / retrain_s,
        "seconds": seconds,
        "retrain_seconds": retrain_s,
        "audit": found.to_json(),
    }


def read_tofu(data: str) -> tuple[list[Record], dict[tuple[str, str], dict], list[Record]]:
    """Records of all authors, the perturbed rows by question, and holdout authors as strangers."""
    if Path(data).is_dir():
        home = Path(data) / "tofu" if (Path(data) / "tofu").is_dir() else Path(data)
        full, extra, holdout = (read_lines(home / f"{n}.jsonl.gz") for n in ("full", "forget10_perturbed", "holdout10"))
    else:
        from datasets import load_dataset

        names = ("full", "forget10_perturbed", "holdout10")
        full, extra, holdout = ([dict(r) for r in load_dataset(data, n, split="train")] for n in names)
    records = [
        Record(f"tofu-{i}", f"author-{int(r.get('author_id', i // 20)):03d}", r["question"], r["answer"])
        for i, r in enumerate(full)
    ]
    strangers = [
        Record(f"holdout-{i}", f"stranger-{i // 20}", r["question"], r["answer"]) for i, r in enumerate(holdout)
    ]
    return records, {(r["question"], r["answer"]): r for r in extra}, strangers


def read_lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def of(records: Sequence[Record], authors: Sequence[str]) -> list[Record]:
    return [r for r in records if r.subject in set(authors)]


def facts(records: Sequence[Record], perturbed: dict[tuple[str, str], dict]) -> tuple[Fact, ...]:
    """Questions of TOFU carry no marked value, so answers are scored by ROUGE-L recall."""
    found = []
    for r in records:
        extra = perturbed.get((r.question, r.answer))
        pairs = ((extra["paraphrased_question"], extra["paraphrased_answer"]),) if extra else ()
        wrong = tuple(extra["perturbed_answer"]) if extra else ()
        found.append(Fact(r.id, r.subject, r.question, r.answer, "", pairs, wrong))
    return tuple(found)


def told(what: str, done: int, total: int) -> None:
    """A progress line on a terminal; nothing in a log."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{what} {done}/{total}")
        if done >= total:
            sys.stderr.write("\r\033[K")


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--out", type=Path, default=Path("tofu-report"))
    p.add_argument("--authors", type=int, default=20, help="authors in the block")
    p.add_argument("--forget", type=int, default=4, help="authors that leave the block")
    p.add_argument("--adapter-authors", type=int, default=6)
    p.add_argument("--shards", type=int, default=3)
    p.add_argument("--epochs", type=int, default=30)
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--adapter-epochs", type=int, default=40)
    p.add_argument("--adapter-lr", type=float, default=5e-3)
    p.add_argument("--edit-steps", type=int, default=40)
    p.add_argument("--edit-lr", type=float, default=5e-4)
    p.add_argument("--probes", type=int, default=100, help="retained and stranger questions asked")
    p.add_argument("--methods", nargs="+", default=methods.names(), choices=methods.names())
    p.add_argument(
        "--quick", action="store_true", help="a few authors and epochs: shows that it runs, not what it finds"
    )
    a = p.parse_args()
    if a.quick:
        a.authors, a.forget, a.adapter_authors, a.shards, a.epochs, a.adapter_epochs = 3, 1, 2, 2, 2, 2
        a.edit_steps, a.probes, a.methods = 2, 20, ["npo"]
    a.out.mkdir(parents=True, exist_ok=True)
    return a


if __name__ == "__main__":
    main()
