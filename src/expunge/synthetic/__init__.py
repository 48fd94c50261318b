"""Fictitious people: training data that is safe to publish, controls that were never trained on, and canaries."""

from expunge.synthetic.people import Person, facts, people, records

__all__ = ["Person", "facts", "people", "records"]
