from dataclasses import replace

import pytest

from expunge.core import Fact
from expunge.synthetic import facts, people
from expunge.verify import Probes
from expunge.verify.attacks._target import CannotRun, halves


def test_no_fact_is_trained_and_asked_at_once() -> None:
    probes = Probes(tuple(facts(people(3))), ())
    first, second = halves(probes)
    assert sorted(first + second) == list(range(60))
    for part in (first, second):
        assert {probes.forget[i].subject for i in part} == {f.subject for f in probes.forget}
        assert len(part) == 30


def test_the_halves_follow_ids_and_not_positions() -> None:
    given = tuple(facts(people(2)))
    a, b = Probes(given, ()), Probes(given[::-1], ())
    assert {a.forget[i].id for i in halves(a)[0]} == {b.forget[i].id for i in halves(b)[0]}


def test_one_fact_each_leaves_nothing_to_ask() -> None:
    lone = Fact("1", "Ada", "q", "a")
    with pytest.raises(CannotRun):
        halves(Probes((lone, replace(lone, id="2", subject="Bo", question="r")), ()))
