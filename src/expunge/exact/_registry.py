"""The learners: the files of this package, and what other packages offer as `expunge.learners`."""

from expunge.core import Registry

learners = Registry("expunge.exact", "expunge.learners", "learner")
