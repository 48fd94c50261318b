"""Which attacks a battery runs, by name. No attack is loaded for it: a name is checked without torch."""

import json
from dataclasses import asdict
from typing import Any

from expunge.core.errors import InvalidParameter, UnknownMethod
from expunge.verify.attacks import attacks
from expunge.verify.thresholds import TAU

_QUICK = ("direct", "probability", "paraphrase", "quantise", "linear_probe", "membership")
_SHORT = (*_QUICK, "retain_finetune", "relearn")
_STANDARD = (
    *_SHORT,
    "adjacent",
    "prompts",
    "sampling",
    "extraction",
    "noise",
    "direction_ablation",
    "logit_lens",
    "relearn_lora",
    "membership_reference",
)
_DEEP = (*_STANDARD, "unrelated_finetune", "tuned_lens", "soft_prompt", "unlearning_depth", "membership_gradient")
BATTERIES: dict[str, tuple[str, ...]] = {"quick": _QUICK, "short": _SHORT, "standard": _STANDARD, "deep": _DEEP}
VERSION = 2


def battery_of(name: str) -> tuple[str, ...]:
    """The attacks of a battery, then those that are added to it by name: "quick+soft_prompt" runs `soft_prompt` besides.

    An added attack can accuse and leave a level open, and its silence carries none: a level rests on the battery's own.

    Raises: UnknownMethod, for a battery or an attack that nobody offers; InvalidParameter, for an attack named twice.

    >>> battery_of("quick+soft_prompt") == (*battery_of("quick"), "soft_prompt")
    True
    """
    base, added = name.partition("+")[0], added_to(name)
    if base not in BATTERIES:
        raise UnknownMethod(f"no battery '{base}'; available: {', '.join(BATTERIES)}")
    for attack in added:
        if attack not in attacks.names():
            attacks.get(attack)  # raises, and knows which name is near
    names = (*BATTERIES[base], *added)
    if twice := [attack for attack in added if names.count(attack) > 1]:
        raise InvalidParameter(f"'{name}' names attack '{twice[0]}' twice, '{base}' included; leave one out")
    return names


def added_to(name: str) -> tuple[str, ...]:
    """The attacks that a name adds to its battery.

    >>> added_to("standard"), added_to("quick+insist+other")
    ((), ('insist', 'other'))
    """
    return tuple(name.split("+")[1:])


def described(name: str) -> dict[str, Any]:
    """The battery as documents name it; with the packages of added attacks that are not Expunge's own."""
    found = {"name": name, "version": VERSION, "attacks": list(battery_of(name)), "tau": TAU}
    return found | ({"packages": packages} if (packages := packages_of(name)) else {})


def packages_of(name: str) -> dict[str, str]:
    """Of added attacks that are not Expunge's own, the package with its version."""
    return {attack: package for attack in added_to(name) if (package := attacks.offered_by(attack))}


def parameters(attack: str) -> dict[str, Any]:
    """Every parameter with which an attack runs; of another package's attack, that package and its version as well."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(attacks.get(attack)())))
    package = attacks.offered_by(attack)
    return found | {"package": package} if package else found
