"""The findings of `expunge.verify.findings`, for attacks that are not in its registry."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from expunge.core import Finding
from expunge.core.errors import InvalidParameter
from expunge.verify.battery import ArmScores
from expunge.verify.classifiers.target import Attack
from expunge.verify.findings import findings

V = TypeVar("V")

# `findings` asks the registry of attacks on language models for each family and for nothing else. Until it takes families,
# attacks on classifiers go through it under names that it knows, and get their own back.
_KNOWN = ("direct", "probability", "paraphrase", "quantise", "linear_probe", "relearn", "retain_finetune")


def findings_of(arms: Mapping[str, ArmScores], attacks: Sequence[Attack], people: Sequence[str]) -> list[Finding]:
    """One finding per attack, in order, with bounds that hold together over all of them."""
    if len(attacks) > len(_KNOWN) or len({a.name for a in attacks}) < len(attacks):
        raise InvalidParameter(f"give at most {len(_KNOWN)} attacks, each with a name of its own; got {len(attacks)}")
    passing = dict(zip((a.name for a in attacks), _KNOWN, strict=False))
    renamed = {arm: _renamed(scores, passing) for arm, scores in arms.items()}
    found = findings(renamed, tuple(passing.values()), people=people)
    return [replace(f, attack=a.name, family=a.family) for f, a in zip(found, attacks, strict=True)]


def _renamed(scores: ArmScores, names: Mapping[str, str]) -> ArmScores:
    def under(given: Mapping[str, V]) -> dict[str, V]:
        return {names[k]: v for k, v in given.items() if k in names}

    return replace(
        scores,
        scores=under(scores.scores),
        failed=under(scores.failed),
        elapsed_s=under(scores.elapsed_s),
        checks=under(scores.checks),
    )
