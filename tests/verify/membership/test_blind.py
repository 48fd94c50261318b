from dataclasses import replace

from expunge.core import Fact
from expunge.synthetic import facts, people
from expunge.verify import Probes
from expunge.verify.membership import blind_auc, blind_baseline


def probes(members: int, others: int, seed: int, asked: int = 0) -> Probes:
    """The same generator for both; `asked` lets the unseen facts be worded otherwise."""
    everybody = people(members + others, seed=seed)
    return Probes(tuple(facts(everybody[:members])), (), tuple(facts(everybody[members:], asked=asked)))


def nameless(given: tuple[Fact, ...]) -> tuple[Fact, ...]:
    return tuple(replace(f, subject="") for f in given)


def test_people_of_one_source_cannot_be_told_apart_by_words() -> None:
    found = [blind_baseline(probes(n, n, seed)) for n in (3, 8) for seed in range(12)]
    assert sum(b.void for b in found) <= 1
    aucs = [b.auc for b in found if b.auc is not None]
    assert len(aucs) == 24
    assert abs(sum(aucs) / len(aucs) - 0.5) < 0.03  # no bias to either side from leaving whole people out


def test_other_wording_makes_the_test_void() -> None:
    for members, others in ((3, 3), (2, 8), (8, 8)):
        shifted = blind_baseline(probes(members, others, seed=0, asked=1))
        assert shifted.void, shifted
        assert shifted.auc == 1.0


def test_names_do_not_help_as_whole_people_are_left_out() -> None:
    given = probes(8, 8, seed=1)
    assert not blind_baseline(given).void
    # Were facts left out one by one, the name alone would tell.
    assert blind_baseline(replace(given, forget=nameless(given.forget), unseen=nameless(given.unseen))).void


def test_one_person_is_too_few_to_tell() -> None:
    found = blind_baseline(probes(1, 5, seed=0))
    assert (found.auc, found.low, found.high, found.void) == (None, 0.0, 1.0, False)
    assert "not measurable" in str(found)


def test_a_shift_of_a_few_is_seen_with_its_bounds() -> None:
    # Half of the members carry a date that no other text has: AUC 0.75 for who ranks them first.
    units = [str(i) for i in range(60)]
    members = [f"note number {i} {'in 2024' if i % 2 else 'of old'}" for i in range(60)]
    others = [f"note number {i} of old" for i in range(60)]
    found = blind_auc(members, others, units, units)
    assert found.auc is not None
    assert 0.65 < found.auc < 0.85
    assert found.low < found.auc < found.high
    assert found.void


def test_order_and_repetition_do_not_change_it() -> None:
    given = probes(4, 4, seed=2)
    turned = replace(given, forget=given.forget[::-1], unseen=given.unseen[::-1])
    first, again, other = blind_baseline(given), blind_baseline(given), blind_baseline(turned)
    assert first == again
    assert first.auc is not None
    assert other.auc is not None
    assert abs(first.auc - other.auc) < 1e-3  # the solver stops at a tolerance
