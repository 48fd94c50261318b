from typing import Any

from expunge.verify import Arm
from expunge.verify.side_effects.over_refusal import over_refusal
from expunge.verify.side_effects.seen import see


def effects(probes: Any, *phrases: str, **arms: Arm) -> dict[str, Any]:
    seen = {name: see(arm, probes.retain) for name, arm in arms.items()}
    return {e.name: e for e in over_refusal(seen, probes, *([phrases] if phrases else []))}


def test_a_model_that_declines_everything_is_told_by_its_words(
    original: Arm, clean: Arm, refusing: Arm, probes: Any
) -> None:
    found = effects(probes, original=original, unlearned=refusing, control=clean)["refusals by phrase"]
    assert found.arms["unlearned"].value > 0.5
    assert found.arms["control"].value == found.arms["original"].value == 0.0
    assert found.change.low > 0.3


def test_declining_in_other_words_is_told_by_saying_the_same_to_everything(
    original: Arm, clean: Arm, looping: Arm, probes: Any
) -> None:
    found = effects(probes, original=original, unlearned=looping, control=clean)
    assert found["refusals by phrase"].arms["unlearned"].value == 0.0
    assert found["most repeated answer"].arms["unlearned"].value > 0.5
    assert found["most repeated answer"].change.low > 0
    own = effects(probes, "well well", original=original, unlearned=looping, control=clean)
    assert own["refusals by phrase"].arms["unlearned"].value > 0.5


def test_a_model_that_answers_does_not_refuse(original: Arm, clean: Arm, probes: Any) -> None:
    for found in effects(probes, original=original, unlearned=original, control=clean).values():
        assert found.change.value == 0.0
        assert found.change.low < 0 < found.change.high  # five people are few
