"""The version of this package, also where nothing above `core` may be imported."""

__version__ = "0.1.0"
