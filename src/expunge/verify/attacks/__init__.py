"""Ways of getting forgotten facts back. One attack, one file; each runs on any arm, at the same budget."""

from expunge.verify.attacks._registry import attacks

__all__ = ["attacks"]
