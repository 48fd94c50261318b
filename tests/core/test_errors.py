import inspect

import pytest

from expunge.core import errors
from expunge.verify.attacks._target import CannotRun

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]


@pytest.mark.parametrize("cls", [*CLASSES, CannotRun], ids=lambda c: c.__name__)
def test_every_error_stands_in_one_tree_with_a_sentence_and_an_exit_code(cls: type[errors.ExpungeError]) -> None:
    assert issubclass(cls, errors.ExpungeError)
    assert cls.__doc__
    assert cls.__doc__.strip().endswith(".")
    assert cls.exit_code in (1, 2, 3)
