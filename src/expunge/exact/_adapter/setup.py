"""From what was asked for to what trains: parameters checked, base and tokenizer loaded, the recipe written down."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from expunge.core.digests import digest_json
from expunge.core.errors import InvalidParameter
from expunge.engine import Trunk, digest_model, digest_tokenizer, encode, load_model, load_tokenizer
from expunge.exact._adapter.answers import ROUTES
from expunge.exact._adapter.base import digest_public, read_public
from expunge.exact._adapter.unit import Recipe, Trainer

if TYPE_CHECKING:
    from expunge.exact.adapter_shards import AdapterShards


def check_parameters(asked: "AdapterShards") -> None:
    """Raises: InvalidParameter."""
    counts = (asked.shards, asked.slices, asked.rank, asked.epochs, asked.batch_size, asked.threads)
    if min(counts) < 1 or asked.lr <= 0:
        raise InvalidParameter(
            f"shards, slices, rank, epochs, batch_size and threads must be >= 1 and lr > 0, got {asked!r}"
        )
    if asked.slices > 2 * asked.epochs - 1:
        raise InvalidParameter(f"{asked.slices} slices need more than {asked.epochs} epochs; each stage needs a pass")
    if asked.rehearsal < 0:
        raise InvalidParameter(f"rehearsal must be >= 0 public rows for each private one, got {asked.rehearsal}")
    if not 0 <= asked.permutations <= asked.slices:
        raise InvalidParameter(f"permutations must be in 0..{asked.slices}, the slices, got {asked.permutations}")
    if asked.route not in ROUTES:
        raise InvalidParameter(f"route must be one of {', '.join(ROUTES)}, got '{asked.route}'")
    for unit, stages in (asked.truncated or {}).items():
        if len(stages) != asked.permutations or not all(0 <= n <= asked.slices for n in stages) or not max(stages):
            raise InvalidParameter(
                f"truncated says {list(stages)} for {unit}; it needs one count of stages in 0..{asked.slices} for "
                f"each of {asked.permutations} permutations, and one above 0"
            )


def set_up(asked: "AdapterShards") -> Trainer:
    """Load the base, freeze it, and write down everything that decides the bits of a shard.

    Raises: InvalidParameter, for a base that carries adapters, has too few layers, or has nothing to rehearse.
    """
    base = load_model(asked.base) if isinstance(asked.base, str | Path) else asked.base
    if hasattr(base, "peft_config"):
        raise InvalidParameter("the base carries adapters already; merge them first, with merge_and_unload()")
    if asked.permutations and asked.slices > (n := len(Trunk.of(base).blocks)):
        raise InvalidParameter(f"{asked.slices} permuted slices each need layers of their own; the base has {n} layers")
    tokenizer = asked.tokenizer if asked.tokenizer is not None else load_tokenizer(_tokenizer_source(asked))
    public = read_public(asked.base) if asked.rehearsal else []
    for p in base.requires_grad_(False).parameters():
        p.grad = None
    if asked.salt is None:
        warnings.warn("salt=None: placement is derived from the seed and is not secret", stacklevel=4)
    recipe = Recipe(
        rank=asked.rank,
        alpha=asked.alpha if asked.alpha is not None else 2 * asked.rank,
        lr=asked.lr,
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        slices=asked.slices,
        permutations=asked.permutations,
        rehearsal=asked.rehearsal,
        seed=asked.seed,
        threads=asked.threads,
        base=digest_json(
            "base", [digest_model(base), digest_tokenizer(tokenizer), *([digest_public(public)] if public else [])]
        ),
    )
    salt = asked.salt if asked.salt is not None else b"expunge/no-salt/" + asked.seed.to_bytes(8, "big")
    return Trainer(base, tokenizer, recipe, salt, encode(tokenizer, public))


def _tokenizer_source(asked: "AdapterShards") -> str | Path:
    if isinstance(asked.base, str | Path):
        return asked.base
    raise InvalidParameter("a base given as a model needs its tokenizer; pass tokenizer=")
