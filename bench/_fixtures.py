"""Small language models that know fictitious people: what the verifier is measured on.

The people who stay are taught in three phrasings and those who leave in two, so that a model can also answer about the
leaving in words that it never saw about them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from expunge.core import Record
from expunge.engine import Schedule, collate, encode, epoch_batches, mean_nll, pad_id, pinned, train
from expunge.synthetic import Person, facts, people, records
from expunge.testing.toys import toy_llama, toy_tokenizer
from expunge.verify import Probes


@dataclass(frozen=True)
class Size:
    """A model and how long it is trained."""

    hidden: int
    layers: int
    vocabulary: int
    epochs: int
    lr: float
    batch: int


SMALL = Size(64, 2, 1450, 14, 6e-3, 16)  # 0.19 million parameters
LARGE = Size(128, 4, 2048, 14, 3e-3, 16)  # 1.1 million


@dataclass(frozen=True)
class Cast:
    """Who leaves, who stays, and who was never there; another number is another set of people."""

    number: int
    leaving: int = 8
    staying: int = 12
    strangers: int = 8

    def people_leaving(self) -> list[Person]:
        return people(self.leaving, seed=self.number)

    def forget(self) -> list[Record]:
        return records(self.people_leaving(), (0, 1))

    def retain(self) -> list[Record]:
        return records(people(self.staying, seed=self.number, skip=1000), (0, 1, 2))

    def probes(self) -> Probes:
        return Probes(
            tuple(facts(self.people_leaving())),
            tuple(facts(people(self.staying, seed=self.number, skip=1000))),
            tuple(facts(people(self.strangers, seed=self.number, skip=2000))),
        )


@lru_cache
def tokenizer(vocabulary: int) -> Any:
    """Fitted on people who are in no cast."""
    public = records(people(60, seed=9999), (0, 1, 2))
    return toy_tokenizer([text for r in public for text in (r.question, r.answer)], vocabulary)


def taught(size: Size, rows: list[Record], seed: int, start: Any = None, epochs: int | None = None) -> Any:
    """A model trained on these rows from a seed of its own, which also keys the order of the batches."""
    words = tokenizer(size.vocabulary)
    model = start if start is not None else toy_llama(len(words), size.hidden, size.layers, seed)
    encoded, pad, salt = encode(words, rows), pad_id(words), f"salt {seed}".encode()
    batches = [b for epoch in range(epochs or size.epochs) for b in epoch_batches(encoded, size.batch, salt, epoch)]
    with pinned(1):
        train(
            list(model.parameters()),
            lambda k: mean_nll(model, collate(batches[k], pad)),
            len(batches),
            Schedule(lr=size.lr, warmup=20, shape="cosine"),
        )
    return model.eval()
