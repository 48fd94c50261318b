"""Expunge: remove data from trained models, and show honestly whether it is gone."""

__version__ = "0.1.0"
