"""The non-members of a membership attack, if they are fit for it."""

from expunge.core import Fact
from expunge.verify.attacks._target import CannotRun
from expunge.verify.membership.blind import blind_baseline
from expunge.verify.probes import Probes


def strangers(probes: Probes) -> tuple[Fact, ...]:
    """The unseen facts.

    Raises: CannotRun, if there are none, or if words alone tell them from the facts to forget, so that any model's scores
    would show how the two were chosen.
    """
    if not probes.unseen:
        raise CannotRun("no facts that were never trained on; add `unseen` probes as non-members")
    if (blind := blind_baseline(probes)).void:
        raise CannotRun(
            f"the unseen facts differ from the forgotten ones in their words ({blind}): a classifier that never saw a model "
            "tells them apart; draw both from one source, and name each fact's `subject`"
        )
    return probes.unseen
