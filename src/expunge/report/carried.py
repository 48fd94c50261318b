"""Judge a document's findings again: what level they carry and which flags they raise, whatever the document says.

The rule is the verifier's own `judge`; a page must not have a second one. Anything malformed counts as not measured.
"""

from collections.abc import Mapping
from typing import Any

from expunge.core import ArmScore, Assurance, Finding, Flag, Guarantee, Outcome
from expunge.report.words import mapping, number, text
from expunge.verify.batteries import added_to
from expunge.verify.judgement import Judgement, Skill, judge
from expunge.verify.thresholds import CONTRAST, FEWEST, TAU


def carried(audit: Mapping[str, Any]) -> Assurance:
    """The level that `judge` gives these findings; CLAIMED where they cannot be judged.

    >>> carried({"assurance": "RESISTS_WHITE_BOX", "findings": [], "skill": 1.0}).name
    'CLAIMED'
    """
    judged = _judged(audit)
    return judged.assurance if judged else Assurance.CLAIMED


def raised(audit: Mapping[str, Any]) -> list[str]:
    """The flags that `judge` raises on these findings; INCONCLUSIVE where they cannot be judged.

    >>> raised({"flags": []})
    ['INCONCLUSIVE']
    """
    judged = _judged(audit)
    return [flag.value for flag in judged.flags] if judged else [Flag.INCONCLUSIVE.value]


def _judged(audit: Mapping[str, Any]) -> Judgement | None:
    given = audit.get("findings")
    if not isinstance(given, list | tuple) or not all(isinstance(f, Mapping) for f in given):
        return None
    second = mapping(audit.get("control")).get("second") is True
    found = [_finding(f, excused=second) for f in given]
    if len({f.attack for f in found} - {"membership"}) < len(found):
        return None  # an attack twice, or membership among the attacks on recall: which one counts would be open
    return judge(
        found,
        _finding({**mapping(audit.get("membership")), "attack": "membership", "family": "membership"}, excused=True),
        _skill(audit),
        _guarantee(audit.get("guarantee")),
        audit.get("replay") is True,
        _duplicates(audit.get("duplicates")),
        int(number(mapping(audit.get("power")).get("n_people")) or 0),
        mapping(audit.get("control")).get("kind") == "placebo",
        added_to(text(mapping(audit.get("battery")).get("name"))),
    )


def _finding(given: Mapping[str, Any], excused: bool) -> Finding:
    """As the document has it, if it agrees with itself. What came back is excused by a second control at most."""
    outcome, low, high = given.get("outcome"), number(given.get("low")), number(given.get("high"))
    contrast, n_facts = number(given.get("contrast_low")), number(given.get("n_facts")) or 0
    if outcome == Outcome.NOT_RECOVERED:  # a silence without what makes it one
        bounded = low is not None and high is not None and low <= high <= TAU and n_facts >= FEWEST
        if not bounded or (contrast is not None and contrast < CONTRAST):
            outcome = Outcome.INCONCLUSIVE
    if outcome == Outcome.NO_CONTRAST and (low is not None or (contrast is not None and contrast >= CONTRAST)):
        outcome = Outcome.INCONCLUSIVE
    if low is not None and low > TAU and n_facts >= FEWEST and not excused:
        outcome = Outcome.RECOVERED
    return Finding(
        attack=text(given.get("attack")),
        family=text(given.get("family")),
        arms={str(arm): _arm(mapping(score)) for arm, score in mapping(given.get("arms")).items()},
        contrast_low=contrast,
        recovered=number(given.get("recovered")),
        low=low,
        high=high,
        outcome=Outcome(outcome) if outcome in list(Outcome) else Outcome.INCONCLUSIVE,
        applies=given.get("applies") is not False,
    )


def _arm(score: Mapping[str, Any]) -> ArmScore:
    def known(key: str) -> float:
        value = number(score.get(key))
        return float("nan") if value is None else value

    return ArmScore(known("mean"), known("low"), known("high"))


def _skill(audit: Mapping[str, Any]) -> Skill | None:
    """A share without an upper bound is its own."""
    share, high = number(audit.get("skill")), number(audit.get("skill_high"))
    return None if share is None else Skill(share, share if high is None else high)


def _guarantee(value: object) -> Guarantee:
    return Guarantee(str(value)) if value in list(Guarantee) else Guarantee.UNKNOWN


def _duplicates(value: object) -> int | None:
    """None: nobody looked. What is there and is no count of zero taints."""
    if value is None:
        return None
    known = number(value)
    return 1 if known is None or known != 0 else 0
