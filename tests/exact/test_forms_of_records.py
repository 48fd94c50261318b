"""Numbers of half the width, and names that are fractions: what may not decide anything, and what is not the same."""

import numpy as np
import pytest

from expunge.core.errors import UnknownSubject
from expunge.exact import GaussianNB
from expunge.testing.tabular import CASES, SALT, Table, numbers


@pytest.mark.parametrize("name", ["gaussian_nb", "multinomial_nb", "ridge", "standard_scaler"])
def test_numbers_of_half_the_width_are_forgotten(name: str) -> None:
    case = CASES[name]
    table = case.data(7, 60)
    table = Table(table.X.astype(np.float32), table.y, table.subjects)
    gone = {i for i, subject in enumerate(table.subjects) if subject == table.subjects[0]}
    learner, before = table.fit(case.make()), table.fit(case.make())
    learner.forget(subjects=[table.subjects[0]])
    assert learner.equals(table.without(gone).fit(case.make()))
    assert not learner.equals(before), "the control: with the records it is another model"


def test_a_name_that_is_a_fraction_is_not_the_whole_number() -> None:
    table = numbers(1)
    learner = GaussianNB(salt=SALT).fit(table.X, table.y, subjects=[float(i % 20) for i in range(60)])
    before = learner.digest()
    with pytest.raises(UnknownSubject):
        learner.forget(subjects=[3])
    assert learner.digest() == before
    assert learner.plan(subjects=[3.0]).n_removed == 3
