"""Published benchmarks of unlearning, by their papers' formulas: one file each, from a local folder or the hub."""

from expunge.core import Registry

benchmarks = Registry(__name__)

__all__ = ["benchmarks"]
