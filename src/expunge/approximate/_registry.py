"""The methods: the files of this package, and what other packages offer as `expunge.methods`."""

from expunge.core import Registry

methods = Registry("expunge.approximate", "expunge.methods")
