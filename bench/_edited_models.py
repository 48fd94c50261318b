"""A model of the bench of approximate methods: made, attacked and asked, each part kept on disk."""

import json
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from _edit_configs import CONFIGS, configs
from _edited_corpora import Corpus

ARMS = ("original", "control")


def made(corpus: Corpus, name: str, folder: Path) -> dict[str, Any]:
    """A model in its folder, and what it cost; where the method cannot run here, the reason."""
    from expunge.approximate import Edit, methods, run_edit
    from expunge.core.errors import ExpungeError
    from expunge.engine import load_model, save_model
    from expunge.testing.toys import toy_llama

    place, size, (forget, retain) = folder / "models" / f"{corpus.name} {name}", corpus.size, corpus.rows
    if (place / "made.json").exists():
        return dict(json.loads((place / "made.json").read_text()))
    trained = {"lr": size.lr, "retain_batch": size.batch, "warmup": 20, "guard": None}
    begin, state = None, None
    if name in ARMS:
        config, settings = CONFIGS["retrain"], Edit(**trained, seed={"original": 1, "control": 2}[name])
        forget, retain = (corpus.strangers, forget + retain) if name == "original" else (forget, retain)
        begin, state = toy_llama(len(corpus.words), size.hidden, size.layers), folder / "training" / corpus.name / name
    else:
        config = configs(methods.names(), not corpus.number)[name]
        settings = Edit(**({**trained, **config.edit} if config.like_training else config.edit), seed=3)
    method = methods.get(config.method)(**config.parameters(size))
    begin = begin or load_model(folder / "models" / f"{corpus.name} original")
    began, result = time.process_time(), {"seconds": 0.0, "guarantee": "", "notes": [], "skipped": ""}
    try:
        edited = run_edit(begin, corpus.words, forget, retain, method, settings, folder=state)
    except ExpungeError as e:
        result["skipped"] = f"{type(e).__name__}: {e}"
        place.mkdir(parents=True, exist_ok=True)
    else:
        result |= {"seconds": time.process_time() - began, "guarantee": edited.guarantee.value}
        result["notes"] = list(edited.notes)
        save_model(edited.model, corpus.words, place)
    (place / "made.tmp").write_text(json.dumps(result))
    (place / "made.tmp").replace(place / "made.json")
    return result


def measured(corpus: Corpus, name: str, battery: str, folder: Path) -> dict[str, Any]:
    """One model: made, attacked and asked the benchmark's questions, in a process of its own."""
    from expunge.engine import load_model
    from expunge.verify import Arm, attack_arm

    done = folder / "measured" / battery / f"{corpus.name} {name}.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    result = {"corpus": corpus.name, "name": name, **made(corpus, name, folder)}
    if not result["skipped"]:
        arm = Arm.of(load_model(folder / "models" / f"{corpus.name} {name}"), corpus.words)
        result["arm"] = attack_arm(arm, corpus.probes, battery, folder / "attacks").to_json()
        result |= answered(arm, corpus)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.with_suffix(".tmp").write_text(json.dumps(result))
    done.with_suffix(".tmp").replace(done)
    return result


def answered(arm: Any, corpus: Corpus) -> dict[str, Any]:
    """TOFU's truth ratios on the forget set, and its utility over those sets of questions that the corpus has."""
    from scipy.stats import hmean

    from expunge.verify.benchmarks._tofu_scores import tofu_scores
    from expunge.verify.metrics.model_utility import MEASURES
    from expunge.verify.metrics.truth_ratio import truthfulness

    scores, kept = tofu_scores(arm, corpus.asked, "arithmetic", 0.4, 200 if not corpus.number else 32), []
    for part in corpus.asked.sets:
        for measure in MEASURES if part != "forget" else ():
            values = scores[f"{part}_{measure}"]
            kept.append(fmean(map(truthfulness, values) if measure == "truth_ratio" else values))
    return {"truth_ratio": scores["forget_truth_ratio"], "utility": float(hmean(kept)) if min(kept) > 0 else 0.0}
