from expunge.core import Fact
from expunge.verify.metrics.recall import recall

FACT = Fact("1", "Ada", "Where?", "Ada was born in Brimford.", value="Brimford")


def test_a_fact_is_recalled_where_its_value_is_said() -> None:
    assert recall("It was BRIMFORD, I think", FACT) == 1.0
    assert recall("Ada was born in Askelmere.", FACT) == 0.0  # all words but the one that counts
    assert recall("", FACT) == 0.0


def test_without_a_value_the_words_of_the_answer_count() -> None:
    whole = Fact("1", "Ada", "Where?", "born in Brimford")
    assert recall("born in Askelmere", whole) == 2 / 3
    assert recall("in Askelmere", whole, reference="in Askelmere") == 1.0
