"""TOFU: fictitious authors forgotten by a fine-tuned model; what is left of them, and what the model keeps.

Source: Maini et al. (2024), arXiv:2401.06121; extraction strength, exact memorisation and membership as open-unlearning
adds them (arXiv:2506.12618). Hub: locuslab/TOFU.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from expunge.core.errors import InvalidParameter
from expunge.verify.battery import Arm
from expunge.verify.benchmarks._loading import Source
from expunge.verify.benchmarks._registry import benchmarks
from expunge.verify.benchmarks._result import Result, origins
from expunge.verify.benchmarks._tofu_data import TofuData, read_tofu
from expunge.verify.benchmarks._tofu_measures import cautions, measures
from expunge.verify.benchmarks._tofu_scores import Scores, tofu_scores


@benchmarks.add
@dataclass(frozen=True, kw_only=True)
class Tofu:
    """Probability, ROUGE-L recall and truth ratio on four sets; forget quality, model utility, memorisation, membership.

    `truth_ratio`: "arithmetic" as in the paper, or "geometric" as in its code and open-unlearning. ROUGE-L is taken
    without stemming; TOFU's code stems. Bounds are over authors. `shards` processes share the teacher-forced pass and
    change no number.
    """

    split: str = "forget10"
    truth_ratio: str = "arithmetic"
    answer_tokens: int = 200
    k: float = 0.4
    shards: int = 1

    def run(self, arm: Arm, source: Source | None, retrained: Arm | Mapping[str, Any] | None = None) -> Result:
        """`retrained` may also be the document of an earlier result (`Result.to_json`): evaluate it once for many models.

        Raises: InvalidParameter, without data, or for a document about other data or settings; InvalidData, for missing
        tables or columns.
        """
        if source is None:
            raise InvalidParameter("tofu needs data: a folder, or locuslab/TOFU on the hub")
        data = read_tofu(source, self.split)
        known = None if isinstance(retrained, Arm) or retrained is None else self._known(retrained, data)
        own = self._scores(arm, data)
        other = self._scores(retrained, data) if isinstance(retrained, Arm) else known
        digest = retrained.digest if isinstance(retrained, Arm) else str(retrained["model"]) if retrained else None
        return Result(
            benchmark="tofu",
            model=arm.digest,
            retrained=digest,
            data=origins(*data.tables),
            settings=self._settings(),
            measures=measures(data, own, other),
            cautions=cautions(data, own, other),
            scores={name: {"model": s} | ({"retrained": other[name]} if other else {}) for name, s in own.items()},
        )

    def _scores(self, arm: Arm, data: TofuData) -> Scores:
        return tofu_scores(arm, data, self.truth_ratio, self.k, self.answer_tokens, self.shards)

    def _settings(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "shards"}

    def _known(self, document: Mapping[str, Any], data: TofuData) -> Scores:
        """Scores that were computed before, if they answer the same questions in the same way."""
        expected = {"benchmark": "tofu", "settings": self._settings(), "data": [dict(o) for o in origins(*data.tables)]}
        if wrong := [name for name, value in expected.items() if document.get(name) != value]:
            raise InvalidParameter(
                f"the retrained model's result has another {' and '.join(wrong)}; evaluate it on the same data and settings"
            )
        scores = {name: both["model"] for name, both in document["scores"].items()}
        return {name: [float("nan") if s is None else s for s in values] for name, values in scores.items()}
