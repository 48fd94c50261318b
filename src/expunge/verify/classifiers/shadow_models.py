"""Models made like the arms, several times over: what the procedure does, rather than what one model shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from expunge.verify.classifiers.rows import Rows
from expunge.verify.classifiers.target import Classifier, Floats


@dataclass(frozen=True, kw_only=True)
class ShadowModels:
    """`unlearned`: trained with the rows (other seeds), then unlearned by the audited method in the audited configuration.

    `never_saw`: trained without the rows. `original`: trained with them and left alone; they show the scale. None of them may
    be an arm. A method that is run with other settings on the shadows than on the model is not what was audited.
    """

    unlearned: Sequence[Any]
    never_saw: Sequence[Any]
    original: Sequence[Any] = ()

    def confidence(self, kind: str, rows: Rows) -> Floats:
        """log(p / (1 - p)) of each model in each row's own label, [K, N]. Raises: CannotRun."""
        models = getattr(self, kind)
        return np.stack([Classifier(m).confidence(rows) for m in models]) if models else np.empty((0, len(rows)))

    def digests(self) -> list[str]:
        return [Classifier(m).digest for m in (*self.unlearned, *self.never_saw, *self.original)]
