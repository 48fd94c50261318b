"""The benchmarks: the files of this package, and what other packages offer as `expunge.benchmarks`."""

from expunge.core import Registry

benchmarks = Registry("expunge.verify.benchmarks", "expunge.benchmarks", "benchmark")
