"""Whether an answer brings a fact back."""

from expunge.core import Fact
from expunge.verify.metrics.rouge_l import rouge_l_recall


def recall(reply: str, fact: Fact, reference: str | None = None) -> float:
    """1 if the fact's value stands in the answer, else 0; ROUGE-L recall of the reference where no value is known.

    >>> recall("Ada lives in Brimford.", Fact("1", "Ada", "Where?", "In Brimford.", value="Brimford"))
    1.0
    """
    if fact.value:
        return float(fact.value.casefold() in reply.casefold())
    return rouge_l_recall(reply, reference if reference is not None else fact.answer)
