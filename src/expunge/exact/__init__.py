"""Learners made of units: fit / predict / forget. The result of `forget` equals training without the data."""

from typing import TYPE_CHECKING, Any

from expunge.core import Registry

if TYPE_CHECKING:
    from expunge.exact.adapter_shards import AdapterShards as AdapterShards

learners = Registry(__name__)

__all__ = ["AdapterShards", "learners"]


def __getattr__(name: str) -> Any:
    """Learners by class name, imported when first used, so that listing them needs no torch."""
    if name == "AdapterShards":
        return learners.get("adapter_shards")
    raise AttributeError(f"expunge.exact has no '{name}'; learners: {', '.join(learners.names())}")
