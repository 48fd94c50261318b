"""Say what will be asked and what will count, before anything is known: a digest that can be published first.

An audit whose attacks, seeds or thresholds were chosen after looking proves nothing. The salt keeps the probes' words out
of reach of a dictionary.
"""

import json
from dataclasses import asdict
from typing import Any

from expunge.core.digests import digest_json
from expunge.core.errors import DigestMismatch
from expunge.verify import thresholds as t
from expunge.verify.batteries import VERSION, battery_of, parameters
from expunge.verify.probes import Probes
from expunge.verify.sample_size import power


def commitment(probes: Probes, battery: str = "standard", *, salt: bytes) -> dict[str, Any]:
    """Attacks with every parameter, thresholds, and a salted digest of the probes; `digest` stands for all of it.

    >>> from expunge.core import Fact
    >>> probes = Probes((Fact("1", "Ada", "Where?", "In Brimford."),), ())
    >>> commitment(probes, salt=b"secret")["digest"] == commitment(probes, "quick", salt=b"secret")["digest"]
    False
    """
    names = battery_of(battery)
    content = {
        "battery": {"name": battery, "version": VERSION, "attacks": {name: parameters(name) for name in names}},
        "thresholds": {
            "tau": t.TAU,
            "contrast": t.CONTRAST,
            "retained": t.RETAINED_FROM,
            "skill": t.SKILL,
            "kept": t.KEPT,
            "taught": t.TAUGHT,
            "teaches": t.TEACHES,
            "fewest": t.FEWEST,
            "contaminated": t.CONTAMINATED,
            "people": t.PEOPLE,
            "membership_margin": t.MEMBERSHIP_MARGIN,
            "membership_facts": t.MEMBERSHIP_FACTS,
        },
        "statistics": {"level": t.LEVEL, "bootstrap": t.N_BOOT, "seed": 0},
        "probes": digest_json("committed-probes", [salt.hex(), probes.digest()]),
        "power": asdict(power(probes, len(names))),
    }
    return {**content, "digest": digest_json("commitment", content)}


def check_commitment(committed: dict[str, Any], probes: Probes, battery: str, *, salt: bytes) -> None:
    """Raises: DigestMismatch, naming what is no longer as it was committed."""
    now = json.loads(json.dumps(commitment(probes, battery, salt=salt)))
    if changed := sorted(key for key in now if key != "digest" and committed.get(key) != now[key]):
        raise DigestMismatch(
            f"{', '.join(changed)} differ from what was committed; run what was committed, or commit again and say so"
        )
    if committed.get("digest") != now["digest"]:
        raise DigestMismatch("the commitment's digest is not that of its content; it was altered")
