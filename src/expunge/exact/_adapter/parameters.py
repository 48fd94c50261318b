"""The parameters of `AdapterShards` as one value, and as a saved model records them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from expunge.core.errors import InvalidParameter, RecipeMismatch

RouteBy = Literal["words", "likelihood"]
ROUTES: tuple[str, ...] = get_args(RouteBy)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What decides an `AdapterShards` besides base, tokenizer, records and salt.

    Raises: InvalidParameter.
    """

    shards: int
    slices: int
    rank: int
    alpha: int
    lr: float
    epochs: int
    batch_size: int
    rehearsal: float
    route: RouteBy
    seed: int
    threads: int

    def __post_init__(self) -> None:
        for name in ("shards", "slices", "rank", "epochs", "batch_size", "threads"):
            if (count := getattr(self, name)) < 1:
                raise InvalidParameter(f"{name} must be >= 1, got {count}")
        if self.lr <= 0:
            raise InvalidParameter(f"lr must be > 0, got {self.lr}")
        if self.slices > 2 * self.epochs - 1:
            raise InvalidParameter(f"{self.slices} slices need more than {self.epochs} epochs; each stage needs a pass")
        if self.rehearsal < 0:
            raise InvalidParameter(f"rehearsal must be >= 0 public rows for each private one, got {self.rehearsal}")
        if self.route not in ROUTES:
            raise InvalidParameter(f"route must be one of {', '.join(ROUTES)}, got '{self.route}'")

    def recorded(self, base: str) -> dict[str, Any]:
        """As the folder of a model, its digest and the ledger hold them, with the digest of the base.

        `permutations` is always 0. Earlier versions could permute the slices of a shard, and their models have the
        number in their digest; with it those models load here with the digests they had.
        """
        return {"kind": "adapter_shards", **asdict(self), "permutations": 0, "base": base}


def read_parameters(recorded: Mapping[str, Any]) -> Parameters:
    """The parameters of a saved model.

    Raises: RecipeMismatch, for a model that was trained with an option which no longer exists.
    """
    gone = [f"route='{recorded['route']}'"] if recorded["route"] not in ROUTES else []
    gone += [f"permutations={recorded['permutations']}"] if recorded["permutations"] else []
    if gone:
        raise RecipeMismatch(
            f"this model was trained with {' and '.join(gone)}, which AdapterShards no longer has; forget from it with "
            "the version of Expunge that trained it, or train it again without that option"
        )
    return Parameters(**{field.name: recorded[field.name] for field in fields(Parameters)})
