"""Published benchmarks of unlearning, by their papers' formulas: one file each, from a local folder or the hub."""

from expunge.core import Registry
from expunge.verify.benchmarks._loading import Source

benchmarks = Registry(__name__)

__all__ = ["Source", "benchmarks"]
