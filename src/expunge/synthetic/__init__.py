"""Fictitious people: training data that is safe to publish, controls that were never trained on, and canaries."""

from expunge.synthetic.derived import derived_records, with_adjacent
from expunge.synthetic.people import Person, facts, people, records
from expunge.synthetic.placebo import placebo

__all__ = ["Person", "derived_records", "facts", "people", "placebo", "records", "with_adjacent"]
