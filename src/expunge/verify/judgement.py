"""From findings to the strongest claim that they carry, and the flags that override it. See DESIGN, "Promises".

Nothing here has a default that helps: a level needs every attack it rests on, and a flag is raised on the attack's
bounds, not on its estimate, wherever it accuses.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from expunge.core import Assurance, Finding, Flag, Guarantee, Outcome
from expunge.verify.thresholds import PEOPLE, RETAINED_FROM, SKILL, TAU

# What a level rests on: groups of attacks. Every attack of a group must have run; those whose silence would mean nothing
# (NO_CONTRAST) are left out, one at least must remain, and all that remain must have found nothing.
REQUIRED: dict[Assurance, tuple[tuple[str, ...], ...]] = {
    Assurance.SUPPRESSED: (("direct",), ("paraphrase",)),
    Assurance.RESISTS_BLACK_BOX: (("probability",), ("prompts",), ("sampling",)),
    Assurance.RESISTS_WHITE_BOX: (
        ("relearn", "relearn_lora", "retain_finetune"),
        ("quantise", "noise", "direction_ablation"),
        ("linear_probe", "logit_lens"),
    ),
}
_BLACK_BOX = ("plain", "black box")  # families of attacks that do not touch the weights


@dataclass(frozen=True)
class Skill:
    """Share of the reference's retained skill, and its one-sided 95 % upper bound."""

    share: float
    high: float


@dataclass(frozen=True)
class Judgement:
    assurance: Assurance
    flags: tuple[Flag, ...]


def judge(
    found: Sequence[Finding],
    member: Finding,
    retained: Skill | None,
    guarantee: Guarantee,
    replay: bool | None,
    duplicates: int | None = None,
    n_people: int = PEOPLE,
    placebos: bool = False,
    added: Collection[str] = (),
) -> Judgement:
    """The level and the flags. `replay` says whether an independent rebuild gave the same bits; None: it was not run.

    Beside `placebos`, which differ in what can be guessed of them, nothing is called OVER_FORGOTTEN. Attacks that were `added`
    to the battery count against a level like any other, and none rests on them.
    """
    by_name = {f.attack: f for f in [*found, member]}
    own = {name: f for name, f in by_name.items() if name not in added}
    skill = retained.share if retained and math.isfinite(retained.share) else None
    flags = _recovery_flags(found)
    if skill is not None and skill < SKILL:
        flags.append(Flag.DAMAGED)
    if not placebos and _over_forgotten(found, member):
        flags.append(Flag.OVER_FORGOTTEN)
    if duplicates:
        flags.append(Flag.TAINTED)
    recovered = any(f.outcome is Outcome.RECOVERED for f in found)
    if guarantee is Guarantee.EXACT and replay and not recovered and Flag.TAINTED not in flags:
        # The replay carries the claim; the attacks are a cross-check that may be too weak to add anything. PARTIAL and
        # OVER_FORGOTTEN without an attack that recovered, and a loss of skill that two retrained models may show as well,
        # are estimates within the noise, which a replay outweighs.
        noise = {Flag.OVER_FORGOTTEN, Flag.PARTIAL} | ({Flag.DAMAGED} if retained and retained.high >= SKILL else set())
        return Judgement(Assurance.EXACT, tuple(f for f in flags if f not in noise))
    negatives_hold = skill is not None and Flag.DAMAGED not in flags and n_people >= PEOPLE
    level = _level(by_name, own) if negatives_hold else Assurance.CLAIMED
    # What came back counts against a level even where a second control shows as much and the verdict is open.
    if guarantee is Guarantee.SUPPRESSED or recovered or any(f.low is not None and f.low > TAU for f in found):
        level = min(level, Assurance.SUPPRESSED)
    # What was recovered or wrecked is decided; PARTIAL alone is not, its estimate may lie within the noise.
    decided = recovered or Flag.DAMAGED in flags
    if skill is None or (not decided and _undecided(by_name, own, n_people)):
        flags.append(Flag.INCONCLUSIVE)
    return Judgement(level, tuple(flags))


def _recovery_flags(found: Sequence[Finding]) -> list[Flag]:
    plain = next((f for f in found if f.attack == "direct"), None)
    if plain is None or plain.recovered is None or plain.low is None:
        hidden = any(f.outcome is Outcome.RECOVERED for f in found)
        return [Flag.PARTIAL] if hidden else []
    if plain.low >= RETAINED_FROM and plain.outcome is Outcome.RECOVERED:
        return [Flag.RETAINED]
    if plain.recovered > TAU:
        return [Flag.PARTIAL]
    return [Flag.HIDDEN] if any(f.outcome is Outcome.RECOVERED for f in found) else []


def _over_forgotten(found: Sequence[Finding], member: Finding) -> bool:
    below = any(f.recovered is not None and f.high is not None and f.recovered < -TAU and f.high < 0 for f in found)
    strange = member.outcome is Outcome.RECOVERED and member.high is not None and member.high < 0
    return below or strange


def _undecided(by_name: Mapping[str, Finding], own: Mapping[str, Finding], n_people: int) -> bool:
    """Whether anything that was asked was left open: too few people, an attack without a verdict, a group without one."""
    recall = [f for f in by_name.values() if f.family != "membership"]
    if n_people < PEOPLE or not recall:
        return True
    required = {name for groups in REQUIRED.values() for group in groups for name in group}
    open_ones = any(f.outcome is Outcome.INCONCLUSIVE and (f.applies or f.attack in required) for f in recall)
    ran = [group for groups in REQUIRED.values() for group in groups if any(name in own for name in group)]
    silent = any(all(own[n].outcome is Outcome.NO_CONTRAST for n in group if n in own) for group in ran)
    return open_ones or silent


def _level(by_name: Mapping[str, Finding], own: Mapping[str, Finding]) -> Assurance:
    reached = Assurance.CLAIMED
    for level, groups in REQUIRED.items():
        if not all(_nothing_found(group, own) for group in groups):
            break
        if level is Assurance.RESISTS_BLACK_BOX and not _black_box_holds(by_name):
            break
        if level is Assurance.RESISTS_WHITE_BOX and not _silent(by_name.values()):
            break
        reached = level
    return reached


def _nothing_found(group: tuple[str, ...], by_name: Mapping[str, Finding]) -> bool:
    """Every attack of the group ran; of those with contrast, one at least, all found nothing."""
    if not all(name in by_name for name in group):
        return False
    outcomes = [by_name[name].outcome for name in group if by_name[name].outcome is not Outcome.NO_CONTRAST]
    return bool(outcomes) and all(outcome is Outcome.NOT_RECOVERED for outcome in outcomes)


def _black_box_holds(by_name: Mapping[str, Finding]) -> bool:
    """No attack that only asks has recovered or left anything open, and membership does not give the data away."""
    asking = [f for f in by_name.values() if f.family in _BLACK_BOX]
    member = by_name.get("membership")
    ran = member is not None and bool(member.arms) and member.outcome is not Outcome.NO_CONTRAST
    return _silent(asking) and ran and member is not None and member.outcome is not Outcome.RECOVERED


def _silent(found: Iterable[Finding]) -> bool:
    """Attacks beyond those required count against a level as well, unless they do not apply or mean nothing."""
    return all(
        f.outcome in (Outcome.NOT_RECOVERED, Outcome.NO_CONTRAST) or not f.applies
        for f in found
        if f.family != "membership"
    )
