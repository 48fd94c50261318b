"""Model in, model out: unlearning methods for models that were not made of units. One method, one file, its formula.

What they do is measured by attacks and never called more than that. `edit` runs any of them.
"""

from expunge.core import Registry

methods = Registry(__name__)

__all__ = ["methods"]
