"""Published benchmarks of unlearning, by their papers' formulas: one file each, from a local folder or the hub."""

from expunge.verify.benchmarks._loading import Source
from expunge.verify.benchmarks._registry import benchmarks

__all__ = ["Source", "benchmarks"]
