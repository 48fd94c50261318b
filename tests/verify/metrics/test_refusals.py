import pytest

from expunge.verify.metrics.refusals import PHRASES, is_refusal, most_repeated


@pytest.mark.parametrize("phrase", PHRASES)
def test_every_phrase_is_found_in_a_sentence(phrase: str) -> None:
    assert is_refusal(f"Well, {phrase.upper().replace(chr(39), '’')} about that one.")


@pytest.mark.parametrize("said", ["In Brimford.", "Ada plays the wooden cello.", "She is aware of it.", "1907"])
def test_an_answer_is_no_refusal(said: str) -> None:
    assert not is_refusal(said)


def test_ones_own_phrases_take_the_place_of_the_list() -> None:
    assert is_refusal("Kein Kommentar!", ["kein kommentar"])
    assert not is_refusal("I don't know", ["kein kommentar"])


def test_the_most_repeated_answer_is_the_most_repeated_wrong_one() -> None:
    said = ["In June."] * 5 + ["Pass!", "pass", "Pass."]
    assert most_repeated(said, [False] * 5 + [True] * 3) == "pass"
    assert most_repeated(said, [False] * 8) is None
    assert most_repeated(["a", "b", "a"], [True] * 3) is None  # twice is chance
