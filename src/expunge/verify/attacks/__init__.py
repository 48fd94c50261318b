"""Ways of getting forgotten facts back. One attack, one file; each runs on any arm, at the same budget."""

from expunge.core import Registry

attacks = Registry(__name__)

__all__ = ["attacks"]
