"""The attacks: the files of this package, and what other packages offer as `expunge.attacks`."""

from expunge.core import Registry

attacks = Registry("expunge.verify.attacks", "expunge.attacks", "attack")
